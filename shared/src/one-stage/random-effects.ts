/** The random effects' covariance ΛΛ' from the parameters of a fit, and where its variances are at their boundary. */
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { lambdaCount } from './likelihood-study.ts';
import type { OneStageSpec } from './types.ts';

/** A standard deviation (or part of one) below this share of an outcome's natural unit is at the boundary. */
export const BOUNDARY = 1e-4;

/** Λ as a packed lower triangle, from its free entries. */
export function lambdaOf(spec: OneStageSpec, entries: Float64Array): Float64Array {
  return spec.random.length === 2 && !spec.correlated
    ? Float64Array.of(entries[0]!, 0, entries[1]!)
    : entries;
}

/** Which random effects have variance zero. */
export function boundaries(spec: OneStageSpec, lambda: Float64Array): boolean[] {
  return spec.random.map((_, a) => {
    let variance = 0;
    for (let k = 0; k <= a; k++) variance += lambda[packedIndex(a, k)]! ** 2;
    return Math.sqrt(variance) < BOUNDARY;
  });
}

/** Entries of Λ that a variance at zero leaves without meaning. */
export function boundaryPositions(spec: OneStageSpec, zero: readonly boolean[]): number[] {
  if (lambdaCount(spec) < 3) return zero.flatMap((yes, a) => (yes ? [a] : []));
  // Without the first variance, the second's row has one free entry left.
  return [...(zero[0] === true ? [0, 1] : []), ...(zero[1] === true ? [1, 2] : [])].filter(
    (k, i, all) => all.indexOf(k) === i,
  );
}

/** ΛΛ', packed; 0 where a variance is zero. */
export function outerProduct(lambda: Float64Array, q: number, zero: readonly boolean[]): Float64Array {
  const sigma = new Float64Array(packedLength(q));
  for (let a = 0; a < q; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (let k = 0; k <= b; k++) sum += lambda[packedIndex(a, k)]! * lambda[packedIndex(b, k)]!;
      sigma[packedIndex(a, b)] = zero[a] === true || zero[b] === true ? 0 : sum;
    }
  }
  return sigma;
}

/** Packed, unit diagonal; null where a variance is zero. */
export function correlationsOf(sigma: Float64Array, q: number): (number | null)[] {
  const correlations: (number | null)[] = [];
  for (let a = 0; a < q; a++) {
    for (let b = 0; b <= a; b++) {
      const scale = Math.sqrt(sigma[packedIndex(a, a)]! * sigma[packedIndex(b, b)]!);
      correlations.push(scale === 0 ? null : a === b ? 1 : sigma[packedIndex(a, b)]! / scale);
    }
  }
  return correlations;
}
