import type { Scaling } from '../models/blocks.ts';
import type { StudyData } from '../models/types.ts';
import type { Entry, InferenceOptions, OneStageFit, OneStageModel, OneStageSpec } from './types.ts';

type Given = Pick<OneStageSpec, 'options' | 'terms'> &
  Partial<Omit<OneStageSpec, 'inference'>> & { readonly inference?: Partial<InferenceOptions> };

/** A specification with an intercept, treatment and x as its columns, and every option at its simplest. */
export function specOf({ inference = {}, ...given }: Given): OneStageSpec {
  return {
    kind: 'likelihood',
    columns: 3,
    intercept: 0,
    treatment: [1],
    stratified: [],
    centredTreatment: false,
    tested: [1],
    groups: [],
    random: [],
    correlated: false,
    points: 1,
    residual: 'common',
    estimation: 'ML',
    timeVarying: null,
    ...given,
    inference: {
      level: 0.95,
      ci: 'wald',
      df: null,
      likelihoodRatio: false,
      proportionalHazards: null,
      ...inference,
    },
  };
}

/** Drives a model's program with its studies' own answers. */
export function runProgram(
  model: OneStageModel,
  spec: OneStageSpec,
  studies: readonly StudyData[],
  scaling: Scaling = {
    centre: new Float64Array(spec.columns),
    scale: new Float64Array(spec.columns).fill(1),
    intercept: spec.intercept,
  },
  {
    start = new Float64Array(spec.terms.length),
    sd = new Float64Array(spec.random.length).fill(0.3),
  }: Partial<Entry> = {},
): OneStageFit {
  const sites = studies.map((data) => model.study(spec, data, scaling));
  const n = studies.reduce((sum, data) => sum + data.n, 0);
  const program = model.program(spec, { studies: studies.length, n, scaling, start, sd });
  let turn = program.next();
  while (turn.done !== true) {
    const ask = turn.value;
    const answers = sites.map((site) => site(ask));
    turn = program.next(
      ask.gather === 'each'
        ? answers
        : [answers.reduce((sum, answer) => sum.map((value, k) => value + answer[k]!))],
    );
  }
  return turn.value;
}
