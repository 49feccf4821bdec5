import { factorOf, inverseFromCholesky, packedIndex, packedLength } from '../linalg/symmetric.ts';
import { moveCorrelated } from '../models/marginal.ts';
import { POISSON_LIMIT, atPoissonLimit } from '../models/negative-binomial.ts';
import { proportionalHazardsTest } from '../models/proportional-hazards.ts';
import type { Evaluation, Optimiser } from '../models/types.ts';
import { chiSquareQuantile, chiSquareUpper } from '../numerics/distributions.ts';
import { newton } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { defaultStart } from './entry.ts';
import { ownTests } from './hazard-tests.ts';
import { ENORMOUS, SILENT, failedLikelihood } from './likelihood-failure.ts';
import {
  asksExpected,
  commonPositions,
  effectsLength,
  lambdaCount,
  readEffects,
  study,
} from './likelihood-study.ts';
import {
  evaluationLength,
  maximise,
  onRidge,
  profileLimit,
  restrict,
  unpack,
  type AskAt,
  type Maximum,
} from './maximise.ts';
import { originalScale, type StudyEffects } from './original-scale.ts';
import {
  BOUNDARY,
  boundaries,
  boundaryPositions,
  correlationsOf,
  lambdaOf,
  outerProduct,
} from './random-effects.ts';
import type {
  Ask,
  Entry,
  FittedTest,
  Gathered,
  OneStageModel,
  OneStageSpec,
  OneStageWarning,
  Program,
} from './types.ts';

/**
 * Maximum likelihood over sites for every family that is a log-likelihood (binomial, Poisson, negative binomial, ordinal,
 * stratified Cox, parametric survival), with study-level random effects integrated out, and parameters of one study
 * alone maximised over, at home. Each site answers with its contribution to the (marginal, profile) log-likelihood of ψ,
 * its score and its Hessian: 1 + m + m(m+1)/2 numbers; sums over sites are the pooled fit's.
 *
 * ψ: φ without what is stratified, then the entries of the random effects' Cholesky factor Λ (on their own scale: the
 * log-likelihood is even in them, and a variance at the boundary is an ordinary maximum at 0).
 */
export const likelihoodModel: OneStageModel = { program, study };

/**
 * Longest steps of a standardised parameter and of a random effect's standard deviation, on the scale of a linear predictor:
 * far from the maximum the likelihood is nearly flat in a standard deviation.
 */
const LONGEST_STEP = 3;
const LONGEST_DEVIATION_STEP = 0.5;

function* program(spec: OneStageSpec, entry: Entry): Program {
  const common = commonPositions(spec);
  const lambdas = lambdaCount(spec);
  const m = common.length + lambdas;
  const start = new Float64Array(m);
  common.forEach((j, k) => (start[k] = entry.start[j]!));
  if (lambdas === 3) start.set([entry.sd[0]!, 0, entry.sd[1]!], common.length);
  else start.set(entry.sd.subarray(0, lambdas), common.length);

  const askFor =
    (objective: Ask['objective']): AskAt =>
    (theta) => ({ objective, theta, order: 2, length: evaluationLength(m), gather: 'sum' });
  const askAt = askFor('log-likelihood');
  // Of nearly collinear columns, large coefficients all but cancel.
  const longest = new Float64Array(m)
    .map((_, k) => (spec.options.link === 'identity' || common[k]! < spec.columns ? Infinity : LONGEST_STEP))
    .fill(LONGEST_DEVIATION_STEP, common.length);
  const optimiser =
    (fixed: readonly number[]) =>
    (from: Float64Array): Optimiser =>
      lambdas > 0 || !isConcave(spec)
        ? trustRegion(from, {
            longest: longest.filter((_, k) => !fixed.includes(k)),
            // The entries of a correlated Λ are the last three coordinates.
            ...(lambdas === 3 && fixed.every((k) => k < common.length) ? { move: moveCorrelated } : {}),
          })
        : newton(from);

  const columnAt = (k: number): boolean => common[k]! < spec.columns && common[k] !== spec.intercept;
  const columns = [...common.keys()].filter(columnAt);
  /**
   * A coefficient has gone where only a divergence leads, but for what its likeness to others explains; or the first answer
   * shows a column that says nothing.
   */
  const verdict = (psi: Float64Array, full: Evaluation, round: number): 'diverging' | 'singular' | null => {
    // Under another link an event may say nothing of its curvature.
    if (round === 1 && full.value > -Infinity && (spec.options.link ?? null) === null) {
      const silent = columns.some((k) => !(-full.hessian[packedIndex(k, k)]! > SILENT * entry.n));
      if (silent) return 'singular';
    }
    const far = columns.filter((k) => Math.abs(psi[k]!) > ENORMOUS);
    if (far.length === 0 || spec.options.link === 'identity') return null;
    const likeness = likenesses(full, columns);
    return far.some((k) => Math.abs(psi[k]!) > ENORMOUS * likeness[columns.indexOf(k)]!) ? 'diverging' : null;
  };

  let rounds = 0;
  const maximum = function* (
    from: Float64Array,
    at: AskAt,
    fixed: readonly number[] = [],
  ): Generator<Ask, Maximum, Gathered> {
    const found: Maximum = yield* maximise(optimiser(fixed), from, at, fixed, verdict);
    rounds += found.rounds;
    return found;
  };
  const stands = (found: Maximum): boolean =>
    found.status === 'converged' || poissonLimit(spec, common, found).length > 0;
  /** Outside where the log-likelihood exists, the studies' own estimates are no place to start from. */
  const fromStart = function* (at: AskAt): Generator<Ask, Maximum, Gathered> {
    const found = yield* maximum(start, at);
    if (found.full.value > -Infinity) return found;
    const central = defaultStart(spec);
    const again = start.map((value, k) => (k < common.length ? central[common[k]!]! : value));
    return yield* maximum(again, at);
  };
  let fit: Maximum;
  if (lambdas > 0 && spec.points > 1) {
    fit = yield* fromStart(askFor('laplace-log-likelihood'));
    if (!stands(fit)) return failedLikelihood(spec, common, fit, rounds);
    fit = yield* maximum(fit.theta, askAt);
  } else fit = yield* fromStart(askAt);
  const warnings: OneStageWarning[] = [];
  const held = poissonLimit(spec, common, fit);
  if (held.length > 0) {
    const limit = fit.theta.map((value, k) => (held.includes(k) ? POISSON_LIMIT : value));
    fit = yield* maximum(limit, askAt, held);
    warnings.push({ code: 'no-overdispersion', terms: held.map((k) => spec.terms[common[k]!]!) });
  }
  if (fit.status !== 'converged') return failedLikelihood(spec, common, fit, rounds);
  if (verdict(fit.theta, fit.full, Infinity) !== null)
    return failedLikelihood(spec, common, { ...fit, status: 'diverging' }, rounds);

  const lambda = lambdaOf(spec, fit.theta.slice(common.length));
  const atBoundary = boundaries(spec, lambda);
  const zero = boundaryPositions(spec, atBoundary).map((k) => common.length + k);
  const fixed = [...zero, ...held];
  const boundaryTerms = spec.random.flatMap(({ term }, a) => (atBoundary[a] === true ? [term] : []));
  if (boundaryTerms.length > 0) warnings.push({ code: 'boundary', terms: boundaryTerms });
  if (lambdas === 3 && boundaryTerms.length === 0 && Math.abs(lambda[2]!) < BOUNDARY * Math.abs(lambda[1]!))
    warnings.push({ code: 'perfect-correlation', terms: spec.random.map(({ term }) => term) });
  const psi = fit.theta.slice();
  for (const k of zero) psi[k] = 0;

  const free = [...psi.keys()].filter((k) => !fixed.includes(k));
  const information: Gathered = asksExpected(spec)
    ? yield { ...askAt(psi), objective: 'expected-information' }
    : [];
  const covariance = covarianceOf(information.length === 0 ? fit.full : unpack(information[0]!, m), free, m);
  if (covariance === null) return failedLikelihood(spec, common, { ...fit, status: 'singular' }, rounds);

  const tested = common.flatMap((j, k) => (spec.tested.includes(j) ? [{ term: spec.terms[j]!, k }] : []));
  const tests: FittedTest[] = [];
  if (spec.inference.likelihoodRatio) {
    for (const { term, k } of tested) {
      const at = onRidge(fit, k, 0, fixed);
      const restricted = yield* maximum(at, askAt, [k, ...held]);
      const statistic =
        restricted.status === 'converged'
          ? Math.max(0, 2 * (fit.evaluation.value - restricted.evaluation.value))
          : null;
      tests.push({
        test: 'likelihood ratio',
        term,
        statistic,
        df: 1,
        p: statistic === null ? null : chiSquareUpper(statistic, 1),
      });
    }
  }
  const profiles = new Map<string, readonly [number, number] | null>();
  if (spec.inference.ci === 'profile') {
    const critical = chiSquareQuantile(spec.inference.level, 1);
    for (const { term, k } of tested) {
      const lower: number | null = yield* profileLimit(fit, k, -1, critical, askAt, fixed);
      const upper: number | null =
        lower === null ? null : yield* profileLimit(fit, k, 1, critical, askAt, fixed);
      const scale = entry.scaling.scale[common[k]!] ?? 1;
      profiles.set(term, lower === null || upper === null ? null : [lower / scale, upper / scale]);
      if (lower === null || upper === null) warnings.push({ code: 'profile-limit', terms: [term] });
    }
  }

  const transform = spec.inference.proportionalHazards;
  if (transform !== null) {
    const p = common.length;
    const [sum] = yield {
      objective: 'proportional-hazards',
      theta: psi,
      order: 2,
      length: evaluationLength(2 * p),
      gather: 'sum',
    };
    const found = proportionalHazardsTest(unpack(sum!, 2 * p), p, spec.groups);
    tests.push(...found.map((test) => ({ test: `proportional hazards, ${transform} of time`, ...test })));
  }

  let effects: readonly (StudyEffects | null)[] | null = null;
  if (spec.stratified.length > 0 || spec.random.length > 0 || transform !== null) {
    const gathered: Gathered = yield {
      objective: 'study-effects',
      theta: psi,
      order: 0,
      length: effectsLength(spec, m),
      gather: 'each',
    };
    effects = gathered.map((values) => (values.length === 0 ? null : readEffects(spec, m, values)));
    if (transform !== null)
      tests.push(...gathered.flatMap((values, i) => ownTests(spec, values, i, transform)));
  }
  const scaled = originalScale(spec, entry.scaling, common, psi, covariance, effects);
  const { coefficients, vcov } = without(held, scaled);
  const sigma = outerProduct(lambda, spec.random.length, atBoundary);
  return {
    failure: null,
    coefficients: coefficients.map((coefficient) =>
      coefficient.study === undefined && profiles.has(coefficient.term)
        ? { ...coefficient, profile: profiles.get(coefficient.term)! }
        : coefficient,
    ),
    vcov,
    randomEffects: spec.random.map(({ term }, a) => ({ term, variance: sigma[packedIndex(a, a)]! })),
    correlations: correlationsOf(sigma, spec.random.length),
    residualVariance: [],
    logLikelihood: fit.evaluation.value,
    tests,
    predicted: (effects ?? []).flatMap((effect, i) =>
      effect === null
        ? []
        : spec.random.map(({ term }, a) => ({
            study: i,
            term,
            estimate: effect.modes[a]!,
            se: effect.modeSes[a]!,
          })),
    ),
    rounds,
    gradientNorm: Math.hypot(...fit.evaluation.gradient),
    warnings,
  };
}

/** Some of the first coefficients left out, which have no finite estimate. */
function without(
  positions: readonly number[],
  { coefficients, vcov }: ReturnType<typeof originalScale>,
): ReturnType<typeof originalScale> {
  const kept = [...coefficients.keys()].filter((k) => !positions.includes(k));
  return {
    coefficients: kept.map((k) => coefficients[k]!),
    vcov: Float64Array.from(
      kept.flatMap((i, a) => kept.slice(0, a + 1).map((j) => vcov[packedIndex(i, j)]!)),
    ),
  };
}

/** √ of the variance inflation of each column by the others; 1 where it cannot be told. */
function likenesses(full: Evaluation, columns: readonly number[]): number[] {
  const information = restrict(full, columns).hessian.map((value) => -value);
  const factor = factorOf(information);
  if (factor === null) return columns.map(() => 1);
  const inverse = inverseFromCholesky(factor);
  return columns.map((_, a) => Math.sqrt(information[packedIndex(a, a)]! * inverse[packedIndex(a, a)]!));
}

/** Position of a negative binomial's log size where the fit shows no overdispersion; none elsewhere. */
function poissonLimit({ options, columns }: OneStageSpec, common: readonly number[], fit: Maximum): number[] {
  const k = options.family === 'negative-binomial' ? common.indexOf(columns) : -1;
  return k >= 0 && atPoissonLimit(fit, k) ? [k] : [];
}

/** Concave in φ wherever it is finite, so that Newton's method with halving is safe. */
function isConcave({ options }: OneStageSpec): boolean {
  return ['binomial', 'poisson', 'cox'].includes(options.family) && (options.link ?? null) === null;
}

/** Inverse of the information over the free coordinates, m × m packed; zeros elsewhere. Null where it is singular. */
function covarianceOf({ hessian }: Evaluation, free: readonly number[], m: number): Float64Array | null {
  const information = new Float64Array(packedLength(free.length));
  free.forEach((i, a) =>
    free.slice(0, a + 1).forEach((j, b) => (information[packedIndex(a, b)] = -hessian[packedIndex(i, j)]!)),
  );
  const factor = factorOf(information);
  if (factor === null) return null;
  const inverse = inverseFromCholesky(factor);
  const covariance = new Float64Array(packedLength(m));
  free.forEach((i, a) =>
    free.slice(0, a + 1).forEach((j, b) => (covariance[packedIndex(i, j)] = inverse[packedIndex(a, b)]!)),
  );
  return covariance;
}
