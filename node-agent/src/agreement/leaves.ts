/** What would leave the site for an analysis: shapes, counts of numbers, rounds. */
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { effectsLength } from '@concordat/shared/one-stage/likelihood-study.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec, parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import { armNames, hasEvents, modifierColumns } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { count } from './words.ts';

/** Participants left out: of the population, of the arms, of each of three kinds of missing values. */
const LEFT_OUT = 5;
/** Log-likelihood with and without the model's terms, residual variance. */
const OF_THE_FIT = 3;

const triangle = (n: number): number => (n * (n + 1)) / 2;
const estimates = (p: number): string =>
  p === 1
    ? '1 estimate and its variance'
    : `${p} estimates and their covariance matrix (${triangle(p)} numbers)`;
const numbers = (n: number): string => count(n, 'number');

type Thresholds = Pick<Policy, 'per_trial_estimates' | 'shared_baseline' | 'evaluations'>;

/** In order of time. One line for each kind of answer; `open` tells of factors whose levels are not known yet. */
export function analysisLeaves(
  plan: ExpandedPlan,
  analysis: Analysis,
  policy: Thresholds,
  open: readonly string[],
): string[] {
  if (analysis.unsupported !== null)
    return [`nothing: this version does not compute the analysis (${analysis.unsupported})`];
  const lines =
    analysis.approach === 'two-stage'
      ? twoStageLeaves(plan, analysis, policy)
      : oneStageLeaves(plan, analysis, policy);
  const own = open.filter((variable) =>
    analysis.columns.some(({ product }) =>
      product.some((basis) => basis.kind === 'level' && basis.variable === variable),
    ),
  );
  return own.length === 0
    ? lines
    : [
        ...lines,
        `counted with two levels of ${own.map((name) => `\`${name}\``).join(', ')}; each further level adds a parameter`,
      ];
}

function countsLine(plan: ExpandedPlan, withEvents: boolean): { readonly text: string; readonly n: number } {
  const arms = armNames(plan).length;
  const events = withEvents && hasEvents(plan);
  const each = arms === 1 ? 'in all' : `in each of ${arms} arms`;
  return {
    text: `the number of participants${events ? ' and of events' : ''} ${each}, and ${LEFT_OUT} counts of participants left out, by reason`,
    n: arms * (events ? 2 : 1) + LEFT_OUT,
  };
}

function twoStageLeaves(plan: ExpandedPlan, analysis: Analysis, policy: Thresholds): string[] {
  if (!policy.per_trial_estimates)
    return [
      'a refusal alone: the agreement keeps this trial’s own estimates (`per_trial_estimates: false`); where the model cannot be fitted, a code for the reason and the numbers of participants',
    ];
  const p = parameterTerms(plan, analysis).length;
  const means = modifierColumns(analysis).length;
  const counts = countsLine(plan, true);
  const total = p + triangle(p) + means + counts.n + OF_THE_FIT;
  return [
    `once: ${estimates(p)}, of the terms above`,
    ...(means === 0 ? [] : [`the mean of the effect modifier over this trial (${numbers(means)})`]),
    counts.text,
    `the log-likelihood with and without the model’s terms, and the residual variance, 0 where there is none (${numbers(OF_THE_FIT)})`,
    `at most ${numbers(total)} in all; besides, which terms could be estimated or had to be rescaled, and how many steps the fit took`,
    'where the model cannot be fitted: a code for the reason, the terms concerned and the counts',
  ];
}

/** What the answers of a round hold. */
const HELD: Readonly<Record<OneStageSpec['kind'], string>> = {
  likelihood: 'this trial’s log-likelihood, score and Hessian',
  gaussian: 'this trial’s sums of squares and products',
  mmrm: 'this trial’s crossproducts weighted by the covariance between visits, and their derivatives',
  firth: 'this trial’s penalised log-likelihood, score and information',
  frailty: 'this trial’s sums over risk sets at the times of the plan’s grid, and their derivatives',
};

/** As measured on the reference analyses; a fit ends when it has converged. */
function usualRounds({ kind, random }: OneStageSpec): string {
  if (kind === 'gaussian') return 'one round';
  if (kind === 'mmrm') return 'usually 4 to 6 rounds';
  if (kind === 'frailty') return 'usually up to 15 rounds';
  return kind === 'firth' || random.length > 0 ? 'usually 5 to 15 rounds' : 'usually 3 to 8 rounds';
}

function oneStageLeaves(plan: ExpandedPlan, analysis: Analysis, policy: Thresholds): string[] {
  const spec = oneStageSpec(plan, analysis);
  const perTrial = policy.per_trial_estimates;
  if (spec.kind === 'gaussian' && !perTrial)
    return [
      'a refusal alone: sums of squares and products give this trial’s own estimates, which the agreement keeps (`per_trial_estimates: false`)',
    ];
  if (spec.kind === 'frailty' && !policy.shared_baseline)
    return ['a refusal alone: the agreement keeps sums over risk sets (`shared_baseline: false`)'];
  const p = spec.terms.length;
  const own = spec.kind === 'mmrm' || !perTrial ? 0 : p + triangle(p);
  const counts = countsLine(plan, perTrial);
  const first = firstQuestion(spec);
  const limit =
    spec.kind === 'gaussian'
      ? ''
      : policy.evaluations === null
        ? ', without a limit (`evaluations` is off)'
        : `, at most ${policy.evaluations}`;
  const { inference } = spec;
  const more = [
    ...(inference.ci === 'profile' ? ['profile intervals'] : []),
    ...(inference.likelihoodRatio ? ['likelihood-ratio tests'] : []),
  ];
  const effects = studyEffects(spec, first.length);
  return [
    `at the start: mean and standard deviation of each of ${count(spec.columns, 'column')} of the model (${numbers(2 * spec.columns)})`,
    ...(own === 0
      ? []
      : [`where there is one, this trial’s own fit without random effects: at most ${estimates(p)}`]),
    counts.text,
    `then ${spec.kind === 'gaussian' ? 'once' : 'each round'} ${numbers(first.length)}: ${HELD[spec.kind]}${first.gather === 'sum' ? '; what is used further is the sum over the sites' : ''}`,
    `${usualRounds(spec)}${limit}${spec.kind === 'gaussian' || more.length === 0 ? '' : `; ${more.join(' and ')} take up to 25 more for each term`}`,
    ...(inference.proportionalHazards === null
      ? []
      : [
          'once, for the test of proportional hazards: the score and information of effects that change with time',
        ]),
    ...(effects === 0
      ? []
      : [
          perTrial
            ? `at the end: this trial’s own parameters and predicted effects (${numbers(effects)})`
            : 'at the end nothing of this trial’s own parameters: the agreement keeps them (`per_trial_estimates: false`)',
        ]),
  ];
}

/** The length of an answer is the program's own: it asks first before it knows any. */
function firstQuestion(spec: OneStageSpec): Ask {
  const program = oneStageModels[spec.kind].program(spec, {
    studies: 2,
    n: 1000,
    scaling: {
      centre: new Float64Array(spec.columns),
      scale: new Float64Array(spec.columns).fill(1),
      intercept: spec.intercept,
    },
    start: new Float64Array(spec.terms.length),
    sd: new Float64Array(spec.random.length).fill(0.3),
  });
  const first = program.next();
  if (first.done === true) throw new Error(`a ${spec.kind} fit asks nothing`);
  return first.value;
}

/** Numbers of a study's own that a fit asks for when it is done. */
function studyEffects(spec: OneStageSpec, answer: number): number {
  switch (spec.kind) {
    case 'gaussian':
    case 'mmrm':
      return 0;
    case 'frailty':
      return 2;
    case 'firth':
      return spec.stratified.length === 0 ? 0 : effectsLength(spec, parametersOf(answer));
    case 'likelihood':
      return spec.stratified.length === 0 &&
        spec.random.length === 0 &&
        spec.inference.proportionalHazards === null
        ? 0
        : effectsLength(spec, parametersOf(answer));
  }
}

/** m, of 1 + m + m(m+1)/2 numbers. */
const parametersOf = (length: number): number => Math.round((Math.sqrt(8 * length + 1) - 3) / 2);
