import { firthModel } from './firth.ts';
import { frailtyModel } from './frailty.ts';
import { gaussianModel } from './gaussian.ts';
import { likelihoodModel } from './likelihood.ts';
import { mmrmModel } from './mmrm.ts';
import type { OneStageModel, OneStageSpec } from './types.ts';

/** How each kind of one-stage analysis is fitted, one line each. */
export const oneStageModels: Readonly<Record<OneStageSpec['kind'], OneStageModel>> = {
  likelihood: likelihoodModel,
  gaussian: gaussianModel,
  mmrm: mmrmModel,
  firth: firthModel,
  frailty: frailtyModel,
};
