import betainc from '@stdlib/math-base-special-betainc';
import gammainc from '@stdlib/math-base-special-gammainc';
// By function: the packages of whole distributions are ten times their size.
import chiSquareLogDensity from '@stdlib/stats-base-dists-chisquare-logpdf';
import libraryChiSquareQuantile from '@stdlib/stats-base-dists-chisquare-quantile';
import normalCdf from '@stdlib/stats-base-dists-normal-cdf';
import libraryNormalQuantile from '@stdlib/stats-base-dists-normal-quantile';
import tCdf from '@stdlib/stats-base-dists-t-cdf';
import libraryTQuantile from '@stdlib/stats-base-dists-t-quantile';

/**
 * Quantiles and upper tails of the reference distributions. Tails are computed as tails, never as
 * 1 − cdf, so that a p value of 1e-200 keeps its digits. Degrees of freedom may be any positive number.
 */

/** z with P(Z ≤ z) = `probability`, standard normal. */
export function normalQuantile(probability: number): number {
  return libraryNormalQuantile(probability, 0, 1);
}

/** P(|Z| ≥ |z|), standard normal. */
export function normalTwoSided(z: number): number {
  return 2 * normalCdf(-Math.abs(z), 0, 1);
}

/** t with P(T ≤ t) = `probability`, Student's t with `df` degrees of freedom. */
export function tQuantile(probability: number, df: number): number {
  return libraryTQuantile(probability, df);
}

/** P(|T| ≥ |t|), Student's t with `df` degrees of freedom. */
export function tTwoSided(value: number, df: number): number {
  return 2 * tCdf(-Math.abs(value), df);
}

/** P(X ≥ x), chi-square with `df` degrees of freedom; 1 for x ≤ 0. */
export function chiSquareUpper(x: number, df: number): number {
  return x <= 0 ? 1 : gammainc(x / 2, df / 2, true, true);
}

/**
 * x with P(X ≤ x) = `probability`, chi-square with `df` degrees of freedom. Two Newton steps on the
 * smaller tail follow the library's quantile, which loses digits for many degrees of freedom.
 */
export function chiSquareQuantile(probability: number, df: number): number {
  let x = libraryChiSquareQuantile(probability, df);
  for (let step = 0; step < 2 && x > 0 && Number.isFinite(x); step++) {
    const excess =
      probability < 0.5
        ? gammainc(x / 2, df / 2, true, false) - probability
        : 1 - probability - chiSquareUpper(x, df);
    x -= excess / Math.exp(chiSquareLogDensity(x, df));
  }
  return x;
}

/** P(F ≥ f), Fisher's F with `df1` and `df2` degrees of freedom; 1 for f ≤ 0. */
export function fUpper(f: number, df1: number, df2: number): number {
  return f <= 0 ? 1 : betainc(df2 / (df2 + df1 * f), df2 / 2, df1 / 2, true, false);
}
