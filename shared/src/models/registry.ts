import type { FamilyName } from '../plan/types.ts';
import { binomial } from './binomial.ts';
import { cox } from './cox.ts';
import type { Family } from './family.ts';
import { gaussian } from './gaussian.ts';
import { negativeBinomial } from './negative-binomial.ts';
import { ordinal } from './ordinal.ts';
import { piecewiseExponential } from './piecewise-exponential.ts';
import { poisson } from './poisson.ts';
import { roystonParmar } from './royston-parmar.ts';
import { weibull } from './weibull.ts';

/** Every model family, one line each. */
export const families: Readonly<Record<FamilyName, Family>> = {
  gaussian,
  binomial,
  poisson,
  'negative-binomial': negativeBinomial,
  ordinal,
  cox,
  weibull,
  'piecewise-exponential': piecewiseExponential,
  'royston-parmar': roystonParmar,
};
