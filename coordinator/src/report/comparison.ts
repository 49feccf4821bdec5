/** One-stage and two-stage analyses of the same question, and why they differ. */
import { basisKey } from '@concordat/shared/plan/terms.ts';
import type { OneStageResult, StudyResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, Basis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { degrees, fixed, significant } from './format.ts';
import { list } from './method-phrases.ts';
import { TAU2_NAMES } from './phrases.ts';
import { isSplinePart } from './terms.ts';
import { treatmentEffects } from './treatment-effects.ts';
import { armEvents, heterogeneityOf, includedStudies, type AnalysisView } from './view.ts';

export interface TwoStageView {
  readonly planned: Analysis;
  readonly outcome: TwoStageResult;
}

export interface OneStageView {
  readonly planned: Analysis;
  readonly outcome: OneStageResult;
}

/** Analyses that ask the same question, those in two stages first. */
export interface Question {
  readonly twoStage: readonly TwoStageView[];
  readonly oneStage: readonly OneStageView[];
}

/** An effect as both approaches give it. */
export interface ComparedEffect {
  readonly term: string;
  readonly estimate: number;
  readonly se: number;
  readonly ci: readonly [number, number];
  readonly df: number | null;
  readonly atMean: boolean;
}

/** A study with fewer events than this in an arm is sparse: its estimate is hardly normal. */
const SPARSE = 10;
/** Differences above these are explained: of the two-stage standard error, and of the interval's width. */
const SHIFT = 0.1;
const WIDTH = 0.1;

/** Poisson and negative binomial models answer the same question. */
const familyOf = ({ family }: Analysis): string => (family === 'negative-binomial' ? 'poisson' : family);

const spanKey = (product: readonly Basis[]): string => product.map(basisKey).toSorted().join(' × ');

/** Equal for analyses of the same effect: measure, family, covariates (however centred or stratified), modifier. */
function questionKey({ planned, outcome }: AnalysisView): string {
  const covariates = planned.columns
    .filter(({ role }) => role === 'adjust' || role === 'modifier')
    .map(({ product }) => spanKey(product));
  const { effectModifier: modifier, strata, offset } = planned;
  return JSON.stringify([
    familyOf(planned),
    outcome.measure,
    [...new Set(covariates)].toSorted(),
    strata.toSorted(),
    offset,
    modifier === null ? null : [modifier.variable, modifier.form, modifier.separate],
  ]);
}

/** Questions that are answered in both ways, in the plan's order. */
export function questions(views: readonly AnalysisView[]): Question[] {
  const done = views.filter(
    ({ planned, outcome }) => outcome.status === 'done' && planned.columns.length > 0,
  );
  const keys = [...new Set(done.map(questionKey))];
  return keys.flatMap((key): Question[] => {
    const own = done.filter((view) => questionKey(view) === key);
    const twoStage = own.flatMap(({ planned, outcome }) =>
      outcome.approach === 'two-stage' ? [{ planned, outcome }] : [],
    );
    const oneStage = own.flatMap(({ planned, outcome }) =>
      outcome.approach === 'one-stage' ? [{ planned, outcome }] : [],
    );
    return twoStage.length === 0 || oneStage.length === 0 ? [] : [{ twoStage, oneStage }];
  });
}

/** Treatment effects, and the within-trial interactions, but for a spline's parts, which mean nothing one at a time. */
export function comparedEffects({ planned, outcome }: AnalysisView): ComparedEffect[] {
  const given = outcome.approach === 'one-stage' ? outcome.coefficients : outcome.pooled;
  const within = planned.columns.flatMap(({ role, term }) =>
    role === 'within' && !isSplinePart(term, planned) ? [term] : [],
  );
  return [
    ...treatmentEffects(outcome, planned),
    ...given.filter(({ term }) => within.includes(term)).map((effect) => ({ ...effect, atMean: false })),
  ].flatMap(({ term, estimate, se, ci, df, atMean }) =>
    estimate === null || se === null || ci === null ? [] : [{ term, estimate, se, ci, df, atMean }],
  );
}

export interface Difference {
  readonly term: string;
  /** One-stage less two-stage estimate, in two-stage standard errors. */
  readonly shift: number;
  /** Width of the one-stage interval over that of the two-stage one. */
  readonly width: number;
}

export function differences(two: AnalysisView, one: AnalysisView): Difference[] {
  const ones = comparedEffects(one);
  return comparedEffects(two).flatMap(({ term, estimate, se, ci }) => {
    const other = ones.find((effect) => effect.term === term);
    if (other === undefined || !(se > 0) || !(ci[1] > ci[0])) return [];
    return [
      { term, shift: (other.estimate - estimate) / se, width: (other.ci[1] - other.ci[0]) / (ci[1] - ci[0]) },
    ];
  });
}

export const shifts = ({ shift }: Difference): boolean => Math.abs(shift) > SHIFT;
export const widens = ({ width }: Difference): boolean => Math.abs(width - 1) > WIDTH;

/** What the two assume that can make them differ here: only what applies. Sentences. */
export function explanations(
  two: TwoStageView,
  one: OneStageView,
  found: readonly Difference[],
  plan: ExpandedPlan,
): string[] {
  const parts = [
    studiesDiffer(two, one),
    anchor(one),
    likelihoods(two, one, plan),
    heterogeneity(two, one),
    intercepts(one, plan),
    commonCovariates(one),
    residuals(one),
    dispersion(two, one),
    commonBaseline(one),
    ...(found.some(widens) ? [intervals(two, one)] : []),
  ];
  return parts.filter((part) => part !== null);
}

const names = (studies: readonly StudyResult[]): string => list(studies.map(({ study }) => study));

/** Excluded by the fit of their own for these reasons, studies still inform one model of all. */
const INFINITE = new Set([
  'no-events',
  'all-events',
  'no-events-in-arm',
  'no-nonevents-in-arm',
  'separation',
  'monotone-likelihood',
]);

function studiesDiffer(two: TwoStageView, one: OneStageView): string | null {
  const inTwo = new Set(includedStudies(two.outcome).map(({ study }) => study));
  const inOne = new Set(includedStudies(one.outcome).map(({ study }) => study));
  const left = two.outcome.studies.filter(({ study }) => inOne.has(study) && !inTwo.has(study));
  const infinite = left.filter(({ reason }) => INFINITE.has(reason?.code ?? ''));
  const others = left.filter((study) => !infinite.includes(study));
  const onlyTwo = two.outcome.studies.filter(({ study }) => inTwo.has(study) && !inOne.has(study));
  const sentences = [
    ...(infinite.length === 0
      ? []
      : [
          `Studies: ${names(infinite)} ${infinite.length === 1 ? 'has' : 'have'} no finite estimate of ${
            infinite.length === 1 ? 'its' : 'their'
          } own (no events in an arm, or covariates that separate events from non-events) and ${infinite.length === 1 ? 'is' : 'are'} left out of two stages; one stage uses ${
            infinite.length === 1 ? 'its' : 'their'
          } likelihood.`,
        ]),
    ...(others.length === 0
      ? []
      : [`Studies: ${names(others)} ${others.length === 1 ? 'is' : 'are'} in the one-stage analysis only.`]),
    ...(onlyTwo.length === 0
      ? []
      : [
          `Studies: ${names(onlyTwo)} ${onlyTwo.length === 1 ? 'is' : 'are'} in the two-stage analysis only.`,
        ]),
  ];
  return sentences.length === 0 ? null : sentences.join(' ');
}

/** Normal estimates with known variances, against the likelihood of the records: what sparse events tell apart. */
function likelihoods(two: TwoStageView, one: OneStageView, plan: ExpandedPlan): string | null {
  if (one.planned.model.penalty === 'firth')
    return 'Likelihood: the one-stage model is penalised (Firth), which draws estimates of sparse events towards no effect; the two-stage analysis is not.';
  const sparse = includedStudies(two.outcome).filter((study) =>
    armEvents(study, plan).some((events) => events < SPARSE),
  );
  if (sparse.length === 0) return null;
  const shown =
    sparse.length > 8 ? `${sparse.length} of ${includedStudies(two.outcome).length} studies` : names(sparse);
  const likelihood = one.planned.family === 'cox' ? 'partial likelihood' : 'likelihood';
  return `Sparse events: two stages take each study’s estimate as normal with a known variance; one stage uses the exact ${likelihood} of its records. With fewer than ${SPARSE} events in an arm (${shown}) the two are not the same, and an estimate is correlated with its own weight.`;
}

function anchor(one: OneStageView): string | null {
  return treatmentEffects(one.outcome, one.planned).some(({ atMean }) => atMean)
    ? 'Modifier: two stages average the studies’ effects, each at its own mean of the modifier; one stage gives the effect at the mean over participants, by its across-trial terms.'
    : null;
}

/** Common or random effects, and how the variance between studies is estimated. */
function heterogeneity(two: TwoStageView, one: OneStageView): string | null {
  const { pool } = two.planned;
  const random = one.planned.model.treatmentEffect === 'random';
  if (pool.tau2 === 'FE') {
    return random
      ? 'Model: two stages assume a common effect, one stage a random one, which weighs studies more equally and has a wider interval where effects vary.'
      : null;
  }
  const term = two.planned.columns.find(({ role }) => role === 'treatment')?.term ?? '';
  const at = two.outcome.joint?.terms.indexOf(term) ?? -1;
  const tau2 = two.outcome.joint?.sigma[at]?.[at] ?? heterogeneityOf(two.outcome, term)?.tau2 ?? null;
  const given = `τ² = ${significant(tau2, 3)} by ${TAU2_NAMES[pool.tau2]}`;
  if (!random) {
    return tau2 === null || tau2 === 0
      ? null
      : `Model: two stages let the effect vary between studies (${given}) and weigh them more equally; one stage assumes a common effect, in which large studies count for more.`;
  }
  const variance = one.outcome.random_effects.find((effect) => effect.term === term)?.variance ?? null;
  const sd = Math.sqrt(tau2 ?? 0) - Math.sqrt(variance ?? 0);
  const larger = Math.max(Math.sqrt(tau2 ?? 0), Math.sqrt(variance ?? 0));
  if (tau2 === null || variance === null || Math.abs(sd) <= 0.05 * larger) return null;
  const restricted = one.planned.family === 'gaussian' && one.planned.model.estimation === 'REML';
  const ml = restricted
    ? ''
    : ' Maximum likelihood takes no account of the estimated coefficients, and is lower on average with few studies.';
  return `Weights: the variance between studies is ${given} in two stages and ${significant(variance, 3)} by ${
    restricted ? 'REML' : 'maximum likelihood'
  } in one; the larger it is, the more equal the weights and the wider the interval.${ml}`;
}

function intercepts({ planned }: OneStageView, plan: ExpandedPlan): string | null {
  if (planned.model.intercept !== 'random' || planned.family === 'cox' || plan.treatment === null)
    return null;
  return 'Intercepts: in one stage they are random, so that differences between trials in their control risk or mean also inform the treatment effect where allocation ratios differ; two stages use within-trial information alone (so does one stage with “intercept: stratified”).';
}

function commonCovariates({ planned }: OneStageView): string | null {
  const common = planned.columns.filter(
    ({ role, stratified }) => (role === 'adjust' || role === 'modifier') && stratified !== true,
  );
  return common.length === 0
    ? null
    : 'Covariates: one stage gives each covariate one coefficient for all studies; two stages estimate it in each study. A term “stratified(x)” does so in one stage too.';
}

function residuals({ planned }: OneStageView): string | null {
  return planned.family === 'gaussian' && planned.model.residual === 'common'
    ? 'Residual variance: one stage has one for all studies; two stages have one in each study, so that a noisy study counts for less (“residual: stratified” does so in one stage).'
    : null;
}

function dispersion(two: TwoStageView, one: OneStageView): string | null {
  if (two.planned.family !== one.planned.family) {
    const phrase = (family: Analysis['family']): string =>
      family === 'poisson'
        ? 'Poisson (variance equal to the mean)'
        : 'negative binomial (variance above the mean)';
    return `Family: two stages use ${phrase(two.planned.family)}, one stage ${phrase(one.planned.family)}. Of overdispersed counts, a Poisson model’s standard errors are too small.`;
  }
  return one.planned.family === 'negative-binomial'
    ? 'Dispersion: one stage has one for all studies; two stages estimate one in each.'
    : null;
}

function commonBaseline({ planned: { family, model } }: OneStageView): string | null {
  if (family === 'ordinal' && model.thresholds === 'common')
    return 'Thresholds: one stage spaces them alike in all studies; two stages estimate them in each.';
  const parametric =
    family === 'weibull' || family === 'piecewise-exponential' || family === 'royston-parmar';
  return (family === 'cox' || parametric) && model.baseline === 'shared'
    ? 'Baseline: one stage has one baseline hazard for all studies, so that differences between trials enter the effect; two stages have one in each.'
    : null;
}

function intervals(
  { planned: two, outcome }: TwoStageView,
  { planned: one, outcome: fitted }: OneStageView,
): string | null {
  const df = outcome.pooled.find(({ term }) => two.pool.terms.includes(term))?.df ?? null;
  const own = fitted.coefficients.find(({ term }) => one.pool.terms.includes(term))?.df ?? null;
  const first =
    df === null
      ? 'Wald with a normal quantile'
      : `${two.pool.ci === 'normal' ? 'Wald' : two.pool.ci} (t on ${degrees(df)} degrees of freedom)`;
  const second =
    one.inference.ci === 'profile'
      ? 'profile likelihood'
      : own === null
        ? 'Wald with a normal quantile'
        : `Wald with t on ${fixed(own, 1)} degrees of freedom`;
  return first === second
    ? null
    : `Intervals: two stages ${first}; one stage ${second}. HKSJ scales the interval by how much the studies vary, t and normal quantiles differ with few studies.`;
}
