import { packedIndex } from '../linalg/symmetric.ts';
import type { UnivariatePool } from './univariate.ts';

/** What stage two needs of one study. */
export interface StudyEstimates {
  readonly study: string;
  /** Terms that this study estimates; those that are not pooled are ignored. */
  readonly terms: readonly string[];
  /** In the order of `terms`. */
  readonly estimates: ArrayLike<number>;
  /** Packed lower triangle, in the order of `terms`. */
  readonly vcov: ArrayLike<number>;
  /**
   * Study means of the effect modifier's columns, in the order of one arm's interactions; null without a
   * modifier.
   */
  readonly modifierMeans: readonly { readonly term: string; readonly mean: number }[] | null;
}

/** One pooled term by itself. */
export interface TermPool {
  readonly term: string;
  /** Indices of the studies that estimate the term. */
  readonly members: readonly number[];
  /** Null without members. */
  readonly single: UnivariatePool | null;
}

export function estimateOf(study: StudyEstimates, term: string): number {
  return study.estimates[study.terms.indexOf(term)]!;
}

export function covarianceOf(study: StudyEstimates, term: string, other: string): number {
  return study.vcov[packedIndex(study.terms.indexOf(term), study.terms.indexOf(other))]!;
}
