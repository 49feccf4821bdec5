import { ConcordatError } from '../errors.ts';
import { packedIndex } from '../linalg/symmetric.ts';
import type { BlockedDesign, Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { conditional } from './expansion.ts';
import { glmObjective, type ExtraParameter, type Family } from './family.ts';
import { higherRows } from './poisson.ts';
import { sumOfParts } from './sum-of-parts.ts';
import { logRate, survivalTimes, type SurvivalTimes } from './survival-times.ts';
import type { ModelOptions, Response, StudyData } from './types.ts';

/**
 * Piecewise exponential model: hazard exp(α_k + ηᵢ) on the interval (c_k, c_{k+1}] of time, ηᵢ = xᵢ'β + offsetᵢ, the
 * cuts 0 = c_0 < c_1 < … named by the plan, the last interval open. Parameters: β, then the log hazards α_0 … α_K
 * (`log(hazard)(a,b]`), which take the place of an intercept. With dᵢ_k and eᵢ_k a row's event and time under observation in
 * interval k,
 *
 *   ℓ = Σᵢ Σ_k dᵢ_k(α_k + ηᵢ) − eᵢ_k exp(α_k + ηᵢ)
 *
 * (Friedman 1982, Ann Statist 10:101; Holford 1980; Laird & Olivier 1981): a Poisson model of the rows split at the cuts
 * with offset log eᵢ_k, as glm(event ~ …, poisson) on survival::survSplit data, whose log-likelihood is larger by
 * Σ dᵢ_k log eᵢ_k, which a density of times does not have. An event at a cut belongs to the interval before.
 *
 * An interval without events has no estimate: its log hazard goes to −∞, see `ownIntervals`.
 */
export const piecewiseExponential: Family = {
  name: 'piecewise-exponential',
  measure: 'log hazard ratio',
  intercept: false,
  divergence: 'monotone-likelihood',
  nonevents: false,

  objective(data: StudyData, options, scaling: Scaling | null): ConditionalObjective {
    const cuts = cutsOf(options);
    const { rows, interval, event, logExposure } = split(times(data.response), cuts);
    const take = (values: Float64Array): Float64Array => {
      const taken = new Float64Array(rows.length);
      for (let r = 0; r < rows.length; r++) taken[r] = values[rows[r]!]!;
      return taken;
    };
    const intervals = cuts.map((_, k) => interval.map((own) => (own === k ? 1 : 0)));
    if (data.offset !== null) for (let r = 0; r < rows.length; r++) logExposure[r]! += data.offset[rows[r]!]!;
    const constant = -eventsAt(event, logExposure, data.offset === null ? null : take(data.offset));
    return glmObjective(
      {
        ...data,
        n: rows.length,
        columns: [...data.columns.map(take), ...intervals],
        terms: [...data.terms, ...intervalTerms(options)],
        offset: logExposure,
      },
      besides(scaling, data.columns.length, cuts.length),
      (design, start, size) => poissonRows(design, event, start, size),
      constant,
      higherRows,
    );
  },

  nullModel: null,
  events: (response) => times(response).event,
  trials: () => null,

  extra(options: ModelOptions, response: Response): readonly ExtraParameter[] {
    const start = logRate(times(response));
    return intervalTerms(options).map((term) => ({ term, start }));
  },
};

function times(response: Response): SurvivalTimes {
  return survivalTimes('piecewise-exponential', response);
}

/** Where the intervals begin: 0, then the plan's cuts. */
function cutsOf({ cuts = [] }: ModelOptions): readonly number[] {
  const begins = cuts[0] === 0 ? cuts : [0, ...cuts];
  if (begins.some((cut, k) => !(cut < Infinity) || (k > 0 && !(cut > begins[k - 1]!)))) {
    throw new ConcordatError(
      'numerics/invalid-input',
      'the cuts of a hazard are positive times in ascending order',
    );
  }
  return begins;
}

function intervalTerms(options: ModelOptions): string[] {
  const begins = cutsOf(options);
  return begins.map((begin, k) =>
    k + 1 < begins.length ? `log(hazard)(${begin},${begins[k + 1]}]` : `log(hazard)(${begin},∞)`,
  );
}

/** A study's model without the intervals in which it has no event. */
export interface OwnIntervals {
  /** Rows split, the time under observation in those intervals left out. */
  readonly data: StudyData;
  readonly options: ModelOptions;
  /** Intervals with events, by position among the plan's. */
  readonly kept: readonly number[];
}

/**
 * What a study says where the baseline is its own: at the supremum an interval without events has no hazard, and its time
 * under observation no part in the likelihood of the rest. Null where every interval has events.
 */
export function ownIntervals(data: StudyData, options: ModelOptions): OwnIntervals | null {
  const response = times(data.response);
  const begins = cutsOf(options);
  const { rows, interval, event } = split(response, begins);
  const eventful = begins.map(() => false);
  for (let r = 0; r < rows.length; r++) if (event[r] !== 0) eventful[interval[r]!] = true;
  if (eventful.every(Boolean)) return null;
  const kept = [...begins.keys()].filter((k) => eventful[k] === true);
  const pieces = [...rows.keys()].filter((r) => eventful[interval[r]!] === true);
  const take = (values: Float64Array): Float64Array => Float64Array.from(pieces, (r) => values[rows[r]!]!);
  const entry = take(response.entry ?? new Float64Array(data.n));
  const time = take(response.time);
  pieces.forEach((r, i) => {
    const k = interval[r]!;
    entry[i] = Math.max(entry[i]!, begins[k]!);
    time[i] = Math.min(time[i]!, begins[k + 1] ?? Infinity);
  });
  return {
    data: {
      ...data,
      n: pieces.length,
      columns: data.columns.map(take),
      offset: data.offset === null ? null : take(data.offset),
      response: {
        ...response,
        time,
        event: Float64Array.from(pieces, (r) => event[r]!),
        entry,
        stratum: null,
      },
    },
    options: { ...options, cuts: kept.slice(1).map((k) => begins[k]!) },
    kept,
  };
}

/** Information about a log hazard that the data say nothing of: its variance, 10²⁰, says so. */
const NO_INFORMATION = 1e-20;

/**
 * The objective of `ownIntervals` as one of the plan's p coefficients and all its log hazards; those without events have no
 * information to speak of, and stay at 0.
 */
export function amongAllIntervals(
  objective: ConditionalObjective,
  p: number,
  intervals: number,
  kept: readonly number[],
): ConditionalObjective {
  const columns = [...Array.from({ length: p }).keys()];
  const absent = [...Array.from({ length: intervals }).keys()].filter((k) => !kept.includes(k));
  const held = conditional({
    parameters: absent.length,
    evaluate(theta, _order, out): void {
      out.value = 0;
      out.hessian.fill(0);
      theta.forEach((value, a) => {
        out.gradient[a] = -NO_INFORMATION * value;
        out.hessian[packedIndex(a, a)] = -NO_INFORMATION;
      });
    },
  });
  const parts = [
    { objective, positions: [...columns, ...kept.map((k) => p + k)] },
    { objective: held, positions: absent.map((k) => p + k) },
  ];
  return sumOfParts(p + intervals, parts, 0);
}

/** Scaling of a design that has `more` columns after its own, as they are. */
export function besides(scaling: Scaling | null, p: number, more: number, intercept = -1): Scaling {
  const centre = new Float64Array(p + more);
  const scale = new Float64Array(p + more).fill(1);
  if (scaling !== null) {
    centre.set(scaling.centre);
    scale.set(scaling.scale);
  }
  return { centre, scale, intercept };
}

interface Split {
  /** Original row of each row. */
  readonly rows: Int32Array;
  readonly interval: Float64Array;
  readonly event: Float64Array;
  /** Logarithm of the time under observation in the interval. */
  readonly logExposure: Float64Array;
}

/** One row a row and interval in which it is under observation. */
function split({ time, event, entry }: SurvivalTimes, begins: readonly number[]): Split {
  const rows: number[] = [];
  const interval: number[] = [];
  const events: number[] = [];
  const logExposure: number[] = [];
  for (let i = 0; i < time.length; i++) {
    const from = entry === null ? 0 : entry[i]!;
    const to = time[i]!;
    for (let k = 0; k < begins.length && begins[k]! < to; k++) {
      const end = begins[k + 1] ?? Infinity;
      if (end <= from) continue;
      rows.push(i);
      interval.push(k);
      events.push(to <= end ? event[i]! : 0);
      logExposure.push(Math.log(Math.min(to, end) - Math.max(from, begins[k]!)));
    }
  }
  return {
    rows: Int32Array.from(rows),
    interval: Float64Array.from(interval),
    event: Float64Array.from(events),
    logExposure: Float64Array.from(logExposure),
  };
}

/** Σ d·log e: `offset` is in `logExposure` already. */
function eventsAt(event: Float64Array, logExposure: Float64Array, offset: Float64Array | null): number {
  let sum = 0;
  for (let r = 0; r < event.length; r++) {
    if (event[r] !== 0) sum += logExposure[r]! - (offset === null ? 0 : offset[r]!);
  }
  return sum;
}

/** ℓ = dη − exp(η) of each row. */
export function poissonRows(design: BlockedDesign, event: Float64Array, start: number, rows: number): number {
  const { eta, residual, weight } = design;
  let value = 0;
  for (let k = 0; k < rows; k++) {
    const mu = Math.exp(eta[k]!);
    const d = event[start + k]!;
    residual[k] = d - mu;
    weight[k] = mu;
    value += d * eta[k]! - mu;
  }
  return value;
}
