import type { OneStageFit } from './types.ts';

/** A fit of nothing: what the fields that a model does not have hold. */
export const NOTHING_FITTED: OneStageFit = {
  failure: null,
  coefficients: [],
  vcov: new Float64Array(0),
  randomEffects: [],
  correlations: [],
  residualVariance: [],
  logLikelihood: null,
  tests: [],
  predicted: [],
  rounds: 0,
  gradientNorm: null,
  warnings: [],
};

/** A fit that failed after so many rounds. */
export function failedFit(
  code: NonNullable<OneStageFit['failure']>['code'],
  terms: readonly string[],
  rounds: number,
): OneStageFit {
  return { ...NOTHING_FITTED, failure: { code, terms }, rounds };
}
