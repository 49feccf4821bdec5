import { hasEvents } from '@concordat/shared/plan/design.ts';
import { commonPositions, lambdaCount } from '@concordat/shared/one-stage/likelihood-study.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import type { OneStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { count, levelPercent, plural } from './format.ts';
import { analysisSet, designPhrase, list, outcomePhrase } from './method-phrases.ts';
import { ownCoefficient } from './terms.ts';

const LINKS = { logit: 'logistic', log: 'log-binomial', identity: 'identity-link binomial' } as const;

/** The family's regression, `mixed-effects` where it has random effects. */
function modelPhrase(planned: Analysis, plan: ExpandedPlan, spec: OneStageSpec): string {
  const { family, model } = planned;
  const mixed = spec.random.length > 0 ? 'mixed-effects ' : '';
  switch (family) {
    case 'gaussian':
      return plan.outcome.kind === 'repeated'
        ? 'linear model for repeated measures (MMRM)'
        : `linear ${mixed === '' ? '' : 'mixed '}model`;
    case 'binomial':
      return `${mixed}${LINKS[model.link ?? 'logit']} regression`;
    case 'poisson':
      return `${mixed}Poisson regression (${model.link ?? 'log'} link)`;
    case 'negative-binomial':
      return `${mixed}negative binomial regression (log link, variance μ + μ²/θ with one θ for all studies)`;
    case 'ordinal':
      return `${mixed}proportional-odds regression (cumulative logit)`;
    case 'cox':
      return `${mixed}Cox proportional hazards regression (${planned.ties === 'efron' ? 'Efron' : 'Breslow'}’s method for ties)`;
    case 'weibull':
      return `${mixed}Weibull proportional hazards regression`;
    case 'piecewise-exponential':
      return `${mixed}piecewise-exponential proportional hazards regression (hazard constant between the times ${list(model.cuts.map(String))})`;
    case 'royston-parmar':
      return `${mixed}Royston–Parmar proportional hazards regression (restricted cubic spline of log time with knots at ${list(model.knots.map(String))})`;
    case 'rmst':
      return 'comparison of restricted mean survival times';
  }
}

const COVARIANCES = {
  unstructured: 'unstructured',
  ar1: 'first-order autoregressive',
  'compound-symmetry': 'compound-symmetric',
} as const;

/** What is each study's own, what is common, and what is random. */
function structure(planned: Analysis, plan: ExpandedPlan, spec: OneStageSpec): string[] {
  const { family, model, columns } = planned;
  const sentences: string[] = [];
  if (family === 'cox') {
    const strata = planned.strata.length === 0 ? '' : ` and by ${list(planned.strata)}`;
    sentences.push(
      model.baseline === 'stratified'
        ? `The baseline hazard is stratified by study${strata}.`
        : `All studies share one baseline hazard, on a grid of ${count(model.grid.length)} intervals, with a ${model.frailty ?? ''} frailty of each study.`,
    );
  } else if (
    spec.options.cuts !== undefined &&
    ['weibull', 'piecewise-exponential', 'royston-parmar'].includes(family)
  ) {
    sentences.push(
      model.baseline === 'stratified'
        ? 'Each study has its own baseline hazard.'
        : 'All studies share the shape of the baseline hazard.',
    );
  }
  if (family === 'ordinal' && model.thresholds === 'stratified')
    sentences.push('Each study has its own thresholds.');
  else if (columns.some(({ role, stratified }) => role === 'intercept' && stratified === true)) {
    const visits = plan.outcome.kind === 'repeated' ? ' at each visit' : '';
    sentences.push(`Each study has an intercept of its own${visits}, a fixed parameter.`);
  } else if (columns.some(({ role }) => role === 'intercept') && !spec.random.some(isIntercept))
    sentences.push('All studies share one intercept.');
  const random = spec.random.map((effect) => (isIntercept(effect) ? 'intercept' : 'treatment effect'));
  if (random.length > 0) {
    const together =
      random.length < 2
        ? ''
        : spec.correlated
          ? ', jointly and with a correlation'
          : ', independently of each other';
    sentences.push(
      `The study’s ${list(random)} ${random.length === 1 ? 'is' : 'are'} random, normally distributed between studies${together}.`,
    );
  }
  if (spec.treatment.length > 0 && !random.includes('treatment effect'))
    sentences.push('The treatment effect is common to all studies.');
  if (spec.kind === 'gaussian')
    sentences.push(
      model.residual === 'common'
        ? 'The residual variance is common to all studies.'
        : 'Each study has its own residual variance.',
    );
  if (spec.kind === 'mmrm') {
    sentences.push(
      `The covariance between the visits of a participant is ${COVARIANCES[model.covariance]} and common to all studies.`,
    );
  }
  if (model.timeVarying !== null) {
    const { transform, cuts } = model.timeVarying;
    sentences.push(
      transform === 'piecewise'
        ? `The treatment’s log hazard ratio changes at the times ${list(cuts.map(String))}.`
        : `The treatment’s log hazard ratio is linear in ${transform === 'log' ? 'log time' : 'time'}.`,
    );
  }
  return sentences;
}

const isIntercept = ({ term }: { readonly term: string }): boolean => term === '(intercept)';

function estimation(planned: Analysis, spec: OneStageSpec): string[] {
  const { model, family } = planned;
  const sentences: string[] = [];
  if (spec.kind === 'firth') {
    sentences.push(
      'Estimation: Firth’s penalised likelihood (Jeffreys prior), which stays finite where events are sparse.',
    );
  } else if (spec.kind === 'gaussian' || spec.kind === 'mmrm') {
    const name =
      model.estimation === 'REML' ? 'restricted maximum likelihood (REML)' : 'maximum likelihood (ML)';
    sentences.push(`Estimation: ${name}.`);
  } else if (spec.kind === 'frailty') {
    sentences.push('Estimation: partial likelihood, with the studies’ frailties integrated out.');
  } else {
    const likelihood = family === 'cox' ? 'maximum partial likelihood' : 'maximum likelihood';
    const integrals =
      spec.points === 1
        ? 'Laplace’s approximation'
        : `adaptive Gauss–Hermite quadrature with ${spec.points} points a random effect`;
    sentences.push(
      spec.random.length === 0
        ? `Estimation: ${likelihood}.`
        : `Estimation: ${likelihood}, each study’s random effects integrated out at its site by ${integrals}; standard errors from the joint information on coefficients and variances.`,
    );
  }
  if (spec.centredTreatment) {
    sentences.push(
      'The treatment was centred at its mean in each study, as maximum likelihood needs where study intercepts are fixed and the treatment effect is random (Riley et al. 2020); intercepts are reported as without centring.',
    );
  }
  return sentences;
}

function interaction({ effectModifier: modifier }: Analysis): string[] {
  if (modifier === null) return [];
  const { variable } = modifier;
  return modifier.separate
    ? [
        `The interaction of treatment with ${variable} has two parts: within trials, ${variable} centred at its mean in the study’s analysis set; across trials, that mean. The coefficient “treatment” is the effect in a study whose mean is 0; where the studies’ means are known, the report gives the effect at their average, weighted by participants.`,
      ]
    : [
        `The interaction of treatment with ${variable} is one merged term: it mixes within-trial with across-trial information.`,
      ];
}

const DF = { 'kenward-roger': 'Kenward and Roger', satterthwaite: 'Satterthwaite' } as const;

function inference(planned: Analysis, outcome: OneStageResult): string[] {
  const { ci, df, likelihoodRatio, proportionalHazards } = planned.inference;
  const level = levelPercent(planned.pool.level);
  const hasDf = outcome.coefficients.some((coefficient) => coefficient.df !== null);
  const wald =
    df !== null && hasDf
      ? `t quantile with the degrees of freedom of ${DF[df]}`
      : ci === 't' && hasDf
        ? 't quantile with studies − 1 degrees of freedom'
        : 'standard normal quantile';
  const intervals =
    ci === 'profile'
      ? `profile likelihood for the treatment’s terms, Wald with the ${wald} for the others`
      : `Wald, ${wald}`;
  return [
    `${level} confidence intervals: ${intervals}.`,
    ...(likelihoodRatio
      ? ['Likelihood-ratio tests compare the model with one without the term, refitted over the sites.']
      : []),
    ...(proportionalHazards === null
      ? []
      : [
          `Proportional hazards were tested by the score test of Grambsch and Therneau with ${proportionalHazards === 'log' ? 'the logarithm of time' : 'time itself'}.`,
        ]),
  ];
}

/** What left the sites, with the number of numbers where the plan alone gives it. */
function travelled(
  planned: Analysis,
  outcome: OneStageResult,
  plan: ExpandedPlan,
  spec: OneStageSpec,
): string {
  const m = commonPositions(spec).length + lambdaCount(spec);
  const numbers = 1 + m + (m * (m + 1)) / 2;
  const answers: Readonly<Record<OneStageSpec['kind'], string>> = {
    likelihood: `the log-likelihood of its participants at the parameters asked for, its gradient and its second derivatives: 1 + m + m(m + 1)/2 = ${count(numbers)} numbers a round for m = ${count(m)} parameters`,
    firth: `its part of the penalised log-likelihood and score and its information at the parameters asked for: 1 + m + m(m + 1)/2 = ${count(numbers)} numbers a round for m = ${count(m)} parameters`,
    gaussian: 'sums of squares and products of its design and outcome, once',
    mmrm: 'sums of squares and products of its design and outcome, weighted by the covariance between visits asked for, and their derivatives in that covariance’s parameters',
    frailty: 'sums over the participants at risk in each interval of the grid',
  };
  const rounds = outcome.convergence === null ? 0 : outcome.convergence.rounds;
  const inRounds = rounds === 0 || spec.kind === 'gaussian' ? '' : `, in ${plural(rounds, 'round')}`;
  const sums =
    spec.kind === 'gaussian'
      ? 'From these statistics, study by study, the coordinator computed what the pooled records give.'
      : 'The coordinator worked with the sums over the sites, which are those of the pooled records, taken in a fixed order in fixed-point arithmetic.';
  const own = [
    ...(outcome.coefficients.some(({ term }) => ownCoefficient(term, planned, outcome.studies) !== null)
      ? ['its own coefficients, with their covariance and derivatives']
      : []),
    ...(outcome.predicted.length > 0 ? ['predictions of its random effects'] : []),
  ];
  const each =
    own.length === 0 || spec.kind === 'gaussian'
      ? ''
      : ` Where its policy allows it, a site also sent what is its own at the estimate: ${list(own)}.`;
  const fit =
    spec.kind === 'mmrm'
      ? ''
      : ', and, where its policy allows it, its own fit without random effects, to start from';
  return `To begin, each site sent numbers of participants${hasEvents(plan) ? ' and events' : ''}${
    plan.treatment === null ? '' : ' per arm'
  } and of rows left out, means and standard deviations of its columns${fit}. Then it sent ${answers[spec.kind]}${inRounds}. ${sums}${each} No participant’s record left a site.`;
}

/** The methods of a one-stage analysis as sentences: exactly what was computed, by the names a methods section uses. */
export function oneStageMethods(
  planned: Analysis,
  outcome: OneStageResult,
  plan: ExpandedPlan,
  software: string,
): string {
  const spec = oneStageSpec(plan, planned);
  return [
    `One-stage individual participant data meta-analysis: one ${modelPhrase(planned, plan, spec)} of ${outcomePhrase(
      plan.outcome,
    )}${designPhrase(planned, plan)}, of the participants of all studies together.`,
    ...structure(planned, plan, spec),
    analysisSet(plan),
    ...interaction(planned),
    ...estimation(planned, spec),
    ...inference(planned, outcome),
    travelled(planned, outcome, plan, spec),
    `Software: ${software}.`,
  ].join(' ');
}
