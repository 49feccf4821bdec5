/** Says in plain language what an agreement allows and what a plan asks. */

/** One analysis of a plan, as a custodian is told of it. */
export interface AnalysisExplanation {
  readonly id: string;
  /** Approach and model in words. */
  readonly model: string;
  readonly terms: readonly string[];
  /** What would leave, in words: shapes, counts of numbers, rounds. */
  readonly leaves: readonly string[];
}

export interface PlanExplanation {
  readonly id: string;
  readonly title: string;
  readonly registration: string | null;
  /** The statistician by the agreement's name for the key, or what is known of who asks. */
  readonly asker: string;
  readonly sites: readonly string[];
  readonly minimumSites: number;
  readonly outcome: string;
  readonly population: string | null;
  /** Each variable, and what it is used for. */
  readonly variables: readonly { readonly variable: string; readonly uses: readonly string[] }[];
  /** What leaves before the analyses: levels of factors that the plan does not name. */
  readonly levels: readonly string[];
  readonly analyses: readonly AnalysisExplanation[];
  /** Why the agreement does not allow it; empty where it does. */
  readonly faults: readonly string[];
  /** Against the plan of the same id that was offered before; empty where there was none, or nothing changed. */
  readonly differences: readonly string[];
}
