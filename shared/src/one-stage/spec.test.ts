import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import { commonPositions, lambdaCount } from './likelihood-study.ts';
import { levelOf, oneStageSpec } from './spec.ts';
import type { OneStageSpec } from './types.ts';

const OUTCOMES = {
  binomial: '{kind: binary, variable: y}',
  poisson: '{kind: count, variable: y}',
  'negative-binomial': '{kind: count, variable: y}',
  ordinal: '{kind: ordinal, variable: y, levels: [low, mid, high]}',
  gaussian: '{kind: continuous, variable: y}',
} as const;
const TIME = '{kind: time-to-event, time: t, event: d}';

function specOf(model: string, more = ''): OneStageSpec {
  const family = /family: ([a-z-]+)/.exec(model)![1]!;
  const outcome = family in OUTCOMES ? OUTCOMES[family as keyof typeof OUTCOMES] : TIME;
  const plan = expandPlan(
    parsePlan(
      `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\n${model.includes('factor(g)') ? 'levels: {g: [a, b, c]}\n' : ''}analyses:\n  - {id: t, approach: one-stage, model: {${model}}${more}}\n`,
      'plan',
    ),
  );
  assert.equal(plan.analyses[0]!.unsupported, null);
  return oneStageSpec(plan, plan.analyses[0]!);
}

const THRESHOLDS = ['threshold[low|mid]', 'threshold[mid|high]'];
const HAZARDS = ['log(hazard)(0,1]', 'log(hazard)(1,∞)'];

/** Model; names of φ; what is stratified; names of what travels; entries of Λ; whether the treatment is centred. */
const LAYOUTS: readonly (readonly [string, string, string[], string[], number, boolean])[] = [
  ['family: binomial', 'likelihood', ['(intercept)', 'treatment'], ['(intercept)'], 0, false],
  [
    'family: binomial, treatment_effect: random',
    'likelihood',
    ['(intercept)', 'treatment'],
    ['(intercept)'],
    1,
    true,
  ],
  ['family: binomial, intercept: random', 'likelihood', ['(intercept)', 'treatment'], [], 1, false],
  [
    'family: binomial, intercept: random, treatment_effect: random',
    'likelihood',
    ['(intercept)', 'treatment'],
    [],
    3,
    false,
  ],
  [
    'family: binomial, intercept: random, treatment_effect: random, correlated: false',
    'likelihood',
    ['(intercept)', 'treatment'],
    [],
    2,
    false,
  ],
  ['family: binomial, penalty: firth', 'firth', ['(intercept)', 'treatment'], ['(intercept)'], 0, false],
  [
    'family: poisson, adjust: ["stratified(x)"]',
    'likelihood',
    ['(intercept)', 'treatment', 'stratified(x)'],
    ['(intercept)', 'stratified(x)'],
    0,
    false,
  ],
  [
    'family: negative-binomial',
    'likelihood',
    ['(intercept)', 'treatment', 'log(size)'],
    ['(intercept)'],
    0,
    false,
  ],
  [
    'family: ordinal',
    'likelihood',
    ['(intercept)', 'treatment', 'threshold[mid|high]'],
    ['(intercept)'],
    0,
    false,
  ],
  [
    'family: ordinal, thresholds: stratified',
    'likelihood',
    ['treatment', ...THRESHOLDS],
    THRESHOLDS,
    0,
    false,
  ],
  [
    'family: ordinal, thresholds: stratified, treatment_effect: random',
    'likelihood',
    ['treatment', ...THRESHOLDS],
    THRESHOLDS,
    1,
    true,
  ],
  ['family: ordinal, intercept: random', 'likelihood', ['treatment', ...THRESHOLDS], [], 1, false],
  ['family: cox', 'likelihood', ['treatment'], [], 0, false],
  ['family: cox, treatment_effect: random', 'likelihood', ['treatment'], [], 1, false],
  [
    'family: weibull',
    'likelihood',
    ['(intercept)', 'treatment', 'log(shape)'],
    ['(intercept)', 'log(shape)'],
    0,
    false,
  ],
  [
    'family: weibull, baseline: shared, intercept: random',
    'likelihood',
    ['(intercept)', 'treatment', 'log(shape)'],
    [],
    1,
    false,
  ],
  ['family: piecewise-exponential, cuts: [1]', 'likelihood', ['treatment', ...HAZARDS], HAZARDS, 0, false],
  [
    'family: piecewise-exponential, cuts: [1], treatment_effect: random',
    'likelihood',
    ['treatment', ...HAZARDS],
    HAZARDS,
    1,
    true,
  ],
  [
    'family: royston-parmar, knots: [1, 4], baseline: shared, intercept: random',
    'likelihood',
    ['treatment', 'gamma0', 'gamma1'],
    [],
    1,
    false,
  ],
  [
    'family: gaussian, treatment_effect: random',
    'gaussian',
    ['(intercept)', 'treatment'],
    ['(intercept)'],
    1,
    false,
  ],
  [
    'family: gaussian, treatment_effect: random, estimation: ML',
    'gaussian',
    ['(intercept)', 'treatment'],
    ['(intercept)'],
    1,
    true,
  ],
];

for (const [model, kind, terms, stratified, lambdas, centred] of LAYOUTS) {
  test(`parameters of ${model}`, () => {
    const spec = specOf(model);
    assert.equal(spec.kind, kind);
    assert.deepEqual(spec.terms, terms);
    assert.deepEqual(
      spec.stratified.map((j) => terms[j]),
      stratified,
    );
    assert.deepEqual(
      commonPositions(spec).map((j) => terms[j]),
      terms.filter((term) => !stratified.includes(term)),
    );
    assert.equal(lambdaCount(spec), lambdas);
    assert.equal(spec.centredTreatment, centred);
    assert.deepEqual(
      spec.tested.map((j) => terms[j]),
      ['treatment'],
    );
    for (const { term, direction } of spec.random) {
      assert.equal(direction.length, terms.length);
      if (term === 'treatment')
        assert.deepEqual(
          terms.filter((_, j) => direction[j] !== 0),
          ['treatment'],
        );
    }
  });
}

test('a study’s shift moves an intercept up, thresholds down, every hazard, and a spline’s level', () => {
  const shift = (model: string): number[] => [...specOf(model).random[0]!.direction];
  assert.deepEqual(shift('family: poisson, intercept: random'), [1, 0]);
  assert.deepEqual(shift('family: negative-binomial, intercept: random'), [1, 0, 0]);
  assert.deepEqual(shift('family: ordinal, intercept: random'), [0, -1, -1]);
  assert.deepEqual(shift('family: weibull, baseline: shared, intercept: random'), [1, 0, 0]);
  assert.deepEqual(
    shift('family: piecewise-exponential, cuts: [1], baseline: shared, intercept: random'),
    [0, 1, 1],
  );
  assert.deepEqual(
    shift('family: royston-parmar, knots: [1, 4], baseline: shared, intercept: random'),
    [0, 1, 0],
  );
  const cox = specOf('family: cox');
  assert.ok(cox.terms.every((_, j) => levelOf(cox, j) === 0));
});

test('the information is the expected one of common effects, the observed one of random effects', () => {
  assert.equal(specOf('family: binomial, link: log').options.information, 'expected');
  assert.equal(specOf('family: binomial, link: log, intercept: random').options.information, 'observed');
  assert.equal(specOf('family: binomial').options.link, null);
  assert.equal(specOf('family: binomial, link: identity').options.link, 'identity');
});

test('columns of a factor are one term of a test; interactions within and across trials are tested', () => {
  const spec = specOf('family: cox, adjust: [factor(g)]', ', effect_modifier: {variable: x}');
  assert.deepEqual(
    spec.groups.find(({ term }) => term === 'factor(g)')?.columns.map((j) => spec.terms[j]),
    ['factor(g)b', 'factor(g)c'],
  );
  assert.deepEqual(
    spec.tested.map((j) => spec.terms[j]),
    ['treatment', 'treatment:x.within', 'treatment:x.across'],
  );
});
