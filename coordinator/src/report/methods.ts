import type { TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { levelPercent } from './format.ts';
import { analysisSet, designPhrase, list, outcomePhrase } from './method-phrases.ts';
import { ciPhrase, TAU2_NAMES } from './phrases.ts';
import { pooledTerms } from './view.ts';

function familyPhrase(planned: Analysis, plan: ExpandedPlan): string {
  switch (planned.family) {
    case 'gaussian':
      return plan.outcome.kind === 'repeated'
        ? `a linear model for repeated measures (MMRM, ${planned.model.covariance} covariance between visits, ${planned.model.estimation})`
        : 'a linear regression (least squares, its own residual variance in each study)';
    case 'binomial':
      return 'a logistic regression (logit link, maximum likelihood)';
    case 'poisson':
      return 'a Poisson regression (log link, maximum likelihood)';
    case 'negative-binomial':
      return 'a negative binomial regression (log link, variance μ + μ²/θ, maximum likelihood)';
    case 'ordinal':
      return 'a proportional-odds regression (cumulative logit, maximum likelihood)';
    case 'weibull':
      return 'a Weibull proportional hazards regression (maximum likelihood)';
    case 'piecewise-exponential':
      return `a proportional hazards regression with a hazard that is constant between the times ${planned.model.cuts.join(', ')} (maximum likelihood)`;
    case 'royston-parmar':
      return `a Royston–Parmar proportional hazards regression (restricted cubic spline of log time with knots at ${planned.model.knots.join(', ')}, maximum likelihood)`;
    case 'rmst':
      return `the ${planned.model.contrast} of restricted mean survival times to ${planned.model.tau} (area under the Kaplan–Meier curve)`;
    case 'cox': {
      const ties = planned.ties === 'efron' ? 'Efron' : 'Breslow';
      const strata =
        planned.strata.length === 0 ? '' : `, its baseline hazard stratified by ${list(planned.strata)}`;
      return `a Cox proportional hazards regression (partial likelihood, ${ties}’s method for ties${strata})`;
    }
  }
}

function stageOne(planned: Analysis, plan: ExpandedPlan): string {
  return `Two-stage individual participant data meta-analysis. In stage one, each study was analysed by itself, at its own site, by ${familyPhrase(
    planned,
    plan,
  )} of ${outcomePhrase(plan.outcome)}${designPhrase(planned, plan)}.`;
}

function interaction(planned: Analysis): string[] {
  const modifier = planned.effectModifier;
  if (modifier === null) return [];
  if (!modifier.separate) {
    return [
      `The interaction of treatment with ${modifier.variable} is one merged term: it mixes within-trial with across-trial information.`,
    ];
  }
  return [
    `The interaction of treatment with ${modifier.variable} was estimated within each study, with ${modifier.variable} centred at its mean in that study’s analysis set, so that the treatment term is the effect at that mean. The across-trial association is a meta-regression of the studies’ treatment effects on those means.`,
  ];
}

function stageTwo(outcome: TwoStageResult, planned: Analysis): string[] {
  const { pool } = planned;
  const several = pooledTerms(outcome, planned).length > 1;
  const df = outcome.pooled.find(({ term }) => pool.terms.includes(term))?.df ?? null;
  const sentences: string[] = [];
  if (outcome.joint !== null) {
    const between =
      pool.tau2 === 'FE'
        ? 'a multivariate common-effect model (generalised least squares)'
        : `a multivariate random-effects model with an unstructured between-study covariance matrix estimated by ${TAU2_NAMES[pool.tau2]}`;
    sentences.push(
      `In stage two, the coefficients were pooled jointly, with their within-study covariance matrices, in ${between}; studies that cannot estimate a term contribute the others.`,
      'Heterogeneity is also given for each term pooled by itself.',
    );
  } else {
    const each = several ? ', each coefficient by itself' : '';
    sentences.push(
      pool.tau2 === 'FE'
        ? `In stage two, estimates were pooled${each} in a common-effect model with inverse-variance weights.`
        : `In stage two, estimates were pooled${each} in a random-effects model with inverse-variance weights; the between-study variance τ² was estimated by ${TAU2_NAMES[pool.tau2]}.`,
    );
  }
  sentences.push(
    `Pooled ${levelPercent(pool.level)} confidence intervals: ${ciPhrase(pool.ci, df, outcome.joint !== null)}. Study intervals: standard normal quantile.`,
  );
  if (pool.tau2 !== 'FE') {
    sentences.push(
      'The interval of τ² is by the Q-profile method; I² and H² are computed from τ² and the typical within-study variance, as in metafor.',
    );
  }
  if (pool.prediction && pool.tau2 !== 'FE') {
    const quantile =
      df === null ? 'the standard normal quantile' : 'the t quantile with the same degrees of freedom';
    sentences.push(
      `Prediction interval: estimate ± q × √(SE² + τ²), with q ${quantile}${outcome.joint === null ? '' : ' and τ² the term’s variance in that matrix'}.`,
    );
  }
  return sentences;
}

function released(planned: Analysis, plan: ExpandedPlan): string {
  const what = [
    'the coefficients of its model and their covariance matrix',
    'two log-likelihoods',
    ...(planned.family === 'gaussian' ? ['the residual variance'] : []),
    `numbers of participants${hasEvents(plan) ? ' and events' : ''}${
      plan.treatment === null ? '' : ' per arm'
    }`,
    'numbers of rows left out by reason',
    ...(planned.effectModifier?.separate === true ? [`the mean of ${planned.effectModifier.variable}`] : []),
    'how the fit went (iterations, rescaled columns)',
  ];
  const hasFactors = planned.columns.some(({ product }) => product.some(({ kind }) => kind === 'level'));
  const levels = hasFactors
    ? ' For factors whose levels the plan does not declare, it had first sent those levels.'
    : '';
  return `Each contributing site sent, for this analysis and after its disclosure rules were met: ${list(what)}.${levels} No participant’s record left a site.`;
}

/** The methods of one analysis as sentences: exactly what was computed, by the names a methods section uses. */
export function methodsParagraph(
  planned: Analysis,
  outcome: TwoStageResult,
  plan: ExpandedPlan,
  software: string,
): string {
  return [
    stageOne(planned, plan),
    analysisSet(plan),
    ...interaction(planned),
    ...stageTwo(outcome, planned),
    released(planned, plan),
    `Software: ${software}.`,
  ].join(' ');
}
