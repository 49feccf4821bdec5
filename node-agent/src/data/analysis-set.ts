import { evaluateExpression, variablesOf } from '@concordat/shared/plan/expression.ts';
import type { Analysis, Basis, ExpandedPlan, Outcome } from '@concordat/shared/plan/types.ts';
import { codeAt, columnOf, isMissing, matchCodes, type Table } from './table.ts';

/** Rows that are not in the analysis, each counted once, under the first reason that holds, in this order. */
export interface LeftOut {
  /** The population expression is false, or unknown for want of a value. */
  not_in_population: number;
  /** An arm that the plan does not name. */
  other_treatment: number;
  missing_outcome: number;
  missing_treatment: number;
  missing_covariate: number;
}

export interface AnalysisRows {
  /** Table rows of the analysis set, ascending. */
  readonly rows: Int32Array;
  /** Arm of each of them: 0 control, 1 … active in the plan's order; null where the plan names no treatment. */
  readonly arm: Int32Array | null;
  readonly leftOut: LeftOut;
  /** 1 for each table row in the plan's population. */
  readonly within: Uint8Array;
}

export function outcomeVariables(outcome: Outcome): string[] {
  switch (outcome.kind) {
    case 'continuous':
    case 'binary':
    case 'ordinal':
      return [outcome.variable];
    case 'repeated':
      return [outcome.variable, outcome.subject, outcome.visit];
    case 'binary-grouped':
      return [outcome.events, outcome.trials];
    case 'count':
      return [outcome.variable, ...(outcome.exposure === null ? [] : [outcome.exposure])];
    case 'time-to-event':
      return [outcome.time, outcome.event, ...(outcome.entry === null ? [] : [outcome.entry])];
  }
}

/** The covariate that a basis reads; null where it reads the treatment, the visit or none. */
export function variableOf(basis: Basis): string | null {
  if (basis.kind === 'study-mean') return variableOf(basis.of);
  return 'variable' in basis ? basis.variable : null;
}

/** Variables that make an analysis's columns, strata and offset, each once; the treatment and outcome are not among them. */
export function covariateVariables(analysis: Analysis): string[] {
  const ofColumns = analysis.columns.flatMap(({ product }) =>
    product.flatMap((basis) => variableOf(basis) ?? []),
  );
  return [
    ...new Set([...ofColumns, ...analysis.strata, ...(analysis.offset === null ? [] : [analysis.offset])]),
  ];
}

/** Table rows for which the population expression is true; every row where there is none. */
export function inPopulation(
  plan: { readonly population: ExpandedPlan['population'] },
  table: Table,
): Uint8Array {
  const within = new Uint8Array(table.rows);
  const { population } = plan;
  if (population === null) return within.fill(1);
  const columns = new Map(variablesOf(population).map((name) => [name, columnOf(table, name)]));
  let row = 0;
  const value = (variable: string) => codeAt(columns.get(variable)!, row);
  for (; row < table.rows; row++) within[row] = evaluateExpression(population, value) === true ? 1 : 0;
  return within;
}

/** The complete rows of an analysis, or of all of the plan's where it says `participants: common`. Throws `data/missing-column`. */
export function selectRows(plan: ExpandedPlan, analysis: Analysis, table: Table): AnalysisRows {
  const within = inPopulation(plan, table);
  const { treatment } = plan;
  const arms =
    treatment === null
      ? null
      : matchCodes(columnOf(table, treatment.variable), [treatment.control, ...treatment.active]);
  const outcome = outcomeVariables(plan.outcome).map((name) => columnOf(table, name));
  const complete =
    plan.participants === 'common'
      ? [...new Set(plan.analyses.flatMap(covariateVariables))]
      : covariateVariables(analysis);
  const covariates = complete.map((name) => columnOf(table, name));
  const leftOut: LeftOut = {
    not_in_population: 0,
    other_treatment: 0,
    missing_outcome: 0,
    missing_treatment: 0,
    missing_covariate: 0,
  };
  const rows = new Int32Array(table.rows);
  let n = 0;
  for (let row = 0; row < table.rows; row++) {
    if (within[row] === 0) leftOut.not_in_population++;
    else if (arms?.[row] === -2) leftOut.other_treatment++;
    else if (outcome.some((column) => isMissing(column, row))) leftOut.missing_outcome++;
    else if (arms?.[row] === -1) leftOut.missing_treatment++;
    else if (covariates.some((column) => isMissing(column, row))) leftOut.missing_covariate++;
    else rows[n++] = row;
  }
  const kept = rows.slice(0, n);
  return { rows: kept, arm: arms === null ? null : kept.map((row) => arms[row]!), leftOut, within };
}
