/** Of which columns an analysis tells cross-products, in words that outlast the plan: the ledger keeps them. */
import type { Bitmap } from '@concordat/shared/disclosure/combinations.ts';
import type { Analysis, Basis, Code, ExpandedPlan, Outcome } from '@concordat/shared/plan/types.ts';

import { outcomeVariables } from './analysis-set.ts';
import { shortDigest, type Members } from './members.ts';

/** A factor of a column's product: 1 where the variable has a code, its number, a spline's part, or one column for each of its codes. */
export type Factor =
  | { readonly variable: string; readonly code: Code }
  | { readonly variable: string; readonly codes: 'each' }
  | { readonly variable: string }
  | { readonly variable: string; readonly knots: readonly number[]; readonly index: number };

export interface Crossed {
  /** What links analyses: variables of the outcome (a repeated one's measurement alone), covariates, offset and strata. */
  readonly variables: readonly string[];
  /** The variable of the arms. */
  readonly treatment: string | null;
  /** Of a time-to-event outcome; null elsewhere. */
  readonly time: { readonly variable: string; readonly event: string } | null;
  /** A product each; the empty one is the analysis set itself. The outcome is a column too: cross-products have no direction. */
  readonly columns: readonly (readonly Factor[])[];
  /** Times at which the analysis parts the follow-up. */
  readonly times: readonly number[];
}

export interface CrossedSet {
  /** The same of the same columns in the same set. */
  readonly id: string;
  readonly crossed: Crossed;
  /** The analysis set, a bit a row. */
  readonly rows: Bitmap;
}

/** Earlier answers, as sets of rows of one state of the file. */
export interface Answered {
  /** The file's content, by its rows' keys; null: nothing was answered. */
  readonly snapshot: string | null;
  readonly sets: readonly CrossedSet[];
}

export const NOTHING_ANSWERED: Answered = { snapshot: null, sets: [] };

/** Names columns in a set: the set's digest, or the members that it is of. */
export function crossedId(crossed: Crossed, set: string | Members): string {
  const of = typeof set === 'string' ? set : shortDigest(set.snapshot, set.analysis ?? '');
  return shortDigest(of, JSON.stringify(crossed));
}

export function crossedBy(plan: Pick<ExpandedPlan, 'treatment' | 'outcome'>, analysis: Analysis): Crossed {
  const { outcome } = plan;
  const { offset, strata, model } = analysis;
  const columns: Factor[][] = [
    [],
    ...analysis.columns.map(({ product }) => product.flatMap((basis) => factorOf(plan, basis))),
    ...outcomeFactors(outcome).map((factor) => [factor]),
    ...(offset === null ? [] : [[{ variable: offset }]]),
    ...strata.map((variable): Factor[] => [{ variable, codes: 'each' }]),
  ];
  const { cuts, grid, knots, tau, timeVarying } = model;
  const times = [...cuts, ...grid, ...knots, ...(timeVarying?.cuts ?? []), ...(tau === null ? [] : [tau])];
  const visits = outcome.kind === 'repeated' ? [outcome.subject, outcome.visit] : [];
  const variables = new Set([
    ...outcomeVariables(outcome),
    ...columns.flat().map(({ variable }) => variable),
  ]);
  return {
    variables: [...variables].filter((variable) => !visits.includes(variable)),
    treatment: plan.treatment?.variable ?? null,
    time: outcome.kind === 'time-to-event' ? { variable: outcome.time, event: outcome.event } : null,
    columns: [...new Map(columns.map((column) => [JSON.stringify(column), column])).values()],
    times: [...new Set(times)].toSorted((a, b) => a - b),
  };
}

function outcomeFactors(outcome: Outcome): Factor[] {
  switch (outcome.kind) {
    case 'binary':
      return [{ variable: outcome.variable, code: outcome.event }];
    case 'ordinal':
      return outcome.levels.slice(1).map((code) => ({ variable: outcome.variable, code }));
    case 'repeated':
      return [{ variable: outcome.variable }];
    case 'time-to-event':
      // The event is told beside the hazard until then, of however few have none: `spanOf` holds it against others' alone.
      return [{ variable: outcome.time }, ...(outcome.entry === null ? [] : [{ variable: outcome.entry }])];
    default:
      return outcomeVariables(outcome).map((variable) => ({ variable }));
  }
}

/** Centring changes no span: the variable's own column, or the intercept, is there as well. */
function factorOf(
  { treatment, outcome }: Pick<ExpandedPlan, 'treatment' | 'outcome'>,
  basis: Basis,
): Factor[] {
  switch (basis.kind) {
    case 'intercept':
    case 'study-mean':
      return [];
    case 'treatment':
      return treatment === null ? [] : [{ variable: treatment.variable, code: basis.arm }];
    case 'visit':
      return outcome.kind === 'repeated' ? [{ variable: outcome.visit, code: basis.visit }] : [];
    case 'linear':
      return [{ variable: basis.variable }];
    case 'level':
      return [{ variable: basis.variable, code: basis.level }];
    case 'rcs':
      return basis.index === 0
        ? [{ variable: basis.variable }]
        : [{ variable: basis.variable, knots: basis.knots, index: basis.index }];
  }
}

/** What has to be read to make the columns again. */
export const variablesCrossed = ({ columns, time }: Crossed): string[] => [
  ...new Set([...columns.flat().map(({ variable }) => variable), ...(time === null ? [] : [time.event])]),
];

/** Whether both tell sums of one variable, other than that of the arms of both, which nearly all analyses have. */
export function linked(a: Crossed, b: Crossed): boolean {
  const arms = a.treatment === b.treatment ? a.treatment : null;
  return b.variables.some((variable) => variable !== arms && a.variables.includes(variable));
}
