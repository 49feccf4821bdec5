import type { Inference, ModelSettings } from './types.ts';

/** What a model is where the plan says nothing. */
export const DEFAULT_MODEL: ModelSettings = {
  link: null,
  intercept: 'stratified',
  treatmentEffect: 'common',
  correlated: true,
  residual: 'common',
  estimation: 'REML',
  quadrature: 1,
  thresholds: 'common',
  baseline: 'stratified',
  frailty: null,
  grid: [],
  penalty: null,
  covariance: 'unstructured',
  cuts: [],
  knots: [],
  tau: null,
  contrast: 'difference',
  timeVarying: null,
};

export const DEFAULT_INFERENCE: Inference = {
  ci: 'wald',
  df: null,
  likelihoodRatio: false,
  proportionalHazards: null,
};
