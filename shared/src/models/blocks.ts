import type { StudyData } from './types.ts';

/**
 * The row loops that every family shares. Rows are taken BLOCK at a time, so that a block's columns, linear
 * predictor, weights and residuals stay in the first- and second-level caches between the loops; loops go
 * over plain Float64Arrays, allocate nothing, and keep a tile of sums in registers. Block sums are added
 * to the totals, which also keeps rounding errors at the order of √(n/BLOCK) units.
 */
export const BLOCK = 256;

/** Column j enters the objective as z = (x − centre[j]) / scale[j]. */
export interface Scaling {
  readonly centre: Float64Array;
  readonly scale: Float64Array;
  /** Gaussian: the known residual variance σ² that the objective divides by. Elsewhere 1. */
  readonly dispersion: number;
}

/** The design of one study, block by block: column j of the block in `x` at j·BLOCK. */
export class BlockedDesign {
  readonly n: number;
  readonly p: number;
  readonly x: Float64Array;
  /** Linear predictor of the block, offset included. */
  readonly eta = new Float64Array(BLOCK);
  readonly residual = new Float64Array(BLOCK);
  readonly weight = new Float64Array(BLOCK);
  readonly #columns: readonly Float64Array[];
  readonly #offset: Float64Array | null;
  readonly #centre: Float64Array;
  readonly #factor: Float64Array;
  /** The columns that are read: all but the ones. */
  readonly #read: readonly number[];
  /** A column of ones is written to `x` once and never read again; −1 where there is none. */
  readonly ones: number;
  readonly #weighted: Float64Array;

  constructor(data: StudyData, scaling: Scaling | null) {
    this.n = data.n;
    this.p = data.columns.length;
    this.#columns = data.columns;
    this.#offset = data.offset;
    this.#centre = scaling === null ? new Float64Array(this.p) : scaling.centre;
    this.#factor = scaling === null ? new Float64Array(this.p).fill(1) : scaling.scale.map((scale) => 1 / scale);
    this.x = new Float64Array(this.p * BLOCK);
    this.#weighted = new Float64Array(this.p * BLOCK);
    this.ones = data.columns.findIndex((column) => isOnes(column));
    this.#read = data.columns.map((_, j) => j).filter((j) => j !== this.ones);
    if (this.ones >= 0) this.x.fill(1, this.ones * BLOCK, (this.ones + 1) * BLOCK);
  }

  /** Fills `x` and `eta` with the rows from `start`; returns how many there are. */
  load(start: number, theta: Float64Array): number {
    const rows = Math.min(BLOCK, this.n - start);
    this.eta.fill(this.ones >= 0 ? theta[this.ones]! : 0);
    if (this.#offset !== null) addTo(this.eta, this.#offset, start, rows);
    const read = this.#read;
    let i = 0;
    for (; i + 1 < read.length; i += 2) this.#loadPair(read[i]!, read[i + 1]!, start, rows, theta);
    if (i < read.length) this.#loadLast(read[i]!, start, rows, theta);
    return rows;
  }

  /** Two columns at a time, so that `eta` is read and written half as often. */
  #loadPair(a: number, b: number, start: number, rows: number, theta: Float64Array): void {
    const { x, eta } = this;
    const columnA = this.#columns[a]!;
    const columnB = this.#columns[b]!;
    const centreA = this.#centre[a]!;
    const centreB = this.#centre[b]!;
    const factorA = this.#factor[a]!;
    const factorB = this.#factor[b]!;
    const thetaA = theta[a]!;
    const thetaB = theta[b]!;
    const atA = a * BLOCK;
    const atB = b * BLOCK;
    for (let k = 0; k < rows; k++) {
      const zA = (columnA[start + k]! - centreA) * factorA;
      const zB = (columnB[start + k]! - centreB) * factorB;
      x[atA + k] = zA;
      x[atB + k] = zB;
      eta[k]! += thetaA * zA + thetaB * zB;
    }
  }

  #loadLast(j: number, start: number, rows: number, theta: Float64Array): void {
    const { x, eta } = this;
    const column = this.#columns[j]!;
    const centre = this.#centre[j]!;
    const factor = this.#factor[j]!;
    const coefficient = theta[j]!;
    const at = j * BLOCK;
    for (let k = 0; k < rows; k++) {
      const z = (column[start + k]! - centre) * factor;
      x[at + k] = z;
      eta[k]! += coefficient * z;
    }
  }

  /** gradient += X'residual over the block. */
  addGradient(rows: number, gradient: Float64Array): void {
    addProducts(this.x, 0, BLOCK, this.p, rows, this.residual, 0, gradient);
  }

  /** hessian −= X' diag(weight) X over the block (packed); `weighted` false: unit weights. */
  subtractInformation(rows: number, weighted: boolean, hessian: Float64Array): void {
    if (weighted) {
      subtractWeightedCrossproducts(this.x, 0, BLOCK, this.p, rows, this.weight, 0, this.#weighted, hessian);
    } else {
      subtractCrossproducts(this.x, 0, BLOCK, this.x, this.p, rows, hessian);
    }
  }
}

/**
 * hessian −= X' diag(w) X for `rows` ≤ BLOCK rows of the p columns at x[base + j·stride], weights at
 * w[wBase …]. `scratch` holds p·BLOCK numbers.
 */
export function subtractWeightedCrossproducts(
  x: Float64Array,
  base: number,
  stride: number,
  p: number,
  rows: number,
  w: Float64Array,
  wBase: number,
  scratch: Float64Array,
  hessian: Float64Array,
): void {
  for (let j = 0; j < p; j++) multiplyColumn(x, base + j * stride, w, wBase, rows, scratch, j * BLOCK);
  subtractCrossproducts(x, base, stride, scratch, p, rows, hessian);
}

/** out[j] += Σ x[base + j·stride + k]·r[rBase + k]. */
export function addProducts(
  x: Float64Array,
  base: number,
  stride: number,
  p: number,
  rows: number,
  r: Float64Array,
  rBase: number,
  out: Float64Array,
): void {
  let j = 0;
  for (; j + 1 < p; j += 2) productPair(x, base + j * stride, base + (j + 1) * stride, r, rBase, rows, out, j);
  if (j < p) out[j]! += product(x, base + j * stride, r, rBase, rows);
}

/** A compensated sum (Neumaier 1974): add with `add`, read with `total`. */
export class CompensatedSum {
  #sum = 0;
  #compensation = 0;

  add(value: number): void {
    const sum = this.#sum + value;
    if (Number.isFinite(sum)) {
      this.#compensation +=
        Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    }
    this.#sum = sum;
  }

  get total(): number {
    return this.#sum + this.#compensation;
  }
}

export function isOnes(column: Float64Array): boolean {
  for (let i = 0; i < column.length; i++) if (column[i] !== 1) return false;
  return true;
}

/** hessian −= X'Y (lower triangle), X at x[base + j·stride], Y at y[j·BLOCK], in tiles of 2 × 2 columns. */
function subtractCrossproducts(
  x: Float64Array,
  base: number,
  stride: number,
  y: Float64Array,
  p: number,
  rows: number,
  hessian: Float64Array,
): void {
  let i = 0;
  for (; i + 1 < p; i += 2) {
    const upper = (i * (i + 1)) / 2;
    const lower = upper + i + 1;
    for (let j = 0; j <= i; j += 2) {
      tile(x, base + i * stride, base + (i + 1) * stride, y, j * BLOCK, rows, hessian, upper + j, lower + j, j < i);
    }
  }
  if (i < p) {
    const row = (i * (i + 1)) / 2;
    for (let j = 0; j <= i; j++) hessian[row + j]! -= product(x, base + i * stride, y, j * BLOCK, rows);
  }
}

/** Columns a0, a1 of x against columns b, b + BLOCK of y; `full` false on the diagonal: its upper element is left out. */
function tile(
  x: Float64Array,
  a0: number,
  a1: number,
  y: Float64Array,
  b: number,
  rows: number,
  hessian: Float64Array,
  upper: number,
  lower: number,
  full: boolean,
): void {
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  for (let k = 0; k < rows; k++) {
    const u0 = x[a0 + k]!;
    const u1 = x[a1 + k]!;
    const v0 = y[b + k]!;
    const v1 = y[b + BLOCK + k]!;
    s00 += u0 * v0;
    s01 += u0 * v1;
    s10 += u1 * v0;
    s11 += u1 * v1;
  }
  hessian[upper]! -= s00;
  if (full) hessian[upper + 1]! -= s01;
  hessian[lower]! -= s10;
  hessian[lower + 1]! -= s11;
}

function multiplyColumn(
  x: Float64Array,
  a: number,
  w: Float64Array,
  b: number,
  rows: number,
  out: Float64Array,
  at: number,
): void {
  for (let k = 0; k < rows; k++) out[at + k] = x[a + k]! * w[b + k]!;
}

function addTo(eta: Float64Array, offset: Float64Array, start: number, rows: number): void {
  for (let k = 0; k < rows; k++) eta[k]! += offset[start + k]!;
}

function product(x: Float64Array, a: number, y: Float64Array, b: number, rows: number): number {
  let even = 0;
  let odd = 0;
  let k = 0;
  for (; k + 1 < rows; k += 2) {
    even += x[a + k]! * y[b + k]!;
    odd += x[a + k + 1]! * y[b + k + 1]!;
  }
  if (k < rows) even += x[a + k]! * y[b + k]!;
  return even + odd;
}

function productPair(
  x: Float64Array,
  a0: number,
  a1: number,
  r: Float64Array,
  b: number,
  rows: number,
  out: Float64Array,
  j: number,
): void {
  let s0 = 0;
  let s1 = 0;
  for (let k = 0; k < rows; k++) {
    const v = r[b + k]!;
    s0 += x[a0 + k]! * v;
    s1 += x[a1 + k]! * v;
  }
  out[j]! += s0;
  out[j + 1]! += s1;
}
