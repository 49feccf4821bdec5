import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import type { StudyData } from '../models/types.ts';
import type { Ask, OneStageSpec } from './types.ts';

/**
 * One study's side of a Cox model with a baseline shared by the studies and a frailty e^w of each (see frailty.ts).
 *
 * Given β, the variance θ of the frailties and the multipliers h of the totals T, the study's part is a function of
 *
 *   A(β, h) = h'T⁰(β),   T⁰ = the study's Σ exp(η) over the risk set of each interval and (Efron) over its events,
 *
 *   ψ(β, θ, h) = Σ_events η + k(A, θ),   d events in the study:
 *     no frailty (θ = 0)  k = −A
 *     gamma, ν = 1/θ      k = log ∫ u^d exp(−uA) dGamma(u; ν, ν) = −ν log(1 + A/ν) + Σ_{j<d} log((ν + j)/(ν + A)),
 *                         e^w = (ν + d)/(ν + A)
 *     gaussian            k = max_w dw − e^w A − w²/(2θ)
 */

/** What a question and an answer consist of. x = (β, log θ where gamma, h). */
export interface Layout {
  readonly p: number;
  /** Intervals: the grid's, and one without end. */
  readonly intervals: number;
  readonly efron: boolean;
  readonly gamma: boolean;
  /** Length of h: a multiplier for each interval's risk set, then (Efron) for each one's events. */
  readonly multipliers: number;
  /** Length of x. */
  readonly m: number;
  readonly length: number;
}

export function layoutOf(spec: OneStageSpec): Layout {
  if (spec.grid === undefined || spec.frailty === undefined) {
    throw new ConcordatError('numerics/invalid-input', 'a shared baseline has a grid of time and a frailty');
  }
  const p = spec.columns;
  const intervals = spec.grid.length + 1;
  const efron = spec.options.ties === 'efron';
  const gamma = spec.frailty === 'gamma';
  const multipliers = efron ? 2 * intervals : intervals;
  const m = p + (gamma ? 1 : 0) + multipliers;
  const length = 4 + intervals + m + packedLength(m) + (gamma ? 0 : m + packedLength(m));
  return { p, intervals, efron, gamma, multipliers, m, length };
}

/** A question: β, θ, h. */
export function question(beta: Float64Array, theta: number, h: Float64Array): Float64Array {
  return Float64Array.of(...beta, theta, ...h);
}

/** Sums of answers over studies. */
export interface RiskSums {
  readonly value: number;
  /** Studies that answered. */
  readonly studies: number;
  /**
   * θ = 0: Σ (d − A)² less Σ d (gamma) or Σ A (gaussian), and Σ A². Gaussian with θ > 0: Σ w² and Σ 1/Δ, Δ = e^w A + 1/θ.
   */
  readonly spread: number;
  readonly size: number;
  /** Events by interval. */
  readonly events: Float64Array;
  /** Of ψ by x. */
  readonly gradient: Float64Array;
  readonly hessian: Float64Array;
  /** Gaussian: ∂²ψ/∂x∂log θ, and Σ cc'/Δ², c = e^w ∂A/∂x (θ = 0: Σ cc'). Elsewhere empty. */
  readonly cross: Float64Array;
  readonly squared: Float64Array;
}

export function readSums({ intervals, m, gamma }: Layout, values: Float64Array): RiskSums {
  let at = 4;
  const take = (count: number): Float64Array => values.slice(at, (at += count));
  return {
    value: values[0]!,
    studies: values[1]!,
    spread: values[2]!,
    size: values[3]!,
    events: take(intervals),
    gradient: take(m),
    hessian: take(packedLength(m)),
    cross: take(gamma ? 0 : m),
    squared: take(gamma ? 0 : packedLength(m)),
  };
}

/** The study's answers to questions about risk sets, and about its own frailty: w and its standard error given the rest. */
export function frailtyStudy(
  spec: OneStageSpec,
  data: StudyData,
  scaling: Scaling,
): (ask: Ask) => Float64Array {
  const layout = layoutOf(spec);
  const rows = rowsOf(spec, data, scaling);
  let events = 0;
  for (let i = 0; i < data.n; i++) events += rows.event[i]!;
  return ({ theta: asked, objective }) => {
    const beta = asked.subarray(0, layout.p);
    const theta = asked[layout.p]!;
    const h = asked.subarray(layout.p + 1);
    const sums = riskSums(layout, rows, beta, h);
    const own = studyPart(layout.gamma, events, sums.a, theta);
    if (objective === 'study-effects')
      return Float64Array.of(own.w, own.delta === 0 ? 0 : 1 / Math.sqrt(own.delta));
    return answer(layout, sums, own);
  };
}

interface Rows {
  readonly n: number;
  /** Standardised columns. */
  readonly columns: readonly Float64Array[];
  readonly offset: Float64Array | null;
  readonly event: Float64Array;
  /** First and last interval in whose risk set a row is; last < first: in none. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

/** √ε, relative: times as near as that to an interval's end are at it (as survival::aeqSurv). */
const TIME_TOLERANCE = 1.4901161193847656e-8;

function rowsOf(
  { grid, columns: p }: OneStageSpec,
  { n, columns, offset, response }: StudyData,
  scaling: Scaling,
): Rows {
  if (response.kind !== 'time-to-event' || response.stratum !== null) {
    throw new ConcordatError(
      'numerics/invalid-input',
      'a shared baseline is of times to an event, without strata',
    );
  }
  const ends = grid!;
  /** The interval (end before, end] that a time lies in. */
  const intervalOf = (t: number): number => {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const end = ends[middle]!;
      if (end + TIME_TOLERANCE * Math.abs(end) < t) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const reaches = (t: number, k: number): boolean =>
    k < ends.length && t >= ends[k]! - TIME_TOLERANCE * Math.abs(ends[k]!);
  const { time, event, entry } = response;
  const first = new Int32Array(n);
  const last = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const k = intervalOf(time[i]!);
    last[i] = event[i] === 1 || k === ends.length || reaches(time[i]!, k) ? k : k - 1;
    if (entry === null) continue;
    const enters = intervalOf(entry[i]!);
    first[i] = reaches(entry[i]!, enters) ? enters + 1 : enters;
  }
  const standardised = columns
    .slice(0, p)
    .map((column, j) => column.map((x) => (x - scaling.centre[j]!) / scaling.scale[j]!));
  return { n, columns: standardised, offset, event, first, last };
}

/** A study's risk sets at β: totals and their derivatives, and what they give with multipliers h. */
interface StudySums {
  /** Σ η over events. */
  readonly linear: number;
  /** Σ x over events. */
  readonly score: Float64Array;
  readonly events: Float64Array;
  /** T⁰. */
  readonly totals: Float64Array;
  /** ∂T⁰/∂βⱼ at j·multipliers. */
  readonly slopes: Float64Array;
  readonly a: number;
  readonly aBeta: Float64Array;
  /** Packed. */
  readonly aBetaBeta: Float64Array;
}

function riskSums(
  { p, intervals, efron, multipliers }: Layout,
  { n, columns, offset, event, first, last }: Rows,
  beta: Float64Array,
  h: Float64Array,
): StudySums {
  // Multipliers of all intervals before each.
  const before = new Float64Array(intervals + 1);
  for (let k = 0; k < intervals; k++) before[k + 1] = before[k]! + h[k]!;
  const score = new Float64Array(p);
  const events = new Float64Array(intervals);
  const totals = new Float64Array(multipliers);
  const slopes = new Float64Array(p * multipliers);
  const aBeta = new Float64Array(p);
  const aBetaBeta = new Float64Array(packedLength(p));
  const x = new Float64Array(p);
  let [a, linear] = [0, 0];
  const add = (k: number, r: number): void => {
    totals[k]! += r;
    for (let j = 0; j < p; j++) slopes[j * multipliers + k]! += r * x[j]!;
  };
  for (let i = 0; i < n; i++) {
    const [from, to] = [first[i]!, last[i]!];
    if (to < from) continue;
    let eta = offset === null ? 0 : offset[i]!;
    for (let j = 0; j < p; j++) {
      x[j] = columns[j]![i]!;
      eta += beta[j]! * x[j]!;
    }
    const r = Math.exp(eta);
    // Totals of intervals in reverse: a row counts from its last interval back to its first.
    add(to, r);
    if (from > 0) add(from - 1, -r);
    let v = r * (before[to + 1]! - before[from]!);
    if (event[i] === 1) {
      linear += eta;
      events[to]!++;
      for (let j = 0; j < p; j++) score[j]! += x[j]!;
      if (efron) {
        add(intervals + to, r);
        v += r * h[intervals + to]!;
      }
    }
    a += v;
    for (let j = 0, at = 0; j < p; j++) {
      aBeta[j]! += v * x[j]!;
      for (let l = 0; l <= j; l++, at++) aBetaBeta[at]! += v * x[j]! * x[l]!;
    }
  }
  for (let row = -1; row < p; row++) {
    const sums = row < 0 ? totals : slopes.subarray(row * multipliers);
    for (let k = intervals - 2; k >= 0; k--) sums[k]! += sums[k + 1]!;
  }
  return { linear, score, events, totals, slopes, a, aBeta, aBetaBeta };
}

/** k(A, θ) and its derivatives in A and s = log θ (gaussian: of those in s, the mixed one). */
interface StudyPart {
  readonly w: number;
  readonly k: number;
  readonly kA: number;
  readonly kAA: number;
  readonly kS: number;
  readonly kSS: number;
  readonly kSA: number;
  /** −∂²/∂w² of the penalised log-likelihood; 0 where θ = 0. */
  readonly delta: number;
  readonly spread: number;
  readonly size: number;
  /** Weight of (∂A/∂x)(∂A/∂x)' in `squared`. */
  readonly squared: number;
}

const none = { kAA: 0, kS: 0, kSS: 0, kSA: 0, spread: 0, size: 0, squared: 0 };

export function studyPart(gamma: boolean, d: number, a: number, theta: number): StudyPart {
  if (theta === 0) {
    const spread = (d - a) ** 2 - (gamma ? d : a);
    return { ...none, w: 0, k: -a, kA: -1, delta: 0, spread, size: a * a, squared: 1 };
  }
  return gamma ? gammaPart(d, a, 1 / theta) : gaussianPart(d, a, theta);
}

function gammaPart(d: number, a: number, nu: number): StudyPart {
  const total = nu + a;
  let k = -nu * Math.log1p(a / nu);
  // Σ_{j<d} 1/(ν + j) and its square's.
  let [first, second] = [0, 0];
  for (let j = 0; j < d; j++) {
    const inverse = 1 / (nu + j);
    k += Math.log((nu + j) / total);
    first += inverse;
    second += inverse * inverse;
  }
  const kNu = -Math.log1p(a / nu) + (a - d) / total + first;
  const kNuNu = a / (nu * total) - (a - d) / (total * total) - second;
  return {
    ...none,
    w: Math.log((nu + d) / total),
    k,
    kA: -(nu + d) / total,
    kAA: (nu + d) / (total * total),
    kS: -nu * kNu,
    kSS: nu * kNu + nu * nu * kNuNu,
    kSA: (-nu * (d - a)) / (total * total),
    delta: nu + d,
  };
}

const LONGEST_STEP = 2;

function gaussianPart(d: number, a: number, theta: number): StudyPart {
  // Newton's method for dw − e^w A − w²/(2θ), concave in w.
  let w = 0;
  for (let round = 0; round < 200; round++) {
    const e = Math.exp(w) * a;
    const step = (d - e - w / theta) / (e + 1 / theta);
    w += Math.max(-LONGEST_STEP, Math.min(LONGEST_STEP, step));
    if (Math.abs(step) <= 1e-15 * (1 + Math.abs(w))) break;
  }
  const e = Math.exp(w);
  const delta = e * a + 1 / theta;
  return {
    ...none,
    w,
    k: d * w - e * a - (w * w) / (2 * theta),
    kA: -e,
    kAA: (e * e) / delta,
    kSA: (-e * w) / theta / delta,
    delta,
    spread: w * w,
    size: 1 / delta,
    squared: (e / delta) ** 2,
  };
}

function answer(
  { p, gamma, multipliers, m, length, intervals }: Layout,
  sums: StudySums,
  own: StudyPart,
): Float64Array {
  const values = new Float64Array(length);
  values.set([sums.linear + own.k, 1, own.spread, own.size]);
  values.set(sums.events, 4);
  const gradient = values.subarray(4 + intervals, 4 + intervals + m);
  const hessian = values.subarray(4 + intervals + m, 4 + intervals + m + packedLength(m));
  const at = m - multipliers;
  // ∂A/∂x, and 0 for θ.
  const slope = new Float64Array(m);
  slope.set(sums.aBeta);
  slope.set(sums.totals, at);
  for (let i = 0; i < m; i++) {
    gradient[i] = own.kA * slope[i]! + (i < p ? sums.score[i]! : 0);
    for (let j = 0; j <= i; j++) hessian[packedIndex(i, j)] = own.kAA * slope[i]! * slope[j]!;
  }
  for (let k = 0; k < sums.aBetaBeta.length; k++) hessian[k]! += own.kA * sums.aBetaBeta[k]!;
  for (let k = 0; k < multipliers; k++) {
    for (let j = 0; j < p; j++) {
      hessian[packedIndex(at + k, j)]! += own.kA * sums.slopes[j * multipliers + k]!;
    }
  }
  if (gamma) {
    gradient[p] = own.kS;
    for (let i = 0; i < m; i++) hessian[packedIndex(p, i)] = i === p ? own.kSS : own.kSA * slope[i]!;
    return values;
  }
  const squared = values.subarray(length - packedLength(m));
  for (let i = 0; i < m; i++) {
    values[length - squared.length - m + i] = own.kSA * slope[i]!;
    for (let j = 0; j <= i; j++) squared[packedIndex(i, j)] = own.squared * slope[i]! * slope[j]!;
  }
  return values;
}
