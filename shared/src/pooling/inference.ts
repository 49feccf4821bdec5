import { normalQuantile, normalTwoSided, tQuantile, tTwoSided } from '../numerics/distributions.ts';
import type { PooledTerm } from '../plan/result-types.ts';

/**
 * Wald inference for one estimate. `df` null: standard normal, else Student's t. `betweenVariance`: τ² of
 * the prediction interval, estimate ± critical value × √(variance + τ²) with the same critical value as the
 * confidence interval (as metafor::predict); null: none is given. A zero variance gives an interval of no
 * width and no test.
 */
export function waldTerm(
  term: string,
  estimate: number,
  variance: number,
  df: number | null,
  level: number,
  betweenVariance: number | null,
): PooledTerm {
  const se = Math.sqrt(variance);
  const upper = (1 + level) / 2;
  const critical = df === null ? normalQuantile(upper) : tQuantile(upper, df);
  const interval = (width: number): [number, number] => [
    estimate - critical * width,
    estimate + critical * width,
  ];
  const statistic = se > 0 ? estimate / se : null;
  return {
    term,
    estimate,
    se,
    ci: interval(se),
    statistic,
    df,
    p: statistic === null ? null : df === null ? normalTwoSided(statistic) : tTwoSided(statistic, df),
    prediction: betweenVariance === null ? null : interval(Math.sqrt(variance + betweenVariance)),
  };
}

/** A term that nothing could be computed for. */
export function emptyTerm(term: string): PooledTerm {
  return { term, estimate: null, se: null, ci: null, statistic: null, df: null, p: null, prediction: null };
}
