/**
 * The analysis plan as the programs use it: validated, defaults filled in, terms expanded.
 * `schema.ts` validates the written document; `expand.ts` turns it into these types.
 */

/** A code in the data: a number, or text for a factor's level. Booleans are written 0 and 1. */
export type Code = number | string;

export type FamilyName =
  | 'gaussian'
  | 'binomial'
  | 'poisson'
  | 'negative-binomial'
  | 'ordinal'
  | 'cox'
  | 'weibull'
  | 'piecewise-exponential'
  | 'royston-parmar';

export type Outcome =
  | { readonly kind: 'continuous'; readonly variable: string }
  | { readonly kind: 'binary'; readonly variable: string; readonly event: Code }
  | { readonly kind: 'binary-grouped'; readonly events: string; readonly trials: string }
  | { readonly kind: 'count'; readonly variable: string; readonly exposure: string | null }
  /** Codes of the levels, lowest first. */
  | { readonly kind: 'ordinal'; readonly variable: string; readonly levels: readonly Code[] }
  /** One row a participant and visit. */
  | {
      readonly kind: 'repeated';
      readonly variable: string;
      readonly subject: string;
      readonly visit: string;
      readonly visits: readonly Code[];
    }
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
  | { readonly kind: 'treatment'; readonly arm: Code; readonly centred?: boolean }
  /** 1 at this visit of a repeated outcome. */
  | { readonly kind: 'visit'; readonly visit: Code }
  /** The mean of another basis over the study's analysis set. */
  | { readonly kind: 'study-mean'; readonly of: Basis }
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

export type ColumnRole = 'intercept' | 'treatment' | 'adjust' | 'modifier' | 'within' | 'across';

/** One parameter of an analysis: its term name in the result and the product of bases that makes its column. */
export interface DesignColumn {
  readonly term: string;
  readonly role: ColumnRole;
  readonly product: readonly Basis[];
  /** One-stage: each study has its own coefficient. */
  readonly stratified?: true;
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
  /** `rmst`: restricted mean survival times, which are no likelihood's. */
  readonly family: FamilyName | 'rmst';
  readonly ties: 'efron' | 'breslow';
  /** Variables whose combinations are the strata of a Cox model's baseline hazard. */
  readonly strata: readonly string[];
  /** Variable added to the linear predictor with coefficient 1; null where there is none. */
  readonly offset: string | null;
  /** Empty where the analysis is unsupported. */
  readonly columns: readonly DesignColumn[];
  readonly effectModifier: EffectModifier | null;
  readonly pool: Pool;
  /** Of an analysis in two stages, only the options of the family count. */
  readonly model: ModelSettings;
  readonly inference: Inference;
  /** Why this version cannot compute the analysis, or null where it can. */
  readonly unsupported: string | null;
}

/** Options of a model, defaults filled in; those of other families hold their defaults. */
export interface ModelSettings {
  readonly link: 'identity' | 'log' | 'logit' | null;
  readonly intercept: 'stratified' | 'random';
  readonly treatmentEffect: 'common' | 'random';
  readonly correlated: boolean;
  readonly residual: 'common' | 'stratified';
  readonly estimation: 'ML' | 'REML';
  /** 1: Laplace. */
  readonly quadrature: number;
  readonly thresholds: 'common' | 'stratified';
  readonly baseline: 'stratified' | 'shared';
  readonly frailty: 'gamma' | 'gaussian' | null;
  /** Times of a shared baseline's grid; ends of the intervals. */
  readonly grid: readonly number[];
  readonly penalty: 'firth' | null;
  readonly covariance: 'unstructured' | 'ar1' | 'compound-symmetry';
  /** Inner cuts of a piecewise-constant hazard. */
  readonly cuts: readonly number[];
  /** Knots of a Royston–Parmar model in time units, boundary knots included. */
  readonly knots: readonly number[];
  /** Restriction time of a mean survival time; null elsewhere. */
  readonly tau: number | null;
  readonly contrast: 'difference' | 'ratio';
  readonly timeVarying: TimeVarying | null;
}

/** How the treatment's log hazard ratio changes with time: β + γ·g(t), or a γ for each interval after the first. */
export interface TimeVarying {
  readonly transform: 'identity' | 'log' | 'piecewise';
  readonly cuts: readonly number[];
}

/** Of a one-stage analysis. */
export interface Inference {
  readonly ci: 'wald' | 't' | 'profile';
  readonly df: 'kenward-roger' | 'satterthwaite' | null;
  readonly likelihoodRatio: boolean;
  /** Transform of time of a proportional-hazards test; null: none. */
  readonly proportionalHazards: 'identity' | 'log' | null;
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
  readonly outcome: Outcome;
  /** Levels of each factor, reference first: declared by the plan or agreed. */
  readonly levels: Readonly<Record<string, readonly Code[]>>;
  /** Factors whose levels the plan does not declare and that are not agreed yet. */
  readonly undeclared: readonly string[];
  /** Whether every analysis uses those complete for it, or all use those complete for each. */
  readonly participants: 'per-analysis' | 'common';
  readonly minimumStudies: number;
  /** Seconds a round may take before the sites that have not answered are left out. */
  readonly timeLimit: number;
  /** Seconds that a site's custodian may take to decide. */
  readonly approvalLimit: number;
  readonly analyses: readonly Analysis[];
}
