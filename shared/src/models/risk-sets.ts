import { ConcordatError } from '../errors.ts';
import { ascendingOrder, orderByKey } from '../numerics/order.ts';
import type { Response } from './types.ts';

type Survival = Extract<Response, { kind: 'time-to-event' }>;

/**
 * Who is at risk when. The E event times are the distinct (stratum, time of an event) pairs, numbered by
 * stratum and then by ascending time, so that a row with (entry, time] is at risk at a contiguous range of
 * them. Rows that are in no risk set are left out: they do not enter the partial likelihood.
 */
export interface RiskSets {
  /** Number of event times E. */
  readonly times: number;
  /**
   * Original rows in their new order: by last event time at risk, at each those with the event there first;
   * length n' ≤ n.
   */
  readonly rows: Uint32Array;
  /** Rows groupStart[e] … groupStart[e+1] − 1 (new order) are last at risk at event time e; length E + 1. */
  readonly groupStart: Uint32Array;
  /** Number of events at each event time: the first rows of its group; length E. */
  readonly deaths: Uint32Array;
  /** Event times stratumStart[s] … stratumStart[s+1] − 1 belong to stratum s (strata with events only). */
  readonly stratumStart: Uint32Array;
  /** First event time at risk of each row (new order), or null where it is the stratum's first for all. */
  readonly first: Int32Array | null;
  /**
   * Rows (new order) ordered by `first`; rows enteredStart[e] … enteredStart[e+1] − 1 of it have first = e.
   */
  readonly entered: Uint32Array | null;
  readonly enteredStart: Uint32Array | null;
}

/** √ε, the tolerance of survival::aeqSurv. */
const TIME_TOLERANCE = 1.4901161193847656e-8;

/** Sorts once; O(n). Throws where an entry is not before its time. */
export function riskSets(response: Survival): RiskSets {
  const { event, stratum } = response;
  const n = event.length;
  const { exit, enter, order } = tiedRanks(response);
  let strata = 1;
  if (stratum !== null) for (let i = 0; i < n; i++) strata = Math.max(strata, stratum[i]! + 1);
  const byTime = stratum === null ? order : orderByKey(stratum, strata, order);

  // Number the event times, and find for each row the last one at or before its own time.
  const eventRank = new Int32Array(n); // rank of each event time
  const stratumStart: number[] = [];
  const stratumFirst = new Int32Array(strata).fill(-1); // first event time of each stratum
  const last = new Int32Array(n).fill(-1);
  let times = 0;
  let current = -1; // stratum being read
  for (let i = 0; i < n;) {
    const row = byTime[i]!;
    const s = stratum === null ? 0 : stratum[row]!;
    let end = i;
    let events = 0;
    while (end < n && exit[byTime[end]!] === exit[row] && (stratum === null || stratum[byTime[end]!] === s)) {
      events += event[byTime[end++]!]!;
    }
    if (events > 0) {
      if (s !== current) {
        stratumStart.push(times);
        stratumFirst[s] = times;
        current = s;
      }
      eventRank[times++] = exit[row]!;
    }
    if (s === current) for (let k = i; k < end; k++) last[byTime[k]!] = times - 1;
    i = end;
  }
  stratumStart.push(times);

  const first = enter === null ? null : firstTimes(enter, stratum, stratumFirst, stratumStart, eventRank);
  const atRisk = byTime.filter((row) => last[row]! >= (first === null ? 0 : first[row]!));
  return arrange(atRisk, last, first, event, times, Uint32Array.from(stratumStart));
}

/** Groups the rows by their last event time, the events there first. */
function arrange(
  atRisk: Uint32Array,
  last: Int32Array,
  first: Int32Array | null,
  event: Float64Array,
  times: number,
  stratumStart: Uint32Array,
): RiskSets {
  const kept = atRisk.length;
  const groupStart = new Uint32Array(times + 1);
  const deaths = new Uint32Array(times);
  // Already in the order of `last`. A row with an event is last at risk at that event's time.
  const rows = new Uint32Array(kept);
  for (let i = 0; i < kept; i++) groupStart[last[atRisk[i]!]! + 1]!++;
  for (let e = 0; e < times; e++) groupStart[e + 1]! += groupStart[e]!;
  for (let e = 0; e < times; e++) {
    let at = groupStart[e]!;
    for (const wanted of [1, 0]) {
      for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) {
        const row = atRisk[i]!;
        if (event[row] === wanted) rows[at++] = row;
      }
      if (wanted === 1) deaths[e] = at - groupStart[e]!;
    }
  }
  if (first === null) {
    return { times, rows, groupStart, deaths, stratumStart, first: null, entered: null, enteredStart: null };
  }
  const firstNew = new Int32Array(kept);
  const ascending = new Uint32Array(kept);
  for (let i = 0; i < kept; i++) {
    firstNew[i] = first[rows[i]!]!;
    ascending[i] = i;
  }
  const entered = orderByKey(firstNew, times, ascending);
  const enteredStart = new Uint32Array(times + 1);
  for (let i = 0; i < kept; i++) enteredStart[firstNew[i]! + 1]!++;
  for (let e = 0; e < times; e++) enteredStart[e + 1]! += enteredStart[e]!;
  return { times, rows, groupStart, deaths, stratumStart, first: firstNew, entered, enteredStart };
}

/**
 * First event time of the row's stratum that is after its entry; beyond the stratum's last where there is
 * none.
 */
function firstTimes(
  enter: Int32Array,
  stratum: Int32Array | null,
  stratumFirst: Int32Array,
  stratumStart: readonly number[],
  eventRank: Int32Array,
): Int32Array {
  const endOf = new Map<number, number>();
  for (let k = 0; k + 1 < stratumStart.length; k++) endOf.set(stratumStart[k]!, stratumStart[k + 1]!);
  return enter.map((rank, row) => {
    const begin = stratumFirst[stratum === null ? 0 : stratum[row]!]!;
    if (begin < 0) return 0;
    let low = begin;
    let high = endOf.get(begin)!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (eventRank[middle]! > rank) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

/**
 * Ranks of the times after R's treatment of nearly equal ones (survival::aeqSurv): neighbours among the
 * distinct times, entries included, that differ by at most √ε, or by √ε of their mean absolute value, are one
 * time.
 */
function tiedRanks(response: Survival): { exit: Int32Array; enter: Int32Array | null; order: Uint32Array } {
  const { time, entry } = response;
  const n = time.length;
  let all = time;
  if (entry !== null) {
    all = new Float64Array(2 * n);
    all.set(time);
    all.set(entry, n);
  }
  const order = ascendingOrder(all);
  let distinct = 0;
  let absolute = 0;
  for (let i = 0; i < order.length; i++) {
    const value = all[order[i]!]!;
    if (!Number.isFinite(value))
      throw new ConcordatError('numerics/invalid-input', 'a time is not a finite number');
    if (i === 0 || value !== all[order[i - 1]!]!) {
      distinct++;
      absolute += Math.abs(value);
    }
  }
  const mean = absolute / distinct;
  const ranks = new Int32Array(order.length);
  let rank = 0;
  for (let i = 1; i < order.length; i++) {
    const gap = all[order[i]!]! - all[order[i - 1]!]!;
    if (gap > TIME_TOLERANCE && gap / mean > TIME_TOLERANCE) rank++;
    ranks[order[i]!] = rank;
  }
  if (entry === null) return { exit: ranks, enter: null, order };
  const exit = ranks.slice(0, n);
  const enter = ranks.slice(n);
  for (let i = 0; i < n; i++) {
    if (enter[i]! >= exit[i]!) {
      throw new ConcordatError(
        'numerics/invalid-input',
        'a time of entry is not before its time of event or censoring',
        {
          remedy: 'correct the entry times, or leave these rows out of the population',
        },
      );
    }
  }
  return { exit, enter, order: order.filter((position) => position < n) };
}
