import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OneStageResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis } from '@concordat/shared/plan/types.ts';
import { renderReport } from './report.ts';
import { analysed, assertWellFormed, bcgStudies, BY_AGE, input, MAIN, MISSING, PLAN } from './testing.ts';

/** The text of the page, tags and figures apart. */
function prose(html: string): string {
  return html
    .replaceAll(/<style>[^]*?<\/style>|<svg[^]*?<\/svg>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ');
}

const NOT_DONE: Omit<TwoStageResult, 'status' | 'reason'> = {
  approach: 'two-stage',
  measure: 'log odds ratio',
  studies: [],
  pooled: [],
  heterogeneity: null,
  heterogeneity_term: null,
  joint: null,
  separate: [],
  contrasts: [],
  warnings: [],
};

const ONE_STAGE: OneStageResult = {
  approach: 'one-stage',
  status: 'failed',
  reason: { code: 'unsupported', message: 'one-stage analyses are not computed: use approach: two-stage' },
  measure: 'log odds ratio',
  studies: [],
  warnings: [],
  coefficients: [],
  vcov: [],
  random_effects: [],
  correlations: [],
  residual_variance: [],
  log_likelihood: null,
  tests: [],
  predicted: [],
  convergence: null,
};

test('the page is well formed, in a language, with landmarks, and asks nothing of the network', () => {
  const html = renderReport(input({ main: analysed(MAIN, [...bcgStudies(), ...MISSING]) }));
  assertWellFormed(html);
  assert.ok(html.startsWith('<!doctype html>\n<html lang="en">'));
  for (const landmark of ['<header>', '<main id="main">', '<footer>']) assert.ok(html.includes(landmark));
  assert.doesNotMatch(html, /<script|<link|<img|@import|url\(|\ssrc=/);
  assert.deepEqual(
    [...html.matchAll(/https?:\/\/[^"]*/g)].map(([url]) => url),
    ['http://www.w3.org/2000/svg'],
  );
  const ids = [...html.matchAll(/\sid="([^"]*)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, ids.length);
  for (const table of html.match(/<table>[^]*?<\/table>/g) ?? []) {
    assert.match(table, /<caption>/);
    assert.match(table, /<th scope="col"/);
  }
});

test('the first line says that the open policy was used, and only then', () => {
  const analyses = { main: analysed(MAIN, bcgStudies()) };
  const policy = { name: 'open', sha256: 'b'.repeat(64), open: true };
  const html = renderReport(input(analyses, PLAN, policy));
  assert.match(html, /<body>\n<p class="banner" role="note">Open policy/);
  assert.doesNotMatch(renderReport(input(analyses, PLAN, { ...policy, open: false })), /class="banner"/);
});

test('estimates, interval, heterogeneity, missing studies and the run are there', () => {
  const text = prose(renderReport(input({ main: analysed(MAIN, [...bcgStudies(), ...MISSING]) })));
  for (const expected of [
    'BCG vaccination against tuberculosis',
    'CRD42000000000',
    'a'.repeat(64),
    '2026-03-01 09:30:12 UTC',
    '0.47 (95% CI 0.32 to 0.71)',
    '13 studies, 357,347 participants',
    't(12) = −3.99',
    '92.1%',
    '163.16 (12)',
    'outcome missing 12',
    'Fewer than 20 participants in the analysis set. A wider population may reach it. Only the custodian',
    'Rows left out: 2',
    'No answer. Check that the site’s agent runs',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
});

test('the methods name model, estimator, intervals and what left the sites', () => {
  const text = prose(renderReport(input({ main: analysed(MAIN, bcgStudies()) })));
  for (const expected of [
    'a logistic regression (logit link, maximum likelihood) of tuberculosis (event: 1) on treatment (vaccinated: 1 against 0).',
    'Rows with age &gt;= 1 in one of these arms',
    'restricted maximum likelihood (REML)',
    'Hartung–Knapp–Sidik–Jonkman, t with 12 degrees of freedom (studies − 1), not truncated',
    'estimate ± q × √(SE² + τ²)',
    'Q-profile',
    'Each contributing site sent',
    'Software: concordat 0.1.0.',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
  const cox: Analysis = {
    ...MAIN,
    family: 'cox',
    ties: 'breslow',
    strata: ['region', 'sex'],
    columns: [
      ...MAIN.columns.slice(1),
      {
        term: 'factor(grade)2',
        role: 'adjust',
        product: [{ kind: 'level', variable: 'grade', level: 2, centred: false }],
      },
    ],
    pool: { ...MAIN.pool, tau2: 'FE', ci: 'normal', level: 0.9 },
  };
  const plan = {
    ...PLAN,
    outcome: { kind: 'time-to-event', time: 'days', event: 'death', entry: null } as const,
    levels: { grade: [1, 2] },
    analyses: [cox],
  };
  const survival = prose(
    renderReport(input({ main: analysed(cox, bcgStudies(), 'log hazard ratio') }, plan)),
  );
  for (const expected of [
    'Breslow’s method for ties, its baseline hazard stratified by region and sex) of the time days to death',
    'adjusted for grade (as a factor, reference 1)',
    'common-effect model with inverse-variance weights',
    'Pooled 90% confidence intervals: Wald, standard normal quantile',
    'I² = 100 × (Q − df)/Q',
  ]) {
    assert.ok(survival.includes(expected), expected);
  }
  assert.ok(!survival.includes('q × √'));
});

test('effect modification shows within, across and their difference, and which to read', () => {
  const outcome = analysed(BY_AGE, bcgStudies(BY_AGE.pool.terms));
  const html = renderReport(input({ 'by-age': outcome }, { ...PLAN, analyses: [BY_AGE] }));
  assertWellFormed(html);
  const text = prose(html);
  for (const expected of [
    'Effect modification by age',
    'Read the within-trial row',
    'Treatment × age, within trials',
    'Treatment × age, across trials',
    'Treatment × age, within minus across trials',
    'multivariate random-effects model with an unstructured between-study covariance',
    'Between-study covariance of the terms pooled jointly',
    'age centred at its mean in that study’s analysis set',
    'the mean of age',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
  const merged: Analysis = {
    ...BY_AGE,
    effectModifier: { variable: 'age', form: 'linear', separate: false },
  };
  const mixed = prose(renderReport(input({ 'by-age': outcome }, { ...PLAN, analyses: [merged] })));
  assert.ok(mixed.includes('This is one merged term'));
});

test('analyses that failed or were refused say why and what to do', () => {
  const analyses: Analysis[] = [
    { ...MAIN, id: 'one', approach: 'one-stage', unsupported: 'one-stage', columns: [] },
    { ...MAIN, id: 'strict' },
    { ...MAIN, id: 'broken' },
  ];
  const html = renderReport(
    input(
      {
        one: ONE_STAGE,
        strict: {
          ...NOT_DONE,
          status: 'refused',
          studies: MISSING,
          reason: { code: 'too-few-studies', message: '0 of 3 studies gave an estimate' },
        },
        broken: { ...NOT_DONE, status: 'failed' },
      },
      { ...PLAN, analyses },
    ),
  );
  assertWellFormed(html);
  const text = prose(html);
  for (const expected of [
    'Failed. One-stage analyses are not computed: use approach: two-stage.',
    'Refused. 0 of 3 studies gave an estimate. too-few-studies What to do: The table of studies says why',
    'Failed. No reason was recorded.',
  ]) {
    assert.ok(text.includes(expected), expected);
  }
  assert.ok(!html.includes('<svg'));
});

test('what was not computed is an en dash, never 0 or NaN', () => {
  const none = { estimate: null, se: null, ci: null, statistic: null, df: null, p: null, prediction: null };
  const h = { tau2: null, tau2_se: null, tau2_ci: null, q: null, q_df: null, q_p: null, i2: null, h2: null };
  const outcome: TwoStageResult = {
    ...analysed(MAIN, bcgStudies()),
    pooled: [{ term: 'treatment', ...none }],
    heterogeneity: h,
  };
  const html = renderReport(input({ main: outcome }));
  assertWellFormed(html);
  assert.doesNotMatch(prose(html), /NaN|undefined|null|Infinity|\[object/);
  assert.ok(prose(html).includes('No pooled estimate was computed'));
  assert.ok(html.includes('<td class="number">–</td>'));
});

test('no text from a plan or a site becomes an element', () => {
  const attack = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>&';
  const hurt = <T>(value: T): T => {
    if (typeof value === 'string') return `${value}${attack}` as T;
    if (Array.isArray(value)) return value.map(hurt) as T;
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hurt(inner)])) as T;
  };
  const closed = new Set(['status', 'approach', 'tau2', 'ci', 'family', 'ties', 'kind', 'role', 'form']);
  const keep = <T>(value: T, original: T): T => {
    if (Array.isArray(value)) return value.map((inner, i) => keep(inner, (original as unknown[])[i])) as T;
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => {
        const before = (original as Record<string, unknown>)[key];
        return [key, closed.has(key) && typeof before === 'string' ? before : keep(inner, before)];
      }),
    ) as T;
  };
  const clean = input(
    {
      main: analysed(MAIN, [...bcgStudies(), ...MISSING]),
      'by-age': analysed(BY_AGE, bcgStudies(BY_AGE.pool.terms)),
      strict: { ...NOT_DONE, status: 'refused', studies: MISSING, reason: { code: 'x', message: 'y' } },
    },
    { ...PLAN, analyses: [MAIN, BY_AGE, { ...MAIN, id: 'strict' }] },
  );
  const dirty = keep(hurt(clean), clean);
  const analyses = Object.fromEntries(
    Object.entries(dirty.result.analyses).map(([id, outcome]) => [`${id}${attack}`, outcome]),
  );
  const html = renderReport({ ...dirty, result: { ...dirty.result, analyses } });
  assertWellFormed(html);
  assert.doesNotMatch(html, /<script|<img/);
  assert.ok(html.includes('&lt;script&gt;'));
  assert.ok(html.split('<svg').length > 2);
});
