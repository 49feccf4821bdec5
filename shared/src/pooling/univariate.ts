import type { Heterogeneity, PooledTerm, Warning } from '../plan/result-types.ts';
import { waldTerm } from './inference.ts';
import { fitRandomEffects } from './random-effects.ts';
import type { PoolingOptions } from './random-effects.ts';
import { logLikelihood } from './tau2.ts';
import { poolingWarning } from './warnings.ts';
import { studySet } from './weighted-fit.ts';

export interface UnivariatePool {
  readonly pooled: PooledTerm;
  readonly heterogeneity: Heterogeneity;
  /** Percent, in the order of the studies. */
  readonly weights: readonly number[];
  /** Restricted under REML, else ML. */
  readonly logLikelihood: number;
  readonly warnings: readonly Warning[];
}

const UNKNOWN: Heterogeneity = {
  tau2: null,
  tau2_se: null,
  tau2_ci: null,
  q: null,
  q_df: null,
  q_p: null,
  i2: null,
  h2: null,
};

/**
 * Pools k ≥ 1 estimates `yi` with variances `vi` of one term; definitions in random-effects.ts and tau2.ts,
 * equal to metafor::rma.uni. The prediction interval uses the critical value of the confidence interval (z,
 * or t with k − 1 degrees of freedom under HKSJ); a common effect has none. A single study is returned as
 * it is, with a normal interval. Throws `numerics/invalid-input` where an estimate is not finite or a
 * variance not positive.
 */
export function pool(
  term: string,
  yi: ArrayLike<number>,
  vi: ArrayLike<number>,
  options: PoolingOptions & { readonly prediction: boolean },
): UnivariatePool {
  const set = studySet(yi, vi, new Float64Array(yi.length).fill(1));
  const { level } = options;
  if (set.k === 1) {
    return {
      pooled: waldTerm(term, set.y[0]!, set.v[0]!, null, level, null),
      heterogeneity: UNKNOWN,
      weights: [100],
      logLikelihood: logLikelihood(set, 0, options.tau2 === 'REML'),
      warnings: [poolingWarning('single-study', term)],
    };
  }
  const fit = fitRandomEffects(set, options);
  const between = options.prediction && options.tau2 !== 'FE' ? fit.heterogeneity.tau2 : null;
  const total = fit.final.w.reduce((sum, weight) => sum + weight, 0);
  return {
    pooled: waldTerm(term, fit.final.beta[0]!, fit.vcov[0]!, fit.df, level, between),
    heterogeneity: fit.heterogeneity,
    weights: Array.from(fit.final.w, (weight) => (100 * weight) / total),
    logLikelihood: fit.logLikelihood,
    warnings: fit.warnings.map((warning) => ({ ...warning, term })),
  };
}
