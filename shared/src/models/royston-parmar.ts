import { ConcordatError } from '../errors.ts';
import type { BlockedDesign, Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { glmObjective, type ExtraParameter, type Family, type GlmBlock, type GlmHigher } from './family.ts';
import { besides, poissonRows } from './piecewise-exponential.ts';
import { higherRows } from './poisson.ts';
import { sumOfParts, type Part } from './sum-of-parts.ts';
import { logRate, survivalTimes, type SurvivalTimes } from './survival-times.ts';
import type { ModelOptions, Response, StudyData } from './types.ts';

/**
 * Royston–Parmar model on the hazard scale (Royston & Parmar 2002, Stat Med 21:2175): log cumulative hazard
 *
 *   ξᵢ(t) = ηᵢ + γ₀ + γ₁v₁(log t) + … ,   ηᵢ = xᵢ'β + offsetᵢ (proportional hazards),
 *
 * a restricted cubic spline of log time with K knots k₁ < … < k_K, the outermost the boundary knots, named by the plan in
 * time units (their eq. 7, as flexsurv::flexsurvspline(scale = 'hazard') with these knots):
 *
 *   v₁(u) = u,  v_{j+1}(u) = (u − k_{j+1})₊³ − λ(u − k₁)₊³ − (1 − λ)(u − k_K)₊³,  λ = (k_K − k_{j+1})/(k_K − k₁), j = 1 … K − 2
 *
 * Parameters: β, then γ₀ … γ_{K−1} (`gamma0` …), which take the place of an intercept. Row i is under observation on
 * (entryᵢ, timeᵢ]; δ its event:
 *
 *   ℓ = Σ δᵢ[ξᵢ(tᵢ) + log ξᵢ'(tᵢ) − log tᵢ] − exp ξᵢ(tᵢ) + exp ξᵢ(entryᵢ),   ξ' the derivative by log t
 *
 * Three functions of linear predictors, over all rows, those that enter late, and the events. Where ξ' ≤ 0 at an event
 * the hazard is negative, and the value is −∞; between the events a spline may fall, as in flexsurv.
 */
export const roystonParmar: Family = {
  name: 'royston-parmar',
  measure: 'log hazard ratio',
  intercept: false,
  divergence: 'monotone-likelihood',
  nonevents: false,

  objective(data: StudyData, options, scaling: Scaling | null): ConditionalObjective {
    const { time, event, entry } = times(data.response);
    const knots = knotsOf(options);
    const p = data.columns.length;
    const extras = knots.length;
    const all = [...Array.from({ length: p + extras }).keys()];
    const observed = rowsWhere(time, (t) => t > 0);
    const events = rowsWhere(event, (d) => d === 1);
    const late = entry === null ? new Int32Array(0) : rowsWhere(entry, (t) => t > 0);
    const delta = take(event, observed);
    const whole = besides(scaling, p, extras, p);
    const rowsAt = (at: Float64Array, rows: Int32Array): StudyData => ({
      ...data,
      n: rows.length,
      columns: [
        ...data.columns.map((column) => take(column, rows)),
        ...knots.map((_, k) => Float64Array.from(rows, (i) => basis(Math.log(at[i]!), knots, k))),
      ],
      offset: data.offset === null ? null : take(data.offset, rows),
    });
    const slopes: StudyData = {
      ...data,
      n: events.length,
      columns: knots
        .slice(1)
        .map((_, k) => Float64Array.from(events, (i) => slope(Math.log(time[i]!), knots, k + 1))),
      offset: null,
    };
    const part = (
      rows: StudyData,
      positions: number[],
      scales: Scaling,
      block: GlmBlock,
      higher: GlmHigher,
    ): Part => ({
      objective: glmObjective(rows, scales, block, 0, higher),
      positions,
    });
    const exits: GlmBlock = (design, start, size) => poissonRows(design, delta, start, size);
    const parts = [part(rowsAt(time, observed), all, whole, exits, higherRows)];
    if (late.length > 0) parts.push(part(rowsAt(entry!, late), all, whole, entered, higherRows));
    parts.push(part(slopes, all.slice(p + 1), besides(null, 0, extras - 1), logarithms, higherLogarithms));
    let constant = 0;
    for (const i of events) constant -= Math.log(time[i]!);
    return sumOfParts(p + extras, parts, constant);
  },

  nullModel: null,
  events: (response) => times(response).event,
  trials: () => null,

  /** An exponential model. */
  extra(options: ModelOptions, response: Response): readonly ExtraParameter[] {
    const rate = logRate(times(response));
    return knotsOf(options).map((_, k) => ({ term: `gamma${k}`, start: k === 0 ? rate : k === 1 ? 1 : 0 }));
  },
};

function times(response: Response): SurvivalTimes {
  return survivalTimes('royston-parmar', response);
}

/** Logarithms of the plan's knots. */
function knotsOf({ knots = [] }: ModelOptions): readonly number[] {
  if (
    knots.length < 2 ||
    knots.some((knot, k) => !(knot > (k === 0 ? 0 : knots[k - 1]!)) || knot === Infinity)
  ) {
    throw new ConcordatError(
      'numerics/invalid-input',
      'knots are at least two positive times in ascending order',
    );
  }
  return knots.map(Math.log);
}

/** v_k(u), v₀ = 1. */
export function basis(u: number, knots: readonly number[], k: number): number {
  if (k < 2) return k === 0 ? 1 : u;
  return spline(u, knots, k, (x) => (x > 0 ? x * x * x : 0));
}

/** v_k'(u). */
export function slope(u: number, knots: readonly number[], k: number): number {
  if (k < 2) return k;
  return spline(u, knots, k, (x) => (x > 0 ? 3 * x * x : 0));
}

function spline(u: number, knots: readonly number[], k: number, power: (x: number) => number): number {
  const [first, inner, last] = [knots[0]!, knots[k - 1]!, knots[knots.length - 1]!];
  const lambda = (last - inner) / (last - first);
  return power(u - inner) - lambda * power(u - first) - (1 - lambda) * power(u - last);
}

function rowsWhere(values: Float64Array, holds: (value: number) => boolean): Int32Array {
  const rows: number[] = [];
  values.forEach((value, i) => holds(value) && rows.push(i));
  return Int32Array.from(rows);
}

function take(values: Float64Array, rows: Int32Array): Float64Array {
  const taken = new Float64Array(rows.length);
  for (let r = 0; r < rows.length; r++) taken[r] = values[rows[r]!]!;
  return taken;
}

/** ℓ = exp(η) of each row: the hazard before entry was not at stake. */
function entered({ eta, residual, weight }: BlockedDesign, _start: number, rows: number): number {
  let value = 0;
  for (let k = 0; k < rows; k++) {
    const e = Math.exp(eta[k]!);
    residual[k] = e;
    weight[k] = -e;
    value += e;
  }
  return value;
}

/** ℓ = log η of each row. */
function logarithms({ eta, residual, weight }: BlockedDesign, _start: number, rows: number): number {
  let value = 0;
  for (let k = 0; k < rows; k++) {
    const h = eta[k]!;
    const inverse = 1 / h;
    residual[k] = inverse;
    weight[k] = inverse * inverse;
    value += h > 0 ? Math.log(h) : -Infinity;
  }
  return value;
}

function higherLogarithms(
  { residual, weight }: BlockedDesign,
  _start: number,
  rows: number,
  third: Float64Array,
  fourth: Float64Array,
): void {
  for (let k = 0; k < rows; k++) {
    third[k] = 2 * weight[k]! * residual[k]!;
    fourth[k] = -6 * weight[k]! * weight[k]!;
  }
}
