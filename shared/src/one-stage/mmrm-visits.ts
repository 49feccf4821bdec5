import {
  cholesky,
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import {
  dot,
  multiply,
  multiplyTranspose,
  pack,
  traceProduct,
  transposeMultiply,
  unpack,
} from './gaussian-matrices.ts';
import type { Root } from './mmrm-covariance.ts';
import type { Pattern } from './mmrm-patterns.ts';

/**
 * V, the rows and columns of Σ for the o visits of a pattern, W = V⁻¹, and how they change with the root K of Σ⁻¹. With
 * J = K⁻¹ (T × T), J_O its rows for those visits (V = J_O J_O'), and D a change of K, dJ = −JDJ:
 *
 *   Y = W J_O (o × T),  C = YJ' (o × T; a unit column where the visit is in the pattern),  m = C'J_O,  Q = J − m,  Π = J_O'Y,
 *   dW = YDC' + CD'Y',  dY = −YDQ + CD'Π,  dC = −YDQQ' − CD'Q',  d log|V| = −2 tr(mD).
 *
 * Nothing here is of the size of W·dV·W, so that nearly singular Σ cost digits once, not twice.
 */
export interface SeenVisits {
  readonly pattern: Pattern;
  readonly order: number;
  /** Full o × o. */
  readonly w: Float64Array;
  readonly y: Float64Array;
  readonly c: Float64Array;
  readonly m: Float64Array;
  readonly q: Float64Array;
  readonly projection: Float64Array;
  readonly logDeterminant: number;
}

export function seenVisits(pattern: Pattern, { inverse, covariance }: Root, t: number): SeenVisits {
  const { visits } = pattern;
  const o = visits.length;
  const v = new Float64Array(o * o);
  const rows = new Float64Array(o * t);
  visits.forEach((s, i) => {
    rows.set(inverse.subarray(s * t, (s + 1) * t), i * t);
    visits.forEach((u, j) => (v[i * o + j] = covariance[s * t + u]!));
  });
  // Positive definite as Σ is: what fewer visits leave of one's variance is more.
  const factor = cholesky(pack(v, o));
  const y = new Float64Array(o * t);
  for (let k = 0; k < t; k++) {
    const solved = solveCholesky(
      factor,
      Float64Array.from({ length: o }, (_, i) => rows[i * t + k]!),
    );
    solved.forEach((value, i) => (y[i * t + k] = value));
  }
  const c = multiplyTranspose(y, inverse, o, t, t);
  visits.forEach((s, i) => {
    for (let k = 0; k < o; k++) c[k * t + s] = k === i ? 1 : 0;
  });
  const m = transposeMultiply(c, rows, o, t, t);
  const q = inverse.map((value, k) => value - m[k]!);
  return {
    pattern,
    order: o,
    w: unpack(inverseFromCholesky(factor), o),
    y,
    c,
    m,
    q,
    projection: transposeMultiply(rows, y, o, t, t),
    logDeterminant: logDetFromCholesky(factor),
  };
}

/** dW for a change D of K, o × o. */
export function changeOfWeights({ order: o, y, c }: SeenVisits, d: Float64Array, t: number): Float64Array {
  const half = multiplyTranspose(multiply(y, d, o, t, t), c, o, t, o);
  const change = new Float64Array(o * o);
  for (let i = 0; i < o; i++)
    for (let j = 0; j < o; j++) change[i * o + j] = half[i * o + j]! + half[j * o + i]!;
  return change;
}

/** d log|V| for a change D of K. */
export function changeOfLogDeterminant({ m }: SeenVisits, d: Float64Array, t: number): number {
  return -2 * traceProduct(m, d, t);
}

/**
 * Adds to `out` (packed over θ) n·d²log|V| + tr(E d²W) of a pattern of n participants, by K's first derivatives D; for its
 * second ones adds to `linear` (T × T) the M with which they are tr(M D_ab). With F = C'EY, G = C'EC, H = Y'EY, R = QQ':
 *
 *   tr(E d²W) = 2{−tr(QD_aFD_b) − tr(FD_aQD_b) + tr(ΠD_aGD_b') − tr(HD_aRD_b') + tr(FD_ab)},
 *   d²log|V| = 2{tr((mD_am + QD_am + mD_aQ)D_b) + tr(ΠD_aRD_b') − tr(mD_ab)}.
 */
export function addSecondDerivatives(
  { pattern, order: o, y, c, m, q, projection }: SeenVisits,
  e: Float64Array,
  first: readonly Float64Array[],
  t: number,
  out: Float64Array,
  linear: Float64Array,
): void {
  const n = pattern.participants;
  const ey = multiply(e, y, o, o, t);
  const ec = multiply(e, c, o, o, t);
  const f = transposeMultiply(c, ey, o, t, t);
  const g = transposeMultiply(c, ec, o, t, t);
  const h = transposeMultiply(y, ey, o, t, t);
  const r = multiplyTranspose(q, q, t, t, t);
  const nm = m.map((value) => n * value);
  // Left factors of D_a times right ones: ·D_b, and ·D_b'.
  const fromQ = f.map((value, k) => nm[k]! - value);
  const fromPi = g.map((value, k) => value + n * r[k]!);
  const product = (left: Float64Array, d: Float64Array, right: Float64Array) =>
    multiply(multiply(left, d, t, t, t), right, t, t, t);
  for (let k = 0; k < linear.length; k++) linear[k]! += 2 * (f[k]! - nm[k]!);
  first.forEach((d, a) => {
    const straight = product(q, d, fromQ);
    const other = product(fromQ, d, q);
    const mm = product(nm, d, m);
    const transposed = product(projection, d, fromPi);
    const last = product(h, d, r);
    const factor = new Float64Array(t * t);
    for (let i = 0; i < t; i++) {
      for (let j = 0; j < t; j++) {
        const [at, flipped] = [i * t + j, j * t + i];
        // tr(XD') = Σ x d, tr(XD) the same of X'.
        factor[at] = 2 * (straight[flipped]! + other[flipped]! + mm[flipped]! + transposed[at]! - last[at]!);
      }
    }
    for (let b = 0; b <= a; b++) out[packedIndex(a, b)]! += dot(factor, first[b]!);
  });
}

/** E of a pattern, o × o: of each two visits the trace of their crossproducts times a matrix (packed, off-diagonal doubled). */
export function tracesOf({ pattern, order }: SeenVisits, spread: Float64Array): Float64Array {
  const e = new Float64Array(order * order);
  for (let i = 0, at = 0; i < order; i++) {
    for (let j = 0; j <= i; j++) {
      const value = dot(pattern.products[at++]!, spread) / (i === j ? 1 : 2);
      e[i * order + j] = value;
      e[j * order + i] = value;
    }
  }
  return e;
}

/** Σ over patterns and pairs of visits of a weight times the crossproducts; packed, of order `size`. */
export function weightedSum(
  size: number,
  seen: readonly SeenVisits[],
  weight: (of: SeenVisits) => Float64Array,
): Float64Array {
  const g = new Float64Array(packedLength(size));
  for (const one of seen) {
    const { order, pattern } = one;
    const w = weight(one);
    for (let i = 0, at = 0; i < order; i++) {
      for (let j = 0; j <= i; j++) {
        const factor = w[i * order + j]!;
        const products = pattern.products[at++]!;
        if (factor !== 0) for (let k = 0; k < g.length; k++) g[k]! += factor * products[k]!;
      }
    }
  }
  return g;
}
