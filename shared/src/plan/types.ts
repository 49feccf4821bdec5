/**
 * The analysis plan as the programs use it: validated, defaults filled in, terms expanded.
 * `schema.ts` validates the written document; `expand.ts` turns it into these types.
 */

/** A code in the data: a number, or text for a factor's level. Booleans are written 0 and 1. */
export type Code = number | string;

export type FamilyName = 'gaussian' | 'binomial' | 'poisson' | 'cox';

export type Outcome =
  | { readonly kind: 'continuous'; readonly variable: string }
  | { readonly kind: 'binary'; readonly variable: string; readonly event: Code }
  | { readonly kind: 'binary-grouped'; readonly events: string; readonly trials: string }
  | { readonly kind: 'count'; readonly variable: string; readonly exposure: string | null }
  | {
      readonly kind: 'time-to-event';
      readonly time: string;
      readonly event: string;
      /** Time of entry (left truncation); null where everyone is at risk from time 0. */
      readonly entry: string | null;
    };

export interface Treatment {
  readonly variable: string;
  readonly control: Code;
  /** One or more active arms, in the plan's order; rows with any other code are outside the analysis. */
  readonly active: readonly Code[];
}

/** A closed expression language over one row's variables; see `expression.ts`. */
export type Expression =
  | { readonly op: 'and' | 'or'; readonly terms: readonly Expression[] }
  | { readonly op: 'not'; readonly term: Expression }
  | {
      readonly op: '<' | '<=' | '>' | '>=' | '==' | '!=';
      readonly variable: string;
      readonly value: Code;
    }
  | { readonly op: 'in'; readonly variable: string; readonly values: readonly Code[] }
  | { readonly op: 'missing'; readonly variable: string };

/** One factor of a design column's product. `centred` subtracts the study's own mean over its analysis set. */
export type Basis =
  | { readonly kind: 'intercept' }
  /** 1 in this active arm, 0 elsewhere. */
  | { readonly kind: 'treatment'; readonly arm: Code }
  | { readonly kind: 'linear'; readonly variable: string; readonly centred: boolean }
  /** 1 where the variable has this level. */
  | {
      readonly kind: 'level';
      readonly variable: string;
      readonly level: Code;
      readonly centred: boolean;
    }
  /**
   * Column `index` (0 = the variable itself, 1 … k−2 the cubic parts) of Harrell's restricted cubic
   * spline basis with k knots, divided by the squared knot range (Hmisc::rcspline.eval norm = 2).
   */
  | {
      readonly kind: 'rcs';
      readonly variable: string;
      readonly knots: readonly number[];
      readonly index: number;
      readonly centred: boolean;
    };

export type ColumnRole = 'intercept' | 'treatment' | 'adjust' | 'modifier' | 'within';

/** One parameter of an analysis: its term name in the result and the product of bases that makes its column. */
export interface DesignColumn {
  readonly term: string;
  readonly role: ColumnRole;
  readonly product: readonly Basis[];
}

export type Tau2Method = 'FE' | 'DL' | 'REML' | 'ML' | 'PM' | 'EB' | 'SJ' | 'HE' | 'HS';
export type CiMethod = 'normal' | 'HKSJ' | 'HKSJ-adhoc';

export interface Pool {
  readonly tau2: Tau2Method;
  readonly ci: CiMethod;
  /** Confidence level, e.g. 0.95. */
  readonly level: number;
  readonly prediction: boolean;
  /** Terms that stage two pools, jointly where there is more than one. */
  readonly terms: readonly string[];
}

export interface EffectModifier {
  readonly variable: string;
  readonly form: 'linear' | 'factor' | 'rcs';
  readonly separate: boolean;
}

export interface Analysis {
  readonly id: string;
  readonly approach: 'two-stage' | 'one-stage';
  /** Of an unsupported family: the supported one whose estimates are on the same scale. */
  readonly family: FamilyName;
  readonly ties: 'efron' | 'breslow';
  /** Variables whose combinations are the strata of a Cox model's baseline hazard. */
  readonly strata: readonly string[];
  /** Variable added to the linear predictor with coefficient 1; null where there is none. */
  readonly offset: string | null;
  /** Empty where the analysis is unsupported. */
  readonly columns: readonly DesignColumn[];
  readonly effectModifier: EffectModifier | null;
  readonly pool: Pool;
  /** Why this version cannot compute the analysis, or null where it can. */
  readonly unsupported: string | null;
}

/** A factor without declared levels: its levels are agreed in a metadata round before the analyses are expanded. */
export interface ExpandedPlan {
  readonly id: string;
  readonly title: string;
  readonly registration: string | null;
  readonly studies: 'all' | readonly string[];
  readonly population: Expression | null;
  readonly populationText: string | null;
  readonly treatment: Treatment | null;
  /** An ordinal or repeated outcome, whose analyses are all unsupported, stands here as its variable, continuous. */
  readonly outcome: Outcome;
  /** Levels of each factor, reference first: declared by the plan or agreed. */
  readonly levels: Readonly<Record<string, readonly Code[]>>;
  /** Factors whose levels the plan does not declare and that are not agreed yet. */
  readonly undeclared: readonly string[];
  readonly minimumStudies: number;
  /** Seconds a round may take before the sites that have not answered are left out. */
  readonly timeLimit: number;
  readonly analyses: readonly Analysis[];
}
