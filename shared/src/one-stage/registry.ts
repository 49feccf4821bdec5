import { likelihoodModel } from './likelihood.ts';
import type { OneStageModel, OneStageSpec } from './types.ts';

/** How each kind of one-stage analysis is fitted, one line each. */
export const oneStageModels: Readonly<Record<OneStageSpec['kind'], OneStageModel>> = {
  likelihood: likelihoodModel,
  gaussian: likelihoodModel,
  mmrm: likelihoodModel,
  firth: likelihoodModel,
  frailty: likelihoodModel,
};
