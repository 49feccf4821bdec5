import { variablesOf } from '@concordat/shared/plan/expression.ts';
import type { HarmonisationMap } from '@concordat/shared/plan/map.ts';
import type { Expression, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { covariateVariables, outcomeVariables } from './analysis-set.ts';
import type { ReadOptions } from './database.ts';
import { harmonise, sourceColumn } from './harmonise.ts';
import { withSource } from './read.ts';
import type { Table } from './table.ts';

/**
 * Reads, once, the variables that the whole plan needs and nothing else, under the plan's names. A variable that
 * the file lacks is left out here: the analyses that use it say so (`data/missing-column`), and the others go on.
 */
export function loadTable(
  path: string,
  plan: ExpandedPlan,
  map: HarmonisationMap | null,
  options: ReadOptions = {},
): Promise<Table> {
  const variables = [
    ...populationVariables(plan.population),
    ...(plan.treatment === null ? [] : [plan.treatment.variable]),
    ...outcomeVariables(plan.outcome),
    ...plan.analyses.flatMap(covariateVariables),
  ];
  return loadVariables(path, variables, map, options);
}

export function populationVariables(population: Expression | null): string[] {
  return population === null ? [] : variablesOf(population);
}

/** Reads those of `variables` that the file holds, as the map derives them. */
export function loadVariables(
  path: string,
  variables: readonly string[],
  map: HarmonisationMap | null,
  options: ReadOptions = {},
): Promise<Table> {
  return withSource(path, options, async (source) => {
    const wanted = [...new Set(variables)];
    const present = wanted
      .map((variable) => sourceColumn(map, variable))
      .filter((name) => source.columns.includes(name));
    return harmonise(await source.read(present), map, wanted);
  });
}
