import type { HarmonisationMap } from '@concordat/shared/plan/map.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import type { ReadOptions } from './database.ts';
import { loadVariables, populationVariables } from './load.ts';
import { codeAt, columnOf, isMissing, type Table } from './table.ts';

export interface VariableLevels {
  readonly variable: string;
  /** Distinct codes with their participants in the plan's population: numbers ascending, or texts in code-unit order. */
  readonly levels: readonly { readonly code: Code; readonly participants: number }[];
}

/** What `factorLevels` looks at. Throws `data/*` as reading does. */
export function levelsTable(
  path: string,
  { population, outcome }: Pick<ExpandedPlan, 'population' | 'outcome'>,
  variables: readonly string[],
  map: HarmonisationMap | null,
  options: ReadOptions = {},
): Promise<Table> {
  const subject = outcome.kind === 'repeated' ? [outcome.subject] : [];
  return loadVariables(path, [...variables, ...populationVariables(population), ...subject], map, options);
}

/** The levels of factors whose levels a plan leaves to be agreed. The gate, not this function, decides which may leave. */
export function factorLevels(
  { outcome }: Pick<ExpandedPlan, 'outcome'>,
  variables: readonly string[],
  table: Table,
  within: Uint8Array,
): VariableLevels[] {
  const subject = outcome.kind === 'repeated' && table.columns.has(outcome.subject) ? outcome.subject : null;
  return variables.map((variable) => ({ variable, levels: countLevels(table, variable, within, subject) }));
}

/** `subject`: the participants' variable where they have several rows. */
function countLevels(
  table: Table,
  variable: string,
  within: Uint8Array,
  subject: string | null,
): VariableLevels['levels'] {
  const column = columnOf(table, variable);
  const raw: Int32Array | Float64Array = column.kind === 'text' ? column.codes : column.values;
  const person = subject === null ? null : columnOf(table, subject);
  const seen = new Set<string>();
  const counts = new Map<number, { row: number; participants: number }>();
  for (let row = 0; row < table.rows; row++) {
    if (within[row] === 0 || isMissing(column, row)) continue;
    if (person !== null) {
      const once = JSON.stringify([raw[row], codeAt(person, row)]);
      if (seen.has(once)) continue;
      seen.add(once);
    }
    const level = counts.get(raw[row]!);
    if (level === undefined) counts.set(raw[row]!, { row, participants: 1 });
    else level.participants++;
  }
  return [...counts.values()]
    .map(({ row, participants }) => ({ code: codeAt(column, row)!, participants }))
    .toSorted((a, b) => (a.code < b.code ? -1 : 1));
}
