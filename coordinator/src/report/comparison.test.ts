import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MODEL } from '@concordat/shared/plan/defaults.ts';
import type { Analysis, DesignColumn } from '@concordat/shared/plan/types.ts';
import { comparisonSection } from './comparison-section.ts';
import { differences, explanations, questions } from './comparison.ts';
import {
  analysed,
  assertWellFormed,
  bcgStudies,
  BY_AGE,
  coefficient,
  fitted,
  MAIN,
  MISSING,
  ONE,
  oneStage,
  PLAN,
} from './testing.ts';
import type { AnalysisView } from './view.ts';

const two = { planned: MAIN, outcome: analysed(MAIN, bcgStudies()) };

function reasons(one: Analysis, outcome = oneStage(), of = two): string[] {
  const view = { planned: one, outcome };
  return explanations(of, view, differences(of, view), PLAN);
}

const starts = (all: readonly string[]): string[] => all.map((text) => text.split(':')[0] ?? '');

function adjusted(planned: Analysis, column: Partial<DesignColumn>): Analysis {
  const age: DesignColumn = {
    term: 'age',
    role: 'adjust',
    product: [{ kind: 'linear', variable: 'age', centred: false }],
    ...column,
  };
  return { ...planned, columns: [...planned.columns, age] };
}

test('the same question: family, measure, covariates and modifier', () => {
  const views = (...all: AnalysisView[]): number => questions(all).length;
  const one = { planned: ONE, outcome: oneStage() };
  assert.equal(views(two, one), 1);
  assert.equal(views(two), 0);
  assert.equal(views(two, { ...one, planned: adjusted(ONE, {}) }), 0);
  // A covariate that one analysis centres and stratifies is the same covariate.
  const own = adjusted(ONE, {
    term: 'stratified(age)',
    stratified: true,
    product: [{ kind: 'linear', variable: 'age', centred: true }],
  });
  assert.equal(views({ ...two, planned: adjusted(MAIN, {}) }, { ...one, planned: own }), 1);
  assert.equal(views(two, { ...one, outcome: { ...oneStage(), measure: 'log risk ratio' } }), 0);
  assert.equal(views({ ...two, planned: BY_AGE }, one), 0);
  const rate = (planned: Analysis, family: Analysis['family']): Analysis => ({ ...planned, family });
  assert.equal(
    views({ ...two, planned: rate(MAIN, 'poisson') }, { ...one, planned: rate(ONE, 'negative-binomial') }),
    1,
  );
  assert.equal(views(two, { ...one, outcome: { ...oneStage(), status: 'failed' } }), 0);
});

test('only what applies is given as a reason', () => {
  // BCG has studies with fewer than ten events; HKSJ against Wald; τ² 0.338 against 0.3025.
  assert.deepEqual(starts(reasons(ONE)), ['Sparse events', 'Weights', 'Intervals']);
  const common = { ...ONE, model: DEFAULT_MODEL };
  assert.ok(starts(reasons(common)).includes('Model'));
  assert.ok(!starts(reasons(common)).includes('Weights'));
  assert.ok(starts(reasons({ ...ONE, model: { ...ONE.model, intercept: 'random' } })).includes('Intercepts'));
  assert.ok(starts(reasons(adjusted(ONE, {}))).includes('Covariates'));
  assert.ok(!starts(reasons(adjusted(ONE, { stratified: true }))).includes('Covariates'));
  assert.ok(starts(reasons({ ...ONE, family: 'negative-binomial' })).includes('Family'));
  assert.deepEqual(
    starts(reasons({ ...ONE, model: { ...DEFAULT_MODEL, penalty: 'firth' } }))[0],
    'Likelihood',
  );
  const large = bcgStudies().map((study) => ({ ...study, events: { control: 100, active: 90 } }));
  const plenty = { planned: MAIN, outcome: analysed(MAIN, large) };
  assert.ok(!starts(reasons(ONE, oneStage(large), plenty)).includes('Sparse events'));
});

test('studies that two stages left out for lack of events are named where one stage used them', () => {
  const pilot = MISSING[1]!;
  const outcome = analysed(MAIN, [...bcgStudies(), pilot]);
  const { reason: _, ...used } = pilot;
  const all = oneStage([...bcgStudies(), { ...used, status: 'included' }]);
  const [first] = reasons(ONE, all, { planned: MAIN, outcome });
  assert.match(first ?? '', /^Studies: Pilot has no finite estimate of its own .* left out of two stages/);
});

test('differences are in two-stage standard errors and widths', () => {
  const [difference] = differences(two, { planned: ONE, outcome: oneStage() });
  const pooled = two.outcome.pooled[0]!;
  assert.equal(difference?.shift, (-0.7473 - pooled.estimate!) / pooled.se!);
  assert.ok(difference.width > 0.85 && difference.width < 0.9);
});

test('the section shows both, says how far apart they are, and when they agree', () => {
  const near = fitted(
    [{ ...coefficient('treatment', two.outcome.pooled[0]!.estimate!, 0.2), ci: two.outcome.pooled[0]!.ci }],
    bcgStudies(),
  );
  const section = comparisonSection(
    [two, { planned: ONE, outcome: oneStage() }, { planned: { ...ONE, id: 'near' }, outcome: near }],
    PLAN,
  );
  const html = section?.text ?? '';
  assertWellFormed(html);
  for (const expected of [
    'Two-stage, random effects (REML)',
    'One-stage, random effect, stratified intercepts',
    'times as wide',
    'What can make them differ here',
    'they agree',
  ]) {
    assert.ok(html.includes(expected), expected);
  }
  assert.equal(comparisonSection([two], PLAN), null);
});
