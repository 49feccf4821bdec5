import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { BLOCK, addGradient, loadColumn, subtractInformation, workspace } from '../numerics/tile.ts';
import type { TimeVarying } from '../plan/types.ts';
import { CompensatedSum, type Scaling } from './blocks.ts';
import { coxRows } from './cox.ts';
import type { CoxRows } from './cox-expansion.ts';
import type { Evaluation, ModelOptions, Objective, StudyData } from './types.ts';

/** How the coefficients of some columns change with time. */
export interface TimeVaryingEffects extends Pick<TimeVarying, 'cuts'> {
  /** Columns whose coefficients change. */
  readonly columns: readonly number[];
  /**
   * g(t) = t; log t; or an indicator of each interval (cut, next cut] after the first; or a step function with
   * `values[k]` on (cuts[k − 1], cuts[k]], such as a rank or a pooled Kaplan–Meier curve on a declared grid.
   */
  readonly transform: TimeVarying['transform'] | 'step';
  /** One more than there are cuts. */
  readonly values?: readonly number[];
}

/** Names of γ, in their order. */
export function timeVaryingTerms(terms: readonly string[], effects: TimeVaryingEffects): string[] {
  const { transform, cuts, columns } = effects;
  const functions =
    transform === 'piecewise'
      ? cuts.map((cut, k) => (k + 1 < cuts.length ? `(${cut},${cuts[k + 1]}]` : `(${cut},∞)`))
      : [transform === 'identity' ? 'time' : transform === 'log' ? 'log(time)' : 'g(time)'];
  return functions.flatMap((name) => columns.map((j) => `${terms[j]}:${name}`));
}

/**
 * Cox model (see `cox.ts`: strata, left truncation, Efron or Breslow) whose log hazard ratio of column j at time t is
 * βⱼ + Σ_k γ_kj g_k(t) (Cox 1972, §3; Therneau & Grambsch 2000, §6.2 and §7.1). Parameters: β, then γ, function by
 * function, the columns within. As survival::coxph with tt(), or on survSplit data where g is piecewise; an event at a cut
 * is before it.
 *
 * With U_e and V_e the score and the information of the risk set at event time e in all columns, as of a Cox model at
 * β + Σ γ_k g_k(e):
 *
 *   ∂ℓ/∂β = Σ U_e,  ∂ℓ/∂γ_k = Σ g_k(e)U_e,  I_ββ = Σ V_e,  I_γβ = Σ g_k(e)V_e,  I_γγ = Σ g_k(e)g_l(e)V_e
 *
 * over the columns concerned. Where γ = 0, or g is constant over a run of event times, the sums over e are taken by rows:
 * O(np²) for each run. Otherwise every event time has its own risks, and the cost is that of all risk sets, O(nE).
 */
export function timeVarying(
  data: StudyData,
  options: ModelOptions,
  scaling: Scaling | null,
  effects: TimeVaryingEffects,
): Objective {
  const { rows, offset } = coxRows(data, options, scaling);
  const { sets, n, p, x } = rows;
  const { columns } = effects;
  const g = functionsAt(data, rows, effects);
  const functions = g.length;
  const gamma = (theta: Float64Array, k: number, c: number): number => theta[p + k * columns.length + c]!;

  // What travels from runs of event times to the parameters: sums of U_e and −V_e weighted by 1, g_k, g_k·g_l.
  const weightings = 1 + functions + packedLength(functions);
  const scores = sumsOf(weightings, p);
  const hessians = sumsOf(weightings, packedLength(p));
  const ones = new Float64Array(sets.times).fill(1);
  const products: Float64Array[] = [ones, ...g];
  for (let k = 0; k < functions; k++) {
    for (let l = 0; l <= k; l++) products.push(g[k]!.map((value, e) => value * g[l]![e]!));
  }
  const own = { scores: sumsOf(1, p), hessians: sumsOf(1, packedLength(p)) };
  const base = new Float64Array(n);
  const moved = g.map(() => new Float64Array(n));
  const eta = new Float64Array(n);

  return {
    parameters: p + functions * columns.length,
    evaluate(theta, order, out): void {
      const constant = theta.subarray(p).every((value) => value === 0);
      base.fill(0);
      if (offset !== null) base.set(offset);
      for (let j = 0; j < p; j++) accumulate(theta[j]!, x, j * n, base);
      moved.forEach((slope, k) => {
        slope.fill(0);
        columns.forEach((j, c) => accumulate(gamma(theta, k, c), x, j * n, slope));
      });
      for (const sum of [...scores, ...hessians]) sum.fill(0);
      const value = new CompensatedSum();
      for (let s = 0; s + 1 < sets.stratumStart.length; s++) {
        const end = sets.stratumStart[s + 1]!;
        for (let from = sets.stratumStart[s]!; from < end;) {
          const to = constant ? end : runEnd(g, from, end);
          const [first, last] = [sets.groupStart[from]!, sets.groupStart[end]!];
          for (let i = first; i < last; i++) eta[i] = base[i]!;
          if (!constant) moved.forEach((slope, k) => addScaled(g[k]![from]!, slope, eta, first, last));
          if (constant) {
            value.add(riskSetSums(rows, eta, { from, to, end }, products, order, scores, hessians));
          } else {
            for (const sum of [...own.scores, ...own.hessians]) sum.fill(0);
            value.add(riskSetSums(rows, eta, { from, to, end }, [ones], order, own.scores, own.hessians));
            products.forEach((weight, w) => {
              addScaled(weight[from]!, own.scores[0]!, scores[w]!, 0, p);
              addScaled(weight[from]!, own.hessians[0]!, hessians[w]!, 0, packedLength(p));
            });
          }
          from = to;
        }
      }
      out.value = value.total;
      if (order !== 0) assemble(order, out);
    },
  };

  function assemble(order: 1 | 2, out: Evaluation): void {
    out.gradient.set(scores[0]!);
    if (order === 2) out.hessian.set(hessians[0]!);
    for (let k = 0; k < functions; k++) {
      columns.forEach((i, c) => {
        const row = p + k * columns.length + c;
        out.gradient[row] = scores[1 + k]![i]!;
        if (order === 1) return;
        for (let j = 0; j < p; j++) out.hessian[packedIndex(row, j)] = hessians[1 + k]![packedIndex(i, j)]!;
        for (let l = 0; l <= k; l++) {
          const both = hessians[1 + functions + packedIndex(k, l)]!;
          columns.forEach((j, d) => {
            const column = p + l * columns.length + d;
            if (column <= row) out.hessian[packedIndex(row, column)] = both[packedIndex(i, j)]!;
          });
        }
      });
    }
  }
}

const sumsOf = (count: number, length: number): Float64Array[] =>
  Array.from({ length: count }, () => new Float64Array(length));

/** g_k at each event time. */
function functionsAt(data: StudyData, { sets }: CoxRows, effects: TimeVaryingEffects): Float64Array[] {
  const { transform, cuts, values } = effects;
  const { response } = data;
  const at = new Float64Array(sets.times);
  // A response of another kind has been refused by then.
  const time = response.kind === 'time-to-event' ? response.time : at;
  for (let e = 0; e < sets.times; e++) at[e] = time[sets.rows[sets.groupStart[e]!]!]!;
  if (transform === 'identity') return [at];
  if (transform === 'log') {
    if (at.some((t) => !(t > 0))) {
      throw new ConcordatError(
        'numerics/invalid-input',
        'the logarithm of an event at time 0 does not exist',
        {
          remedy: 'use the identity of time, or leave these rows out of the population',
        },
      );
    }
    return [at.map(Math.log)];
  }
  if (cuts.some((cut, k) => k > 0 && !(cut > cuts[k - 1]!))) {
    throw new ConcordatError('numerics/invalid-input', 'cuts of time are in ascending order');
  }
  const interval = at.map((t) => cuts.filter((cut) => cut < t).length);
  if (transform === 'piecewise') return cuts.map((_, k) => interval.map((own) => (own === k + 1 ? 1 : 0)));
  if (values?.length !== cuts.length + 1) {
    throw new ConcordatError('numerics/invalid-input', 'a step function has one value more than it has cuts');
  }
  return [interval.map((own) => values[own]!)];
}

/** End of the run of event times from `from` with the same g. */
function runEnd(g: readonly Float64Array[], from: number, end: number): number {
  let to = from + 1;
  while (to < end && g.every((values) => values[to] === values[from])) to++;
  return to;
}

function accumulate(a: number, x: Float64Array, at: number, y: Float64Array): void {
  if (a === 0) return;
  for (let i = 0; i < y.length; i++) y[i]! += a * x[at + i]!;
}

function addScaled(a: number, x: Float64Array, y: Float64Array, from: number, to: number): void {
  if (a === 0) return;
  for (let i = from; i < to; i++) y[i]! += a * x[i]!;
}

/** Event times from … to − 1 of a stratum that ends before event time `end`. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly end: number;
}

/**
 * A run's part of the log partial likelihood, at linear predictors `eta` (turned into exp(η) of the rows concerned); adds
 * Σ w(e)U_e and −Σ w(e)V_e for each weighting w of the event times. The formulas are those of `cox.ts`.
 */
function riskSetSums(
  rows: CoxRows,
  eta: Float64Array,
  run: Run,
  weightings: readonly Float64Array[],
  order: 0 | 1 | 2,
  scores: readonly Float64Array[],
  hessians: readonly Float64Array[],
): number {
  const { sets, efron, n, p, x } = rows;
  const { groupStart, deaths, first, entered, enteredStart } = sets;
  const { from, to, end } = run;
  const [begin, after, last] = [groupStart[from]!, groupStart[to]!, groupStart[end]!];
  let largest = -Infinity;
  for (let i = begin; i < last; i++) if (eta[i]! > largest) largest = eta[i]!;
  const value = new CompensatedSum();
  for (let e = from; e < to; e++) {
    for (let i = groupStart[e]!; i < groupStart[e]! + deaths[e]!; i++) value.add(eta[i]! - largest);
  }
  const r = eta;
  for (let i = begin; i < last; i++) r[i] = Math.exp(r[i]! - largest);

  /** Σ rᵢyᵢ over each risk set of the run; y null: 1. */
  const riskSums = (y: number | null, sums: Float64Array): void => {
    const term = (i: number): number => (y === null ? r[i]! : r[i]! * x[y + i]!);
    let sum = 0;
    for (let i = after; i < last; i++) if (first === null || first[i]! < to) sum += term(i);
    for (let e = to - 1; e >= from; e--) {
      for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) sum += term(i);
      sums[e - from] = sum;
      if (entered === null) continue;
      for (let k = enteredStart![e]!; k < enteredStart![e + 1]!; k++) sum -= term(entered[k]!);
    }
  };
  const length = to - from;
  const s0 = new Float64Array(length);
  riskSums(null, s0);
  const hazard = new Float64Array(length);
  const tied = new Float64Array(length);
  const d0 = new Float64Array(length);
  for (let e = from; e < to; e++) {
    const d = deaths[e]!;
    const k = e - from;
    for (let i = groupStart[e]!; i < groupStart[e]! + d; i++) d0[k]! += r[i]!;
    for (let l = 0; l < d; l++) {
      const share = efron ? l / d : 0;
      const rest = s0[k]! - share * d0[k]!;
      value.add(-Math.log(rest));
      hazard[k]! += 1 / rest;
      tied[k]! += share / rest;
    }
  }
  if (order === 0) return value.total;

  const weight = new Float64Array(last - begin);
  const residual = new Float64Array(last - begin);
  const space = workspace(p);
  weightings.forEach((w, index) => {
    rowHazards(rows, run, r, hazard, tied, w, weight, residual);
    for (let start = begin; start < last; start += BLOCK) {
      const size = Math.min(BLOCK, last - start);
      for (let j = 0; j < p; j++) loadColumn(space, j, x, j * n + start, size);
      space.residual.set(residual.subarray(start - begin, start - begin + size));
      addGradient(p, size, space, scores[index]!);
      if (order === 1) continue;
      space.weight.set(weight.subarray(start - begin, start - begin + size));
      subtractInformation(p, size, space, hessians[index]!);
    }
  });
  if (order === 1) return value.total;

  // + Σ w Σ_l m_l m_l'.
  const s1 = Array.from({ length: p }, (_, j) => {
    const sums = new Float64Array(length);
    riskSums(j * n, sums);
    return sums;
  });
  const d1 = new Float64Array(p);
  const mean = new Float64Array(p);
  for (let e = from; e < to; e++) {
    const d = deaths[e]!;
    const k = e - from;
    d1.fill(0);
    for (let j = 0; j < p && efron && d > 1; j++) {
      for (let i = groupStart[e]!; i < groupStart[e]! + d; i++) d1[j]! += r[i]! * x[j * n + i]!;
    }
    const terms = efron ? d : 1;
    for (let l = 0; l < terms; l++) {
      const share = efron ? l / d : 0;
      const inverse = 1 / (s0[k]! - share * d0[k]!);
      for (let j = 0; j < p; j++) mean[j] = (s1[j]![k]! - share * d1[j]!) * inverse;
      weightings.forEach((w, index) => {
        const count = efron ? w[e]! : d * w[e]!;
        const hessian = hessians[index]!;
        for (let i = 0, at = 0; i < p; i++) {
          for (let j = 0; j <= i; j++, at++) hessian[at]! += count * mean[i]! * mean[j]!;
        }
      });
    }
  }
  return value.total;
}

/** Of each row of the run and after it: `weight` Σ w·r·(hazard at risk), and `residual` Σ w·δ less it. */
function rowHazards(
  { sets: { groupStart, deaths, first } }: CoxRows,
  { from, to, end }: Run,
  r: Float64Array,
  hazard: Float64Array,
  tied: Float64Array,
  w: Float64Array,
  weight: Float64Array,
  residual: Float64Array,
): void {
  const begin = groupStart[from]!;
  // Before each event time of the run, and after the last.
  const cumulative = new Float64Array(to - from + 1);
  for (let e = from; e < to; e++)
    cumulative[e - from + 1] = cumulative[e - from]! + w[e]! * hazard[e - from]!;
  const entry = (i: number): number => {
    if (first === null || first[i]! <= from) return 0;
    return cumulative[Math.min(first[i]!, to) - from]!;
  };
  for (let e = from; e < to; e++) {
    const died = groupStart[e]! + deaths[e]!;
    for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) {
      const at = i < died ? w[e]! * tied[e - from]! : 0;
      const v = r[i]! * (cumulative[e - from + 1]! - entry(i) - at);
      weight[i - begin] = v;
      residual[i - begin] = (i < died ? w[e]! : 0) - v;
    }
  }
  const total = cumulative[to - from]!;
  for (let i = groupStart[to]!; i < groupStart[end]!; i++) {
    const v = r[i]! * (total - entry(i));
    weight[i - begin] = v;
    residual[i - begin] = -v;
  }
}
