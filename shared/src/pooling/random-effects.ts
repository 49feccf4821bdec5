import { chiSquareUpper } from '../numerics/distributions.ts';
import type { Heterogeneity, Warning } from '../plan/result-types.ts';
import type { CiMethod, Tau2Method } from '../plan/types.ts';
import { estimateTau2, logLikelihood, qProfile } from './tau2.ts';
import { poolingWarning } from './warnings.ts';
import { inverseVarianceWeights, traceP, weightedFit } from './weighted-fit.ts';
import type { StudySet, WeightedFit } from './weighted-fit.ts';

export interface PoolingOptions {
  readonly tau2: Tau2Method;
  readonly ci: CiMethod;
  /** Confidence level, e.g. 0.95. */
  readonly level: number;
}

interface RandomEffectsFit {
  /** At the estimate of τ²: weights 1/(vᵢ + τ²), β, residuals. */
  readonly final: WeightedFit;
  /** Packed; scaled under HKSJ. */
  readonly vcov: Float64Array;
  /** k − p under HKSJ; null: normal. */
  readonly df: number | null;
  readonly heterogeneity: Heterogeneity;
  /** Restricted under REML, else ML, at the estimate of τ². */
  readonly logLikelihood: number;
  readonly warnings: readonly Warning[];
}

/**
 * Common-effect (FE) or random-effects fit of k study estimates on p columns, k > p; what `pool` and
 * `metaRegression` share. As metafor::rma.uni: HKSJ is test = "knha" (vcov × s², s² = Σ w r²/(k − p),
 * t with k − p degrees of freedom; Knapp & Hartung 2003, Stat Med 22:2693), HKSJ-adhoc takes max(s², 1).
 * I² = 100 τ²/(τ² + ṽ) and H² = 1 + τ²/ṽ with the typical variance ṽ = (k − p)/tr(P); under FE from Q:
 * I² = 100 max(0, (Q − df)/Q), H² = Q/df.
 */
export function fitRandomEffects(set: StudySet, options: PoolingOptions): RandomEffectsFit {
  const { v, k, p } = set;
  const df = k - p;
  const common = options.tau2 === 'FE';
  const warnings: Warning[] = [];
  const { tau2, se: tau2Se } = estimateTau2(set, options.tau2);
  if (!common && tau2 === 0) warnings.push(poolingWarning('tau2-boundary'));

  const fit = weightedFit(set, inverseVarianceWeights(v, tau2));
  let scale = 1;
  if (options.ci !== 'normal') {
    // Rounding noise of identical estimates is not variation.
    scale = fit.rss <= Number.EPSILON ? 0 : fit.rss / df;
    if (options.ci === 'HKSJ-adhoc') scale = Math.max(1, scale);
    if (common) warnings.push(poolingWarning('hksj-common-effect'));
    if (scale === 0) warnings.push(poolingWarning('no-residual-variation'));
    else if (scale < 1) warnings.push(poolingWarning('hksj-narrower'));
  }

  const atZero = weightedFit(set, inverseVarianceWeights(v, 0));
  const q = atZero.rss;
  const typical = df / traceP(atZero);
  const interval = common ? null : qProfile(set, options.level);
  if (!common && interval === null) warnings.push(poolingWarning('tau2-interval-empty'));
  return {
    final: fit,
    vcov: fit.inverse.map((value) => scale * value),
    df: options.ci === 'normal' ? null : df,
    heterogeneity: {
      tau2,
      tau2_se: tau2Se,
      tau2_ci: common ? null : (interval ?? [0, 0]),
      q,
      q_df: df,
      q_p: chiSquareUpper(q, df),
      i2: common ? (q > 0 ? Math.max(0, (100 * (q - df)) / q) : 0) : (100 * tau2) / (tau2 + typical),
      h2: common ? q / df : 1 + tau2 / typical,
    },
    logLikelihood: logLikelihood(set, tau2, options.tau2 === 'REML'),
    warnings,
  };
}
