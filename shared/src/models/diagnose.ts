import type { Family } from './family.ts';
import type { Diagnosis, StudyData } from './types.ts';

interface Totals {
  readonly rows: number;
  readonly events: number;
  readonly trials: number;
}

/**
 * What can be told from the data alone, before any fit; null where nothing stands against one. An arm is a
 * treatment column of zeros and ones; the control arm is where all of them are 0.
 */
export function diagnoseData(
  family: Family,
  data: StudyData,
  treatmentTerms: readonly number[],
): Diagnosis | null {
  if (data.n === 0) return { code: 'no-participants', terms: [] };
  const events = family.events(data.response);
  const trials = family.trials(data.response);
  const active: (Totals & { term: number })[] = [];
  for (const term of treatmentTerms) {
    const arm = totalsWhere(data.columns[term]!, events, trials);
    if (arm !== null) active.push({ ...arm, term });
  }
  const armTerms = active.map((arm) => arm.term);
  const all = allTotals(data.n, events, trials);
  const treated =
    active.length === 1 ? active[0]! : totalsWhere(treatedRows(data, armTerms), events, trials)!;
  const control = difference(all, treated);
  if (active.length > 0 && (control.rows === 0 || treated.rows === 0))
    return { code: 'single-arm', terms: armTerms };
  if (events === null) return null;

  // An arm that is not in this study at all is a term it cannot estimate, no obstacle to the others.
  const present = active.filter((arm) => arm.rows > 0);
  const termsWhere = (holds: (arm: Totals) => boolean) =>
    active.length > 0 && holds(control) ? armTerms : present.filter(holds).map((arm) => arm.term);
  if (all.events === 0) return { code: 'no-events', terms: [] };
  const withoutEvents = termsWhere((arm) => arm.events === 0);
  if (withoutEvents.length > 0) return { code: 'no-events-in-arm', terms: withoutEvents };
  if (!family.nonevents) return null;
  if (all.events === all.trials) return { code: 'all-events', terms: [] };
  const withoutNonevents = termsWhere((arm) => arm.events === arm.trials);
  return withoutNonevents.length > 0 ? { code: 'no-nonevents-in-arm', terms: withoutNonevents } : null;
}

/** Totals over the rows where `indicator` is 1, or null where it holds anything but 0 and 1. */
function totalsWhere(
  indicator: Float64Array,
  events: Float64Array | null,
  trials: Float64Array | null,
): Totals | null {
  let rows = 0;
  for (let i = 0; i < indicator.length; i++) {
    const x = indicator[i]!;
    // One branch that goes the same way for every row: of two, arms in random order would mispredict half.
    if (x * (x - 1) !== 0) return null;
    rows += x;
  }
  return {
    rows,
    events: events === null ? 0 : sumOver(indicator, events),
    trials: trials === null ? rows : sumOver(indicator, trials),
  };
}

function allTotals(n: number, events: Float64Array | null, trials: Float64Array | null): Totals {
  return { rows: n, events: events === null ? 0 : sum(events), trials: trials === null ? n : sum(trials) };
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

function sumOver(indicator: Float64Array, values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < indicator.length; i++) total += indicator[i]! * values[i]!;
  return total;
}

/** 1 where any of the treatment columns is. */
function treatedRows(data: StudyData, armTerms: readonly number[]): Float64Array {
  const treated = new Float64Array(data.n);
  for (const term of armTerms) {
    const column = data.columns[term]!;
    for (let i = 0; i < data.n; i++) if (column[i] !== 0) treated[i] = 1;
  }
  return treated;
}

function difference(all: Totals, part: Totals): Totals {
  return { rows: all.rows - part.rows, events: all.events - part.events, trials: all.trials - part.trials };
}
