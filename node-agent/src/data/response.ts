import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Response } from '@concordat/shared/models/types.ts';
import { codeNumber } from '@concordat/shared/plan/codes.ts';
import type { Analysis, Code, Outcome } from '@concordat/shared/plan/types.ts';
import { columnOf, matchCodes, numericValues, type Table } from './table.ts';

export interface ResponseColumns {
  readonly response: Response;
  /** log(exposure); null where the outcome has none. */
  readonly logExposure: Float64Array | null;
  /** Participants of each row; null: one. Of a repeated outcome, a participant's rows share one. */
  readonly weights: Float64Array | null;
  /** Events of each row; null for a continuous outcome. */
  readonly events: Float64Array | null;
}

/** Of a hazard that is a function of time from 0, or of its logarithm. */
const MODELLED_HAZARDS: readonly Analysis['family'][] = [
  'weibull',
  'piecewise-exponential',
  'royston-parmar',
];

/**
 * The outcome of the rows of an analysis set. Throws `data/not-numeric` for an outcome coded as text, and
 * `data/impossible-code` (variable and row, never the value) for values that the kind of outcome cannot have.
 */
export function buildResponse(
  outcome: Outcome,
  analysis: Analysis,
  table: Table,
  rows: Int32Array,
): ResponseColumns {
  const number = (name: string) => gather(numericValues(table, name), rows);
  const check = (name: string, possible: (i: number) => boolean, expected: string) => {
    for (let i = 0; i < rows.length; i++) if (!possible(i)) throw impossible(name, rows[i]!, expected);
  };
  switch (outcome.kind) {
    case 'continuous':
      return {
        response: { kind: 'continuous', y: number(outcome.variable) },
        logExposure: null,
        weights: null,
        events: null,
      };
    case 'binary': {
      const events = binary(outcome.variable, outcome.event, table, rows);
      return { response: { kind: 'binary', events, trials: null }, logExposure: null, weights: null, events };
    }
    case 'binary-grouped': {
      const events = number(outcome.events);
      const trials = number(outcome.trials);
      check(outcome.trials, (i) => Number.isInteger(trials[i]) && trials[i]! > 0, 'whole numbers above 0');
      const possible = (i: number) =>
        Number.isInteger(events[i]) && events[i]! >= 0 && events[i]! <= trials[i]!;
      check(outcome.events, possible, `whole numbers from 0 to ${outcome.trials}`);
      return { response: { kind: 'binary', events, trials }, logExposure: null, weights: trials, events };
    }
    case 'count': {
      const y = number(outcome.variable);
      check(outcome.variable, (i) => Number.isInteger(y[i]) && y[i]! >= 0, 'whole numbers from 0');
      const exposure = outcome.exposure === null ? null : number(outcome.exposure);
      if (exposure !== null) check(outcome.exposure!, (i) => exposure[i]! > 0, 'numbers above 0');
      return {
        response: { kind: 'count', y },
        logExposure: exposure?.map(Math.log) ?? null,
        weights: null,
        events: y,
      };
    }
    case 'ordinal': {
      const level = levelsAt(outcome.variable, outcome.levels, table, rows);
      return {
        response: { kind: 'ordinal', level, levels: outcome.levels.length },
        logExposure: null,
        weights: null,
        events: null,
      };
    }
    case 'repeated': {
      const { index: subject, size } = distinctLevels(outcome.subject, table, rows, Infinity)!;
      const visit = levelsAt(outcome.visit, outcome.visits, table, rows);
      for (let i = 1; i < rows.length; i++) {
        if (subject[i] === subject[i - 1] && visit[i] === visit[i - 1])
          throw impossible(outcome.visit, rows[i]!, 'one row for each participant and visit');
      }
      const visits = new Float64Array(size);
      for (const s of subject) visits[s]!++;
      return {
        response: {
          kind: 'repeated',
          y: number(outcome.variable),
          subject,
          visit,
          visits: outcome.visits.length,
        },
        logExposure: null,
        weights: Float64Array.from(subject, (s) => 1 / visits[s]!),
        events: null,
      };
    }
    case 'time-to-event': {
      const time = number(outcome.time);
      const event = number(outcome.event);
      const entry = outcome.entry === null ? null : number(outcome.entry);
      check(outcome.time, (i) => time[i]! >= 0, 'numbers from 0');
      check(outcome.event, (i) => event[i] === 0 || event[i] === 1, '0 and 1');
      if (entry !== null) check(outcome.entry!, (i) => entry[i]! < time[i]!, `numbers below ${outcome.time}`);
      if (MODELLED_HAZARDS.includes(analysis.family)) {
        check(outcome.time, (i) => time[i]! > 0 || event[i] === 0, 'numbers above 0 at an event');
        if (entry !== null) check(outcome.entry!, (i) => entry[i]! >= 0, 'numbers from 0');
      }
      const stratum = analysis.strata.length === 0 ? null : strata(analysis.strata, table, rows);
      return {
        response: { kind: 'time-to-event', time, event, entry, stratum },
        logExposure: null,
        weights: null,
        events: event,
      };
    }
  }
}

/** Position of each row's code among the plan's; a code that the plan does not name is an error. */
function levelsAt(name: string, codes: readonly Code[], table: Table, rows: Int32Array): Int32Array {
  const all = matchCodes(columnOf(table, name), codes);
  return rows.map((row) => {
    const level = all[row]!;
    if (level < 0) throw impossible(name, row, 'the codes that the plan names');
    return level;
  });
}

/** The values at `rows`. */
export function gather(values: Float64Array, rows: Int32Array): Float64Array {
  const out = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[i] = values[rows[i]!]!;
  return out;
}

/** A number for each distinct value among `rows`, in order of first appearance; `limit`: null as soon as there are more. */
export function distinctLevels(
  name: string,
  table: Table,
  rows: Int32Array,
  limit: number,
): { readonly index: Int32Array; readonly size: number } | null {
  const column = columnOf(table, name);
  const raw: Int32Array | Float64Array = column.kind === 'text' ? column.codes : column.values;
  if (limit <= FEW) return fewLevels(raw, rows, limit);
  const seen = new Map<number, number>();
  const index = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const value = raw[rows[i]!]!;
    let level = seen.get(value);
    if (level === undefined) {
      if (seen.size === limit) return null;
      seen.set(value, (level = seen.size));
    }
    index[i] = level;
  }
  return { index, size: seen.size };
}

/** At most so many are found faster by looking at each. */
const FEW = 32;

function fewLevels(
  raw: Int32Array | Float64Array,
  rows: Int32Array,
  limit: number,
): { readonly index: Int32Array; readonly size: number } | null {
  const seen = new Float64Array(limit);
  const index = new Int32Array(rows.length);
  let size = 0;
  for (let i = 0; i < rows.length; i++) {
    const value = raw[rows[i]!]!;
    let level = 0;
    while (level < size && seen[level] !== value) level++;
    if (level === size) {
      if (size === limit) return null;
      seen[size++] = value;
    }
    index[i] = level;
  }
  return { index, size };
}

function impossible(name: string, row: number, expected: string): ConcordatError {
  return new ConcordatError('data/impossible-code', `column "${name}" must hold ${expected} here`, {
    place: `column "${name}", row ${row + 1}`,
    remedy: 'correct the value, or recode the column in a harmonisation map',
  });
}

/** 1 where the outcome is the plan's event, 0 where it is the one other code. */
function binary(name: string, event: number | string, table: Table, rows: Int32Array): Float64Array {
  if (codeNumber(event) !== null) numericValues(table, name);
  const isEvent = matchCodes(columnOf(table, name), [event]);
  const y = new Float64Array(rows.length);
  const others = rows.filter((row) => isEvent[row] !== 0);
  const levels = distinctLevels(name, table, others, Infinity)!;
  if (levels.size > 1) {
    throw impossible(name, others[levels.index.indexOf(1)]!, 'the plan’s event and one other code');
  }
  for (let i = 0; i < rows.length; i++) y[i] = isEvent[rows[i]!] === 0 ? 1 : 0;
  return y;
}

/** One number for each combination of the strata variables. */
function strata(names: readonly string[], table: Table, rows: Int32Array): Int32Array {
  let combined = new Int32Array(rows.length);
  for (const name of names) {
    const { index, size } = distinctLevels(name, table, rows, Infinity)!;
    const seen = new Map<number, number>();
    combined = combined.map((before, i) => {
      const key = before * size + index[i]!;
      if (!seen.has(key)) seen.set(key, seen.size);
      return seen.get(key)!;
    });
  }
  return combined;
}
