import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_INFERENCE, DEFAULT_MODEL } from '@concordat/shared/plan/defaults.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { figures } from './figures.ts';
import { renderReport } from './report.ts';
import {
  assertWellFormed,
  bcgStudies,
  coefficient,
  fitted,
  input,
  MISSING,
  ONE,
  oneStage,
  PLAN,
} from './testing.ts';

function prose(html: string): string {
  return html
    .replaceAll(/<style>[^]*?<\/style>|<svg[^]*?<\/svg>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ');
}

function page(planned: Analysis, outcome: ReturnType<typeof fitted>, plan: ExpandedPlan = PLAN): string {
  const html = renderReport(input({ [planned.id]: outcome }, { ...plan, analyses: [planned] }));
  assertWellFormed(html);
  const text = prose(html);
  assert.doesNotMatch(text, /\bNaN\b|undefined|\bnull\b|Infinity|\[object/);
  return html;
}

test('a one-stage analysis shows coefficients, variation, tests, fit, predictions, studies and methods', () => {
  const html = page(ONE, oneStage([...bcgStudies(), ...MISSING]));
  const text = prose(html);
  for (const expected of [
    'Odds ratio, active v control: 0.47 (95% CI 0.33 to 0.67) . 13 studies, 357,347 participants',
    'varies between studies with a standard deviation of 0.55 on the log scale',
    'Coefficients of single studies (13)',
    'Intercept, Aronson 1948',
    'Variation between studies',
    '0.3025',
    'Likelihood ratio Active v control treatment 12.34 1 &lt;0.001',
    'converged in 8 rounds, log-likelihood −1234.57',
    '52.0 kB (4.00 kB a site)',
    'Predicted study effects (13 studies)',
    'Fewer than 20 participants in the analysis set. A wider population may reach it. Only the custodian',
    'one mixed-effects logistic regression of tuberculosis (event: 1) on treatment',
    'Each study has an intercept of its own, a fixed parameter.',
    'The study’s treatment effect is random',
    'Laplace’s approximation',
    'The treatment was centred at its mean in each study',
    '1 + m + m(m + 1)/2 = 6 numbers a round for m = 2 parameters, in 8 rounds',
    'No participant’s record left a site.',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
  // Single studies' coefficients are folded, and not among the others.
  const folded = html.indexOf('<details><summary>Coefficients of single studies');
  assert.ok(
    folded > 0 && html.indexOf('(intercept)[</wbr>') < 0 && html.indexOf('Intercept, Aronson') > folded,
  );
});

test('predicted study effects have a figure around the average; a zero variance has none', () => {
  const plan = { ...PLAN, analyses: [ONE] };
  const [drawn, ...rest] = figures(input({ one: oneStage() }, plan));
  assert.equal(rest.length, 0);
  assert.equal(drawn?.name, 'one-study-effects.svg');
  assertWellFormed(drawn.svg);
  assert.equal(drawn.svg.split('class="square"').length - 1, 13);
  assert.ok(drawn.svg.includes('Average effect') && drawn.svg.includes('Empirical Bayes'));
  const none = { ...oneStage(), random_effects: [{ term: 'treatment', variance: 0 }] };
  assert.deepEqual(figures(input({ one: none }, plan)), []);
  const kept = { ...oneStage(), predicted: oneStage().predicted.slice(0, 10) };
  const [partly] = figures(input({ one: kept }, plan));
  assert.ok(partly?.svg.includes('3 studies kept their own prediction at the site'));
});

test('a gaussian model shows residual variances, and degrees of freedom of t', () => {
  const planned: Analysis = {
    ...ONE,
    family: 'gaussian',
    inference: { ...DEFAULT_INFERENCE, df: 'kenward-roger' },
    model: { ...DEFAULT_MODEL, treatmentEffect: 'random', residual: 'stratified' },
  };
  const studies = bcgStudies();
  const outcome = fitted([{ ...coefficient('treatment', -4.2, 0.9), df: 6.6 }], studies, {
    measure: 'mean difference',
    residual_variance: studies.map(({ study }, i) => ({ study, variance: 100 + i })),
  });
  const text = prose(page(planned, outcome, { ...PLAN, outcome: { kind: 'continuous', variable: 'sbp' } }));
  for (const expected of [
    'Mean difference, active v control: −4.20',
    't(6.6) = −4.67',
    'Residual variance of each study (13)',
    'degrees of freedom of Kenward and Roger',
    'restricted maximum likelihood (REML)',
    'Each study has its own residual variance.',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
});

test('a repeated outcome has an effect and a covariance by visit', () => {
  const visit = (at: number) => ({ kind: 'visit', visit: at }) as const;
  const planned: Analysis = {
    ...ONE,
    family: 'gaussian',
    model: DEFAULT_MODEL,
    columns: [1, 2].map((at) => ({
      term: `treatment:factor(week)${at}`,
      role: 'treatment',
      product: [{ kind: 'treatment', arm: 1 }, visit(at)],
    })),
  };
  const outcome = fitted(
    [1, 2].map((at) => coefficient(`treatment:factor(week)${at}`, -at, 0.5)),
    bcgStudies().map(({ events: _, ...study }) => study),
    {
      measure: 'mean difference',
      visit_covariance: [
        [4, 3],
        [3, 9],
      ],
    },
  );
  const repeated = { kind: 'repeated', variable: 'y', subject: 'id', visit: 'week', visits: [1, 2] } as const;
  const text = prose(page(planned, outcome, { ...PLAN, outcome: repeated }));
  for (const expected of [
    'Mean difference, active v control, visit 2: −2.00',
    'Covariance between visits',
    '1 4.000 0.50 2.000 2 3.000 9.000 3.000',
    'repeated measures (MMRM)',
    'unstructured and common to all studies',
    'their derivatives in that covariance’s parameters, in 8 rounds',
    '13 studies, 357,347 participants, in one model',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
});

test('family parameters are not exponentiated; time-varying effects and tests of proportional hazards are named', () => {
  const planned: Analysis = {
    ...ONE,
    family: 'cox',
    columns: [{ term: 'treatment', role: 'treatment', product: [{ kind: 'treatment', arm: 1 }] }],
    model: { ...DEFAULT_MODEL, timeVarying: { transform: 'log', cuts: [] } },
    inference: { ...DEFAULT_INFERENCE, proportionalHazards: 'log' },
  };
  const outcome = fitted(
    [coefficient('treatment', -0.2, 0.1), coefficient('treatment:log(time)', 0.1, 0.05)],
    bcgStudies(),
    {
      measure: 'log hazard ratio',
      tests: [{ test: 'proportional hazards', term: 'global', statistic: 4.2, df: 1, p: 0.04 }],
    },
  );
  const plan: ExpandedPlan = {
    ...PLAN,
    outcome: { kind: 'time-to-event', time: 'days', event: 'death', entry: null },
  };
  const text = prose(page(planned, outcome, plan));
  for (const expected of [
    'Treatment × log(time)',
    'Ratio of hazard ratios',
    'Proportional hazards All terms 4.20 1 0.040',
    'The baseline hazard is stratified by study.',
    'linear in log time',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
  const ordinal = fitted(
    [coefficient('treatment', 0.4, 0.1), coefficient('threshold[PR|CR]', 1.25, 0.1)],
    bcgStudies(),
  );
  const page2 = prose(
    page({ ...ONE, family: 'ordinal', model: DEFAULT_MODEL }, ordinal, {
      ...PLAN,
      outcome: { kind: 'ordinal', variable: 'response', levels: ['SD', 'PR', 'CR'] },
    }),
  );
  assert.match(page2, /threshold\[PR\|CR\] Parameter 1\.250 0\.100/);
});

test('a one-stage analysis that failed has its remedy, and how far the fit came', () => {
  const outcome = {
    ...fitted([], bcgStudies()),
    status: 'failed',
    reason: {
      code: 'separation',
      message: 'covariates separate events from non-events over all studies (sex)',
    },
  } as const;
  const text = prose(page(ONE, outcome));
  assert.ok(
    text.includes('Failed. Covariates separate events from non-events over all studies (sex). separation'),
  );
  assert.ok(text.includes('penalty: firth'));
});
