import type { HarmonisationMap } from '@concordat/shared/plan/map.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { inPopulation } from './analysis-set.ts';
import type { ReadOptions } from './database.ts';
import { loadVariables, populationVariables } from './load.ts';
import { codeAt, columnOf, isMissing, type Table } from './table.ts';

export interface VariableLevels {
  readonly variable: string;
  /** Distinct codes with their participants in the plan's population: numbers ascending, or texts in code-unit order. */
  readonly levels: readonly { readonly code: Code; readonly participants: number }[];
}

/**
 * The levels of factors whose levels a plan leaves to be agreed. The gate, not this function, decides which may leave.
 * Throws `data/*` as reading does.
 */
export async function factorLevels(
  path: string,
  { population }: Pick<ExpandedPlan, 'population'>,
  variables: readonly string[],
  map: HarmonisationMap | null,
  options: ReadOptions = {},
): Promise<VariableLevels[]> {
  const table = await loadVariables(path, [...variables, ...populationVariables(population)], map, options);
  const within = inPopulation({ population }, table);
  return variables.map((variable) => ({ variable, levels: countLevels(table, variable, within) }));
}

function countLevels(table: Table, variable: string, within: Uint8Array): VariableLevels['levels'] {
  const column = columnOf(table, variable);
  const raw: Int32Array | Float64Array = column.kind === 'text' ? column.codes : column.values;
  const counts = new Map<number, { row: number; participants: number }>();
  for (let row = 0; row < table.rows; row++) {
    if (within[row] === 0 || isMissing(column, row)) continue;
    const level = counts.get(raw[row]!);
    if (level === undefined) counts.set(raw[row]!, { row, participants: 1 });
    else level.participants++;
  }
  return [...counts.values()]
    .map(({ row, participants }) => ({ code: codeAt(column, row)!, participants }))
    .toSorted((a, b) => (a.code < b.code ? -1 : 1));
}
