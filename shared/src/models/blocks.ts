import {
  BLOCK,
  addGradient,
  loadColumn,
  logisticRows,
  predict,
  residualRows,
  subtractCrossproducts,
  subtractInformation,
  workspace,
  type Workspace,
} from '../numerics/tile.ts';
import type { StudyData } from './types.ts';

/** Column j enters the objective as z = (x − centre[j]) / scale[j]. */
export interface Scaling {
  readonly centre: Float64Array;
  readonly scale: Float64Array;
  /** Column of ones, which has centre 0 and scale 1; −1 where there is none. */
  readonly intercept: number;
}

/**
 * The design of one study, BLOCK rows at a time, so that a block's columns, linear predictor, weights and
 * residuals stay in the first- and second-level caches between the loops over it. Block sums are added to the
 * totals, which keeps rounding errors at the order of √(n/BLOCK) units.
 */
export class BlockedDesign {
  readonly n: number;
  readonly p: number;
  /** The column of ones, which is written once an evaluation and never read; −1 where there is none. */
  readonly ones: number;
  readonly #columns: readonly Float64Array[];
  readonly #offset: Float64Array | null;
  readonly #centre: Float64Array;
  readonly #factor: Float64Array;
  #space: Workspace;

  constructor(data: StudyData, scaling: Scaling | null) {
    this.n = data.n;
    this.p = data.columns.length;
    this.#columns = data.columns;
    this.#offset = data.offset;
    this.#centre = scaling === null ? new Float64Array(this.p) : scaling.centre;
    this.#factor =
      scaling === null ? new Float64Array(this.p).fill(1) : scaling.scale.map((scale) => 1 / scale);
    this.ones = scaling === null ? onesOf(data.columns) : scaling.intercept;
    this.#space = workspace(this.p);
  }

  /** Takes the shared workspace: to be called before the first block of an evaluation. */
  begin(): void {
    this.#space = workspace(this.p);
    if (this.ones >= 0) this.#space.x.fill(1, this.ones * BLOCK, (this.ones + 1) * BLOCK);
  }

  /** Linear predictor of the block's rows, offset included. */
  get eta(): Float64Array {
    return this.#space.eta;
  }

  /** ∂ℓ/∂η of the block's rows, to be filled. */
  get residual(): Float64Array {
    return this.#space.residual;
  }

  /** −∂²ℓ/∂η² of the block's rows, to be filled. */
  get weight(): Float64Array {
    return this.#space.weight;
  }

  /** Loads the rows from `start` and their `eta`; returns how many there are. */
  load(start: number, theta: Float64Array): number {
    const rows = Math.min(BLOCK, this.n - start);
    const { eta } = this.#space;
    eta.fill(this.ones >= 0 ? theta[this.ones]! : 0, 0, rows);
    if (this.#offset !== null) addTo(eta, this.#offset, start, rows);
    for (let j = 0; j < this.p; j++) {
      if (j === this.ones) continue;
      loadColumn(this.#space, j, this.#columns[j]!, start, rows);
      predict(j, rows, this.#centre[j]!, this.#factor[j]!, theta[j]!);
    }
    return rows;
  }

  /** Fills `out` with the linear predictor of all n rows; without the offset, with what θ contributes to it. */
  predictAll(theta: Float64Array, offset: boolean, out: Float64Array): void {
    for (let start = 0; start < this.n; start += BLOCK) {
      const end = Math.min(start + BLOCK, this.n);
      out.fill(this.ones >= 0 ? theta[this.ones]! : 0, start, end);
      for (let j = 0; j < this.p; j++) {
        if (j === this.ones || theta[j] === 0) continue;
        accumulate(out, this.#columns[j]!, this.#centre[j]!, this.#factor[j]! * theta[j]!, start, end);
      }
      if (offset && this.#offset !== null) accumulate(out, this.#offset, 0, 1, start, end);
    }
  }

  /** Logistic model: fills `residual` and `weight` from `eta` and 0/1 outcomes; returns the log-likelihood. */
  logistic(outcomes: Float64Array, start: number, rows: number): number {
    return logisticRows(rows, outcomes, start, this.#space);
  }

  /** Linear model: fills `residual` from `eta` and outcomes; returns the sum of squares. */
  gaussian(outcomes: Float64Array, start: number, rows: number): number {
    return residualRows(rows, outcomes, start, this.#space);
  }

  /** gradient += X'residual over the block. */
  addGradient(rows: number, gradient: Float64Array): void {
    addGradient(this.p, rows, this.#space, gradient);
  }

  /** hessian −= X' diag(weight) X over the block (packed). */
  subtractInformation(rows: number, hessian: Float64Array): void {
    subtractInformation(this.p, rows, this.#space, hessian);
  }

  /** hessian −= X'X over the block (packed). */
  subtractCrossproducts(rows: number, hessian: Float64Array): void {
    subtractCrossproducts(this.p, rows, this.#space, hessian);
  }
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

/** Position of the first column of ones, −1 where there is none. */
export function onesOf(columns: readonly Float64Array[]): number {
  return columns.findIndex(isOnes);
}

function isOnes(column: Float64Array): boolean {
  for (let i = 0; i < column.length; i++) if (column[i] !== 1) return false;
  return true;
}

/** out += (x − centre)·factor. */
function accumulate(
  out: Float64Array,
  x: Float64Array,
  centre: number,
  factor: number,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) out[i]! += (x[i]! - centre) * factor;
}

function addTo(eta: Float64Array, offset: Float64Array, start: number, rows: number): void {
  for (let k = 0; k < rows; k++) eta[k]! += offset[start + k]!;
}
