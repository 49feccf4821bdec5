/** The published result (`result.json`), format 1. `result-schema.ts` holds its JSON Schema. */

export interface Warning {
  /** Closed set, documented in docs/warnings.md. */
  readonly code: string;
  readonly message: string;
  readonly study?: string;
  readonly term?: string;
}

export interface Reason {
  readonly code: string;
  readonly message: string;
}

export interface StudyResult {
  readonly study: string;
  readonly status: 'included' | 'excluded' | 'refused' | 'unreachable';
  readonly reason?: Reason;
  /** Per arm: `control`, `active` (one active arm) or the arm's code; `total` without a treatment; null where not released. */
  readonly participants: Readonly<Record<string, number>> | null;
  /** Rows left out at the site, by reason; their sum is participants.left_out. */
  readonly left_out_by_reason?: Readonly<Record<string, number>>;
  readonly events?: Readonly<Record<string, number>> | null;
  readonly estimates?: readonly { readonly term: string; readonly estimate: number; readonly se: number }[];
  readonly vcov?: readonly (readonly number[])[];
  readonly log_likelihood?: { readonly null: number | null; readonly fitted: number } | null;
  /** Mean, and in one stage standard deviation, of the effect modifier's columns in the analysis set, in term order. */
  readonly modifier_means?: readonly { readonly term: string; readonly mean: number; readonly sd?: number }[];
  /** Weight in the (univariate) pooled estimate, percent. */
  readonly weight?: number | null;
  readonly warnings?: readonly Warning[];
}

export interface PooledTerm {
  readonly term: string;
  readonly estimate: number | null;
  readonly se: number | null;
  readonly ci: readonly [number, number] | null;
  readonly statistic: number | null;
  /** Degrees of freedom of a t statistic; null where the reference distribution is normal. */
  readonly df: number | null;
  readonly p: number | null;
  readonly prediction: readonly [number, number] | null;
}

export interface Heterogeneity {
  readonly tau2: number | null;
  readonly tau2_se: number | null;
  readonly tau2_ci: readonly [number, number] | null;
  readonly q: number | null;
  readonly q_df: number | null;
  readonly q_p: number | null;
  /** Percent. */
  readonly i2: number | null;
  readonly h2: number | null;
}

/** Stage two over several terms at once (multivariate random effects, or common effect). */
export interface JointPool {
  readonly terms: readonly string[];
  /** Between-study covariance matrix, in term order. */
  readonly sigma: readonly (readonly number[])[];
  /** Between-study correlations, in term order; null where a variance is zero. */
  readonly correlations: readonly (readonly (number | null)[])[];
  readonly q: number | null;
  readonly q_df: number | null;
  readonly q_p: number | null;
  readonly log_likelihood: number | null;
}

/** One of several pooled terms, pooled by itself: what the joint estimate is compared with. */
export interface SeparatePool {
  readonly term: string;
  readonly pooled: PooledTerm;
  readonly heterogeneity: Heterogeneity;
}

interface AnalysisCommon {
  readonly status: 'done' | 'failed' | 'refused';
  /** Why the analysis is not done; absent where it is. */
  readonly reason?: Reason;
  /** E.g. `log hazard ratio`: the scale of every estimate of this analysis. */
  readonly measure: string;
  readonly studies: readonly StudyResult[];
  readonly warnings: readonly Warning[];
}

/** Where the status is not `done`: empty lists and nulls. */
export interface TwoStageResult extends AnalysisCommon {
  readonly approach: 'two-stage';
  readonly pooled: readonly PooledTerm[];
  readonly heterogeneity: Heterogeneity | null;
  /** The term that `heterogeneity` is about: the first within-trial interaction, else the first pooled one; null where there is none. */
  readonly heterogeneity_term: string | null;
  /** Null where one term is pooled. */
  readonly joint: JointPool | null;
  readonly separate: readonly SeparatePool[];
  /** Differences between active arms, from the joint estimate, and within-trial minus across-trial interactions. */
  readonly contrasts: readonly PooledTerm[];
}

export interface Coefficient {
  readonly term: string;
  readonly estimate: number | null;
  readonly se: number | null;
  readonly ci: readonly [number, number] | null;
  readonly statistic: number | null;
  /** Degrees of freedom of a t statistic; null where the reference distribution is normal. */
  readonly df: number | null;
  readonly p: number | null;
}

export interface Test {
  /** Where the test is one study's own. */
  readonly study?: string;
  /** `likelihood ratio`, `proportional hazards`, … */
  readonly test: string;
  /** The term that is tested; `global` where all are. */
  readonly term: string;
  /** Chi-square. */
  readonly statistic: number | null;
  readonly df: number;
  readonly p: number | null;
}

export interface Convergence {
  readonly converged: boolean;
  readonly rounds: number;
  readonly gradient_norm: number | null;
  readonly bytes_up: number;
  readonly bytes_down: number;
}

/** Where the status is not `done`: empty lists and nulls. */
export interface OneStageResult extends AnalysisCommon {
  readonly approach: 'one-stage';
  readonly coefficients: readonly Coefficient[];
  readonly vcov: readonly (readonly number[])[];
  readonly random_effects: readonly { readonly term: string; readonly variance: number | null }[];
  readonly correlations: readonly (readonly (number | null)[])[];
  /** Gaussian only; one entry without `study` where the variance is common. */
  readonly residual_variance: readonly { readonly study?: string; readonly variance: number | null }[];
  /** Of a repeated outcome: the covariance between visits, in the plan's order. */
  readonly visit_covariance?: readonly (readonly number[])[];
  readonly log_likelihood: number | null;
  readonly tests: readonly Test[];
  /** Empirical Bayes predictions of studies' random effects, where their policies let them leave. */
  readonly predicted: readonly {
    readonly study: string;
    readonly term: string;
    readonly estimate: number;
    readonly se: number;
  }[];
  readonly convergence: Convergence | null;
}

export type AnalysisResult = TwoStageResult | OneStageResult;

/** One invited site, over the whole run. */
export interface SiteResult {
  readonly study: string;
  /** `answered`: at least one release left the site for this run. */
  readonly status: 'answered' | 'excluded' | 'refused' | 'unreachable';
  /** Why the site is missing; absent where it answered. */
  readonly reason?: Reason;
}

export interface Result {
  readonly result: 1;
  /** `sha256`: of the bytes of the plan file as written, hex. */
  readonly plan: { readonly id: string; readonly sha256: string };
  readonly run: {
    readonly id: string;
    /** RFC 3339, UTC. */
    readonly started: string;
    readonly finished: string;
    /** `concordat x.y.z`. */
    readonly software: string;
    /** The disclosure policy that every site enforced, where the run set it (`concordat local`); null where each site has its own. */
    readonly policy: { readonly name: string; readonly sha256: string; readonly open: boolean } | null;
    readonly sites: readonly SiteResult[];
  };
  /** By analysis id, in the plan's order. */
  readonly analyses: Readonly<Record<string, AnalysisResult>>;
}
