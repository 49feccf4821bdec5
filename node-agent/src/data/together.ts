/**
 * What several answers tell together. Each tells sums over its analysis set of its columns times the outcome, and times each other, so
 * that several are one design of all their columns, each 0 outside its own set: by subtracting models, or one model of two sets, a
 * participant with a leverage near 1 in that design can be read off. And cuts of time that differ from one analysis to the next
 * divide the participants by all of them.
 */
import { createHash } from 'node:crypto';

import type { Bitmap } from '@concordat/shared/disclosure/combinations.ts';
import type { Cell } from '@concordat/shared/disclosure/facts.ts';
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { intervalCell, type CellSource } from './cells.ts';
import { linked, variablesCrossed, type CrossedSet, type Factor } from './crossed.ts';
import { distinctLevels } from './response.ts';
import { codeAt, columnOf, isMissing, matchCodes, type Table } from './table.ts';

/** Facts about an analysis beside others; no leverage where they add nothing. */
export interface Together {
  /** Largest leverage of a participant in all their columns. */
  readonly leverageTogether?: number;
  /** Between the times of all. */
  readonly cells: readonly Cell[];
}

/**
 * Of those that are linked with it, each column is 0 outside its own set. Of all, linked or not, the columns are taken as if each had
 * been of this set, and by themselves: any number of analyses tell the sums of the arms, or of a population's members, by their
 * columns, and may not be half as many as the participants, nor hold one who makes half of what a column adds to those before it.
 *
 * @param source what the facts of the analysis itself are of
 * @param others what was answered; columns that these records do not have are no part of what was told of them
 * @param unreadable variables that were read once and cannot be now
 */
export function factsTogether(
  plan: ExpandedPlan,
  own: CrossedSet,
  source: CellSource,
  others: readonly CrossedSet[],
  table: Table,
  unreadable: ReadonlySet<string> = new Set(),
): Together {
  if (others.some(({ id }) => id === own.id)) return { cells: [] };
  const near = others.filter(({ crossed }) => linked(own.crossed, crossed));
  const cells = cellsTogether(plan, own, source, near, table);
  if (near.some(({ crossed }) => variablesCrossed(crossed).some((variable) => unreadable.has(variable))))
    return { leverageTogether: 1, cells };
  const here = others.map(({ id, crossed }) => {
    const columns = crossed.columns.filter((column) => column.every((factor) => isReadable(factor, table)));
    return { id, crossed: { ...crossed, columns }, rows: own.rows };
  });
  // What is linked and of this set is there in both, and no share of one column is above that of all.
  const apart = near.length < others.length || near.some(({ rows }) => !sameRows(rows, own.rows));
  const leverages = [
    ...(addsColumns(own, near) ? [spanOf(plan, own, source, near, table).leverage] : []),
    ...(apart && addsColumns(own, here) ? [spanOf(plan, own, source, here, table).sharpest] : []),
  ];
  return { ...(leverages.length === 0 ? {} : { leverageTogether: Math.max(...leverages) }), cells };
}

/** Of an analysis that is not linked, what cannot be read any more tells nothing here. */
function isReadable(factor: Factor, table: Table): boolean {
  const column = table.columns.get(factor.variable);
  return column !== undefined && ('code' in factor || 'codes' in factor || column.kind === 'numeric');
}

/** Alone, or with the same columns of the same set, it is as its own facts say. */
function addsColumns(own: CrossedSet, others: readonly CrossedSet[]): boolean {
  const known = new Set(own.crossed.columns.map((column) => JSON.stringify(column)));
  return others.some(
    ({ crossed, rows }) =>
      !sameRows(rows, own.rows) ||
      crossed.time?.event !== own.crossed.time?.event ||
      crossed.columns.some((column) => !known.has(JSON.stringify(column))),
  );
}

function sameRows(a: Bitmap, b: Bitmap): boolean {
  for (let w = 0; w < Math.max(a.length, b.length); w++) if ((a[w] ?? 0) !== (b[w] ?? 0)) return false;
  return true;
}

/** Before the first time and after the last, the analysis's own cells say what it tells. */
function cellsTogether(
  plan: ExpandedPlan,
  { crossed: { time, times } }: CrossedSet,
  source: CellSource,
  others: readonly CrossedSet[],
  table: Table,
): Cell[] {
  const all = others.flatMap(({ crossed: other }) =>
    time === null || other.time === null
      ? []
      : other.time.variable === time.variable
        ? other.times
        : sameOrder(other.time.variable, other.times, source, table),
  );
  const ends = [...new Set([...times, ...all])].toSorted((a, b) => a - b);
  return times.length === 0 ? [] : intervalCell(plan, ends, source, 'between');
}

/** Times on another variable's scale as this one's: the latest of those until then. */
function sameOrder(
  variable: string,
  times: readonly number[],
  { response, rows }: CellSource,
  table: Table,
): number[] {
  const column = table.columns.get(variable);
  if (response.kind !== 'time-to-event' || column?.kind !== 'numeric') return [];
  return times.map((end) =>
    rows.reduce(
      (latest, row, i) => (column.values[row]! <= end ? Math.max(latest, response.time[i]!) : latest),
      0,
    ),
  );
}

interface Shares {
  /** Largest leverage of a participant. */
  readonly leverage: number;
  /** The larger of a participant's largest share of what one column adds, and of the columns' number by the participants'. */
  readonly sharpest: number;
}

function spanOf(
  plan: ExpandedPlan,
  own: CrossedSet,
  { rows: ownRows, weights }: CellSource,
  others: readonly CrossedSet[],
  table: Table,
): Shares {
  const sets = [...others, own];
  const rows = rowsOf(sets, table.rows);
  const people = new Float64Array(rows.length).fill(1);
  if (weights !== null) {
    const at = new Int32Array(table.rows);
    rows.forEach((row, i) => (at[row] = i));
    ownRows.forEach((row, i) => (people[at[row]!] = weights[i]!));
  }
  const span = new Span(people);
  addEvents(span, own, others, table, rows);
  const done = new Set<string>();
  for (const { crossed, rows: members } of sets) {
    const set = createHash('sha256').update(members).digest('hex');
    const within = Uint8Array.from(rows, (row) => (holds(members, row) ? 1 : 0));
    for (const column of crossed.columns) {
      // The set itself has no mean to deviate from.
      if (column.length === 0) {
        if (!done.has(set)) span.add(Float64Array.from(within));
        done.add(set);
        continue;
      }
      const key = JSON.stringify([column, set]);
      if (done.has(key)) continue;
      done.add(key);
      for (const values of columnsOf(column, table, rows)) span.add(deviations(values, within));
      if (span.size * rows.length > MOST) return { leverage: 1, sharpest: 1 };
    }
  }
  return span.shares(ownersOf(plan, table, rows));
}

/**
 * Who had an event, by the variables of others: what they add to this one's may not lie in one participant. That few had none of one event is
 * told by no analysis of it, so that neither its own, nor another's that is so, counts by itself.
 */
function addEvents(
  span: Span,
  { crossed: { time } }: CrossedSet,
  others: readonly CrossedSet[],
  table: Table,
  rows: Int32Array,
): void {
  const names = new Set(others.flatMap(({ crossed }) => crossed.time?.event ?? []));
  if (names.size === 0 && time === null) return;
  const every = new Uint8Array(rows.length).fill(1);
  const add = (name: string, counts: (values: Float64Array) => boolean): void => {
    for (const values of columnsOf([{ variable: name }], table, rows)) {
      const apart = deviations(values, every);
      span.add(apart, counts(apart));
    }
  };
  span.add(Float64Array.from(every), false);
  if (time !== null) add(time.event, () => false);
  for (const name of names) if (name !== time?.event) add(name, (values) => largestShare(values) < FEW_FREE);
}

/** Share of a column's squares that one participant has where one or two have no event. */
const FEW_FREE = 1 / 3;

function largestShare(values: Float64Array): number {
  let [largest, sum] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const square = values[i]! * values[i]!;
    sum += square;
    if (square > largest) largest = square;
  }
  return sum === 0 ? 0 : largest / sum;
}

/** Numbers of a basis beyond which it is not made (512 MB): what was not looked at is refused. */
const MOST = 2 ** 26;

/** Of a repeated outcome a number for each row's participant; a row without one is its own. */
function ownersOf({ outcome }: ExpandedPlan, table: Table, rows: Int32Array): Int32Array | null {
  if (outcome.kind !== 'repeated') return null;
  const subject = columnOf(table, outcome.subject);
  const { index, size } = distinctLevels(outcome.subject, table, rows, Infinity)!;
  return index.map((level, i) => (isMissing(subject, rows[i]!) ? size + i : level));
}

function rowsOf(sets: readonly CrossedSet[], count: number): Int32Array {
  const rows = new Int32Array(count);
  let n = 0;
  for (let row = 0; row < count; row++)
    if (sets.some(({ rows: members }) => holds(members, row))) rows[n++] = row;
  return rows.slice(0, n);
}

const holds = (members: Bitmap, row: number): boolean =>
  ((members[row >>> 5] ?? 0) & (1 << (row & 31))) !== 0;

/** The columns of a product at each row, NaN where a variable is missing; none where the records have no such variable. */
function columnsOf(column: readonly Factor[], table: Table, rows: Int32Array): Float64Array[] {
  const each = column.find((factor) => 'codes' in factor);
  if (each !== undefined) return codesOf(each.variable, table, rows);
  const out = new Float64Array(rows.length).fill(1);
  for (const factor of column) {
    const found = table.columns.get(factor.variable);
    if (found === undefined) return [];
    if ('code' in factor) {
      // −1: missing, −2: another code.
      const match = matchCodes(found, [factor.code]);
      for (let i = 0; i < out.length; i++) {
        const k = match[rows[i]!]!;
        out[i]! *= k === 0 ? 1 : k === -2 ? 0 : NaN;
      }
      continue;
    }
    // It was told as a number, and is text now: nobody can say what was told.
    if (found.kind === 'text') return [out.fill(Infinity)];
    const { values } = found;
    const spline = 'knots' in factor ? factor : null;
    for (let i = 0; i < out.length; i++) {
      const x = values[rows[i]!]!;
      out[i]! *= spline === null ? x : rcsBasis(x, spline.knots, spline.index);
    }
  }
  return [out];
}

/** Beyond so many codes, columns of their own would be of few participants each in any honest analysis. */
const FEW_CODES = 12;

/** An indicator for each code; of many, one column of a number for each, in which two variables that are nearly the same are so too. */
function codesOf(variable: string, table: Table, rows: Int32Array): Float64Array[] {
  if (!table.columns.has(variable)) return [];
  const column = columnOf(table, variable);
  const { index, size } = distinctLevels(variable, table, rows, Infinity)!;
  if (size <= FEW_CODES)
    return Array.from({ length: size }, (_, level) =>
      Float64Array.from(index, (own) => (own === level ? 1 : 0)),
    );
  const numbers = new Float64Array(size);
  rows.forEach((row, i) => {
    if (numbers[index[i]!] === 0) numbers[index[i]!] = numberOf(JSON.stringify(codeAt(column, row)));
  });
  return [Float64Array.from(index, (level) => numbers[level]!)];
}

/** In (0, 1), from a hash. */
const numberOf = (text: string): number =>
  (createHash('sha256').update(text).digest().readUInt32BE(0) + 1) / (2 ** 32 + 1);

/** Turns values into deviations from the set's mean; 0 outside it and where missing. */
function deviations(values: Float64Array, within: Uint8Array): Float64Array {
  let [sum, n, first] = [0, 0, NaN];
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    if (within[i] === 0 || Number.isNaN(x)) continue;
    if (n === 0) first = x;
    // From the first value, so that those which are all the same have deviations of 0.
    sum += x - first;
    n++;
  }
  const centre = first + sum / n;
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    values[i] = within[i] === 0 || Number.isNaN(x) ? 0 : x - centre;
  }
  return values;
}

/** Share of a column that others leave of it below which it is their combination: sums are told to 16 digits. */
const EXACT = 1e-12;
/** A share left below which rounding is taken out by a second pass ("twice is enough": Giraud et al. 2005, Numer Math 101:87). */
const AGAIN = 0.5;

/**
 * An orthonormal basis of columns of any dependence, by Gram–Schmidt: a matrix of their cross-products would lose what two nearly equal
 * columns do not share, in which the few stand out.
 */
class Span {
  readonly #basis: Float64Array[] = [];
  /** Those whose shares are nobody's: they are there to be taken out of the others. */
  readonly #uncounted = new Set<Float64Array>();
  readonly #root: Float64Array;
  readonly #people: number;
  #beyondDoubles = false;

  /** @param people participants of each row */
  constructor(people: Float64Array) {
    this.#root = people.map(Math.sqrt);
    this.#people = people.reduce((a, b) => a + b, 0);
  }

  get size(): number {
    return this.#basis.length;
  }

  /** Takes the column over. */
  add(v: Float64Array, counts = true): void {
    let largest = 0;
    for (let i = 0; i < v.length; i++) {
      v[i]! *= this.#root[i]!;
      // Not "above": what is not a number must not be overlooked.
      if (!(Math.abs(v[i]!) <= largest)) largest = Math.abs(v[i]!);
    }
    if (largest === 0) return;
    // Before squares are taken, which doubles do not hold of all they hold.
    for (let i = 0; i < v.length; i++) v[i]! /= largest;
    const whole = norm(v);
    this.#beyondDoubles ||= !Number.isFinite(largest) || !Number.isFinite(whole);
    for (let i = 0; i < v.length; i++) v[i]! /= whole;
    let left = 1;
    for (let before = 0; left > EXACT && (before === 0 || left < AGAIN * before);) {
      before = left;
      for (const q of this.#basis) subtract(v, q);
      left = norm(v);
    }
    if (!(left > EXACT)) return;
    for (let i = 0; i < v.length; i++) v[i]! /= left;
    this.#basis.push(v);
    if (!counts) this.#uncounted.add(v);
  }

  /** Of a participant of several rows the sums of theirs. */
  shares(owner: Int32Array | null): Shares {
    // Nobody can say whose row does not dominate.
    if (this.#beyondDoubles) return { leverage: 1, sharpest: 1 };
    const n = this.#root.length;
    const shares = new Float64Array(owner === null ? n : 1 + owner.reduce((a, b) => Math.max(a, b), -1));
    const whole = new Float64Array(shares.length);
    let sharpest = this.#basis.length / Math.max(1, this.#people);
    for (const q of this.#basis) {
      if (this.#uncounted.has(q)) continue;
      shares.fill(0);
      for (let i = 0; i < n; i++) {
        const u = q[i]! / this.#root[i]!;
        shares[owner === null ? i : owner[i]!]! += u * u;
      }
      for (let i = 0; i < shares.length; i++) {
        whole[i]! += shares[i]!;
        if (shares[i]! > sharpest) sharpest = shares[i]!;
      }
    }
    const leverage = whole.reduce((a, b) => Math.max(a, b), 0);
    return { leverage: Math.min(1, leverage), sharpest: Math.min(1, sharpest) };
  }
}

function norm(v: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < v.length; i++) sum += v[i]! * v[i]!;
  return Math.sqrt(sum);
}

function subtract(v: Float64Array, q: Float64Array): void {
  let product = 0;
  for (let i = 0; i < v.length; i++) product += q[i]! * v[i]!;
  for (let i = 0; i < v.length; i++) v[i]! -= product * q[i]!;
}
