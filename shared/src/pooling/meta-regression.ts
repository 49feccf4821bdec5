import { ConcordatError } from '../errors.ts';
import { cholesky, multiplyPacked, packedIndex, packedLength, solveCholesky } from '../linalg/symmetric.ts';
import { chiSquareUpper, fUpper } from '../numerics/distributions.ts';
import type { Heterogeneity, PooledTerm, Warning } from '../plan/result-types.ts';
import { waldTerm } from './inference.ts';
import { fitRandomEffects } from './random-effects.ts';
import type { PoolingOptions } from './random-effects.ts';
import { coefficientWeights, studySet } from './weighted-fit.ts';

/** A spread below this share of the mean is rounding noise: the column is constant. */
const CONSTANT = 1e-12;

export interface MetaRegression {
  /** In column order. */
  readonly coefficients: readonly PooledTerm[];
  /** Packed p(p+1)/2; scaled under HKSJ. */
  readonly vcov: Float64Array;
  /** Residual heterogeneity: q is QE, i2 and h2 relate to the residual τ². */
  readonly heterogeneity: Heterogeneity;
  /**
   * Test that all slopes are zero: Wald chi-square with p − 1 degrees of freedom, or under HKSJ an F
   * statistic (chi-square over p − 1) with p − 1 and k − p. Null without slopes or where they have no
   * variance.
   */
  readonly moderators: {
    readonly statistic: number;
    readonly df: number;
    readonly df2: number | null;
    readonly p: number;
  } | null;
  /** Restricted under REML, else ML. */
  readonly logLikelihood: number;
  /** Row j, in study order: how coefficient j depends on the estimates at the fitted τ², p × k. */
  readonly linear: readonly Float64Array[];
  readonly warnings: readonly Warning[];
}

/**
 * Mixed-effects meta-regression of `yi` (variances `vi`) on the rows of `x`, whose first column is the
 * intercept's ones; equal to metafor::rma.uni(mods =). Slopes are computed on columns centred and scaled to
 * unit standard deviation, then transformed back. Needs more studies than columns. Throws
 * `numerics/invalid-input`, and `numerics/not-positive-definite` where columns are linearly dependent.
 */
export function metaRegression(
  terms: readonly string[],
  yi: ArrayLike<number>,
  vi: ArrayLike<number>,
  x: readonly (readonly number[])[],
  options: PoolingOptions,
): MetaRegression {
  const k = yi.length;
  const p = terms.length;
  if (
    k <= p ||
    x.length !== k ||
    x.some((row) => row.length !== p || row[0] !== 1 || !row.every(Number.isFinite))
  ) {
    throw new ConcordatError(
      'numerics/invalid-input',
      'a meta-regression needs more studies than finite columns, the first all ones',
      {
        remedy: 'regress on fewer study characteristics',
      },
    );
  }
  const centre = terms.map((_, j) => (j === 0 ? 0 : x.reduce((sum, row) => sum + row[j]! / k, 0)));
  const spread = terms.map((_, j) =>
    Math.sqrt(x.reduce((sum, row) => sum + (row[j]! - centre[j]!) ** 2 / k, 0)),
  );
  spread[0] = 1;
  const constant = spread.findIndex((value, j) => !(value > CONSTANT * Math.abs(centre[j]!)));
  if (constant >= 0) {
    throw new ConcordatError('numerics/not-positive-definite', 'a column is the same in every study', {
      place: terms[constant]!,
      remedy: 'remove the column',
    });
  }
  const standardised = new Float64Array(k * p);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < p; j++) standardised[i * p + j] = (x[i]![j]! - centre[j]!) / spread[j]!;
  }
  const set = studySet(yi, vi, standardised);
  const fit = fitRandomEffects(set, options);

  // β = Tβ*, T the identity over the spreads, with −centre/spread in the intercept's row.
  const transform = terms.map((_, row) =>
    terms.map((_unused, column) => {
      if (row === 0 && column > 0) return -centre[column]! / spread[column]!;
      return row === column ? 1 / spread[column]! : 0;
    }),
  );
  const dot = (row: number, vector: Float64Array): number =>
    transform[row]!.reduce((sum, value, column) => sum + value * vector[column]!, 0);
  const beta = terms.map((_, row) => dot(row, fit.final.beta));
  const vcov = new Float64Array(packedLength(p));
  for (let row = 0; row < p; row++) {
    const column = multiplyPacked(fit.vcov, Float64Array.from(transform[row]!));
    for (let other = 0; other <= row; other++) vcov[packedIndex(row, other)] = dot(other, column);
  }
  const effects = coefficientWeights(set, fit.final);
  const linear = terms.map((_, row) =>
    Float64Array.from({ length: k }, (_unused, i) =>
      dot(
        row,
        Float64Array.from(effects, (effect) => effect[i]!),
      ),
    ),
  );
  return {
    coefficients: terms.map((term, j) =>
      waldTerm(term, beta[j]!, vcov[packedIndex(j, j)]!, fit.df, options.level, null),
    ),
    vcov,
    heterogeneity: fit.heterogeneity,
    moderators: moderatorTest(fit.final.beta, fit.vcov, fit.df),
    logLikelihood: fit.logLikelihood,
    linear,
    warnings: fit.warnings,
  };
}

/** Slopes of the standardised fit: the test does not depend on the parametrisation. */
function moderatorTest(
  beta: Float64Array,
  vcov: Float64Array,
  df: number | null,
): MetaRegression['moderators'] {
  const m = beta.length - 1;
  const slopes = beta.slice(1);
  const block = new Float64Array(packedLength(m));
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) block[packedIndex(i, j)] = vcov[packedIndex(i + 1, j + 1)]!;
  }
  if (m === 0 || block[0] === 0) return null;
  const solved = solveCholesky(cholesky(block), slopes);
  const wald = slopes.reduce((sum, slope, j) => sum + slope * solved[j]!, 0);
  return df === null
    ? { statistic: wald, df: m, df2: null, p: chiSquareUpper(wald, m) }
    : { statistic: wald / m, df: m, df2: df, p: fUpper(wald / m, m, df) };
}
