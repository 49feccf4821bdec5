import { BLOCK, addGradient, subtractInformation, workspace, type Workspace } from '../numerics/tile.ts';
import type { StudyData } from './types.ts';

/** Column j enters the objective as z = (x − centre[j]) / scale[j]. */
export interface Scaling {
  readonly centre: Float64Array;
  readonly scale: Float64Array;
  /** Gaussian: the known residual variance σ² that the objective divides by. Elsewhere 1. */
  readonly dispersion: number;
}

/**
 * The design of one study, BLOCK rows at a time, so that a block's columns, linear predictor, weights and
 * residuals stay in the first- and second-level caches between the loops over it. The loops go over plain
 * Float64Arrays and allocate nothing. Block sums are added to the totals, which keeps rounding errors at the
 * order of √(n/BLOCK) units.
 */
export class BlockedDesign {
  readonly n: number;
  readonly p: number;
  /** Linear predictor of the block, offset included. */
  readonly eta = new Float64Array(BLOCK);
  /** The column of ones, which is written once an evaluation and never read; −1 where there is none. */
  readonly ones: number;
  readonly #columns: readonly Float64Array[];
  readonly #offset: Float64Array | null;
  readonly #centre: Float64Array;
  readonly #factor: Float64Array;
  /** The columns that are read: all but the ones. */
  readonly #read: readonly number[];
  #space: Workspace;

  constructor(data: StudyData, scaling: Scaling | null) {
    this.n = data.n;
    this.p = data.columns.length;
    this.#columns = data.columns;
    this.#offset = data.offset;
    this.#centre = scaling === null ? new Float64Array(this.p) : scaling.centre;
    this.#factor =
      scaling === null ? new Float64Array(this.p).fill(1) : scaling.scale.map((scale) => 1 / scale);
    this.ones = data.columns.findIndex((column) => isOnes(column));
    this.#read = data.columns.map((_, j) => j).filter((j) => j !== this.ones);
    this.#space = workspace(this.p);
  }

  /** Takes the shared workspace: to be called before the first block of an evaluation. */
  begin(): void {
    this.#space = workspace(this.p);
    if (this.ones >= 0) this.#space.x.fill(1, this.ones * BLOCK, (this.ones + 1) * BLOCK);
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
    this.eta.fill(this.ones >= 0 ? theta[this.ones]! : 0);
    if (this.#offset !== null) addTo(this.eta, this.#offset, start, rows);
    const read = this.#read;
    let i = 0;
    for (; i + 1 < read.length; i += 2) this.#loadPair(read[i]!, read[i + 1]!, start, rows, theta);
    if (i < read.length) this.#loadLast(read[i]!, start, rows, theta);
    return rows;
  }

  /** gradient += X'residual over the block. */
  addGradient(rows: number, gradient: Float64Array): void {
    addGradient(this.p, rows, this.#space, gradient);
  }

  /** hessian −= X' diag(weight) X over the block (packed). */
  subtractInformation(rows: number, hessian: Float64Array): void {
    subtractInformation(this.p, rows, this.#space, hessian);
  }

  /** Two columns at a time, so that `eta` is read and written half as often. */
  #loadPair(a: number, b: number, start: number, rows: number, theta: Float64Array): void {
    const { eta } = this;
    const { x } = this.#space;
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
    const { eta } = this;
    const { x } = this.#space;
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

function addTo(eta: Float64Array, offset: Float64Array, start: number, rows: number): void {
  for (let k = 0; k < rows; k++) eta[k]! += offset[start + k]!;
}
