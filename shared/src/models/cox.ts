import { BLOCK, addGradient, loadColumn, subtractInformation, workspace } from '../numerics/tile.ts';
import { CompensatedSum, type Scaling } from './blocks.ts';
import type { ConditionalObjective, Expansion } from './conditional.ts';
import { addCumulants, type CoxRows } from './cox-expansion.ts';
import { wrongResponse, type Family } from './family.ts';
import { riskSets, type RiskSets } from './risk-sets.ts';
import type { Evaluation, ModelOptions, Objective, Response, StudyData } from './types.ts';

/**
 * Cox model with baseline strata: hazard λ_s(t)·exp(ηᵢ), ηᵢ = xᵢ'β + offsetᵢ; row i is at risk on (entryᵢ,
 * timeᵢ].
 *
 * With rᵢ = exp(ηᵢ), and at event time e: S0 = Σ rᵢ over the risk set, S1 = Σ rᵢxᵢ, D0 and D1 the same sums
 * over the d rows with the event there, and φ_l = l/d (Efron), 0 (Breslow), l = 0 … d − 1:
 *
 *   ℓ = Σ_events ηᵢ − Σ_e Σ_l log(S0 − φ_l D0)            (Efron 1977; Breslow 1974; as survival::coxph)
 *
 * The gradient and the information are taken by rows, not by risk sets. With the hazard increments c_e = Σ_l
 * 1/(S0 − φ_l D0), hᵢ = Σ c_e over the times when i is at risk, less Σ_l φ_l/(S0 − φ_l D0) at the time of i's
 * own event, and vᵢ = rᵢhᵢ:
 *
 *   U = Σ (δᵢ − vᵢ)xᵢ       (martingale residuals; Therneau & Grambsch 2000, §4.2)
 *   I = Σ vᵢxᵢxᵢ' − Σ_e Σ_l m_l m_l',   m_l = (S1 − φ_l D1)/(S0 − φ_l D0)
 *
 * and the sum over l is q0(S1 − aD1)(S1 − aD1)' + (q2 − aq1)D1D1', q_k = Σ_l φ_l^k/(S0 − φ_l D0)², a = q1/q0
 * (S1 and D1 are stored over S0, and q_k times S0², so that small S0 do not overflow). So a row costs one
 * weighted crossproduct, an event time one or two, and no matrix is carried from one risk set to the next.
 * Columns are centred, which cancels from the model and keeps I from being a small difference of large sums;
 * r is divided by the largest in its stratum.
 */
export const cox: Family = {
  name: 'cox',
  measure: 'log hazard ratio',
  intercept: false,
  divergence: 'monotone-likelihood',
  nonevents: false,

  objective: (data: StudyData, options: ModelOptions, scaling: Scaling | null): ConditionalObjective => {
    const { rows, offset } = coxRows(data, options, scaling);
    return new PartialLikelihood(rows, offset);
  },

  nullModel: null,

  events: (response) => survival(response).event,
  trials: () => null,
};

function survival(response: Response): Extract<Response, { kind: 'time-to-event' }> {
  return response.kind === 'time-to-event' ? response : wrongResponse('cox', response);
}

/** A study's rows in the order of their risk sets, columns and offset with them, standardised or at least centred. */
export function coxRows(
  data: StudyData,
  options: ModelOptions,
  scaling: Scaling | null,
): { readonly rows: CoxRows; readonly offset: Float64Array | null } {
  const p = data.columns.length;
  const sets = riskSets(survival(data.response));
  const n = sets.rows.length;
  const x = new Float64Array(p * n);
  for (let j = 0; j < p; j++) {
    const column = data.columns[j]!;
    const centre = scaling === null ? meanOver(column, sets.rows) : scaling.centre[j]!;
    gather(column, sets.rows, centre, scaling === null ? 1 : scaling.scale[j]!, x, j * n);
  }
  const offset = data.offset === null ? null : new Float64Array(n);
  if (offset !== null) gather(data.offset!, sets.rows, 0, 1, offset, 0);
  return { rows: { sets, efron: options.ties === 'efron', n, p, x }, offset };
}

class PartialLikelihood implements ConditionalObjective {
  readonly parameters: number;
  readonly #rows: CoxRows;
  readonly #sets: RiskSets;
  readonly #efron: boolean;
  /** Number of rows that are ever at risk. */
  readonly #n: number;
  /** Column j, in the risk sets' order and standardised, at j·n. */
  readonly #x: Float64Array;
  readonly #offset: Float64Array | null;
  /** η, then r, then v, of each row. */
  readonly #row: Float64Array;
  /** δᵢ − vᵢ. */
  readonly #residual: Float64Array;
  /** S0, then 1/S0, at each event time. */
  readonly #s0: Float64Array;
  readonly #hazard: Float64Array;
  /** Efron: Σ_l φ_l/(S0 − φ_l D0) at each event time. */
  readonly #tiedHazard: Float64Array;
  readonly #q0: Float64Array;
  /** Efron: a and q2 − aq1 at the tied event times. */
  readonly #shift: Float64Array;
  readonly #q2: Float64Array;
  readonly #meanBlock: Float64Array;
  readonly #tiedBlock: Float64Array;

  constructor(rows: CoxRows, offset: Float64Array | null) {
    const { sets, n, p } = rows;
    this.parameters = p;
    this.#rows = rows;
    this.#efron = rows.efron;
    this.#sets = sets;
    this.#n = n;
    this.#x = rows.x;
    this.#offset = offset;
    this.#row = new Float64Array(n);
    this.#residual = new Float64Array(n);
    this.#s0 = new Float64Array(sets.times);
    this.#hazard = new Float64Array(sets.times + 1);
    this.#tiedHazard = new Float64Array(sets.times);
    this.#q0 = new Float64Array(sets.times);
    this.#shift = new Float64Array(sets.times);
    this.#q2 = new Float64Array(sets.times);
    this.#meanBlock = new Float64Array(p * BLOCK);
    this.#tiedBlock = new Float64Array(p * BLOCK);
  }

  expand(phi: Float64Array, directions: readonly Float64Array[], order: 1 | 2, out: Expansion): void {
    this.evaluate(phi, 2, out);
    this.#risks(phi);
    const n = this.#n;
    const z = this.#along(directions);
    const columns = directions.map((_, a) => z.subarray(a * n, (a + 1) * n));
    addCumulants(this.#rows, this.#row, columns, order, out);
  }

  /** The same risk sets with the directions as columns, and η at φ as the offset. */
  along(phi: Float64Array, directions: readonly Float64Array[]): Objective {
    const eta = new Float64Array(this.#n);
    this.#predict(phi, eta);
    return new PartialLikelihood({ ...this.#rows, p: directions.length, x: this.#along(directions) }, eta);
  }

  /** Columns x'd. */
  #along(directions: readonly Float64Array[]): Float64Array {
    const n = this.#n;
    const z = new Float64Array(directions.length * n);
    directions.forEach((direction, a) =>
      direction.forEach((value, j) => value !== 0 && axpy(value, this.#x, j * n, z, a * n, n)),
    );
    return z;
  }

  evaluate(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation): void {
    const linear = this.#risks(theta);
    this.#totals();
    out.value = linear - this.#increments();
    out.gradient.fill(0);
    if (order === 0) return;
    if (order === 2) {
      out.hessian.fill(0);
      this.#addMeans(out.hessian);
    }
    this.#martingale();
    const n = this.#n;
    const p = this.parameters;
    const space = workspace(p);
    for (let start = 0; start < n; start += BLOCK) {
      const rows = Math.min(BLOCK, n - start);
      for (let j = 0; j < p; j++) loadColumn(space, j, this.#x, j * n + start, rows);
      space.residual.set(this.#residual.subarray(start, start + rows));
      addGradient(p, rows, space, out.gradient);
      if (order === 1) continue;
      space.weight.set(this.#row.subarray(start, start + rows));
      subtractInformation(p, rows, space, out.hessian);
    }
  }

  /** Fills #row with r = exp(η − its stratum's largest η); returns Σ over events of η − that largest. */
  #risks(theta: Float64Array): number {
    const { groupStart, deaths, stratumStart } = this.#sets;
    const eta = this.#row;
    this.#predict(theta, eta);
    const linear = new CompensatedSum();
    for (let s = 0; s + 1 < stratumStart.length; s++) {
      const from = groupStart[stratumStart[s]!]!;
      const to = groupStart[stratumStart[s + 1]!]!;
      const largest = maximum(eta, from, to);
      for (let e = stratumStart[s]!; e < stratumStart[s + 1]!; e++) {
        let sum = 0;
        for (let i = groupStart[e]!; i < groupStart[e]! + deaths[e]!; i++) sum += eta[i]! - largest;
        linear.add(sum);
      }
      exponentials(eta, from, to, largest);
    }
    return linear.total;
  }

  #predict(theta: Float64Array, eta: Float64Array): void {
    if (this.#offset === null) eta.fill(0);
    else eta.set(this.#offset);
    for (let j = 0; j < theta.length; j++) {
      for (let start = 0; start < this.#n; start += 1 << 14) {
        axpy(theta[j]!, this.#x, j * this.#n + start, eta, start, Math.min(1 << 14, this.#n - start));
      }
    }
  }

  /** S0 at each event time, from the last backwards. */
  #totals(): void {
    const { groupStart, stratumStart, entered, enteredStart } = this.#sets;
    const r = this.#row;
    for (let s = 0; s + 1 < stratumStart.length; s++) {
      let sum = 0;
      for (let e = stratumStart[s + 1]! - 1; e >= stratumStart[s]!; e--) {
        for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) sum += r[i]!;
        this.#s0[e] = sum;
        if (entered !== null) {
          for (let k = enteredStart![e]!; k < enteredStart![e + 1]!; k++) sum -= r[entered[k]!]!;
        }
      }
    }
  }

  /** Fills the per-time sums over l, in units of S0; returns Σ log(S0 − φ_l D0). #s0 becomes 1/S0. */
  #increments(): number {
    const { times, groupStart, deaths } = this.#sets;
    const r = this.#row;
    const logs = new CompensatedSum();
    for (let e = 0; e < times; e++) {
      const d = deaths[e]!;
      const s0 = this.#s0[e]!;
      const inverseS0 = 1 / s0;
      this.#s0[e] = inverseS0;
      if (d === 1 || !this.#efron) {
        logs.add(d * Math.log(s0));
        this.#hazard[e] = d * inverseS0;
        this.#tiedHazard[e] = 0;
        this.#q0[e] = d;
        continue;
      }
      let d0 = 0;
      for (let i = groupStart[e]!; i < groupStart[e]! + d; i++) d0 += r[i]!;
      const share = (d0 * inverseS0) / d;
      let hazard = 0;
      let tied = 0;
      let q0 = 0;
      let q1 = 0;
      let q2 = 0;
      let log = 0;
      for (let l = 0; l < d; l++) {
        const rest = 1 - l * share;
        const inverse = 1 / rest;
        const square = inverse * inverse;
        log += Math.log(rest);
        hazard += inverse;
        tied += l * inverse;
        q0 += square;
        q1 += l * square;
        q2 += l * l * square;
      }
      logs.add(d * Math.log(s0) + log);
      this.#hazard[e] = hazard * inverseS0;
      this.#tiedHazard[e] = (tied / d) * inverseS0;
      this.#q0[e] = q0;
      this.#shift[e] = q1 / q0 / d;
      this.#q2[e] = (q2 - (q1 * q1) / q0) / (d * d);
    }
    return logs.total;
  }

  /** hessian += Σ_e Σ_l m_l m_l', a block of event times at a time, from the last backwards. */
  #addMeans(hessian: Float64Array): void {
    const { times, stratumStart } = this.#sets;
    const p = this.parameters;
    const space = workspace(p);
    const running = new Float64Array(p);
    let stratum = stratumStart.length - 2;
    for (let to = times; to > 0;) {
      while (stratumStart[stratum]! >= to) stratum--;
      if (to === stratumStart[stratum + 1]) running.fill(0);
      const from = Math.max(stratumStart[stratum]!, to - BLOCK);
      let ties = false;
      for (let j = 0; j < p; j++) {
        running[j] = this.#firstMoments(j, from, to, running[j]!);
        ties = this.#tiedMoments(j, from, to) || ties;
      }
      const block = to - from;
      for (let j = 0; j < p; j++) loadColumn(space, j, this.#meanBlock, j * BLOCK, block);
      for (let k = 0; k < block; k++) space.weight[k] = -this.#q0[from + k]!;
      subtractInformation(p, block, space, hessian);
      if (ties) {
        for (let j = 0; j < p; j++) loadColumn(space, j, this.#tiedBlock, j * BLOCK, block);
        for (let k = 0; k < block; k++) space.weight[k] = -this.#q2[from + k]!;
        subtractInformation(p, block, space, hessian);
      }
      to = from;
    }
  }

  /**
   * S1/S0 of column j at event times from … to − 1 into #meanBlock, given S1 after `to`; returns S1 before
   * `from`.
   */
  #firstMoments(j: number, from: number, to: number, after: number): number {
    const { groupStart, entered, enteredStart } = this.#sets;
    const x = this.#x;
    const r = this.#row;
    const base = j * this.#n;
    const block = this.#meanBlock;
    const inverseS0 = this.#s0;
    const at = j * BLOCK - from;
    let sum = after;
    let end = groupStart[to]!;
    for (let e = to - 1; e >= from; e--) {
      const begin = groupStart[e]!;
      for (let i = begin; i < end; i++) sum += r[i]! * x[base + i]!;
      end = begin;
      block[at + e] = sum * inverseS0[e]!;
      if (entered !== null) {
        for (let k = enteredStart![e]!; k < enteredStart![e + 1]!; k++) {
          const i = entered[k]!;
          sum -= r[i]! * x[base + i]!;
        }
      }
    }
    return sum;
  }

  /**
   * At the tied event times, D1/S0 of column j into #tiedBlock and (S1 − aD1)/S0 into #meanBlock; whether
   * there are any.
   */
  #tiedMoments(j: number, from: number, to: number): boolean {
    const { groupStart, deaths } = this.#sets;
    if (!this.#efron) return false;
    const base = j * this.#n;
    let ties = false;
    for (let e = from; e < to; e++) {
      const at = j * BLOCK + e - from;
      const d = deaths[e]!;
      this.#tiedBlock[at] = 0;
      if (d === 1) continue;
      ties = true;
      let sum = 0;
      for (let i = groupStart[e]!; i < groupStart[e]! + d; i++) sum += this.#row[i]! * this.#x[base + i]!;
      sum *= this.#s0[e]!;
      this.#tiedBlock[at] = sum;
      this.#meanBlock[at]! -= this.#shift[e]! * sum;
    }
    return ties;
  }

  /** Turns r into v = r·h, and fills #residual with δ − v. */
  #martingale(): void {
    const { times, groupStart, deaths, stratumStart, first } = this.#sets;
    const row = this.#row;
    const residual = this.#residual;
    // From increments to the cumulative hazard of each stratum before each event time.
    const cumulative = this.#hazard;
    let stratum = 0;
    let sum = 0;
    for (let e = 0; e < times; e++) {
      if (e === stratumStart[stratum]) {
        sum = 0;
        stratum++;
      }
      const before = sum;
      sum += cumulative[e]!;
      cumulative[e] = before;
      const died = groupStart[e]! + deaths[e]!;
      for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) {
        let h = first === null ? sum : sum - cumulative[first[i]!]!;
        let delta = 0;
        if (i < died) {
          h -= this.#tiedHazard[e]!;
          delta = 1;
        }
        const v = row[i]! * h;
        row[i] = v;
        residual[i] = delta - v;
      }
    }
  }
}

function meanOver(column: Float64Array, rows: Uint32Array): number {
  if (rows.length === 0) return 0;
  const origin = column[rows[0]!]!;
  let sum = 0;
  for (let i = 0; i < rows.length; i++) sum += column[rows[i]!]! - origin;
  return origin + sum / rows.length;
}

function gather(
  column: Float64Array,
  rows: Uint32Array,
  centre: number,
  scale: number,
  out: Float64Array,
  at: number,
): void {
  const factor = 1 / scale;
  for (let i = 0; i < rows.length; i++) out[at + i] = (column[rows[i]!]! - centre) * factor;
}

function axpy(
  a: number,
  x: Float64Array,
  xBase: number,
  y: Float64Array,
  yBase: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) y[yBase + i]! += a * x[xBase + i]!;
}

function maximum(values: Float64Array, from: number, to: number): number {
  let largest = -Infinity;
  for (let i = from; i < to; i++) if (values[i]! > largest) largest = values[i]!;
  return largest;
}

function exponentials(values: Float64Array, from: number, to: number, shift: number): void {
  for (let i = from; i < to; i++) values[i] = Math.exp(values[i]! - shift);
}
