import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Code } from '@concordat/shared/plan/types.ts';

/**
 * A study's records as columns. A column whose every value is a number is numeric; any other is text, as codes into
 * its labels. Missing is NaN in `values` and −1 in `codes`; neither leaves this folder.
 */
export type Column =
  | { readonly kind: 'numeric'; readonly values: Float64Array }
  | { readonly kind: 'text'; readonly codes: Int32Array; readonly labels: readonly string[] };

export interface Table {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, Column>;
  /** Every column name of the file, loaded or not: for messages about a missing one. */
  readonly available: readonly string[];
}

/** The number that a text holds (surrounding spaces allowed), or null where it is not a finite decimal number. */
export function parseNumber(text: string): number | null {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : null;
}

/** Throws `data/missing-column` for all of `names` at once, each with the file's own names that come near it. */
export function missingColumns(names: readonly string[], available: readonly string[]): ConcordatError {
  const described = names.map((name) => {
    const near = available.filter((other) => isNear(name, other)).slice(0, 3);
    return near.length === 0 ? `"${name}"` : `"${name}" (the file has ${near.map((n) => `"${n}"`).join(', ')})`;
  });
  return new ConcordatError('data/missing-column', `the file has no column ${described.join(', ')}`, {
    place: `column ${names.map((n) => `"${n}"`).join(', ')}`,
    remedy: 'rename the column in the file, or map it to the plan’s variable in a harmonisation map',
  });
}

/** The column of a variable; throws `data/missing-column`. */
export function columnOf(table: Table, name: string): Column {
  const column = table.columns.get(name);
  if (column === undefined) throw missingColumns([name], table.available);
  return column;
}

/** A variable used as a number, NaN where missing; throws `data/not-numeric` with the first row that holds text. */
export function numericValues(table: Table, name: string): Float64Array {
  const column = columnOf(table, name);
  if (column.kind === 'numeric') return column.values;
  const bad = column.labels.findIndex((label) => parseNumber(label) === null);
  const row = column.codes.indexOf(bad) + 1;
  const decimalComma = /^[+-]?\d+,\d+$/.test(column.labels[bad] ?? '');
  throw new ConcordatError(
    'data/not-numeric',
    decimalComma
      ? `column "${name}" is used as a number but is written with decimal commas`
      : `column "${name}" is used as a number but is coded as text`,
    {
      place: `column "${name}", row ${row}`,
      remedy: decimalComma
        ? 'write the file with decimal points'
        : `use factor(${name}) in the plan where it is a covariate, or recode it to numbers in a harmonisation map`,
    },
  );
}

export function isMissing(column: Column, row: number): boolean {
  return column.kind === 'numeric' ? Number.isNaN(column.values[row]) : column.codes[row] === -1;
}

/** One row's value as a code; null where missing. */
export function codeAt(column: Column, row: number): Code | null {
  if (column.kind === 'text') return column.labels[column.codes[row]!] ?? null;
  const value = column.values[row]!;
  return Number.isNaN(value) ? null : value;
}

/**
 * Where in `codes` each row's value stands: −1 missing, −2 none of them. Codes are equal when both are the same
 * number, however written, or else the same text.
 */
export function matchCodes(column: Column, codes: readonly Code[]): Int32Array {
  const numbers = new Map<number, number>();
  const texts = new Map<string, number>();
  codes.forEach((code, index) => {
    const number = typeof code === 'number' ? code : parseNumber(code);
    if (number === null) texts.set(String(code), index);
    else numbers.set(number, index);
  });
  if (column.kind === 'numeric') {
    return Int32Array.from(column.values, (value) => (Number.isNaN(value) ? -1 : (numbers.get(value) ?? -2)));
  }
  const byLabel = column.labels.map((label) => {
    const number = parseNumber(label);
    return (number === null ? texts.get(label) : numbers.get(number)) ?? -2;
  });
  return column.codes.map((code) => (code === -1 ? -1 : byLabel[code]!));
}

/** Names that differ in case, punctuation or one or two letters are near. */
function isNear(a: string, b: string): boolean {
  const [x, y] = [a, b].map((s) => s.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')) as [string, string];
  if (x === y) return true;
  if (Math.abs(x.length - y.length) > 2 || Math.min(x.length, y.length) < 3 || x.length > 100) return false;
  let previous = Array.from({ length: y.length + 1 }, (_, j) => j);
  for (let i = 1; i <= x.length; i++) {
    const current = [i];
    for (let j = 1; j <= y.length; j++) {
      const substituted = previous[j - 1]! + (x[i - 1] === y[j - 1] ? 0 : 1);
      current.push(Math.min(substituted, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[y.length]! <= (Math.min(x.length, y.length) > 5 ? 2 : 1);
}
