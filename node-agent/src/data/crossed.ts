/** Of which columns an analysis tells cross-products, in words that outlast the plan: the ledger keeps them. */
import type { Bitmap } from '@concordat/shared/disclosure/combinations.ts';
import type { Analysis, Basis, Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { outcomeVariables } from './analysis-set.ts';
import { shortDigest, type Members } from './members.ts';

/** A factor of a column's product: 1 where the variable has a code, its number, or a spline's part. */
export type Factor =
  | { readonly variable: string; readonly code: Code }
  | { readonly variable: string }
  | { readonly variable: string; readonly knots: readonly number[]; readonly index: number };

export interface Crossed {
  readonly outcome: readonly string[];
  /** The variable of the arms. */
  readonly treatment: string | null;
  /** A product each; the empty one is the analysis set itself. */
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
  const columns = [
    [],
    ...analysis.columns.map(({ product }) => product.flatMap((basis) => factorOf(plan, basis))),
  ];
  const { cuts, grid, knots, tau, timeVarying } = analysis.model;
  const times = [
    ...cuts,
    ...grid,
    ...knots.slice(1, -1),
    ...(timeVarying?.cuts ?? []),
    ...(tau === null ? [] : [tau]),
  ];
  return {
    outcome: outcomeVariables(plan.outcome),
    treatment: plan.treatment?.variable ?? null,
    columns: [...new Map(columns.map((column) => [JSON.stringify(column), column])).values()],
    times: [...new Set(times)].toSorted((a, b) => a - b),
  };
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

export const variablesCrossed = (crossed: Crossed): string[] => [
  ...new Set([...crossed.outcome, ...crossed.columns.flat().map(({ variable }) => variable)]),
];

/**
 * Whether both tell sums of one variable: the outcome's by the columns, or a covariate's by those beside it. That of the arms alone, which
 * nearly all analyses have, does not link them.
 */
export function linked(a: Crossed, b: Crossed): boolean {
  const of = (crossed: Crossed): string[] =>
    variablesCrossed(crossed).filter((variable) => variable !== crossed.treatment);
  const known = new Set(of(a));
  return of(b).some((variable) => known.has(variable));
}
