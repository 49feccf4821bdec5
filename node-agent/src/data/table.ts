import { ConcordatError } from '@concordat/shared/errors.ts';
import { codeKey, codeNumber } from '@concordat/shared/plan/codes.ts';
import { nearest } from '@concordat/shared/plan/suggest.ts';
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

/** `data/missing-column` for all of `names` at once, each with the file's own name that comes near it. */
export function missingColumns(names: readonly string[], available: readonly string[]): ConcordatError {
  const described = names.map((name) => {
    const near = nearest(name, available);
    return near === null ? `"${name}"` : `"${name}" (the file has "${near}")`;
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
  return numbersOf(columnOf(table, name), name);
}

/** As `numericValues`, of a column in hand. */
export function numbersOf(column: Column, name: string): Float64Array {
  if (column.kind === 'numeric') return column.values;
  const numbers = column.labels.map(codeNumber);
  const row = column.codes.findIndex((code) => code !== -1 && numbers[code] === null) + 1;
  const decimalComma = /^[+-]?\d+,\d+$/.test(column.labels[column.codes[row - 1]!]!);
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
  const byKey = new Map(codes.map((code, index) => [codeKey(code), index]));
  if (column.kind === 'text') {
    const byLabel = column.labels.map((label) => byKey.get(codeKey(label)) ?? -2);
    return column.codes.map((code) => (code === -1 ? -1 : byLabel[code]!));
  }
  const byNumber = new Map<number, number>();
  codes.forEach((code, index) => {
    const number = codeNumber(code);
    if (number !== null) byNumber.set(number, index);
  });
  const matches = new Int32Array(column.values.length);
  for (let i = 0; i < matches.length; i++) {
    const value = column.values[i]!;
    matches[i] = Number.isNaN(value) ? -1 : (byNumber.get(value) ?? -2);
  }
  return matches;
}

/**
 * A column from each row's index into `labels` (−1 missing): numeric where every label that occurs is a number. Labels that
 * are the same code become one.
 */
export function columnOfLabels(codes: Int32Array, labels: readonly Code[]): Column {
  const occurs = new Set(codes);
  const numbers = labels.map(codeNumber);
  if (!labels.some((_, i) => occurs.has(i) && numbers[i] === null)) {
    return { kind: 'numeric', values: Float64Array.from(codes, (code) => numbers[code] ?? NaN) };
  }
  const keys = labels.map(codeKey);
  const distinct = [...new Set(keys)];
  const position = new Map(distinct.map((key, i) => [key, i]));
  const merged = keys.map((key) => position.get(key)!);
  return { kind: 'text', codes: codes.map((code) => (code === -1 ? -1 : merged[code]!)), labels: distinct };
}
