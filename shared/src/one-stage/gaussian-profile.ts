import type { Scaling } from '../models/blocks.ts';
import { chiSquareQuantile, chiSquareUpper } from '../numerics/distributions.ts';
import { findRoot } from '../numerics/roots.ts';
import { fitVariances, typicalInformation, type VarianceFit } from './gaussian-fit.ts';
import { constrained, type Sums } from './gaussian-sums.ts';
import type { FittedTest, OneStageSpec, OneStageWarning } from './types.ts';

/** Steps, each half as long again, that look for the far side of a limit. */
const EXPANSIONS = 40;

/** The maximum-likelihood fit beside `fit`, which is the same where it is one. */
function maximumLikelihood(sums: Sums, fit: VarianceFit): VarianceFit | null {
  return fit.estimation.restricted ? fitVariances(sums, { ...fit.estimation, restricted: false }) : fit;
}

/**
 * Likelihood-ratio tests that a coefficient of the treatment or of its interactions is zero: 2(ℓ̂ − ℓ̃) with both models
 * fitted by maximum likelihood, whatever the estimation; χ² with one degree of freedom.
 */
export function likelihoodRatioTests(
  spec: OneStageSpec,
  theta: Float64Array,
  sums: Sums,
  fit: VarianceFit,
): FittedTest[] {
  if (!spec.inference.likelihoodRatio) return [];
  const full = maximumLikelihood(sums, fit);
  return tested(spec).map((j) => {
    const without = full === null ? null : fitVariances(constrained(sums, j, -theta[j]!), full.estimation);
    const difference = without === null ? null : 2 * (full!.logLikelihood - without.logLikelihood);
    const statistic = difference === null ? null : Math.max(0, difference);
    return {
      test: 'likelihood ratio',
      term: spec.terms[j]!,
      statistic,
      df: 1,
      p: statistic === null ? null : chiSquareUpper(statistic, 1),
    };
  });
}

const tested = ({ tested: positions, stratified }: OneStageSpec): number[] =>
  positions.filter((j) => !stratified.includes(j));

/**
 * Profile-likelihood limits of the treatment's and its interactions' coefficients: where 2(ℓ̂ − ℓ(β)) is the χ² quantile,
 * ℓ(β) maximised over all else, by maximum likelihood, as lme4's confint(method = "profile"). Null where the likelihood
 * does not fall that far.
 */
export function profileIntervals(
  spec: OneStageSpec,
  { scale }: Scaling,
  theta: Float64Array,
  sums: Sums,
  fit: VarianceFit,
): {
  readonly intervals: Map<string, readonly [number, number] | null>;
  readonly warnings: OneStageWarning[];
} {
  const intervals = new Map<string, readonly [number, number] | null>();
  const warnings: OneStageWarning[] = [];
  if (spec.inference.ci !== 'profile') return { intervals, warnings };
  const full = maximumLikelihood(sums, fit);
  const critical = chiSquareQuantile(spec.inference.level, 1);
  for (const j of tested(spec)) {
    const limits = full === null ? null : limitsOf(sums, full, j, critical);
    if (limits === null) warnings.push({ code: 'profile-limit', terms: [spec.terms[j]!] });
    intervals.set(
      spec.terms[j]!,
      limits === null ? null : [(limits[0] + theta[j]!) / scale[j]!, (limits[1] + theta[j]!) / scale[j]!],
    );
  }
  return { intervals, warnings };
}

/** In units of δ = φ − θ₀. */
function limitsOf(sums: Sums, full: VarianceFit, j: number, critical: number): [number, number] | null {
  const k = sums.common.indexOf(j);
  const c = sums.common.length;
  const centre = full.profile.beta[k]! * full.unit;
  const se = Math.sqrt(full.profile.covariance[k * c + k]!) * full.unit;
  // Away from zero, where Λ's gradient vanishes: a variance may leave the boundary as the coefficient moves.
  const q = sums.effects;
  const start = full.lambda.slice();
  if (q > 0) {
    const diagonal = start.length === 3 ? [0, 2] : [...start.keys()];
    diagonal.forEach((at, a) => {
      const floor = 0.1 / Math.sqrt(typicalInformation(sums, a));
      if (Math.abs(start[at]!) < floor) start[at] = floor;
    });
  }
  const excess = (value: number): number => {
    const fit = fitVariances(constrained(sums, j, value), full.estimation, start);
    return fit === null ? NaN : 2 * (full.logLikelihood - fit.logLikelihood) - critical;
  };
  const limit = (side: -1 | 1): number | null => {
    let inner = centre;
    let step = Math.sqrt(critical) * se;
    for (let expansion = 0; expansion < EXPANSIONS; expansion++) {
      const outer = inner + side * step;
      const there = excess(outer);
      if (Number.isNaN(there)) return null;
      if (there >= 0)
        return findRoot((value) => (value === centre ? -critical : excess(value)), inner, outer);
      inner = outer;
      step /= 2;
      if (expansion > 0) step *= 3;
    }
    return null;
  };
  const lower = limit(-1);
  const upper = lower === null ? null : limit(1);
  return lower === null || upper === null ? null : [lower, upper];
}
