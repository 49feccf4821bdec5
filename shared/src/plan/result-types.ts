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
  /** Mean of the effect modifier's columns in the analysis set, in term order. */
  readonly modifier_means?: readonly { readonly term: string; readonly mean: number }[];
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
