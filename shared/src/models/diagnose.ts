import type { Family } from './family.ts';
import type { Diagnosis, StudyData } from './types.ts';

interface ArmTotals {
  rows: number;
  events: number;
  trials: number;
}

/** What can be told from the data alone, before any fit; null where nothing stands against one. */
export function diagnoseData(family: Family, data: StudyData, treatmentTerms: readonly number[]): Diagnosis | null {
  if (data.n === 0) return { code: 'no-participants', terms: [] };
  const armTerms = treatmentTerms.filter((term) => isIndicator(data.columns[term]!));
  const active = armTerms.map((term) => ({ term, ...totals(family, data, data.columns[term]!) }));
  const control = armTerms.length === 0 ? null : totals(family, data, controlIndicator(data, armTerms));
  if (control !== null && (control.rows === 0 || active.every((arm) => arm.rows === 0))) {
    return { code: 'single-arm', terms: armTerms };
  }
  if (family.events(data.response) === null) return null;

  const all = totals(family, data, null);
  if (all.events === 0) return { code: 'no-events', terms: [] };
  if (family.nonevents && all.events === all.trials) return { code: 'all-events', terms: [] };
  // An arm that is not in this study at all is a term it cannot estimate, no obstacle to the others.
  const empty = active.filter((arm) => arm.rows > 0 && arm.events === 0).map((arm) => arm.term);
  if (control?.events === 0) return { code: 'no-events-in-arm', terms: armTerms };
  if (empty.length > 0) return { code: 'no-events-in-arm', terms: empty };
  if (!family.nonevents) return null;
  const full = active.filter((arm) => arm.rows > 0 && arm.events === arm.trials).map((arm) => arm.term);
  if (control !== null && control.events === control.trials) return { code: 'no-nonevents-in-arm', terms: armTerms };
  return full.length > 0 ? { code: 'no-nonevents-in-arm', terms: full } : null;
}

function isIndicator(column: Float64Array): boolean {
  for (let i = 0; i < column.length; i++) if (column[i] !== 0 && column[i] !== 1) return false;
  return true;
}

function controlIndicator(data: StudyData, armTerms: readonly number[]): Float64Array {
  const indicator = new Float64Array(data.n).fill(1);
  for (const term of armTerms) {
    const column = data.columns[term]!;
    for (let i = 0; i < data.n; i++) if (column[i] !== 0) indicator[i] = 0;
  }
  return indicator;
}

/** Totals over the rows where `indicator` is 1 (null: all rows). */
function totals(family: Family, data: StudyData, indicator: Float64Array | null): ArmTotals {
  const events = family.events(data.response);
  const trials = family.trials(data.response);
  const sum: ArmTotals = { rows: 0, events: 0, trials: 0 };
  for (let i = 0; i < data.n; i++) {
    if (indicator !== null && indicator[i] === 0) continue;
    sum.rows++;
    if (events !== null) sum.events += events[i]!;
    sum.trials += trials === null ? 1 : trials[i]!;
  }
  return sum;
}
