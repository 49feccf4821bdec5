import type { FamilyName } from '../plan/types.ts';

/**
 * Notation: n rows, p parameters. Packed lower triangle: element (i, j), i ≥ j, at i(i+1)/2 + j.
 */

/** What an optimiser wants evaluated. `order` 0: value; 1: and gradient; 2: and Hessian. */
export interface Question {
  readonly theta: Float64Array;
  readonly order: 0 | 1 | 2;
}

/** The log-likelihood (or another objective to maximise) at a question's theta. */
export interface Evaluation {
  value: number;
  /** Length p. */
  readonly gradient: Float64Array;
  /** Second derivatives, packed lower triangle, length p(p+1)/2. */
  readonly hessian: Float64Array;
}

/** Where an optimiser ended. Never NaN: `status` says what happened instead. */
export interface Fit {
  readonly status: 'converged' | 'iteration-limit' | 'step-failure' | 'diverging' | 'singular';
  readonly theta: Float64Array;
  readonly evaluation: Evaluation;
  /** Questions asked. */
  readonly rounds: number;
  /** ½ U' I⁻¹ U at the end: the gain in log-likelihood that one more Newton step predicts. */
  readonly decrement: number;
}

/** A pure coroutine: knows nothing of networks, files or clocks. */
export type Optimiser = Generator<Question, Fit, Evaluation>;

export interface Objective {
  readonly parameters: number;
  /** Fills `out` (allocated by the caller) with the evaluation at `theta`. */
  evaluate(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation): void;
}

export type Response =
  | { readonly kind: 'continuous'; readonly y: Float64Array }
  /** `trials` null: one trial a row. */
  | { readonly kind: 'binary'; readonly events: Float64Array; readonly trials: Float64Array | null }
  /** Exposure enters through `StudyData.offset` as its logarithm. */
  | { readonly kind: 'count'; readonly y: Float64Array }
  /** `level` of each row, 0 (lowest) … `levels` − 1. */
  | { readonly kind: 'ordinal'; readonly level: Int32Array; readonly levels: number }
  /** One row a participant and visit; rows of a participant stand together, by visit. */
  | {
      readonly kind: 'repeated';
      readonly y: Float64Array;
      /** Number of each row's participant, 0, 1, …, ascending. */
      readonly subject: Int32Array;
      /** Visit of each row, 0 … `visits` − 1. */
      readonly visit: Int32Array;
      readonly visits: number;
    }
  | {
      readonly kind: 'time-to-event';
      /** Time of event or censoring, length n. */
      readonly time: Float64Array;
      /** 1 event, 0 censored. */
      readonly event: Float64Array;
      readonly entry: Float64Array | null;
      /** Baseline stratum of each row, 0, 1, …; null: one stratum. */
      readonly stratum: Int32Array | null;
    };

/** One study's analysis set: complete rows only, column-major. */
export interface StudyData {
  readonly n: number;
  /** One column a term, each of length n; the intercept, where the family has one, is a column of ones. */
  readonly columns: readonly Float64Array[];
  readonly terms: readonly string[];
  readonly response: Response;
  readonly offset: Float64Array | null;
  /** Means of the treatment's columns before any centring within the study. */
  readonly treatmentMeans?: readonly number[];
}

export interface ModelOptions {
  readonly family: FamilyName;
  readonly ties: 'efron' | 'breslow';
  /** Null: the family's canonical link. */
  readonly link?: Link | null;
  /** What the Hessian is of a link that is not canonical: minus the expected information, as R's glm, or the observed. */
  readonly information?: 'expected' | 'observed';
  /** Ordinal: the first threshold is fixed at 0, beside a column of ones. */
  readonly anchored?: boolean;
  /** Piecewise-exponential: times at which the hazard changes. */
  readonly cuts?: readonly number[];
  /** Royston–Parmar: knots in time units, boundary knots included. */
  readonly knots?: readonly number[];
}

export type Link = 'identity' | 'log' | 'logit';

/** Why a study's model could not be fitted; documented in docs/diagnoses.md with remedies. */
export const DIAGNOSES = [
  'no-participants',
  'single-arm',
  'no-events',
  'all-events',
  'no-events-in-arm',
  'no-nonevents-in-arm',
  'separation',
  'monotone-likelihood',
  'rank-deficient',
  'too-few-participants',
  'not-converged',
  'no-variation',
  'short-follow-up',
] as const;
export type DiagnosisCode = (typeof DIAGNOSES)[number];

export interface Diagnosis {
  readonly code: DiagnosisCode;
  /** Terms (by index into StudyData.terms) that cause it; empty where none does. */
  readonly terms: readonly number[];
}

export type StageOneOutcome =
  | {
      readonly status: 'fitted';
      /** Length p: false where this study cannot estimate the term (a missing factor level, an aliased covariate). */
      readonly estimable: readonly boolean[];
      /** Of the estimable terms only, in order: length q. */
      readonly estimates: Float64Array;
      /** Packed lower triangle, q(q+1)/2. */
      readonly vcov: Float64Array;
      /** `null`: intercept only (GLMs, at the offset), θ = 0 (Cox). R's constants included. */
      readonly logLikelihood: { readonly null: number; readonly fitted: number };
      /** Gaussian: RSS/(n − q); null elsewhere. */
      readonly residualVariance: number | null;
      readonly rounds: number;
      /** Columns were rescaled by more than 1e6 to fit. */
      readonly badlyScaled: readonly number[];
    }
  | { readonly status: 'not-estimable'; readonly diagnosis: Diagnosis };
