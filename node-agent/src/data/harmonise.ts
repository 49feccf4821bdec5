import { ConcordatError } from '@concordat/shared/errors.ts';
import type { HarmonisationMap } from '@concordat/shared/plan/map.ts';
import { columnOf, columnOfLabels, matchCodes, numbersOf, type Column, type Table } from './table.ts';

type MappedVariable = HarmonisationMap['variables'][string];

/** The file's column for each of the plan's variables: the map's, or else the one of the same name. */
export function sourceColumn(map: HarmonisationMap | null, variable: string): string {
  return entryOf(map, variable)?.from ?? variable;
}

/**
 * The plan's `variables` from a study's own columns. A mapped variable is its source column with, in this order: the
 * codes in `missing` missing, the codes in `values` replaced, multiplied by `multiply`, and `add` added. Variables whose
 * column the table does not hold are left out.
 *
 * Throws `data/impossible-code` where `values` does not name a code that occurs, `data/not-numeric` where text is scaled.
 */
export function harmonise(table: Table, map: HarmonisationMap | null, variables: readonly string[]): Table {
  const columns = new Map<string, Column>();
  for (const variable of variables) {
    const entry = entryOf(map, variable);
    const source = sourceColumn(map, variable);
    if (!table.columns.has(source)) continue;
    const column = columnOf(table, source);
    columns.set(variable, entry === undefined ? column : transform(column, entry, variable));
  }
  return { rows: table.rows, columns, available: table.available };
}

function entryOf(map: HarmonisationMap | null, variable: string): MappedVariable | undefined {
  return map !== null && Object.hasOwn(map.variables, variable) ? map.variables[variable] : undefined;
}

function transform(source: Column, entry: MappedVariable, variable: string): Column {
  let column = source;
  if (entry.missing !== undefined) column = withoutCodes(column, matchCodes(column, entry.missing));
  if (entry.values !== undefined) column = recode(column, entry.values, entry.from, variable);
  if (entry.multiply === undefined && entry.add === undefined) return column;
  const { multiply = 1, add = 0 } = entry;
  return { kind: 'numeric', values: numbersOf(column, entry.from).map((value) => value * multiply + add) };
}

function withoutCodes(column: Column, matches: Int32Array): Column {
  if (column.kind === 'numeric') {
    return { kind: 'numeric', values: column.values.map((value, i) => (matches[i]! >= 0 ? NaN : value)) };
  }
  return columnOfLabels(
    column.codes.map((code, i) => (matches[i]! >= 0 ? -1 : code)),
    column.labels,
  );
}

function recode(
  column: Column,
  values: NonNullable<MappedVariable['values']>,
  from: string,
  variable: string,
): Column {
  const matches = matchCodes(column, Object.keys(values));
  const unknown = matches.indexOf(-2);
  if (unknown !== -1) {
    const count = matches.reduce((sum, match) => sum + (match === -2 ? 1 : 0), 0);
    throw new ConcordatError(
      'data/impossible-code',
      `column "${from}" holds codes that the map of "${variable}" does not name in ${count} row${count === 1 ? '' : 's'}`,
      {
        place: `column "${from}", row ${unknown + 1}`,
        remedy: 'name every code under `values` or under `missing`',
      },
    );
  }
  return columnOfLabels(matches, Object.values(values));
}
