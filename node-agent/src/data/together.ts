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
import type { CrossedSet, Factor } from './crossed.ts';
import { distinctLevels } from './response.ts';
import { columnOf, matchCodes, numericValues, type Table } from './table.ts';

/** Facts about an analysis beside others that are linked with it; none where they add nothing. */
export interface Together {
  /** Largest leverage of a participant in all their columns. */
  readonly leverageTogether?: number;
  /** Between the times of all. */
  readonly cells: readonly Cell[];
}

/**
 * @param source what the facts of the analysis itself are of
 * @param others linked ones; columns that these records do not have are no part of what was told of them
 */
export function factsTogether(
  plan: ExpandedPlan,
  own: CrossedSet,
  source: CellSource,
  others: readonly CrossedSet[],
  table: Table,
): Together {
  if (others.some(({ id }) => id === own.id)) return { cells: [] };
  return {
    ...(addsColumns(own, others)
      ? { leverageTogether: largestLeverage(plan, own, source, others, table) }
      : {}),
    cells: cellsTogether(plan, own, source, others),
  };
}

/** Alone, or with the same columns of the same set, it is as its own facts say. */
function addsColumns(own: CrossedSet, others: readonly CrossedSet[]): boolean {
  const known = new Set(own.crossed.columns.map((column) => JSON.stringify(column)));
  return others.some(
    ({ crossed, rows }) =>
      !sameRows(rows, own.rows) || crossed.columns.some((column) => !known.has(JSON.stringify(column))),
  );
}

function sameRows(a: Bitmap, b: Bitmap): boolean {
  for (let w = 0; w < Math.max(a.length, b.length); w++) if ((a[w] ?? 0) !== (b[w] ?? 0)) return false;
  return true;
}

function cellsTogether(
  plan: ExpandedPlan,
  { crossed }: CrossedSet,
  source: CellSource,
  others: readonly CrossedSet[],
): Cell[] {
  const same = others.filter(({ crossed: other }) => other.outcome[0] === crossed.outcome[0]);
  const times = new Set([...crossed.times, ...same.flatMap(({ crossed: other }) => other.times)]);
  if (crossed.times.length === 0 || times.size === crossed.times.length) return [];
  return intervalCell(
    plan,
    [...times].toSorted((a, b) => a - b),
    source,
  );
}

function largestLeverage(
  plan: ExpandedPlan,
  own: CrossedSet,
  { rows: ownRows, weights }: CellSource,
  others: readonly CrossedSet[],
  table: Table,
): number {
  const sets = [...others, own];
  const rows = rowsOf(sets, table.rows);
  const at = new Int32Array(table.rows).fill(-1);
  rows.forEach((row, i) => (at[row] = i));
  const people = new Float64Array(rows.length).fill(1);
  if (weights !== null) ownRows.forEach((row, i) => (people[at[row]!] = weights[i]!));
  const span = new Span(people);
  const done = new Set<string>();
  for (const { crossed, rows: members } of sets) {
    const set = createHash('sha256').update(members).digest('hex');
    for (const column of crossed.columns) {
      const key = JSON.stringify([column, set]);
      if (done.has(key)) continue;
      done.add(key);
      const values = valuesOf(column, table);
      if (values !== null) span.add(spread(values, members, rows));
    }
  }
  const { outcome } = plan;
  const owner =
    outcome.kind === 'repeated' ? distinctLevels(outcome.subject, table, rows, Infinity)!.index : null;
  return span.largest(owner);
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

/** A product over all rows of the table, NaN where a variable is missing; null where the records have no such column. */
function valuesOf(column: readonly Factor[], table: Table): Float64Array | null {
  const out = new Float64Array(table.rows).fill(1);
  for (const factor of column) {
    if (!table.columns.has(factor.variable)) return null;
    const values = factorValues(factor, table);
    if (values === null) return null;
    for (let i = 0; i < out.length; i++) out[i]! *= values[i]!;
  }
  return out;
}

function factorValues(factor: Factor, table: Table): ArrayLike<number> | null {
  const column = columnOf(table, factor.variable);
  // −1: missing, −2: another code.
  if ('code' in factor)
    return Float64Array.from(matchCodes(column, [factor.code]), (k) => (k === -1 ? NaN : k === 0 ? 1 : 0));
  // Of text no number was ever told.
  if (column.kind === 'text') return null;
  const values = numericValues(table, factor.variable);
  return 'knots' in factor ? values.map((x) => rcsBasis(x, factor.knots, factor.index)) : values;
}

/** Deviations from the set's mean at its rows, or ones where all are the same; 0 at the others. */
function spread(values: Float64Array, members: Bitmap, rows: Int32Array): Float64Array {
  let [sum, n, low, high] = [0, 0, Infinity, -Infinity];
  for (const row of rows) {
    const x = values[row]!;
    if (!holds(members, row) || Number.isNaN(x)) continue;
    sum += x;
    n++;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  const centre = low < high ? sum / n : 0;
  return Float64Array.from(rows, (row) => {
    const x = values[row]!;
    return holds(members, row) && !Number.isNaN(x) ? x - centre : 0;
  });
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
  readonly #root: Float64Array;
  #beyondDoubles = false;

  /** @param people participants of each row */
  constructor(people: Float64Array) {
    this.#root = people.map(Math.sqrt);
  }

  add(column: Float64Array): void {
    const v = column.map((value, i) => value * this.#root[i]!);
    const whole = norm(v);
    if (whole === 0) return;
    this.#beyondDoubles ||= !Number.isFinite(whole);
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
  }

  /** Largest leverage of a participant; of one of several rows the sum of theirs. */
  largest(owner: Int32Array | null): number {
    // Nobody can say whose row does not dominate.
    if (this.#beyondDoubles) return 1;
    const n = this.#root.length;
    const shares = new Float64Array(n);
    for (const q of this.#basis)
      for (let i = 0; i < n; i++) shares[owner === null ? i : owner[i]!]! += (q[i]! / this.#root[i]!) ** 2;
    return Math.min(
      1,
      shares.reduce((a, b) => Math.max(a, b), 0),
    );
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
