/** An analysis of result.json against R's figures. Every difference is collected, so that one failure tells the whole story. */
import type {
  Heterogeneity,
  PooledTerm,
  StudyResult,
  TwoStageResult,
} from '@concordat/shared/plan/result-types.ts';
import type { CiMethod, Tau2Method } from '@concordat/shared/plan/types.ts';

import type { Fit, JointStageTwo, StageTwo } from './reference.ts';

/** Relative tolerance of closed forms and convex fits. */
export const EXACT = 1e-8;
/**
 * Of glm()'s standard errors, which R takes from the last but one iteration: "about 1e-7", 1.6e-7 at worst here, where ours
 * are held to the closed form at `EXACT` (see `compareTable`).
 */
const GLM_SE = 2e-7;
const ITERATIVE = 1e-6;

const CLOSED: readonly Tau2Method[] = ['FE', 'DL', 'HE', 'HS', 'SJ'];

export class Differences {
  readonly found: string[] = [];
  compared = 0;

  /** Relative to `expected`, or to `scale` where that is larger: what `expected` is a difference of, or its unit where it is 0. */
  close(
    actual: number | null | undefined,
    expected: number | null | undefined,
    tolerance: number,
    what: string,
    scale = 0,
  ): void {
    if (expected === undefined) return;
    this.compared++;
    if (expected === null || actual === null || actual === undefined) {
      if ((actual ?? null) !== expected) this.found.push(`${what}: ${actual}, R ${expected}`);
      return;
    }
    const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), scale, Number.MIN_VALUE);
    if (!(error <= tolerance))
      this.found.push(`${what}: ${actual}, R ${expected}, relative difference ${error.toExponential(2)}`);
  }

  same(actual: unknown, expected: unknown, what: string): void {
    this.compared++;
    const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (a !== e) this.found.push(`${what}: ${a}, expected ${e}`);
  }
}

/** Our term and R's name of it. */
export type TermPairs = Readonly<Record<string, string>>;

/** Tolerance of a family's standard errors in R. */
export const seTolerance = (family: string): number =>
  family === 'binomial' || family === 'poisson' ? GLM_SE : EXACT;

/** One study's estimates, covariance matrix, log-likelihoods and counts. */
export function compareFit(
  d: Differences,
  study: StudyResult,
  fit: Fit,
  terms: TermPairs,
  family: string,
  at: string,
  se = seTolerance(family),
): void {
  const coefficients = new Map(fit.coefficients?.map((c) => [c.term, c]));
  const estimates = new Map(study.estimates?.map((e, i) => [e.term, { ...e, i }]));
  for (const [term, name] of Object.entries(terms)) {
    const [e, c] = [estimates.get(term), coefficients.get(name)];
    // The floor is for estimates that are exactly 0, such as the log odds of 1/2, which R gives as 8e-16.
    d.close(e?.estimate, c?.estimate ?? null, EXACT, `${at} ${term}`, c && 1e-5 * c.se);
    d.close(e?.se, c?.se ?? null, se, `${at} ${term} SE`);
    const row = fit.vcov?.names.indexOf(name) ?? -1;
    if (row < 0) continue;
    for (const [other, otherName] of Object.entries(terms)) {
      const column = fit.vcov!.names.indexOf(otherName);
      if (column < 0) continue;
      const scale = Math.sqrt(fit.vcov!.values[row]![row]! * fit.vcov!.values[column]![column]!);
      const value = study.vcov?.[e?.i ?? -1]?.[estimates.get(other)?.i ?? -1];
      d.close(value, fit.vcov!.values[row]![column], 2 * se, `${at} covariance ${term}, ${other}`, scale);
    }
  }
  d.close(study.log_likelihood?.fitted, fit.logLik, EXACT, `${at} log-likelihood`);
  d.close(study.log_likelihood?.null, nullLogLikelihood(fit), EXACT, `${at} null log-likelihood`);
}

/** Of the intercept alone (θ = 0 in a Cox model), which R gives for some models as a deviance or as R². */
function nullLogLikelihood({
  logLikNull,
  logLik,
  deviance,
  nullDeviance,
  rss,
  r2,
  n,
}: Fit): number | undefined {
  if (logLikNull !== undefined) return logLikNull;
  if (nullDeviance !== undefined) return logLik! - (nullDeviance - deviance!) / 2;
  if (rss === undefined || r2 === undefined) return undefined;
  return (-n! / 2) * (Math.log((2 * Math.PI * rss) / (1 - r2) / n!) + 1);
}

export function compareCounts(d: Differences, study: StudyResult, fit: Fit, at: string): void {
  const { participants, events } = study;
  const total = (counts: Readonly<Record<string, number>> | null | undefined) =>
    counts && Object.entries(counts).reduce((sum, [arm, count]) => sum + (arm === 'left_out' ? 0 : count), 0);
  d.close(participants?.['active'], fit.n1, 0, `${at} participants in the active arm`);
  d.close(participants?.['control'], fit.n0, 0, `${at} participants in the control arm`);
  d.close(total(participants), fit.n, 0, `${at} participants`);
  d.close(events?.['active'], fit.e1 ?? fit.events1, 0, `${at} events in the active arm`);
  d.close(events?.['control'], fit.e0 ?? fit.events0, 0, `${at} events in the control arm`);
  d.close(total(events), fit.events, 0, `${at} events`);
}

/** A logistic model with a treatment alone has a closed form, which does not depend on where an iteration stops. */
export function compareTable(d: Differences, study: StudyResult, { e1, n1, e0, n0 }: Fit, at: string): void {
  if (e1 === undefined || e0 === undefined || n1 === undefined || n0 === undefined) return;
  const control = 1 / e0 + 1 / (n0 - e0);
  const covariance = [
    [control, -control],
    [-control, control + 1 / e1 + 1 / (n1 - e1)],
  ];
  covariance.forEach((row, i) =>
    row.forEach((value, j) =>
      d.close(study.vcov?.[i]?.[j], value, EXACT, `${at} exact covariance ${i} ${j}`),
    ),
  );
}

export interface PooledSetting {
  readonly tau2: Tau2Method;
  readonly ci: CiMethod;
}

/** Pooled estimate, inference, heterogeneity, prediction interval and weights of one univariate stage two. */
export function compareStageTwo(
  d: Differences,
  pooled: PooledTerm,
  h: Heterogeneity | null,
  weights: ReadonlyMap<string, number | null | undefined> | null,
  reference: StageTwo,
  { tau2: method, ci }: PooledSetting,
  /** Relative error of R's standard errors of the studies. */
  inputs: number,
  at: string,
): void {
  const r = reference.methods[method]!;
  const tolerance = CLOSED.includes(method) ? inputs : ITERATIVE;
  const e = ci === 'normal' ? { ...r, t: r.z, df: null } : ci === 'HKSJ' ? r.hksj : r.hksjAdhoc;
  d.close(pooled.estimate, r.estimate, tolerance, `${at} estimate`, r.se);
  d.close(pooled.se, e.se, tolerance, `${at} SE`);
  d.close(pooled.statistic, e.t, tolerance, `${at} statistic`, 1);
  d.close(pooled.df, e.df, 0, `${at} degrees of freedom`);
  // A relative error ε of z is one of about z²ε in the tail area.
  d.close(pooled.p, e.p, tolerance * (1 + e.t ** 2), `${at} p`);
  d.close(pooled.ci?.[0], e.lower, tolerance, `${at} lower limit`, e.se);
  d.close(pooled.ci?.[1], e.upper, tolerance, `${at} upper limit`, e.se);
  if (ci !== 'HKSJ-adhoc') {
    const interval = r.prediction?.[ci === 'normal' ? 'normal' : 'hksjTKminus1'] ?? {
      lower: null,
      upper: null,
    };
    const se = Math.sqrt(e.se ** 2 + r.tau2);
    d.close(pooled.prediction?.[0], interval.lower, tolerance, `${at} lower prediction limit`, se);
    d.close(pooled.prediction?.[1], interval.upper, tolerance, `${at} upper prediction limit`, se);
  }
  // tau2 is a difference of variances: an error of R's standard errors moves it by twice that part of the variance within studies.
  const within = reference.sei.reduce((sum, s) => sum + s * s, 0) / reference.sei.length;
  const part = (2 * inputs) / tolerance;
  d.close(h?.tau2, r.tau2, tolerance, `${at} tau2`, part * within);
  d.close(h?.tau2_se, r.seTau2, tolerance, `${at} SE of tau2`);
  d.close(h?.q, r.Q, 2 * inputs, `${at} Q`);
  d.close(h?.q_df, r.Qdf, 0, `${at} degrees of freedom of Q`);
  d.close(h?.q_p, r.Qp, 2 * inputs * (1 + r.Q), `${at} p of Q`);
  d.close(h?.i2, r.I2, tolerance, `${at} I2`, 100 * part);
  d.close(h?.h2, r.H2, tolerance, `${at} H2`);
  if (method === 'REML') {
    d.close(h?.tau2_ci?.[0], reference.qProfile.tau2[0], 1e-7, `${at} lower Q-profile limit`, within);
    d.close(h?.tau2_ci?.[1], reference.qProfile.tau2[1], 1e-7, `${at} upper Q-profile limit`, within);
  }
  if (weights === null) return;
  reference.weightsPercent[method]?.forEach((weight, i) => {
    const study = reference.studies[i]!;
    d.close(weights.get(study), weight, 2 * tolerance, `${at} weight of ${study}`);
  });
}

/**
 * Estimates, between-study covariance matrix, Q and log-likelihood of a multivariate stage two; `terms` in R's order of
 * outcomes. The log-likelihood may not be below that of R's optimisers, whose other figures are as good as where they stopped.
 */
export function compareJoint(
  d: Differences,
  analysis: TwoStageResult,
  terms: readonly string[],
  method: 'FE' | 'ML' | 'REML',
  reference: JointStageTwo,
  tolerance: { readonly estimate: number; readonly sigma: number },
  at: string,
): void {
  const fit = reference.fits[method];
  const { joint } = analysis;
  d.same(joint?.terms, terms, `${at} terms`);
  const matrices = Object.values(reference.V);
  const within = terms.map((_, i) => matrices.reduce((sum, v) => sum + v[i]![i]!, 0) / matrices.length);
  terms.forEach((term, i) => {
    const pooled = analysis.pooled.find((candidate) => candidate.term === term);
    const e = fit.coefficients[i]!;
    const close = (actual: number | undefined | null, expected: number, what: string, scale: number) =>
      d.close(actual, expected, tolerance.estimate, `${at} ${term} ${what}`, scale);
    close(pooled?.estimate, e.estimate, 'estimate', e.se);
    close(pooled?.se, e.se, 'SE', 0);
    close(pooled?.statistic, e.statistic, 'statistic', 1);
    close(pooled?.p, e.p, 'p', 0);
    close(pooled?.ci?.[0], e.lower, 'lower limit', e.se);
    close(pooled?.ci?.[1], e.upper, 'upper limit', e.se);
    terms.forEach((_, j) => {
      // The floor is for matrices at zero, where R has 1e-17.
      const floor = 1e-6 * Math.sqrt(within[i]! * within[j]!);
      d.close(
        joint?.sigma[i]?.[j],
        fit.G?.values[i]?.[j] ?? 0,
        tolerance.sigma,
        `${at} Sigma ${i} ${j}`,
        floor,
      );
    });
  });
  d.close(joint?.q, fit.Q, ITERATIVE, `${at} Q`);
  d.close(joint?.q_df, fit.Qdf, 0, `${at} degrees of freedom of Q`);
  d.close(joint?.q_p, fit.Qp, ITERATIVE, `${at} p of Q`);
  d.close(joint?.log_likelihood, fit.logLik, ITERATIVE, `${at} log-likelihood`);
  d.same(
    (joint?.log_likelihood ?? -Infinity) >= fit.logLik - 1e-8,
    true,
    `${at} log-likelihood at least R's`,
  );
}
