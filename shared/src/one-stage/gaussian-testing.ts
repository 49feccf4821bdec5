import type { Scaling } from '../models/blocks.ts';
import type { StudyData } from '../models/types.ts';
import { gaussianModel } from './gaussian.ts';
import type { InferenceOptions, OneStageFit, OneStageSpec } from './types.ts';

/** Rows of several studies, for tests: the treatment is 0/1 or any number, one covariate. */
export interface Records {
  readonly study: readonly number[];
  readonly treat: readonly number[];
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface ModelOfTest {
  readonly random?: readonly string[];
  readonly stratified?: readonly string[];
  readonly correlated?: boolean;
  readonly estimation?: 'ML' | 'REML';
  readonly residual?: 'common' | 'stratified';
  /** Whether the covariate is in the model. */
  readonly x?: boolean;
  readonly inference?: Partial<InferenceOptions>;
}

const TERMS = ['(intercept)', 'treatment', 'x'] as const;

export function specOf(model: ModelOfTest): OneStageSpec {
  const terms = TERMS.slice(0, model.x === false ? 2 : 3);
  const stratified = terms.flatMap((term, j) => (model.stratified?.includes(term) === true ? [j] : []));
  const random = (model.random ?? []).map((term) => ({
    term,
    direction: Float64Array.from(terms, (name) => (name === term ? 1 : 0)),
  }));
  return {
    kind: 'gaussian',
    options: { family: 'gaussian', ties: 'efron' },
    terms,
    columns: terms.length,
    intercept: 0,
    treatment: [1],
    stratified,
    centredTreatment: stratified.includes(0) && random.some(({ term }) => term === 'treatment'),
    tested: [1],
    groups: [],
    random,
    correlated: model.correlated ?? false,
    points: 1,
    residual: model.residual ?? 'common',
    estimation: model.estimation ?? 'REML',
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

/** The studies' data as their agents have them, in the order of their numbers. */
export function studiesOf(spec: OneStageSpec, records: Records): StudyData[] {
  const studies = [...new Set(records.study)].toSorted((a, b) => a - b);
  return studies.map((study) => {
    const rows = records.study.flatMap((value, i) => (value === study ? [i] : []));
    const take = (values: readonly number[]): Float64Array => Float64Array.from(rows, (i) => values[i]!);
    const treat = take(records.treat);
    const mean = treat.reduce((sum, value) => sum + value, 0) / rows.length;
    const columns = [
      new Float64Array(rows.length).fill(1),
      spec.centredTreatment ? treat.map((value) => value - mean) : treat,
      take(records.x),
    ];
    return {
      n: rows.length,
      columns: columns.slice(0, spec.columns),
      terms: spec.terms,
      response: { kind: 'continuous', y: take(records.y) },
      offset: null,
      treatmentMeans: [mean],
    };
  });
}

/** Asks every study and fits. */
export function fitRecords(model: ModelOfTest, records: Records): OneStageFit {
  const spec = specOf(model);
  return fitStudies(spec, studiesOf(spec, records));
}

export function fitStudies(spec: OneStageSpec, studies: readonly StudyData[]): OneStageFit {
  const n = studies.reduce((sum, study) => sum + study.n, 0);
  const pooled = (of: (study: StudyData) => Float64Array): { mean: number; sd: number } => {
    let sum = 0;
    for (const study of studies) for (const value of of(study)) sum += value;
    const mean = sum / n;
    let squares = 0;
    for (const study of studies) for (const value of of(study)) squares += (value - mean) ** 2;
    return { mean, sd: Math.sqrt(squares / n) };
  };
  const centre = new Float64Array(spec.columns);
  const scale = new Float64Array(spec.columns).fill(1);
  for (let j = 2; j < spec.columns; j++) {
    const { mean, sd } = pooled(({ columns }) => columns[j]!);
    centre[j] = mean;
    if (sd > 0) scale[j] = sd;
  }
  const scaling: Scaling = { centre, scale, intercept: 0 };
  const start = new Float64Array(spec.columns);
  start[0] = pooled(({ response }) =>
    response.kind === 'continuous' ? response.y : new Float64Array(0),
  ).mean;
  const program = gaussianModel.program(spec, {
    studies: studies.length,
    n,
    scaling,
    start,
    sd: new Float64Array(spec.random.length),
  });
  const turn = program.next();
  if (turn.done === true) throw new Error('no question was asked');
  const ask = turn.value;
  const end = program.next(studies.map((study) => gaussianModel.study(spec, study, scaling)(ask)));
  if (end.done !== true) throw new Error('a second question was asked');
  return end.value;
}
