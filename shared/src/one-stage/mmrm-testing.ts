import type { StudyData } from '../models/types.ts';
import type { Scaling } from '../models/blocks.ts';
import { mmrmModel } from './mmrm.ts';
import type { Ask, InferenceOptions, OneStageFit, OneStageSpec } from './types.ts';

/** One study's records, for tests: a row a participant and visit, one covariate, a treatment of 0 and 1. */
export interface VisitRecords {
  readonly y: readonly number[];
  readonly subject: readonly number[];
  readonly visit: readonly number[];
  readonly x: readonly number[];
  readonly treat: readonly number[];
}

/** Columns visit0 …, x0 …, treat0 …: means, covariate and treatment by visit. */
export function studyOf(records: VisitRecords, visits: number): StudyData {
  const at = (values: readonly number[]) =>
    Array.from({ length: visits }, (_, v) =>
      Float64Array.from(values, (x, i) => (records.visit[i] === v ? x : 0)),
    );
  const names = (name: string) => Array.from({ length: visits }, (_, v) => `${name}${v}`);
  return {
    n: records.y.length,
    columns: [...at(records.y.map(() => 1)), ...at(records.x), ...at(records.treat)],
    terms: [...names('visit'), ...names('x'), ...names('treat')],
    response: {
      kind: 'repeated',
      y: Float64Array.from(records.y),
      subject: Int32Array.from(records.subject),
      visit: Int32Array.from(records.visit),
      visits,
    },
    offset: null,
  };
}

export interface MmrmOfTest {
  readonly covariance?: 'unstructured' | 'ar1' | 'compound-symmetry';
  readonly estimation?: 'ML' | 'REML';
  /** Means by visit of each study, not common ones. */
  readonly stratified?: boolean;
  readonly tested?: readonly number[];
  readonly inference?: Partial<InferenceOptions>;
}

export function specOf(model: MmrmOfTest, visits: number): OneStageSpec {
  const { terms } = studyOf({ y: [], subject: [], visit: [], x: [], treat: [] }, visits);
  return {
    kind: 'mmrm',
    options: { family: 'gaussian', ties: 'efron' },
    terms,
    columns: terms.length,
    intercept: -1,
    treatment: terms.flatMap((term, j) => (term.startsWith('treat') ? [j] : [])),
    groups: [],
    stratified: model.stratified === false ? [] : Array.from({ length: visits }, (_, v) => v),
    centredTreatment: false,
    tested: model.tested ?? [],
    random: [],
    correlated: false,
    points: 1,
    residual: 'common',
    estimation: model.estimation ?? 'REML',
    covariance: model.covariance ?? 'unstructured',
    visits,
    timeVarying: null,
    inference: {
      level: 0.95,
      ci: 'wald',
      df: null,
      likelihoodRatio: false,
      proportionalHazards: null,
      ...model.inference,
    },
  };
}

export function unscaled(columns: number): Scaling {
  return { centre: new Float64Array(columns), scale: new Float64Array(columns).fill(1), intercept: -1 };
}

/** The program driven by the sum of the studies' answers; `asked` sees every question. */
export function fitStudies(
  spec: OneStageSpec,
  studies: readonly StudyData[],
  scaling: Scaling = unscaled(spec.columns),
  asked: (ask: Ask) => void = () => {},
): OneStageFit {
  const answers = studies.map((data) => mmrmModel.study(spec, data, scaling));
  const start = new Float64Array(spec.columns);
  const program = mmrmModel.program(spec, {
    studies: studies.length,
    n: 1,
    scaling,
    start,
    sd: new Float64Array(0),
  });
  let turn = program.next();
  while (turn.done !== true) {
    const ask = turn.value;
    asked(ask);
    const sum = new Float64Array(ask.length);
    for (const answer of answers) answer(ask).forEach((value, i) => (sum[i]! += value));
    turn = program.next([sum]);
  }
  return turn.value;
}

/** Numbers that look random, the same for the same seed (Park & Miller's generator), and their normal scores. */
export function stream(seed: number): { uniform: () => number; normal: () => number } {
  let state = (seed % 2147483646) + 1;
  const uniform = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** Records with visits missing at random, correlated over the visits. */
export function makeRecords(seed: number, participants: number, visits: number, missing = 0.2): VisitRecords {
  const { uniform, normal } = stream(seed);
  const out = {
    y: [] as number[],
    subject: [] as number[],
    visit: [] as number[],
    x: [] as number[],
    treat: [] as number[],
  };
  for (let j = 0; j < participants; j++) {
    const [own, x] = [normal(), normal()];
    let before = normal();
    for (let v = 0; v < visits; v++) {
      before = 0.6 * before + 0.8 * normal();
      const y = 5 + v + 0.5 * x + 0.3 * (j % 2) + own + before * (1 + 0.2 * v);
      if (uniform() < missing && v > 0) continue;
      out.y.push(y);
      out.subject.push(j);
      out.visit.push(v);
      out.x.push(x);
      out.treat.push(j % 2);
    }
  }
  return out;
}
