import type { Scaling } from '../models/blocks.ts';
import type { ModelOptions, Objective, StudyData } from '../models/types.ts';
import type { TimeVaryingEffects } from '../models/cox-time-varying.ts';

/**
 * A one-stage analysis in numbers, made from the plan, the same at every site and at the coordinator.
 *
 * φ, the parameters of one study's conditional log-likelihood: the coefficients of the design's columns, then what the
 * family has besides (thresholds, a log dispersion). ψ, what the federation estimates: φ without what is stratified by
 * study, then the random effects' standard deviations as the entries of the Cholesky factor Λ of their covariance matrix.
 */
export interface OneStageSpec {
  readonly kind: 'likelihood' | 'gaussian' | 'mmrm' | 'firth' | 'frailty';
  readonly options: ModelOptions;
  /** Names of φ: the columns' terms, then the family's own; length p. */
  readonly terms: readonly string[];
  /** How many of them are the design's columns. */
  readonly columns: number;
  /** Position of the column of ones; −1 where the model has none. */
  readonly intercept: number;
  /** Positions of the treatment's columns, 0/1 or centred within study. */
  readonly treatment: readonly number[];
  /** Positions in φ that each study has for itself, and that its site maximises over; ascending. */
  readonly stratified: readonly number[];
  /** The treatment's columns arrive centred within study. */
  readonly centredTreatment: boolean;
  /** Positions of the treatment's and its interactions' terms, which tests and profile intervals are about. */
  readonly tested: readonly number[];
  /** Terms and the columns that make each, e.g. the levels of a factor. */
  readonly groups: readonly { readonly term: string; readonly columns: readonly number[] }[];
  /** At most two: what they vary, and the direction (length p) in φ along which they move a study. */
  readonly random: readonly { readonly term: string; readonly direction: Float64Array }[];
  readonly correlated: boolean;
  /** 1: Laplace; else adaptive Gauss–Hermite points a random effect. */
  readonly points: number;
  /** Gaussian. */
  readonly residual: 'common' | 'stratified';
  readonly estimation: 'ML' | 'REML';
  /** Between the visits of a repeated outcome. */
  readonly covariance?: 'unstructured' | 'ar1' | 'compound-symmetry';
  /** How many they are. */
  readonly visits?: number;
  /** Times that end the intervals of a shared baseline, and the distribution of the studies' frailties. */
  readonly grid?: Float64Array;
  readonly frailty?: 'gamma' | 'gaussian';
  /** Treatment effect that changes with time (cox). */
  readonly timeVarying: TimeVaryingEffects | null;
  readonly inference: InferenceOptions;
}

export interface InferenceOptions {
  /** Confidence level, e.g. 0.95. */
  readonly level: number;
  readonly ci: 'wald' | 't' | 'profile';
  /** Gaussian with random effects: degrees of freedom of t statistics; null: none. */
  readonly df: 'kenward-roger' | 'satterthwaite' | null;
  /** Likelihood-ratio tests of the treatment's and the interaction's terms. */
  readonly likelihoodRatio: boolean;
  /** Transform of time of the test of proportional hazards (cox); null: none. */
  readonly proportionalHazards: 'identity' | 'log' | null;
}

/** What is known before the first question about parameters. Scaling and start are the federation's, not a site's. */
export interface Entry {
  /** Studies that take part, and their participants. */
  readonly studies: number;
  readonly n: number;
  readonly scaling: Scaling;
  /** Of φ, in standardised columns, at least where it is not stratified. */
  readonly start: Float64Array;
  /** Of the random effects' standard deviations. */
  readonly sd: Float64Array;
}

/** What the sites are asked for, and what an answer of theirs is. */
export const OBJECTIVES = [
  'log-likelihood',
  'laplace-log-likelihood',
  'sufficient-statistics',
  'generalised-least-squares',
  'firth-score',
  'risk-sets',
  'proportional-hazards',
  'study-effects',
  'expected-information',
] as const;

export interface Ask {
  readonly objective: (typeof OBJECTIVES)[number];
  readonly theta: Float64Array;
  readonly order: 0 | 1 | 2;
  /** Numbers of an answer. */
  readonly length: number;
  /** Whether the coordinator goes on from the sum of the answers alone, or from each. */
  readonly gather: 'sum' | 'each';
}

/** One entry for a sum; for `each` one a study, in the roster's order. */
export type Gathered = readonly Float64Array[];

/**
 * A pure coroutine: asks, receives, returns. The coordinator drives it with the sites' answers; a site, and an auditor,
 * drive it with the sums that they were told, and so know which question is the honest next one.
 */
export type Program = Generator<Ask, OneStageFit, Gathered>;

export interface OneStageModel {
  program(spec: OneStageSpec, entry: Entry): Program;
  /**
   * One study's side: its answer to each question. `data` holds the columns as they are; `scaling` standardises them.
   * `objectiveOf` makes the family's log-likelihood of the rows, where it is to be made in another way than here.
   */
  study(
    spec: OneStageSpec,
    data: StudyData,
    scaling: Scaling,
    objectiveOf?: ObjectiveOf,
  ): (ask: Ask) => Float64Array;
}

export type ObjectiveOf = (data: StudyData, options: ModelOptions, scaling: Scaling | null) => Objective;

/** Of one fit, on the columns' own scale. No number is NaN: what was not computed is null, or not there. */
export interface OneStageFit {
  /** Null: the fit stands. */
  readonly failure: { readonly code: OneStageFailureCode; readonly terms: readonly string[] } | null;
  readonly coefficients: readonly FittedCoefficient[];
  /** Packed lower triangle over `coefficients`. */
  readonly vcov: Float64Array;
  readonly randomEffects: readonly { readonly term: string; readonly variance: number }[];
  /** Packed with unit diagonal; null entries where a variance is zero. Empty without random effects. */
  readonly correlations: readonly (number | null)[];
  /** Gaussian: `study` is the position among the studies, null where the variance is common. */
  readonly residualVariance: readonly { readonly study: number | null; readonly variance: number }[];
  /** Of a repeated outcome: covariance between the visits, packed. */
  readonly visitCovariance?: Float64Array;
  readonly logLikelihood: number | null;
  readonly tests: readonly FittedTest[];
  /** Empirical Bayes predictions of studies' random effects, where their sites told them. */
  readonly predicted: readonly PredictedEffect[];
  /** Questions about parameters that the fit took. */
  readonly rounds: number;
  /** Of the last question, in standardised parameters. */
  readonly gradientNorm: number | null;
  readonly warnings: readonly OneStageWarning[];
}

export interface FittedCoefficient {
  readonly term: string;
  /** Position among the studies where the coefficient is one study's own. */
  readonly study?: number;
  readonly estimate: number;
  readonly se: number | null;
  /** Degrees of freedom of a t statistic; null: normal. */
  readonly df: number | null;
  /** Profile-likelihood limits where they were asked for. */
  readonly profile?: readonly [number, number] | null;
}

export interface PredictedEffect {
  /** Position among the studies. */
  readonly study: number;
  readonly term: string;
  readonly estimate: number;
  readonly se: number;
}

export interface FittedTest {
  /** Position among the studies where the test is one study's own. */
  readonly study?: number;
  /** E.g. `likelihood ratio`, `proportional hazards`. */
  readonly test: string;
  /** Terms tested; `global` where all are. */
  readonly term: string;
  readonly statistic: number | null;
  readonly df: number;
  readonly p: number | null;
}

export interface OneStageWarning {
  readonly code:
    | 'boundary'
    | 'no-overdispersion'
    | 'profile-limit'
    | 'singular-information'
    | 'perfect-correlation'
    | 'no-degrees-of-freedom';
  readonly terms: readonly string[];
}

export type OneStageFailureCode =
  | 'separation'
  | 'monotone-likelihood'
  | 'rank-deficient'
  | 'not-converged'
  | 'too-few-participants'
  | 'no-events'
  | 'no-variation'
  | 'link-boundary';
