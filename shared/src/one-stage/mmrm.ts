import { ConcordatError } from '../errors.ts';
import {
  cholesky,
  inverseFromCholesky,
  packedIndex,
  packedLength,
  pivotedRank,
} from '../linalg/symmetric.ts';
import { chiSquareQuantile, chiSquareUpper } from '../numerics/distributions.ts';
import { failedFit } from './failed.ts';
import { pack } from './gaussian-matrices.ts';
import { covarianceStructure, type CovarianceStructure } from './mmrm-covariance.ts';
import {
  contrast,
  meansOf,
  predictMeans,
  quadratic,
  restrictSums,
  type Criterion,
  type Means,
} from './mmrm-criterion.ts';
import { ALIASED, patternsOf } from './mmrm-patterns.ts';
import { coefficientLimit, maximum, sumsAt, type Limit, type Optimum, type Problem } from './mmrm-search.ts';
import { studySums, type Sums } from './mmrm-study.ts';
import { originalScale } from './original-scale.ts';
import type {
  Entry,
  FittedCoefficient,
  FittedTest,
  OneStageFailureCode,
  OneStageModel,
  OneStageSpec,
  Program,
} from './types.ts';

/**
 * Mixed model for repeated measures: yⱼ = Xⱼβ + Sⱼαᵢ + εⱼ of participant j of study i at the visits that it has,
 * εⱼ ~ N(0, Vⱼ), Vⱼ the rows and columns of Σ(θ) for those visits, Σ common to the studies; αᵢ the study's own (`stratified`)
 * columns, as a rule its means by visit. Maximum or restricted maximum likelihood over θ, β and α profiled out, by Newton's
 * method with exact gradient and Hessian from the studies' sums (mmrm-study.ts, mmrm-criterion.ts). As nlme's
 * gls(y ~ 0 + study:visit + …, corSymm + varIdent | corAR1 | corCompSymm), missing visits taken as missing at random.
 *
 * A question's theta is θ, then N of mmrm-study.ts, packed over the p common columns and y; an answer is `answerLength`
 * numbers. The first question is at Σ = I: its sums are ordinary least squares and the moments that the fit starts from.
 * Rank, variation and the number of participants are judged on them.
 */
export const mmrmModel: OneStageModel = {
  program,
  study(spec, data, scaling) {
    const { structure, restricted } = settings(spec);
    const patterns = patternsOf(data, spec.stratified, scaling);
    const k = structure.parameters;
    return ({ theta }) => studySums(patterns, structure, restricted, theta.subarray(0, k), theta.subarray(k));
  },
};

/** Of a residual sum of squares: what rounding leaves of c where the columns explain all of y. */
const EXACT_FIT = 1e-13;

function settings(spec: OneStageSpec): { structure: CovarianceStructure; restricted: boolean } {
  if (spec.inference.df === 'kenward-roger') {
    throw new ConcordatError(
      'numerics/invalid-input',
      'Kenward–Roger degrees of freedom of a repeated measures model',
      {
        remedy: 'ask for Satterthwaite',
      },
    );
  }
  return {
    structure: covarianceStructure(spec.covariance ?? 'unstructured', spec.visits ?? 0),
    restricted: spec.estimation === 'REML',
  };
}

function* program(spec: OneStageSpec, entry: Entry): Program {
  const { structure, restricted } = settings(spec);
  const common = spec.terms.flatMap((_, j) => (spec.stratified.includes(j) ? [] : [j]));
  const p = common.length;
  const scaleDeterminant = common.reduce((sum, j) => sum + 2 * Math.log(entry.scaling.scale[j]!), 0);
  const problem: Problem = { structure, p, restricted, scaleDeterminant };

  const first: Sums | null = yield* sumsAt(
    problem,
    structure.identity,
    new Float64Array(packedLength(p + 1)),
  );
  if (first === null) return failedFit('not-converged', [], 1);
  const opening = open(problem, first);
  if ('code' in opening)
    return failedFit(
      opening.code,
      opening.terms.map((a) => spec.terms[common[a]!]!),
      1,
    );

  const everything = common.map((_, a) => a);
  const { fit, last, rounds }: Optimum = yield* maximum(problem, opening.start, everything, opening.guess);
  let asked = 1 + rounds;
  const few = first.rows - first.own - p < structure.parameters;
  if (fit.status !== 'converged' || last === null)
    return failedFit(few ? 'too-few-participants' : 'not-converged', [], asked);
  const sigma = structure.at(fit.theta);
  const information = last.hessian.map((value) => -value);
  const { dependent } = pivotedRank(information, ALIASED);
  // A covariance that no participant's visits tell.
  if (dependent.length > 0 || sigma === null) return failedFit('too-few-participants', [], asked);

  const means = predictMeans(last, fit.theta);
  const { rows, own } = last.sums;
  // As gls: σ̂² of maximum likelihood has divisor N, which the covariance of the coefficients is corrected for.
  const correction = restricted ? 1 : rows / (rows - own - p);
  const covariance = means.covariance.map((value) => correction * value);
  const { coefficients, vcov } = originalScale(spec, entry.scaling, common, means.beta, covariance, null);
  const df =
    spec.inference.df === null ? null : satterthwaite(last, inverseFromCholesky(cholesky(information)));
  const tests: FittedTest[] = [];
  const profiles = new Map<string, readonly [number, number] | null>();
  const { likelihoodRatio, ci, level } = spec.inference;
  for (const j of spec.tested) {
    const a = common.indexOf(j);
    const term = spec.terms[j]!;
    if (a < 0) continue;
    // Restricted likelihoods of different means do not compare.
    if (likelihoodRatio && !restricted) {
      const others = everything.filter((b) => b !== a);
      const guess = meansOf(restrictSums(last.sums, others, p).at.matrix, others.length) ?? means;
      const without: Optimum = yield* maximum(problem, fit.theta, others, guess);
      asked += without.rounds;
      const gain = 2 * (last.value - without.fit.evaluation.value);
      const statistic = without.fit.status === 'converged' ? Math.max(0, gain) : null;
      tests.push({
        test: 'likelihood ratio',
        term,
        statistic,
        df: 1,
        p: statistic === null ? null : chiSquareUpper(statistic, 1),
      });
    }
    if (ci === 'profile') {
      const limits: number[] = [];
      for (const side of restricted ? [] : ([-1, 1] as const)) {
        const found: Limit = yield* coefficientLimit(problem, last, a, side, chiSquareQuantile(level, 1));
        asked += found.rounds;
        if (found.limit !== null) limits.push(found.limit / entry.scaling.scale[j]!);
      }
      profiles.set(term, limits.length === 2 ? [limits[0]!, limits[1]!] : null);
    }
  }
  return {
    failure: null,
    coefficients: coefficients.map((coefficient, a): FittedCoefficient => {
      const profile = profiles.get(coefficient.term);
      return { ...coefficient, df: df?.[a] ?? null, ...(profile === undefined ? {} : { profile }) };
    }),
    vcov,
    randomEffects: [],
    correlations: [],
    residualVariance: [],
    visitCovariance: pack(sigma.covariance, spec.visits!),
    logLikelihood: last.value,
    tests,
    predicted: [],
    rounds: asked,
    gradientNorm: Math.hypot(...last.gradient),
    warnings: [...profiles].flatMap(([term, limits]) =>
      limits === null ? [{ code: 'profile-limit' as const, terms: [term] }] : [],
    ),
  };
}

type Opening =
  | { readonly start: Float64Array; readonly guess: Means }
  | { readonly code: OneStageFailureCode; readonly terms: readonly number[] };

/** What the sums at Σ = I, N = 0 say: where to start, or why not (`terms` among the common columns). */
function open({ structure, p }: Problem, { rows, own, at, first, second }: Sums): Opening {
  const reference = new Float64Array(p).fill(rows);
  const { dependent } = pivotedRank(at.matrix.subarray(0, packedLength(p)), ALIASED, reference);
  if (dependent.length > 0) return { code: 'rank-deficient', terms: dependent };
  const free = rows - own - p;
  if (free <= 0) return { code: 'too-few-participants', terms: [] };
  const least = meansOf(at.matrix, p);
  if (least === null || least.squares <= EXACT_FIT * at.matrix[packedIndex(p, p)]!)
    return { code: 'no-variation', terms: [] };
  const variance = least.squares / free;
  const u = contrast(least.beta);
  const start = structure.start({
    products: Float64Array.from(first, ({ matrix }) => quadratic(matrix, u)),
    curvatures: Float64Array.from(first, (_, a) => second[packedIndex(a, a)]!),
    variance,
  });
  if (start === null) return { code: 'too-few-participants', terms: [] };
  return { start, guess: { ...least, covariance: least.covariance.map((value) => variance * value) } };
}

/**
 * Degrees of freedom 2v²/(g'Ag) of each coefficient: v its variance, g = ∂v/∂θ and A the inverse of the criterion's observed
 * information (Satterthwaite; Fai & Cornelius, J Stat Comput Simul 1996;54:363), as the R package mmrm has them.
 */
function satterthwaite({ means, covarianceSlopes }: Criterion, covariance: Float64Array): number[] {
  return Array.from(means.beta, (_, j) => {
    const at = packedIndex(j, j);
    const slopes = Float64Array.from(covarianceSlopes, (slope) => slope[at]!);
    return (2 * means.covariance[at]! ** 2) / quadratic(covariance, slopes);
  });
}
