import { ConcordatError } from '../errors.ts';
import {
  cholesky,
  inverseFromCholesky,
  logDetFromCholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
} from '../linalg/symmetric.ts';

/**
 * Weighted least squares of k study estimates y on a k × p design X with weights W = diag(w), and the
 * traces that the heterogeneity estimators need of P = W − WX(X'WX)⁻¹X'W, without forming the k × k P.
 */

/** Estimates, their variances and the design of the studies that are pooled. */
export interface StudySet {
  /** Length k. */
  readonly y: Float64Array;
  /** Within-study variances, length k, all positive. */
  readonly v: Float64Array;
  /** Row-major k × p. */
  readonly x: Float64Array;
  readonly k: number;
  readonly p: number;
}

export interface WeightedFit {
  readonly w: Float64Array;
  /** Length p. */
  readonly beta: Float64Array;
  /** (X'WX)⁻¹, packed. */
  readonly inverse: Float64Array;
  /** log det(X'WX). */
  readonly logDet: number;
  /** y − Xβ, length k. */
  readonly residuals: Float64Array;
  /** Σ w r² = y'Py. */
  readonly rss: number;
  /** wᵢxᵢ'(X'WX)⁻¹xᵢ, length k: Pᵢᵢ = wᵢ(1 − hᵢ). */
  readonly leverage: Float64Array;
}

/** Refuses estimates that are not finite and variances that are not positive (`numerics/invalid-input`). */
export function studySet(y: ArrayLike<number>, v: ArrayLike<number>, x: Float64Array): StudySet {
  const k = y.length;
  const valid =
    v.length === k &&
    k > 0 &&
    Array.from(y).every(Number.isFinite) &&
    Array.from(v).every((value) => Number.isFinite(value) && value > 0);
  if (!valid) {
    throw new ConcordatError(
      'numerics/invalid-input',
      'stage two needs finite estimates with positive variances',
      {
        remedy: 'leave out the studies that do not estimate the term',
      },
    );
  }
  return { y: Float64Array.from(y), v: Float64Array.from(v), x, k, p: x.length / k };
}

/** Weights 1/(vᵢ + τ²). */
export function inverseVarianceWeights(v: Float64Array, tau2: number): Float64Array {
  return v.map((variance) => 1 / (variance + tau2));
}

/** X' diag(c) X, packed. */
function weightedGram({ x, k, p }: StudySet, c: Float64Array): Float64Array {
  const gram = new Float64Array(packedLength(p));
  for (let i = 0; i < k; i++) {
    let at = 0;
    for (let a = 0; a < p; a++) {
      const left = c[i]! * x[i * p + a]!;
      for (let b = 0; b <= a; b++) gram[at++]! += left * x[i * p + b]!;
    }
  }
  return gram;
}

/** Throws `numerics/not-positive-definite` where X has linearly dependent columns. */
export function weightedFit(set: StudySet, w: Float64Array): WeightedFit {
  const { y, x, k, p } = set;
  const factor = cholesky(weightedGram(set, w));
  const inverse = inverseFromCholesky(factor);
  const beta = new Float64Array(p);
  const residuals = Float64Array.from(y);
  // The second pass refines β on the residuals of the first: without it one very precise study's residual is
  // rounding noise.
  for (let pass = 0; pass < 2; pass++) {
    const score = new Float64Array(p);
    for (let i = 0; i < k; i++) {
      for (let a = 0; a < p; a++) score[a]! += w[i]! * x[i * p + a]! * residuals[i]!;
    }
    const change = multiplyPacked(inverse, score);
    for (let a = 0; a < p; a++) beta[a]! += change[a]!;
    for (let i = 0; i < k; i++) {
      let fitted = 0;
      for (let a = 0; a < p; a++) fitted += x[i * p + a]! * change[a]!;
      residuals[i]! -= fitted;
    }
  }
  const leverage = new Float64Array(k);
  let rss = 0;
  for (let i = 0; i < k; i++) {
    let form = 0;
    for (let a = 0; a < p; a++) {
      for (let b = 0; b < p; b++) form += x[i * p + a]! * inverse[packedIndex(a, b)]! * x[i * p + b]!;
    }
    leverage[i] = w[i]! * form;
    rss += w[i]! * residuals[i]! * residuals[i]!;
  }
  return { w, beta, inverse, logDet: logDetFromCholesky(factor), residuals, rss, leverage };
}

/** (X'WX)⁻¹X'W as p rows of length k: how each coefficient depends on the estimates. */
export function coefficientWeights({ x, k, p }: StudySet, { w, inverse }: WeightedFit): Float64Array[] {
  return Array.from({ length: p }, (_, row) =>
    Float64Array.from({ length: k }, (_unused, i) => {
      let sum = 0;
      for (let a = 0; a < p; a++) sum += inverse[packedIndex(row, a)]! * x[i * p + a]!;
      return sum * w[i]!;
    }),
  );
}

/** tr(PD) for D = diag(d). */
export function traceP(fit: WeightedFit, d: Float64Array | null = null): number {
  let sum = 0;
  for (let i = 0; i < fit.w.length; i++) sum += fit.w[i]! * (1 - fit.leverage[i]!) * (d === null ? 1 : d[i]!);
  return sum;
}

/** tr(P D₁ P D₂) = Σ w²d₁d₂(1 − 2h) + tr(A M₁ A M₂), with A = (X'WX)⁻¹ and M = X' diag(w²d) X. */
export function tracePP(
  set: StudySet,
  fit: WeightedFit,
  d1: Float64Array | null = null,
  d2: Float64Array | null = null,
): number {
  const { w, leverage, inverse } = fit;
  let sum = 0;
  for (let i = 0; i < set.k; i++) {
    const scale = (d1 === null ? 1 : d1[i]!) * (d2 === null ? 1 : d2[i]!);
    sum += w[i]! * w[i]! * scale * (1 - 2 * leverage[i]!);
  }
  const gram = (d: Float64Array | null): Float64Array =>
    weightedGram(
      set,
      w.map((weight, i) => weight * weight * (d === null ? 1 : d[i]!)),
    );
  const m1 = gram(d1);
  const m2 = d1 === d2 ? m1 : gram(d2);
  const product = (m: Float64Array, row: number, column: number): number => {
    let value = 0;
    for (let a = 0; a < set.p; a++) value += inverse[packedIndex(row, a)]! * m[packedIndex(a, column)]!;
    return value;
  };
  for (let a = 0; a < set.p; a++) {
    for (let b = 0; b < set.p; b++) sum += product(m1, a, b) * product(m2, b, a);
  }
  return sum;
}
