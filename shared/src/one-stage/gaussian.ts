import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { logLikelihood } from '../models/gaussian.ts';
import { families } from '../models/registry.ts';
import { failedFit } from './failed.ts';
import { fitVariances, type Estimation, type VarianceFit } from './gaussian-fit.ts';
import { contrast } from './gaussian-likelihood.ts';
import { multiply } from './gaussian-matrices.ts';
import { faultOf } from './gaussian-faults.ts';
import { likelihoodRatioTests, profileIntervals } from './gaussian-profile.ts';
import { answerLength, readAnswer, sumsOf, writeAnswer, type StudyAnswer } from './gaussian-sums.ts';
import {
  allCoefficients,
  kenwardRoger,
  satterthwaite,
  type AllCoefficients,
  type Denominator,
} from './kenward-roger.ts';
import { correlationsOf } from './random-effects.ts';
import type {
  Entry,
  FittedCoefficient,
  OneStageFit,
  OneStageModel,
  OneStageSpec,
  OneStageWarning,
  PredictedEffect,
  Program,
} from './types.ts';

/**
 * The gaussian one-stage model from one round of sufficient statistics (Luo et al., Nat Commun 2022;13:1678): each study
 * answers once, with its sums of squares and products about a common point, and everything else is computed from them.
 *
 *   yᵢ = Xᵢβ + Xᵢ⁽ˢ⁾αᵢ + Zᵢbᵢ + εᵢ, bᵢ ~ N(0, Ψ), ε ~ N(0, σ²) or N(0, σᵢ²); q ≤ 2 random effects a study.
 *
 * Estimates, their covariance matrix (X'V⁻¹X)⁻¹ and the log-likelihood are R's lmer, or lme with varIdent(~ 1 | study)
 * where residual variances are stratified, by ML or REML (its log-likelihood being the restricted one, in the columns' own
 * scale). Without random effects they are those of lm (vcov from RSS/(n − p), log-likelihood logLik(lm), which is the ML
 * one, whatever the estimation; `residualVariance` RSS/(n − p), or RSS/n by ML), or of gls with varIdent.
 *
 * Degrees of freedom need REML, random effects and a common residual variance: of the t statistics of every coefficient,
 * Kenward–Roger's with their covariance matrix, or Satterthwaite's. Likelihood-ratio tests and profile intervals are of
 * the ML fit, as lme4's confint; the random effects stay in the model when a coefficient is fixed.
 */
export const gaussianModel: OneStageModel = {
  *program(spec: OneStageSpec, entry: Entry): Program {
    const theta = entry.start.slice(0, spec.columns);
    const answers = yield {
      objective: 'sufficient-statistics',
      theta,
      order: 2,
      length: answerLength(spec),
      gather: 'each',
    };
    return fitGaussian(
      spec,
      entry.scaling,
      theta,
      answers.map((answer) => readAnswer(spec, answer)),
    );
  },

  study(spec, data, scaling) {
    const objective = families.gaussian.objective(data, spec.options, scaling);
    return ({ theta }) => writeAnswer(spec, data, objective, theta);
  },
};

/** The fit from all studies' answers, θ₀ the point that they are about. */
function fitGaussian(
  spec: OneStageSpec,
  scaling: Scaling,
  theta: Float64Array,
  answers: readonly StudyAnswer[],
): OneStageFit {
  const fault = faultOf(spec, answers, theta);
  if (fault !== null) return failedFit(fault.code, fault.terms, 1);
  const sums = sumsOf(spec, answers);
  const q = sums.effects;
  const estimation: Estimation = {
    structure: {
      entries:
        q < 2 || spec.correlated
          ? Array.from({ length: packedLength(q) }, (_, k): [number, number] =>
              k === 0 ? [0, 0] : [1, k - 1],
            )
          : [
              [0, 0],
              [1, 1],
            ],
      residual: spec.residual,
    },
    correlated: spec.correlated,
    restricted: spec.estimation === 'REML',
  };
  const fit = fitVariances(sums, estimation);
  if (fit === null || !fit.converged) return failedFit('not-converged', [], 1);
  const { profile, unit } = fit;
  if (profile.variances.residual.some((variance) => !(variance > SMALLEST_RESIDUAL)))
    return failedFit('no-variation', [], 1);

  const warnings: OneStageWarning[] = boundaryWarnings(spec, fit);
  const all = allCoefficients(fit);
  const denominator = denominatorOf(spec, fit, all);
  if (denominator === null && spec.inference.df !== null && q > 0)
    warnings.push({ code: 'no-degrees-of-freedom', terms: [] });
  const exact = q === 0 && spec.residual === 'common' && wantsT(spec) ? sums.n - sums.p : null;
  // Without random effects, R's residual variance of an ML fit is RSS/n, its vcov's RSS/(n − p).
  const inflation = q === 0 && !estimation.restricted ? sums.n / (sums.n - sums.p) : 1;
  const { rows, coefficients } = inOwnScale(spec, scaling, theta, answers, all, unit);
  const covariance = denominator?.covariance ?? all.covariance;
  const vcov = transformed(rows, covariance, sums.p, unit * unit * inflation);
  const profiles = profileIntervals(spec, scaling, theta, sums, fit);
  warnings.push(...profiles.warnings);

  const psi = profile.variances.psi;
  const packed = new Float64Array(packedLength(q));
  for (let a = 0; a < q; a++)
    for (let b = 0; b <= a; b++) packed[packedIndex(a, b)] = psi[a * q + b]! * unit ** 2;
  const rss = profile.variances.residual[0]! * unit ** 2 * (sums.n - (estimation.restricted ? sums.p : 0));
  return {
    failure: null,
    coefficients: coefficients.map((coefficient, k) => {
      const variance = vcov[packedIndex(k, k)]!;
      const limits = coefficient.study === undefined ? profiles.intervals.get(coefficient.term) : undefined;
      return {
        ...coefficient,
        se: variance > 0 ? Math.sqrt(variance) : null,
        df: exact ?? denominator?.df(dense(rows[k]!, sums.p)) ?? null,
        ...(limits === undefined ? {} : { profile: limits }),
      };
    }),
    vcov,
    randomEffects: spec.random.map(({ term }, a) => ({ term, variance: packed[packedIndex(a, a)]! })),
    correlations: correlationsOf(packed, q).map((value) =>
      value === null ? null : Math.max(-1, Math.min(1, value)),
    ),
    residualVariance: residualVariances(answers, fit),
    logLikelihood:
      q === 0 && spec.residual === 'common'
        ? logLikelihood(rss, sums.n)
        : fit.logLikelihood + scaleTerm(scaling, fit),
    tests: likelihoodRatioTests(spec, theta, sums, fit),
    predicted: predictions(spec, fit),
    rounds: 1,
    gradientNorm: fit.gradientNorm,
    warnings,
  };
}

/** Of the total one, below which a residual variance is rounding. */
const SMALLEST_RESIDUAL = 1e-13;

const wantsT = ({ inference }: OneStageSpec): boolean => inference.ci === 't' || inference.df !== null;

function boundaryWarnings(spec: OneStageSpec, { profile, zero, sums }: VarianceFit): OneStageWarning[] {
  const q = sums.effects;
  const { psi } = profile.variances;
  const atZero = spec.random.filter((_, a) => psi[a * q + a] === 0).map(({ term }) => term);
  if (atZero.length > 0) return [{ code: 'boundary', terms: atZero }];
  return zero[2] === true
    ? [{ code: 'perfect-correlation', terms: spec.random.map(({ term }) => term) }]
    : [];
}

function denominatorOf(spec: OneStageSpec, fit: VarianceFit, all: AllCoefficients): Denominator | null {
  const { df } = spec.inference;
  if (df === null || !fit.estimation.restricted || spec.residual !== 'common' || spec.random.length === 0)
    return null;
  return df === 'kenward-roger' ? kenwardRoger(fit, all) : satterthwaite(fit, all);
}

/** The REML criterion's log|X'V⁻¹X| in the columns' own scale. */
function scaleTerm({ scale }: Scaling, { estimation, sums }: VarianceFit): number {
  if (!estimation.restricted) return 0;
  const logs = (positions: readonly number[]): number =>
    positions.reduce((sum, j) => sum + Math.log(scale[j]!), 0);
  return -logs(sums.common) - sums.studies.reduce((sum, { own }) => sum + logs(own), 0);
}

type Row = ReadonlyMap<number, number>;

/**
 * Coefficients of the columns as they are, as linear functions of all coefficients φ of the columns z = (x − c)/s:
 * βⱼ = γⱼ/sⱼ; an intercept takes −Σ γⱼcⱼ/sⱼ, and a study's own also −γ_t·t̄ where the treatment was centred within it.
 * The common ones first, then term by term the studies' own; one that a study cannot estimate is not there.
 */
function inOwnScale(
  spec: OneStageSpec,
  { centre, scale }: Scaling,
  theta: Float64Array,
  answers: readonly StudyAnswer[],
  { delta, positions }: AllCoefficients,
  unit: number,
): { rows: Row[]; coefficients: FittedCoefficient[] } {
  const phi = delta.map((value) => value * unit);
  const added = new Set<number>();
  positions.forEach((position, i) =>
    position.forEach((k, j) => {
      if (k < 0 || added.has(k)) return;
      added.add(k);
      phi[k]! += j === spec.intercept ? (answers[i]!.origin ?? theta[j]!) : theta[j]!;
    }),
  );
  const rows: Row[] = [];
  const coefficients: FittedCoefficient[] = [];
  const add = (j: number, position: Int32Array, study: number | null): void => {
    if (position[j]! < 0) return;
    const row = new Map<number, number>([[position[j]!, 1 / scale[j]!]]);
    if (j === spec.intercept) {
      position.forEach((k, other) => {
        if (k < 0 || other === j) return;
        const arm = study === null ? -1 : spec.treatment.indexOf(other);
        const shift = (centre[other]! + (answers[study ?? 0]!.treatmentMeans[arm] ?? 0)) / scale[other]!;
        if (shift !== 0 && (study !== null || !spec.stratified.includes(other))) row.set(k, -shift);
      });
    }
    let estimate = 0;
    for (const [k, weight] of row) estimate += weight * phi[k]!;
    rows.push(row);
    coefficients.push({
      term: spec.terms[j]!,
      ...(study === null ? {} : { study }),
      estimate,
      se: null,
      df: null,
    });
  };
  for (let j = 0; j < spec.columns; j++) {
    if (!spec.stratified.includes(j)) add(j, positions[0]!, null);
  }
  for (const j of spec.stratified) positions.forEach((position, i) => add(j, position, i));
  return { rows, coefficients };
}

function dense(row: Row, p: number): Float64Array {
  const l = new Float64Array(p);
  for (const [k, weight] of row) l[k] = weight;
  return l;
}

/** TΦT', packed. */
function transformed(
  rows: readonly Row[],
  covariance: Float64Array,
  p: number,
  factor: number,
): Float64Array {
  const vcov = new Float64Array(packedLength(rows.length));
  rows.forEach((row, i) => {
    const half = new Float64Array(p);
    for (const [k, weight] of row) for (let j = 0; j < p; j++) half[j]! += weight * covariance[k * p + j]!;
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (const [k, weight] of rows[j]!) sum += weight * half[k]!;
      vcov[packedIndex(i, j)] = factor * sum;
    }
  });
  return vcov;
}

function residualVariances(
  answers: readonly StudyAnswer[],
  { profile, unit, estimation }: VarianceFit,
): OneStageFit['residualVariance'] {
  const { residual } = profile.variances;
  if (estimation.structure.residual === 'common')
    return [{ study: null, variance: residual[0]! * unit ** 2 }];
  return answers.flatMap(({ n }, study) =>
    n === 0 ? [] : [{ study, variance: residual[study]! * unit ** 2 }],
  );
}

/** Empirical Bayes: ΨZ'V⁻¹(y − Xβ̂), and the root of the variance Ψ − ΨHΨ given the estimates, as lme4's ranef. */
function predictions(spec: OneStageSpec, { profile, sums, unit }: VarianceFit): PredictedEffect[] {
  const q = sums.effects;
  const { psi } = profile.variances;
  const v = contrast(profile.beta);
  return profile.studies.flatMap(({ nu, h, sums: { n } }, study) => {
    if (n === 0) return [];
    const b = multiply(psi, multiply(nu, v, q, v.length, 1), q, q, 1);
    const explained = multiply(multiply(psi, h, q, q, q), psi, q, q, q);
    return spec.random.map(({ term }, a) => ({
      study,
      term,
      estimate: b[a]! * unit,
      se: Math.sqrt(Math.max(0, psi[a * q + a]! - explained[a * q + a]!)) * unit,
    }));
  });
}
