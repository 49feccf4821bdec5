import {
  cholesky,
  inverseFromCholesky,
  packedIndex,
  packedLength,
  pivotedRank,
} from '../linalg/symmetric.ts';
import {
  BLOCK,
  loadColumn,
  predict,
  subtractCrossproducts,
  subtractInformation,
  workspace,
} from '../numerics/tile.ts';
import type { Rank } from './facts.ts';

/** Share of a column's variance left by the columns before it, below which it counts as their exact combination. */
const EXACT = 1e-12;
/** The same share (1 / variance inflation factor) below which the design is nearly rank-deficient. */
const NEAR = 1e-6;
/** Of so many rows, a bound below `NOBODY` stands for the largest leverage: no threshold is near, and a pass over the rows is saved. */
const MANY = 10_000;
const NOBODY = 0.01;

/**
 * Largest leverage and the rank of a design with n rows and p columns, which always includes an intercept (given or not:
 * a Cox model's baseline plays its part):
 *
 *   h_i = 1/N + z_i' (Z'WZ)⁻¹ z_i,   z_i = x_i − x̄,  N = Σ w_i,
 *
 * the hat value of one participant of row i (Hoaglin & Welsch 1978, Am Stat 32:17), over the columns that vary and are no
 * combination of earlier ones. W holds how many participants share a row (grouped data); it is not the model's
 * working weight, so the rule does not depend on the parameters asked about.
 *
 * @param columns p columns of length n
 * In a large study where a bound on it is below 0.01, `maximum` is that bound.
 *
 * A participant of several rows has the sum of theirs, which is at least the largest share in any combination of them.
 *
 * @param weights participants of each row, length n; null: one
 * @param owner a number for the participant of each row, length n; null: one each
 */
export function leverage(
  columns: readonly Float64Array[],
  n: number,
  weights: Float64Array | null,
  owner: Int32Array | null = null,
): { readonly maximum: number; readonly rank: Rank } {
  const total = weights === null ? n : weights.reduce((sum, w) => sum + w, 0);
  const described = columns
    .map((column) => ({ column, ...describe(column, weights) }))
    .filter(({ low, high }) => low < high);
  const varying = described.map(({ column }) => column);
  const centres = described.map(({ sum }) => sum / total);
  const correlations = toCorrelations(gram(varying, centres, n, weights));
  // Beyond what doubles hold, nobody can say whose row does not dominate.
  if (!correlations.matrix.every(Number.isFinite))
    return { maximum: 1, rank: { deficient: false, nearDeficient: true } };
  const { dependent } = pivotedRank(correlations.matrix, EXACT);
  const kept = varying.map((_, j) => j).filter((j) => !dependent.includes(j));
  const reduced = new Float64Array(packedLength(kept.length));
  kept.forEach((a, i) =>
    kept.forEach((b, j) => (reduced[packedIndex(i, j)] = correlations.matrix[packedIndex(a, b)]!)),
  );
  const factor = cholesky(reduced);
  const nearDeficient = kept.some((_, j) => factor[packedIndex(j, j)]! ** 2 < NEAR);
  const own = kept.map((j) => varying[j]!);
  const ownCentres = kept.map((j) => centres[j]!);
  const ownScales = kept.map((j) => correlations.scales[j]!);
  const rank = { deficient: dependent.length > 0, nearDeficient };
  if (n >= MANY && owner === null) {
    const largest = kept.map(
      (j, k) => Math.max(described[j]!.high - centres[j]!, centres[j]! - described[j]!.low) / ownScales[k]!,
    );
    const bound = 1 / total + distanceBound(largest, factor);
    if (bound < NOBODY) return { maximum: bound, rank };
  }
  const distance = largestDistance(own, ownCentres, ownScales, factor, n, owner);
  const maximum = n === 0 ? 0 : Math.min(1, (owner === null ? 1 / total : 0) + distance);
  return { maximum, rank };
}

interface Described {
  /** Σ w_i x_i. */
  readonly sum: number;
  readonly low: number;
  readonly high: number;
}

/** In one pass: of a large study it takes as long as memory is read. */
function describe(column: Float64Array, weights: Float64Array | null): Described {
  let [sum, low, high] = [0, Infinity, -Infinity];
  for (let i = 0; i < column.length; i++) {
    const x = column[i]!;
    sum += weights === null ? x : weights[i]! * x;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return { sum, low, high };
}

/** Z'WZ of the centred columns, packed, by the fits' own kernels. */
function gram(
  columns: readonly Float64Array[],
  centres: readonly number[],
  n: number,
  weights: Float64Array | null,
): Float64Array {
  const p = columns.length;
  const out = new Float64Array(packedLength(p));
  if (p === 0) return out;
  const space = workspace(p);
  for (let start = 0; start < n; start += BLOCK) {
    const size = Math.min(BLOCK, n - start);
    columns.forEach((column, j) => {
      loadColumn(space, j, column, start, size);
      predict(j, size, centres[j]!, 1, 0);
    });
    if (weights === null) subtractCrossproducts(p, size, space, out);
    else {
      space.weight.set(weights.subarray(start, start + size));
      subtractInformation(p, size, space, out);
    }
  }
  return out.map((value) => -value);
}

/**
 * A bound on the largest distance, from each column's largest deviation alone: Σ_jk m_j m_k |R⁻¹_jk|, m in units of the
 * columns' scales.
 */
function distanceBound(largest: readonly number[], factor: Float64Array): number {
  const inverse = inverseFromCholesky(factor);
  let bound = 0;
  largest.forEach((a, j) =>
    largest.forEach((b, k) => (bound += a * b * Math.abs(inverse[packedIndex(j, k)]!))),
  );
  return bound;
}

function toCorrelations(a: Float64Array): { matrix: Float64Array; scales: number[] } {
  const scales: number[] = [];
  for (let j = 0; packedLength(j) < a.length; j++) scales.push(Math.sqrt(a[packedIndex(j, j)]!));
  const matrix = Float64Array.from(a);
  scales.forEach((s, i) => {
    for (let j = 0; j <= i; j++) matrix[packedIndex(i, j)]! /= s * scales[j]!;
  });
  return { matrix, scales };
}

/**
 * max over rows of ‖L⁻¹ D⁻¹ (x_i − x̄)‖², by forward substitution on a block of rows at a time; with owners, of 1/n more,
 * summed over each one's rows.
 */
function largestDistance(
  columns: readonly Float64Array[],
  centres: readonly number[],
  scales: readonly number[],
  factor: Float64Array,
  n: number,
  owner: Int32Array | null,
): number {
  const sums = owner === null ? null : new Float64Array(1 + owner.reduce((a, b) => Math.max(a, b), -1));
  const solved = columns.map(() => new Float64Array(BLOCK));
  const squares = new Float64Array(BLOCK);
  let largest = 0;
  for (let start = 0; start < n; start += BLOCK) {
    const size = Math.min(BLOCK, n - start);
    squares.fill(0);
    for (let j = 0; j < columns.length; j++) {
      const [column, u, centre, scale] = [columns[j]!, solved[j]!, centres[j]!, scales[j]!];
      for (let i = 0; i < size; i++) u[i] = (column[start + i]! - centre) / scale;
      for (let k = 0; k < j; k++) {
        const [before, l] = [solved[k]!, factor[packedIndex(j, k)]!];
        for (let i = 0; i < size; i++) u[i]! -= l * before[i]!;
      }
      const pivot = factor[packedIndex(j, j)]!;
      for (let i = 0; i < size; i++) {
        u[i]! /= pivot;
        squares[i]! += u[i]! * u[i]!;
      }
    }
    // Not "above": what is not a number must not be overlooked.
    if (sums === null) {
      for (let i = 0; i < size; i++) if (!(squares[i]! <= largest)) largest = squares[i]!;
    } else for (let i = 0; i < size; i++) sums[owner![start + i]!]! += squares[i]! + 1 / n;
  }
  if (sums !== null) for (const sum of sums) if (!(sum <= largest)) largest = sum;
  return largest;
}
