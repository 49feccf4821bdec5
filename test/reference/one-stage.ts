/** R's one-stage fits in one shape, and an analysis of result.json against them. */
import type { WrittenAnalysis } from '@concordat/shared/plan/schema.ts';
import type { OneStageResult } from '@concordat/shared/plan/result-types.ts';

import type { Differences } from './compare.ts';
import { oneStageFit, zphTests, type OneStageReference } from './reference.ts';
import type { Scenario } from './scenarios.ts';

/** Relative; each departure from the contract's is explained where it is set. */
export interface Tolerance {
  readonly estimate: number;
  readonly se: number;
  readonly variance: number;
  readonly logLik: number;
}

/** Convex fits without random effects; standard errors of lm(), clm() and coxph() are exact. */
export const EXACT: Tolerance = { estimate: 1e-8, se: 1e-8, variance: 1e-8, logLik: 1e-8 };
/** glm() takes its covariance matrix from the last but one iteration. */
export const GLM: Tolerance = { ...EXACT, se: 2e-7 };
/** Of a link that is not canonical, Fisher's scoring ends where a step gains less than 1e-13 of the deviance. */
export const NON_CANONICAL: Tolerance = { estimate: 5e-5, se: 1e-5, variance: 0, logLik: 1e-8 };
/** Of sparse tables, 7e-7 at worst; ours are those of a fit that is started again from its own estimates. */
export const GLM_SPARSE: Tolerance = { ...EXACT, se: 1e-6 };
/** The reference's own maximisation of glmer's likelihood. */
export const GLMM: Tolerance = { estimate: 1e-6, se: 1e-6, variance: 1e-6, logLik: 1e-8 };
/** Its Hessians are differences over steps of 2e-3 and more: 4e-6 away where ℓ is less quadratic. With steps of 2e-4 they agree to 5e-8. */
export const GLMM_DIFFERENCES: Tolerance = { ...GLMM, se: 5e-6 };
/** BOBYQA leaves lmer's variance components about 1e-5 from the maximum, where the fixed effects hardly notice. */
export const LMER: Tolerance = { estimate: 1e-6, se: 1e-5, variance: 2e-5, logLik: 1e-8 };
/** nlminb stops glmmTMB at gradients of 1e-5 to 1e-4. */
export const TMB: Tolerance = { estimate: 1e-5, se: 1e-5, variance: 1e-4, logLik: 1e-8 };
/** The optimisers of glm.nb, clmm, lme and frailty() stop early. */
export const EARLY: Tolerance = { estimate: 1e-4, se: 1e-4, variance: 1e-3, logLik: 1e-6 };

/** The reference's second derivatives are numerical, of a likelihood that is itself differenced. */
export const COX_RANDOM: Tolerance = { estimate: 1e-6, se: 1e-6, variance: 1e-6, logLik: 1e-8 };
/** survival's frailty() stops its search for the variance early, and leaves out part of the information for its standard errors. */
export const FRAILTY: Tolerance = { estimate: 1e-4, se: 1e-4, variance: 1e-3, logLik: 1e-6 };
/** gls() stops up to 3e-6 of a standard error short of the maximum. */
export const GLS: Tolerance = { estimate: 5e-6, se: 5e-6, variance: 1e-5, logLik: 1e-8 };
/** clmm() stops at gradients of 1e-3, sometimes with a warning, and takes its Hessian there by differences. */
export const CLMM: Tolerance = { estimate: 1e-3, se: 5e-3, variance: 1e-3, logLik: 1e-7 };

/** Our term and R's, or those whose sum it is; `-` before a name subtracts it. */
export type Sums = Readonly<Record<string, string | readonly string[]>>;

export interface Held {
  /** R's model, and its part where the reference holds several fits. */
  readonly id: string;
  readonly part?: string;
  readonly tolerance: Tolerance;
  /** What our log-likelihood has and R's has not; null: not comparable. */
  readonly constant?: number | null;
}

export interface OneStageCase {
  readonly name: string;
  readonly model: WrittenAnalysis['model'];
  readonly effect_modifier?: WrittenAnalysis['effect_modifier'];
  readonly inference?: WrittenAnalysis['inference'];
  /** R's fits of this model. */
  readonly against: readonly Held[];
  readonly terms: Sums;
  /** cox.zph() of R's fit, by this transform of time. */
  readonly proportional?: ZphReference;
  /** Code of the reason why there is no estimate, whatever R's optimiser says. */
  readonly fails?: string;
}

export interface ZphReference {
  readonly id: string;
  readonly transform: 'identity' | 'log';
}

export interface OneStageScenario extends Pick<Scenario, 'name' | 'dataset' | 'data' | 'plan'> {
  readonly cases: readonly OneStageCase[];
}

export const analysisOf = ({ name, model, effect_modifier, inference }: OneStageCase): WrittenAnalysis => ({
  id: name,
  approach: 'one-stage',
  model,
  ...(effect_modifier === undefined ? {} : { effect_modifier }),
  ...(inference === undefined ? {} : { inference }),
});

export const TREATMENT: Sums = { treatment: 'treat' };
export const RANDOM_INTERCEPT: Sums = { '(intercept)': '(Intercept)', ...TREATMENT };

/** `(intercept)[study]` of `treat + factor(study)`. */
export const intercepts = (studies: readonly string[]): Sums =>
  Object.fromEntries(
    studies.map((study, i) => [
      `(intercept)[${study}]`,
      i === 0 ? '(Intercept)' : ['(Intercept)', `factor(study)${study}`],
    ]),
  );

/** R's scripts call the treatment `treat`, `aspirin` or `.t`, and `tc` where it is centred within study. */
const canonical = (name: string): string =>
  name
    .split(':')
    .map((part) => (['aspirin', '.t', 'tc'].includes(part) ? 'treat' : part))
    .toSorted()
    .join(':');

interface Coefficient {
  readonly term: string;
  readonly estimate: number;
  /** Absent where the reference has none. */
  readonly se?: number;
}

interface RandomEffects {
  readonly names: readonly string[];
  readonly sd: readonly number[];
  readonly correlation: number | null;
}

/** The coefficients, also of fits that the reference gives as numbers without tables. */
function coefficientsOf(fit: OneStageReference): Coefficient[] {
  const { coefficients, treat, estimate, thresholds, theta, dispersion } = fit;
  const se = fit.se ?? (fit.boundary === true ? fit.seGivenTau : fit.seFullHessian);
  const size = typeof theta === 'number' ? theta : dispersion;
  return [
    ...(coefficients ?? [{ term: 'treat', estimate: (treat ?? estimate)!, se: se! }]),
    ...(thresholds ?? []).map((threshold, k) => ({ term: `${k + 1}|${k + 2}`, estimate: threshold })),
    ...(size === undefined ? [] : [{ term: 'log(size)', estimate: Math.log(size) }]),
  ];
}

/** Null: of a model that metafor says has none, or one that is not ours. */
function randomOf({
  varcomp,
  randomCov,
  tau2,
  QEwald,
  thresholds,
  studyEffects,
  frailty,
  theta,
}: OneStageReference): RandomEffects | null {
  if (QEwald !== undefined) return null;
  if (frailty !== undefined)
    return { names: ['frailty'], sd: [Math.sqrt(theta as number)], correlation: null };
  if (tau2 !== undefined) {
    const term = thresholds === undefined || studyEffects != null ? 'treat' : '(Intercept)';
    return { names: [term], sd: [Math.sqrt(tau2)], correlation: null };
  }
  const blocks = [
    ...Object.values(varcomp ?? {}),
    ...(randomCov === undefined ? [] : [{ names: randomCov.names, cov: randomCov.values }]),
  ];
  const sd = blocks.flatMap(({ cov }) => cov.map((row, i) => Math.sqrt(row[i]!)));
  const joint = blocks.find((block) => block.names.length === 2);
  return {
    names: blocks.flatMap((block) => block.names.map(canonical)),
    sd,
    correlation: joint === undefined || sd.includes(0) ? null : joint.cov[0]![1]! / (sd[0]! * sd[1]!),
  };
}

/** Terms of the random effects in R. */
const RANDOM: Readonly<Record<string, string>> = {
  '(intercept)': '(Intercept)',
  treatment: 'treat',
  frailty: 'frailty',
};

export function compareOneStage(
  d: Differences,
  dataset: string,
  { name, model, terms, fails }: OneStageCase,
  { id, part, tolerance, constant = 0 }: Held,
  analysis: OneStageResult,
): void {
  const at = part === undefined ? id : `${id} ${part}`;
  if (fails !== undefined) {
    d.same(analysis.reason?.code, fails, at);
    return;
  }
  const fit = linear(oneStageFit(dataset, id, part), model);
  if (analysis.status !== 'done') {
    d.same(`${name}: ${JSON.stringify(analysis.reason)}`, 'done', at);
    return;
  }
  compareCoefficients(d, analysis, fit, terms, tolerance, at);
  compareVariances(d, analysis, fit, tolerance, at);
  const logLik = fit.logLik ?? fit.integratedLogLik ?? fit.penalizedLogLik ?? fit.integratedLogPartialLik;
  if (constant === null || logLik === undefined) return;
  const expected = logLik + constant;
  d.close(analysis.log_likelihood, expected, tolerance.logLik, `${at} log-likelihood`);
  const least = expected - 1e-8;
  d.same((analysis.log_likelihood ?? -Infinity) >= least, true, `${at} log-likelihood at least R's`);
}

/** The score test of proportional hazards by term, and of all; in each study too where R has it. */
export function compareProportional(
  d: Differences,
  dataset: string,
  { terms }: OneStageCase,
  { id, transform }: ZphReference,
  { tests }: OneStageResult,
): void {
  const own = tests.filter(({ test }) => test === `proportional hazards, ${transform} of time`);
  for (const { study, term: theirs, chisq, df, p } of zphTests(dataset, id, transform)) {
    const ours =
      theirs === 'GLOBAL' ? 'global' : Object.keys(terms).find((term) => terms[term] === canonical(theirs));
    const test = own.find((found) => found.term === ours && found.study === study);
    const at = `${id} ${transform} ${study ?? ''} ${theirs}`;
    // The statistic is quadratic in a score that is rounding where hazards are proportional.
    d.close(test?.statistic, chisq, EXACT.estimate, `${at} chi-square`, 1);
    d.close(test?.df, df, 0, `${at} degrees of freedom`);
    d.close(test?.p, p, EXACT.estimate * (1 + chisq), `${at} p`);
  }
}

/** lm() has the residual variance of REML, and its standard errors, beside the log-likelihood of ML; so have ours, but for the variance. */
function linear(fit: OneStageReference, { estimation }: WrittenAnalysis['model']): OneStageReference {
  if (fit.rss === undefined || estimation !== 'ML') return fit;
  return { ...fit, sigma: Math.sqrt(fit.rss / fit.n!) };
}

interface Part {
  readonly name: string;
  readonly sign: 1 | -1;
}

const signed = (name: string): Part =>
  name.startsWith('-') ? { name: canonical(name.slice(1)), sign: -1 } : { name: canonical(name), sign: 1 };

function compareCoefficients(
  d: Differences,
  { coefficients, vcov }: OneStageResult,
  fit: OneStageReference,
  terms: Sums,
  tolerance: Tolerance,
  at: string,
): void {
  const theirs = coefficientsOf(fit);
  const estimates = new Map(theirs.map((c) => [canonical(c.term), c]));
  const row = new Map(fit.vcov?.names.map((name, i) => [canonical(name), i]));
  const covariance = (a: readonly Part[], b: readonly Part[]): number | null => {
    let sum = 0;
    for (const p of a) {
      for (const q of b) {
        const [i, j] = [row.get(p.name), row.get(q.name)];
        if (i === undefined || j === undefined) return null;
        sum += p.sign * q.sign * fit.vcov!.values[i]![j]!;
      }
    }
    return sum;
  };
  const seOf = (parts: readonly Part[]): number | null => {
    const variance = covariance(parts, parts);
    if (variance !== null) return Math.sqrt(variance);
    return parts.length === 1 ? (estimates.get(parts[0]!.name)?.se ?? null) : null;
  };
  // Where R centred the treatment within study, its intercepts are the studies' means; ours are those of the control arm.
  const centred = theirs.some(({ term }) => term === 'tc');
  const position = new Map(coefficients.map(({ term }, i) => [term, i]));
  const pairs = Object.entries(terms)
    .filter(
      ([term]) =>
        !(centred && term.startsWith('(intercept)')) && (fit.QEwald === undefined || term === 'treatment'),
    )
    .map(([term, names]) => ({ term, parts: [names].flat().map(signed), i: position.get(term) ?? -1 }));
  for (const { term, parts, i } of pairs) {
    const ours = coefficients[i];
    const found = parts.map(({ name }) => estimates.get(name)?.estimate);
    if (ours === undefined || found.includes(undefined)) {
      d.same([ours?.term, found], [term, parts], `${at} terms`);
      continue;
    }
    const estimate = parts.reduce((sum, { sign }, k) => sum + sign * found[k]!, 0);
    const se = seOf(parts);
    // A sum is as exact as its parts; what is iterated to is as exact as its standard error tells.
    const scale = Math.max(
      ...found.map((part) => Math.abs(part!)),
      (tolerance.estimate > EXACT.estimate ? 1 : 1e-5) * (se ?? ours.se ?? 0),
    );
    d.close(ours.estimate, estimate, tolerance.estimate, `${at} ${term}`, scale);
    if (se === null || tolerance.se === Infinity) continue;
    d.close(ours.se, se, tolerance.se, `${at} ${term} SE`);
    // Theirs by normal quantiles, whatever ours are by.
    if (ours.df === null) {
      const error = tolerance.se + tolerance.estimate;
      const z = estimate / se;
      d.close(ours.statistic, z, error, `${at} ${term} statistic`, Math.max(1, scale / se));
      d.close(ours.ci?.[0], estimate - Z975 * se, error, `${at} ${term} lower limit`, scale + se);
      d.close(ours.ci?.[1], estimate + Z975 * se, error, `${at} ${term} upper limit`, scale + se);
    }
    for (const other of pairs) {
      const wanted = covariance(parts, other.parts);
      const unit = se * (seOf(other.parts) ?? 0);
      if (wanted === null || other.i < 0 || other.i > i) continue;
      d.close(vcov[i]?.[other.i], wanted, 2 * tolerance.se, `${at} covariance ${term}, ${other.term}`, unit);
    }
  }
}

const Z975 = 1.959963984540054;

function compareVariances(
  d: Differences,
  analysis: OneStageResult,
  fit: OneStageReference,
  tolerance: Tolerance,
  at: string,
): void {
  if (fit.visitSd !== undefined || analysis.visit_covariance !== undefined) {
    compareVisits(d, analysis, fit, tolerance, at);
    return;
  }
  const random = randomOf(fit);
  if (random !== null) {
    d.same(
      analysis.random_effects.map(({ term }) => RANDOM[term]),
      random.names,
      `${at} random effects`,
    );
    analysis.random_effects.forEach(({ term, variance }, a) => {
      // A variance at zero is 1e-12 in some of R's fits; it is held against the sampling variance of its mean.
      const mean = coefficientsOf(fit).find((c) => canonical(c.term) === RANDOM[term]);
      const floor = (mean?.se ?? 0) ** 2;
      d.close(variance, random.sd[a]! ** 2, tolerance.variance, `${at} variance of ${term}`, floor);
    });
    if (random.correlation !== null)
      d.close(analysis.correlations[1]?.[0], random.correlation, tolerance.variance, `${at} correlation`, 1);
  }
  if (fit.residualSd !== undefined) {
    const own = new Map(analysis.residual_variance.map(({ study, variance }) => [study, variance]));
    for (const { study, sd } of fit.residualSd)
      d.close(own.get(study), sd ** 2, tolerance.variance, `${at} residual variance of ${study}`);
  } else if (fit.sigma !== undefined) {
    const [own] = analysis.residual_variance;
    d.close(own?.variance, fit.sigma ** 2, tolerance.variance, `${at} residual variance`);
  }
}

function compareVisits(
  d: Differences,
  { visit_covariance: ours = [] }: OneStageResult,
  fit: OneStageReference,
  tolerance: Tolerance,
  at: string,
): void {
  // A participant's random intercept makes any two visits equally correlated.
  const between = randomOf(fit)?.sd[0] ?? 0;
  const sd = fit.visitSd?.sd ?? ours.map(() => Math.hypot(between, fit.sigma!));
  let next = 0;
  sd.forEach((first, i) =>
    sd.forEach((second, j) => {
      if (j < i) return;
      const covariance = fit.visitSd === undefined ? between ** 2 : first * second * fit.correlations![next]!;
      if (i !== j) next++;
      const wanted = i === j ? first * second : covariance;
      const unit = first * second;
      d.close(ours[j]?.[i], wanted, tolerance.variance, `${at} covariance of visits ${i}, ${j}`, unit);
    }),
  );
}
