import { chiSquareQuantile } from '../numerics/distributions.ts';
import { findRoot } from '../numerics/roots.ts';
import type { Tau2Method } from '../plan/types.ts';
import { inverseVarianceWeights, tracePP, traceP, weightedFit } from './weighted-fit.ts';
import type { StudySet } from './weighted-fit.ts';

/**
 * Estimators of the between-study variance τ² in y = Xβ + u + e, u ~ N(0, τ²), e ~ N(0, diag(v)), their
 * standard errors, and the Q-profile interval. Definitions are those of R's metafor::rma.uni (Viechtbauer
 * 2010, J Stat Softw 36(3)); notation y'Py, tr(P) as in weighted-fit.ts.
 */

/** Points a decade of the scan for maxima of the (restricted) likelihood. */
const SCAN_DENSITY = 8;

interface Tau2Estimate {
  readonly tau2: number;
  /** Null for the common-effect model, which has no τ² to estimate. */
  readonly se: number | null;
}

/** Σᵢ wᵢ(τ²) rᵢ², the generalised Q statistic: it falls as τ² rises. */
function generalisedQ(set: StudySet, tau2: number): number {
  return weightedFit(set, inverseVarianceWeights(set.v, tau2)).rss;
}

/** The τ² at which the generalised Q statistic equals `target`; null where it is below it at τ² = 0. */
function solveGeneralisedQ(set: StudySet, target: number): number | null {
  const atZero = generalisedQ(set, 0);
  if (atZero < target) return null;
  let upper = Math.max(...set.v);
  while (generalisedQ(set, upper) > target) upper *= 4;
  return findRoot((tau2) => generalisedQ(set, tau2) - target, 0, upper);
}

/**
 * Q-profile interval for τ² (Viechtbauer 2007, Stat Med 26:37), as metafor::confint. Null where it is empty:
 * even τ² = 0 makes the studies vary less than the upper limit allows (metafor then shows [0, 0]).
 */
export function qProfile(set: StudySet, level: number): readonly [number, number] | null {
  const df = set.k - set.p;
  const upper = solveGeneralisedQ(set, chiSquareQuantile((1 - level) / 2, df));
  if (upper === null) return null;
  return [solveGeneralisedQ(set, chiSquareQuantile((1 + level) / 2, df)) ?? 0, upper];
}

/** Log-likelihood at τ², β profiled out; REML with the ½ log det(X'X) that metafor includes. */
export function logLikelihood(set: StudySet, tau2: number, restricted: boolean): number {
  const { k, p } = set;
  const fit = weightedFit(set, inverseVarianceWeights(set.v, tau2));
  let logVariances = 0;
  for (const weight of fit.w) logVariances -= Math.log(weight);
  const likelihood = -0.5 * (k * Math.log(2 * Math.PI) + logVariances + fit.rss);
  if (!restricted) return likelihood;
  const gram = weightedFit(set, new Float64Array(k).fill(1)).logDet;
  return likelihood + 0.5 * (p * Math.log(2 * Math.PI) + gram - fit.logDet);
}

/**
 * The global maximum of the ML or REML log-likelihood over τ² ≥ 0. Fisher scoring can stall, cycle or stop at
 * a lower maximum; here the score is scanned on a logarithmic grid up to the point beyond which it is
 * negative, every change from + to − is solved, and the best maximum, zero included, is taken.
 */
function maximumLikelihood(set: StudySet, restricted: boolean): number {
  const { v, k, p } = set;
  const score = (tau2: number): number => {
    const fit = weightedFit(set, inverseVarianceWeights(v, tau2));
    let quadratic = 0;
    let total = 0;
    for (let i = 0; i < k; i++) {
      quadratic += (fit.w[i]! * fit.residuals[i]!) ** 2;
      total += fit.w[i]!;
    }
    return quadratic - (restricted ? traceP(fit) : total);
  };
  // y'PPy ≤ RSS/τ⁴ (ordinary least squares) and tr(P) ≥ (k − p)/(τ² + max v): beyond this τ² the score is
  // negative.
  const { rss } = weightedFit(set, new Float64Array(k).fill(1));
  const vMax = Math.max(...v);
  const end = (rss + Math.sqrt(rss * rss + 4 * (k - p) * rss * vMax)) / (2 * (k - p));
  const candidates = [0];
  let left = 0;
  let leftScore = score(0);
  const ratio = 10 ** (1 / SCAN_DENSITY);
  for (let right = Math.min(...v) * 1e-3; left < end; right *= ratio) {
    const rightScore = score(right);
    if (leftScore > 0 && rightScore <= 0) candidates.push(findRoot(score, left, right));
    left = right;
    leftScore = rightScore;
  }
  if (candidates.length === 1) return 0;
  const values = candidates.map((tau2) => logLikelihood(set, tau2, restricted));
  return candidates[values.indexOf(Math.max(...values))]!;
}

/**
 * Standard error of a moment estimator τ² = (y'Py − tr(PV))/d: d⁻¹ √(2 tr(PVPV) + 4τ² tr(PVP) + 2τ⁴
 * tr(PP)).
 */
function momentSe(d: number, pvpv: number, pvp: number, pp: number, tau2: number): number {
  return Math.sqrt(2 * pvpv + 4 * tau2 * pvp + 2 * tau2 * tau2 * pp) / d;
}

/** τ² truncated at zero, and its standard error. Needs k > p. EB solves the same equation as PM. */
export function estimateTau2(set: StudySet, method: Tau2Method): Tau2Estimate {
  const { y, v, k, p } = set;
  const df = k - p;
  switch (method) {
    case 'FE':
      return { tau2: 0, se: null };
    case 'DL':
    case 'HS': {
      const fit = weightedFit(set, inverseVarianceWeights(v, 0));
      const trace = traceP(fit);
      const divisor = method === 'DL' ? trace : fit.w.reduce((sum, weight) => sum + weight, 0);
      const tau2 = Math.max(0, (fit.rss - (method === 'DL' ? df : k)) / divisor);
      // With weights 1/v, PVP = P: tr(PVPV) = k − p and tr(PVP) = tr(P).
      return { tau2, se: momentSe(divisor, df, trace, tracePP(set, fit), tau2) };
    }
    case 'HE': {
      const fit = weightedFit(set, new Float64Array(k).fill(1));
      const trace = traceP(fit, v);
      const tau2 = Math.max(0, (fit.rss - trace) / df);
      return { tau2, se: momentSe(df, tracePP(set, fit, v, v), trace, df, tau2) };
    }
    case 'SJ': {
      const mean = y.reduce((sum, value) => sum + value / k, 0);
      const start = y.reduce((sum, value) => sum + (value - mean) ** 2 / k, 0);
      const fit = weightedFit(set, inverseVarianceWeights(v, start));
      const tau2 = (start * fit.rss) / df;
      const pvp = tracePP(set, fit, v);
      return { tau2, se: start * momentSe(df, tracePP(set, fit, v, v), pvp, tracePP(set, fit), tau2) };
    }
    case 'PM':
    case 'EB': {
      const tau2 = solveGeneralisedQ(set, df) ?? 0;
      const total = inverseVarianceWeights(v, tau2).reduce((sum, weight) => sum + weight, 0);
      return { tau2, se: Math.sqrt((2 * k * k) / df) / total };
    }
    case 'ML': {
      const tau2 = maximumLikelihood(set, false);
      const squares = inverseVarianceWeights(v, tau2).reduce((sum, weight) => sum + weight * weight, 0);
      return { tau2, se: Math.sqrt(2 / squares) };
    }
    case 'REML': {
      const tau2 = maximumLikelihood(set, true);
      const fit = weightedFit(set, inverseVarianceWeights(v, tau2));
      return { tau2, se: Math.sqrt(2 / tracePP(set, fit)) };
    }
  }
}
