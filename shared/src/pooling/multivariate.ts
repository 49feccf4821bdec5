import { ConcordatError } from '../errors.ts';
import {
  cholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
  packedOrder,
  solveCholesky,
  symmetricEigenvalues,
  toRows,
} from '../linalg/symmetric.ts';
import { chiSquareUpper } from '../numerics/distributions.ts';
import { findRoot } from '../numerics/roots.ts';
import type { JointPool, PooledTerm, Warning } from '../plan/result-types.ts';
import { waldTerm } from './inference.ts';
import { derivatives, fitAt, sigmaOf } from './multivariate-likelihood.ts';
import type { MultivariateFit, StudyVector } from './multivariate-likelihood.ts';
import type { PoolingOptions } from './random-effects.ts';
import { poolingWarning } from './warnings.ts';

const ITERATION_LIMIT = 200;
/**
 * Predicted gain in log-likelihood below which an optimum is reached: Newton's last step then has full
 * precision.
 */
const GAIN = 1e-18;
/**
 * The same after the last iteration: where one term's variance given the others is almost zero, its
 * correlations are all but undetermined, and steps creep along a valley that gains nothing to speak of.
 */
const FLAT = 1e-9;
/** Curvature below this share of the largest is flat. */
const SINGULAR = 1e-10;
/** Between-study variances below this share of the typical within-study variance are zero. */
const ZERO_VARIANCE = 1e-12;
/** Correlations closer than this to ±1 are reported as the boundary. */
const BOUNDARY_CORRELATION = 1e-7;

export interface MultivariatePool {
  readonly pooled: readonly PooledTerm[];
  /** Covariance of the pooled estimates, packed; scaled under HKSJ. */
  readonly vcov: Float64Array;
  /** Of a contrast too: N − p under HKSJ, N estimates of p terms in all studies; null: normal. */
  readonly df: number | null;
  readonly joint: JointPool;
  readonly warnings: readonly Warning[];
}

/**
 * Pools several terms at once with their within-study covariances: common effect (FE: generalised least
 * squares), or random effects with an unstructured between-study covariance Σ by REML or ML, as
 * metafor::rma.mv(struct = "UN"). Covariance (ΣZᵢ'Vᵢ⁻¹Zᵢ)⁻¹ at Σ̂. Under HKSJ it is multiplied by H² =
 * Σᵢrᵢ'Vᵢ⁻¹rᵢ/(N − p), with t quantiles on N − p degrees of freedom, for N estimates in all: the extension
 * of Jackson & Riley 2014 (Stat Med 33:541), which is knha where p = 1; HKSJ-adhoc takes max(H², 1).
 * Prediction intervals: estimate ± the interval's critical value × √(se² + Σⱼⱼ).
 *
 * Each term must be in a study, and under REML or ML in two, else `numerics/invalid-input`; so are other τ²
 * methods. Null: no start converged.
 */
export function poolJointly(
  terms: readonly string[],
  studies: readonly StudyVector[],
  options: PoolingOptions & { readonly prediction: boolean },
): MultivariatePool | null {
  const p = terms.length;
  const common = options.tau2 === 'FE';
  const restricted = options.tau2 === 'REML';
  const counts = terms.map((_, j) => studies.filter((study) => study.terms.includes(j)).length);
  if ((!common && !restricted && options.tau2 !== 'ML') || counts.some((count) => count < (common ? 1 : 2))) {
    throw new ConcordatError('numerics/invalid-input', 'these terms cannot be pooled jointly', {
      place: `tau2: ${options.tau2}`,
      remedy: 'use FE, ML or REML, for terms that at least two studies estimate',
    });
  }
  const { scaled, scales } = rescale(studies, p);
  const zero = new Float64Array(packedLength(p));
  const atZero = fitAt(scaled, zero, restricted);
  const sigma = common ? zero : maximise(scaled, atZero, restricted);
  if (sigma === null) return null;
  const fit = fitAt(scaled, sigma, restricted);

  const observations = counts.reduce((sum, count) => sum + count, 0);
  const df = observations - p;
  // As many estimates as terms: each is one study's own, with its own normal interval.
  const inflated = options.ci !== 'normal' && df > 0;
  const warnings: Warning[] = df > 0 ? [] : [poolingWarning('single-study')];
  let inflation = 1;
  if (inflated) {
    inflation = fit.q <= Number.EPSILON ? 0 : fit.q / df;
    if (options.ci === 'HKSJ-adhoc') inflation = Math.max(1, inflation);
    if (common) warnings.push(poolingWarning('hksj-common-effect'));
    if (inflation === 0) warnings.push(poolingWarning('no-residual-variation'));
    else if (inflation < 1) warnings.push(poolingWarning('hksj-narrower'));
  }
  const correlations = correlationsOf(sigma);
  if (!common && isBoundary(correlations)) warnings.push(poolingWarning('joint-boundary'));

  const unscale = (matrix: Float64Array, factor: number): Float64Array => {
    const result = new Float64Array(matrix.length);
    for (let i = 0; i < p; i++) {
      for (let j = 0; j <= i; j++) {
        result[packedIndex(i, j)] = factor * scales[i]! * scales[j]! * matrix[packedIndex(i, j)]!;
      }
    }
    return result;
  };
  const vcov = unscale(fit.vcov, inflation);
  const between = unscale(sigma, 1);
  const referenceDf = inflated ? df : null;
  // Densities of rescaled estimates: the Jacobian; REML has p dimensions less.
  const jacobian = scales.reduce(
    (sum, scale, j) => sum + (counts[j]! - (restricted ? 1 : 0)) * Math.log(scale),
    0,
  );
  return {
    pooled: terms.map((term, j) => {
      const variance = packedIndex(j, j);
      const tau2 = options.prediction && !common ? between[variance]! : null;
      return waldTerm(term, fit.beta[j]! * scales[j]!, vcov[variance]!, referenceDf, options.level, tau2);
    }),
    vcov,
    df: referenceDf,
    joint: {
      terms,
      sigma: toRows(between),
      correlations,
      q: atZero.q,
      q_df: df,
      q_p: df > 0 ? chiSquareUpper(atZero.q, df) : null,
      log_likelihood: fit.value - jacobian,
    },
    warnings,
  };
}

/**
 * Divides each term by its typical within-study standard error, so that steps and tolerances have no units.
 */
function rescale(
  studies: readonly StudyVector[],
  p: number,
): { readonly scaled: readonly StudyVector[]; readonly scales: Float64Array } {
  const scales = Float64Array.from({ length: p }, (_, j) => {
    const variances = studies.flatMap(({ terms, vcov }) => {
      const at = terms.indexOf(j);
      return at < 0 ? [] : [vcov[packedIndex(at, at)]!];
    });
    return Math.exp(
      variances.reduce((sum, variance) => sum + Math.log(variance), 0) / (2 * variances.length),
    );
  });
  const scaled = studies.map(({ terms, y, vcov }) => {
    const v = Float64Array.from(vcov);
    for (let a = 0; a < terms.length; a++) {
      for (let b = 0; b <= a; b++) v[packedIndex(a, b)]! /= scales[terms[a]!]! * scales[terms[b]!]!;
    }
    return { terms, y: y.map((value, a) => value / scales[terms[a]!]!), vcov: v };
  });
  return { scaled, scales };
}

/** Σ̂ of the best maximum over several starts, packed; null where none converged. */
function maximise(
  data: readonly StudyVector[],
  atZero: MultivariateFit,
  restricted: boolean,
): Float64Array | null {
  let best: { readonly value: number; readonly l: Float64Array } | null = null;
  for (const start of starts(data, atZero.beta)) {
    const end = newton(data, start, restricted);
    if (end !== null && (best === null || end.value > best.value)) best = end;
  }
  if (best === null) return null;
  // Σ = 0 is a stationary point that steps approach but never try.
  const sigma = atZero.value >= best.value ? new Float64Array(best.l.length) : sigmaOf(best.l);
  const p = packedOrder(sigma);
  for (let j = 0; j < p; j++) {
    if (sigma[packedIndex(j, j)]! > ZERO_VARIANCE) continue;
    for (let i = 0; i < p; i++) sigma[packedIndex(i, j)] = 0;
  }
  return sigma;
}

/**
 * Cholesky factors to start from: moments with and without covariances, little and much heterogeneity, and
 * each term in turn with almost none, since several maxima are not rare with few studies.
 */
function starts(data: readonly StudyVector[], beta: Float64Array): Float64Array[] {
  const p = beta.length;
  const sample = new Float64Array(packedLength(p));
  const counts = new Float64Array(p);
  for (const { terms, y } of data) {
    terms.forEach((term, a) => {
      counts[term]! += 1;
      for (let b = 0; b <= a; b++) {
        const other = terms[b]!;
        sample[packedIndex(term, other)]! += (y[a]! - beta[term]!) * (y[b]! - beta[other]!);
      }
    });
  }
  const full = sample.slice();
  const diagonal = new Float64Array(packedLength(p));
  for (let i = 0; i < p; i++) {
    for (let j = 0; j <= i; j++) full[packedIndex(i, j)]! /= Math.sqrt(counts[i]! * counts[j]!);
    const at = packedIndex(i, i);
    // In these units a typical within-study variance is 1.
    diagonal[at] = Math.max(full[at]! - 1, 0.05);
    full[at]! += 0.05;
  }
  const uniform = (value: number): Float64Array => diagonal.map((entry) => (entry > 0 ? value : 0));
  const almostNone = Array.from({ length: p }, (_, j) => diagonal.with(packedIndex(j, j), 1e-4));
  return [diagonal, full, uniform(1e-4), uniform(0.1), uniform(20), ...almostNone].map((sigma) =>
    cholesky(sigma),
  );
}

/**
 * Newton's method in the elements of L within a trust region (Nocedal & Wright, Numerical Optimization,
 * algorithm 4.1): where Σ is nearly singular the likelihood is almost flat along curved valleys, which
 * bounded steps follow. In L the boundary of Σ is an ordinary stationary point, reached quadratically.
 * Null: not converged.
 */
function newton(
  data: readonly StudyVector[],
  start: Float64Array,
  restricted: boolean,
): { readonly value: number; readonly l: Float64Array } | null {
  let l = start;
  let fit = fitAt(data, sigmaOf(l), restricted);
  let model = derivatives(fit, l, restricted);
  let radius = 1;
  for (let iteration = 0; iteration < ITERATION_LIMIT; iteration++) {
    const { step, length, gain } = boundedStep(model.gradient, model.hessian, radius);
    const next = l.map((value, j) => value + step[j]!);
    const nextFit = fitAt(data, sigmaOf(next), restricted);
    const unit = 1 + Math.abs(fit.value);
    const actual = nextFit.value - fit.value;
    // Gains below the rounding of the log-likelihood are taken at their prediction.
    const ratio = gain < 1e-13 * unit && actual > -1e-12 * unit ? 1 : actual / gain;
    if (ratio < 0.25) radius = length / 4;
    else if (ratio > 0.75 && length > 0.9 * radius) radius *= 2;
    if (ratio < 1e-3) continue;
    l = next;
    fit = nextFit;
    if (length < radius && gain <= GAIN * unit) return { value: fit.value, l };
    model = derivatives(fit, l, restricted);
  }
  const flat = boundedStep(model.gradient, model.hessian, radius).gain <= FLAT * (1 + Math.abs(fit.value));
  return flat ? { value: fit.value, l } : null;
}

/**
 * Maximises the quadratic model g's + ½s'Hs over |s| ≤ `radius`: s = (λI − H)⁻¹g with the smallest λ ≥ 0
 * that makes λI − H positive definite and s short enough.
 */
function boundedStep(
  gradient: Float64Array,
  hessian: Float64Array,
  radius: number,
): { readonly step: Float64Array; readonly length: number; readonly gain: number } {
  const size = gradient.length;
  const curvature = hessian.map((value) => -value);
  const eigenvalues = symmetricEigenvalues(curvature);
  const largest = Math.max(Math.abs(eigenvalues[0]!), Math.abs(eigenvalues[size - 1]!), Number.MIN_VALUE);
  const stepAt = (shift: number): Float64Array => {
    const shifted = curvature.slice();
    for (let j = 0; j < size; j++) shifted[packedIndex(j, j)]! += shift;
    return solveCholesky(cholesky(shifted), gradient);
  };
  const norm = (vector: Float64Array): number => Math.hypot(...vector);
  const least = Math.max(0, SINGULAR * largest - eigenvalues[0]!);
  let step = stepAt(least);
  if (norm(step) > radius) {
    // At this shift all eigenvalues of λI − H are at least |g|/radius.
    const most = least + norm(gradient) / radius;
    const shift = findRoot((value) => Math.log(norm(stepAt(value)) / radius), least, most);
    step = stepAt(shift);
  }
  const slope = step.reduce((sum, value, j) => sum + value * gradient[j]!, 0);
  const bend = multiplyPacked(curvature, step).reduce((sum, value, j) => sum + value * step[j]!, 0);
  return { step, length: norm(step), gain: slope - bend / 2 };
}

function correlationsOf(sigma: Float64Array): (number | null)[][] {
  const p = packedOrder(sigma);
  return Array.from({ length: p }, (_, i) =>
    Array.from({ length: p }, (_unused, j) => {
      const product = sigma[packedIndex(i, i)]! * sigma[packedIndex(j, j)]!;
      if (product === 0) return null;
      return i === j ? 1 : Math.max(-1, Math.min(1, sigma[packedIndex(i, j)]! / Math.sqrt(product)));
    }),
  );
}

/** A zero variance or a correlation of ±1; a matrix of more terms can be singular without either. */
function isBoundary(correlations: readonly (readonly (number | null)[])[]): boolean {
  if (correlations.some((row, i) => row[i] === null)) return true;
  const packed = new Float64Array(packedLength(correlations.length));
  correlations.forEach((row, i) => {
    for (let j = 0; j <= i; j++) packed[packedIndex(i, j)] = row[j]!;
  });
  return symmetricEigenvalues(packed)[0]! < BOUNDARY_CORRELATION;
}
