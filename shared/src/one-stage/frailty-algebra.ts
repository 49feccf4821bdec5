import { factorOf, packedIndex, packedLength, solveCholesky } from '../linalg/symmetric.ts';
import type { Layout } from './frailty-study.ts';

/** The matrices of frailty.ts: packed lower triangles over x = (β, log θ where gamma, h). */

/** f(T), h = f′(T), and products with Q^½, Q = −f″(T), interval by interval. */
export interface Ties {
  readonly value: number;
  readonly h: Float64Array;
  readonly root: (v: Float64Array) => Float64Array;
}

export function tiesOf({ intervals, efron }: Layout, events: Float64Array, totals: Float64Array): Ties {
  const h = new Float64Array(totals.length);
  // Elements of Q^½.
  const [ss, sd, dd] = [0, 1, 2].map(() => new Float64Array(intervals)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let value = 0;
  for (let k = 0; k < intervals; k++) {
    const d = events[k]!;
    let [q0, q1, q2] = [0, 0, 0];
    for (let l = 0; l < d; l++) {
      const share = efron ? l / d : 0;
      const rest = totals[k]! - (efron ? share * totals[intervals + k]! : 0);
      const inverse = 1 / rest;
      value += Math.log(rest);
      h[k]! += inverse;
      if (efron) h[intervals + k]! -= share * inverse;
      q0 += inverse * inverse;
      q1 += share * inverse * inverse;
      q2 += share * share * inverse * inverse;
    }
    // √Q = (Q + √det I)/√(tr + 2√det) for two by two; det by Lagrange's identity is not negative.
    const det = Math.sqrt(Math.max(0, q0 * q2 - q1 * q1));
    const scale = d === 0 ? 0 : 1 / Math.sqrt(q0 + q2 + 2 * det);
    ss[k] = (q0 + det) * scale;
    sd[k] = -q1 * scale;
    dd[k] = (q2 + det) * scale;
  }
  const root = (v: Float64Array): Float64Array => {
    const out = new Float64Array(v.length);
    for (let k = 0; k < intervals; k++) {
      out[k] = ss[k]! * v[k]!;
      if (!efron) continue;
      out[k]! += sd[k]! * v[intervals + k]!;
      out[intervals + k] = sd[k]! * v[k]! + dd[k]! * v[intervals + k]!;
    }
    return out;
  };
  return { value, h, root };
}

/** S·A·S for a packed A over x, S = diag(I, Q^½). */
export function rooted({ m, multipliers }: Layout, packed: Float64Array, ties: Ties): Float64Array {
  const own = m - multipliers;
  const rows = Array.from({ length: m }, (_, i) =>
    Float64Array.from({ length: m }, (__, j) => packed[packedIndex(i, j)]!),
  );
  for (const row of rows) row.set(ties.root(row.subarray(own)), own);
  // Columns of the whole are rows of the transpose.
  const out = new Float64Array(packed.length);
  const column = new Float64Array(m);
  for (let j = 0; j < m; j++) {
    for (let i = 0; i < m; i++) column[i] = rows[i]![j]!;
    column.set(ties.root(column.subarray(own)), own);
    for (let i = j; i < m; i++) out[packedIndex(i, j)] = column[i]!;
  }
  return out;
}

/** Cholesky factor of the matrix over some coordinates; null where it is not positive definite. */
export function factorOver(packed: Float64Array, free: readonly number[]): Float64Array | null {
  const block = new Float64Array(packedLength(free.length));
  free.forEach((i, a) => {
    for (let b = 0; b <= a; b++) block[packedIndex(a, b)] = packed[packedIndex(i, free[b]!)]!;
  });
  return factorOf(block);
}

/** trace(A⁻¹B), A⁻¹ over the free coordinates. */
export function traceOf(inverse: Float64Array, b: Float64Array, free: readonly number[]): number {
  let sum = 0;
  free.forEach((i, k) => {
    for (let l = 0; l < k; l++) sum += 2 * inverse[packedIndex(k, l)]! * b[packedIndex(i, free[l]!)]!;
    sum += inverse[packedIndex(k, k)]! * b[packedIndex(i, i)]!;
  });
  return sum;
}

/** Inverse over the free coefficients at the θ found: log θ, where it is in the factor, is held. */
export function firstBlock(
  factor: Float64Array,
  free: readonly number[],
  p: number,
  theta: boolean,
): Float64Array {
  const covariance = new Float64Array(packedLength(p));
  const columns = free.filter((j) => j <= p - (theta ? 0 : 1));
  const count = columns.length;
  // Of the inverse over coefficients and log θ …
  const block = columns.map((_, a) => {
    const unit = new Float64Array(free.length);
    unit[a] = 1;
    return solveCholesky(factor, unit).slice(0, count);
  });
  // … conditional on log θ, its last.
  const last = count - 1;
  columns.forEach((i, a) => {
    for (let b = 0; b <= a; b++) {
      if (i === p || columns[b] === p) continue;
      const shared = theta ? (block[a]![last]! * block[b]![last]!) / block[last]![last]! : 0;
      covariance[packedIndex(i, columns[b]!)] = block[a]![b]! - shared;
    }
  });
  return covariance;
}
