import { packedLength } from '../linalg/symmetric.ts';
import { BLOCK, COLUMN_BYTES, kernels, type Kernels } from './kernels.ts';

/**
 * One block of rows in the memory of the WebAssembly kernels, which nearly all fitting time goes into; plain
 * JavaScript spends it on bounds checks, at a third of the speed.
 *
 * Column after column of BLOCK doubles: results, weights, residuals, linear predictors, outcomes, then the p
 * columns of X and three of padding. All objectives share it: an evaluation runs to its end without giving
 * way, and takes the views anew each time.
 */
export { BLOCK };

const [WEIGHT, RESIDUAL, ETA, OUTCOME, X] = [1, 2, 3, 4, 5];
const PADDING = 3;
const PAGE = 65536;
/** exp(−708) is nothing to 1, nor is its product with an outcome of 0. */
const PADDED_ETA = -708;

export interface Workspace {
  /** Column j of the block at j·BLOCK. */
  readonly x: Float64Array;
  readonly weight: Float64Array;
  readonly residual: Float64Array;
  readonly eta: Float64Array;
  readonly outcome: Float64Array;
}

/** Views for p columns; valid until the next call. */
export function workspace(p: number): Workspace {
  const missing = (X + p + PADDING) * COLUMN_BYTES - kernels.memory.buffer.byteLength;
  if (missing > 0) kernels.memory.grow(Math.ceil(missing / PAGE));
  const view = (column: number, columns: number) =>
    new Float64Array(kernels.memory.buffer, column * COLUMN_BYTES, columns * BLOCK);
  results = view(0, 1);
  return {
    x: view(X, p),
    weight: view(WEIGHT, 1),
    residual: view(RESIDUAL, 1),
    eta: view(ETA, 1),
    outcome: view(OUTCOME, 1),
  };
}

/** Fills column j of X with `rows` values from `start`; rows of 0 fill up the last four. */
export function loadColumn(
  { x }: Workspace,
  j: number,
  values: Float64Array,
  start: number,
  rows: number,
): void {
  const at = j * BLOCK;
  x.set(values.subarray(start, start + rows), at);
  x.fill(0, at + rows, at + fours(rows));
}

/** x ← (x − centre)·factor in column j's rows, and eta ← eta + theta·x. */
export function predict(j: number, rows: number, centre: number, factor: number, theta: number): void {
  const kernel = theta === 0 ? kernels.standardise : kernels.predict;
  kernel(address(X + j, 0), address(X + j, even(rows)), centre, factor, address(ETA, 0), theta);
}

/** residual ← outcome − η, for outcomes from `start`; returns the sum of squares. */
export function residualRows(
  rows: number,
  outcomes: Float64Array,
  start: number,
  { eta, residual }: Workspace,
): number {
  residual.set(outcomes.subarray(start, start + rows));
  residual.fill(0, rows, even(rows));
  eta.fill(0, rows, even(rows));
  kernels.subtract(address(RESIDUAL, 0), address(RESIDUAL, even(rows)), address(ETA, 0));
  return results[0]!;
}

/**
 * From linear predictors and 0/1 outcomes, residual ← y − μ and weight ← μ(1 − μ), logit μ = η; returns the
 * rows' log-likelihood.
 *
 * From e = exp(−|η|): log(1 + e^η) = max(η, 0) + log(1 + e). The log of products of BLOCK/2 factors 1 + e ∈
 * (1, 2] replaces a logarithm a row; they do not overflow, and their rounding error, BLOCK units at most, is
 * that of a sum of logarithms.
 */
export function logisticRows(
  rows: number,
  outcomes: Float64Array,
  start: number,
  { eta, outcome }: Workspace,
): number {
  const padded = even(rows);
  outcome.set(outcomes.subarray(start, start + rows));
  eta.fill(PADDED_ETA, rows, padded);
  outcome.fill(0, rows, padded);
  kernels.logistic(
    address(ETA, 0),
    address(OUTCOME, 0),
    address(ETA, padded),
    address(RESIDUAL, 0),
    address(WEIGHT, 0),
  );
  return results[0]! - Math.log(results[1]!) - Math.log(results[2]!);
}

/** hessian −= X' diag(weight) X (packed lower triangle) over the block's rows. */
export function subtractInformation(
  p: number,
  rows: number,
  { weight }: Workspace,
  hessian: Float64Array,
): void {
  subtractTiles(kernels.weightedTile, p, pad(weight, rows), hessian);
}

/** hessian −= X'X (packed lower triangle) over the block's rows. */
export function subtractCrossproducts(
  p: number,
  rows: number,
  space: Workspace,
  hessian: Float64Array,
): void {
  if (rows % 4 === 0) {
    subtractTiles(kernels.tile, p, rows, hessian);
  } else {
    space.weight.fill(1, 0, rows);
    subtractInformation(p, rows, space, hessian);
  }
}

function subtractTiles(tile: Kernels['tile'], p: number, rows: number, hessian: Float64Array): void {
  for (let i = 0; i < p; i += 4) {
    for (let j = 0; j < Math.min(i + 4, p); j += 2) {
      tile(address(X + i, 0), address(X + j, 0), address(WEIGHT, 0), address(WEIGHT, rows));
      for (let k = 0; k < 8; k++) {
        const row = i + (k >> 1);
        const column = j + (k & 1);
        if (row < p && column <= row) hessian[packedLength(row) + column]! -= results[k]!;
      }
    }
  }
}

/** gradient += X'residual over the block's rows. */
export function addGradient(p: number, rows: number, { residual }: Workspace, gradient: Float64Array): void {
  const padded = pad(residual, rows);
  for (let j = 0; j < p; j += 4) {
    kernels.products(address(X + j, 0), address(RESIDUAL, 0), address(RESIDUAL, padded));
    for (let k = j; k < Math.min(j + 4, p); k++) gradient[k]! += results[k - j]!;
  }
}

/** Kernels take up to four rows at a time: weights of 0 fill up the last ones. Returns the number of rows then. */
function pad(weights: Float64Array, rows: number): number {
  const padded = fours(rows);
  weights.fill(0, rows, padded);
  return padded;
}

function fours(rows: number): number {
  return (rows + 3) & ~3;
}

function even(rows: number): number {
  return (rows + 1) & ~1;
}

function address(column: number, row: number): number {
  return column * COLUMN_BYTES + row * 8;
}

let results = new Float64Array(kernels.memory.buffer, 0, BLOCK);
