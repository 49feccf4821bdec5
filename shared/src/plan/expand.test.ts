import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_INFERENCE, DEFAULT_MODEL } from './defaults.ts';
import { expandPlan, undeclaredFactors } from './expand.ts';
import { parsePlan } from './parse.ts';
import type { Analysis, Code, ExpandedPlan } from './types.ts';

const HEAD = 'plan: 1\nid: p\n';
const ONE_ARM = 'treatment: {variable: treat, control: 0, active: 1}\n';
const THREE_ARMS = 'treatment: {variable: arm, control: placebo, active: [low, high]}\n';
const OUTCOMES = {
  gaussian: 'outcome: {kind: continuous, variable: y}\n',
  binomial: 'outcome: {kind: binary, variable: y}\n',
  cox: 'outcome: {kind: time-to-event, time: t, event: d}\n',
};

function expand(text: string, agreed: Readonly<Record<string, readonly Code[]>> = {}): ExpandedPlan {
  return expandPlan(parsePlan(`${HEAD}${text}`, 'plan.yaml'), agreed);
}

const one = (family: keyof typeof OUTCOMES, model: string, rest = '', top = ONE_ARM, agreed = {}): Analysis =>
  expand(
    `${top}${OUTCOMES[family]}analyses:\n  - {id: a, approach: two-stage, model: {family: ${family}${model}}${rest}}\n`,
    agreed,
  ).analyses[0]!;

const terms = (analysis: Analysis): string[] => analysis.columns.map((column) => column.term);

test('columns come in the order intercept, treatment, covariates, modifier, interaction', () => {
  const analysis = one(
    'gaussian',
    ', adjust: [y0, center(bmi)]',
    ', effect_modifier: {variable: age, form: linear}',
  );
  assert.deepEqual(terms(analysis), [
    '(intercept)',
    'treatment',
    'y0',
    'center(bmi)',
    'age',
    'treatment:age.within',
  ]);
  assert.deepEqual(
    analysis.columns.map((column) => column.role),
    ['intercept', 'treatment', 'adjust', 'adjust', 'modifier', 'within'],
  );
  assert.deepEqual(analysis.pool.terms, ['treatment', 'treatment:age.within']);
  assert.deepEqual(analysis.columns[5]!.product, [
    { kind: 'treatment', arm: 1 },
    { kind: 'linear', variable: 'age', centred: true },
  ]);
  assert.deepEqual(analysis.columns[3]!.product, [{ kind: 'linear', variable: 'bmi', centred: true }]);
});

test('a Cox model has no intercept; defaults are filled in', () => {
  const analysis = one('cox', ', strata: [region]');
  assert.deepEqual(analysis, {
    id: 'a',
    approach: 'two-stage',
    family: 'cox',
    ties: 'efron',
    strata: ['region'],
    offset: null,
    columns: [{ term: 'treatment', role: 'treatment', product: [{ kind: 'treatment', arm: 1 }] }],
    effectModifier: null,
    pool: { tau2: 'REML', ci: 'normal', level: 0.95, prediction: true, terms: ['treatment'] },
    model: DEFAULT_MODEL,
    inference: DEFAULT_INFERENCE,
    unsupported: null,
  });
  const plan = expand(
    `${ONE_ARM}${OUTCOMES.cox}analyses:\n  - {id: a, approach: two-stage, model: {family: cox}}\n`,
  );
  assert.deepEqual(
    {
      title: plan.title,
      studies: plan.studies,
      minimumStudies: plan.minimumStudies,
      timeLimit: plan.timeLimit,
      approvalLimit: plan.approvalLimit,
    },
    { title: 'p', studies: 'all', minimumStudies: 1, timeLimit: 3600, approvalLimit: 1_209_600 },
  );
  assert.equal(
    expand(
      `${OUTCOMES.binomial}${ONE_ARM}analyses:\n  - {id: a, approach: two-stage, model: {family: binomial}}\n`,
    ).outcome.kind,
    'binary',
  );
});

test('several arms each have an effect and an interaction, pooled jointly', () => {
  const analysis = one('cox', '', ', effect_modifier: {variable: age}', THREE_ARMS);
  assert.deepEqual(terms(analysis), [
    'treatment[low]',
    'treatment[high]',
    'age',
    'treatment[low]:age.within',
    'treatment[high]:age.within',
  ]);
  assert.deepEqual(
    analysis.pool.terms,
    terms(analysis).filter((term) => term !== 'age'),
  );
});

test('a factor modifier has a centred column for each level but the reference', () => {
  const analysis = one(
    'binomial',
    '',
    ', effect_modifier: {variable: g, form: factor}',
    `${ONE_ARM}levels: {g: [b, a, c]}\n`,
  );
  assert.deepEqual(terms(analysis), [
    '(intercept)',
    'treatment',
    'factor(g)a',
    'factor(g)c',
    'treatment:factor(g)a.within',
    'treatment:factor(g)c.within',
  ]);
  assert.deepEqual(analysis.columns[4]!.product[1], {
    kind: 'level',
    variable: 'g',
    level: 'a',
    centred: true,
  });
});

test('a spline modifier has as many columns as knots less one', () => {
  const analysis = one(
    'binomial',
    '',
    ', effect_modifier: {variable: age, form: rcs, knots: [50, 65, 74, 85]}',
  );
  assert.deepEqual(terms(analysis).slice(2), [
    'rcs(age)1',
    'rcs(age)2',
    'rcs(age)3',
    'treatment:rcs(age)1.within',
    'treatment:rcs(age)2.within',
    'treatment:rcs(age)3.within',
  ]);
  assert.deepEqual(analysis.columns[7]!.product[1], {
    kind: 'rcs',
    variable: 'age',
    knots: [50, 65, 74, 85],
    index: 2,
    centred: true,
  });
});

test('one merged interaction is uncentred and has another name', () => {
  const analysis = one('cox', '', ', effect_modifier: {variable: age, separate: false}');
  assert.deepEqual(terms(analysis), ['treatment', 'age', 'treatment:age']);
  assert.deepEqual(analysis.pool.terms, ['treatment', 'treatment:age']);
  assert.deepEqual(analysis.columns[2]!.product[1], { kind: 'linear', variable: 'age', centred: false });
});

test('a main effect that the covariates span already is not repeated', () => {
  for (const adjust of ['age', 'center(age)', '"rcs(age, [50, 60, 70])"']) {
    const names = terms(one('cox', `, adjust: [${adjust}]`, ', effect_modifier: {variable: age}'));
    assert.deepEqual(
      names.filter((name) => name === 'age' && adjust !== 'age'),
      [],
    );
    assert.equal(names.at(-1), 'treatment:age.within');
  }
  const spline = one(
    'cox',
    ', adjust: [age]',
    ', effect_modifier: {variable: age, form: rcs, knots: [50, 60, 70]}',
  );
  assert.deepEqual(terms(spline), [
    'treatment',
    'age',
    'rcs(age)2',
    'treatment:rcs(age)1.within',
    'treatment:rcs(age)2.within',
  ]);
});

test('products multiply every column of their parts, the first varying fastest', () => {
  const analysis = one(
    'cox',
    ', adjust: ["factor(g):factor(h)", "age:bmi"]',
    '',
    `${ONE_ARM}levels: {g: [1, 2, 3], h: [x, y, z]}\n`,
  );
  assert.deepEqual(terms(analysis), [
    'treatment',
    'factor(g)2:factor(h)y',
    'factor(g)3:factor(h)y',
    'factor(g)2:factor(h)z',
    'factor(g)3:factor(h)z',
    'age:bmi',
  ]);
});

test('without a treatment, stage two pools the named terms', () => {
  const analysis = one(
    'binomial',
    ', adjust: [factor(period)]',
    ', pool: {term: [factor(period)2, factor(period)3]}',
    '',
    {
      period: [1, 2, 3, 4],
    },
  );
  assert.deepEqual(terms(analysis), ['(intercept)', 'factor(period)2', 'factor(period)3', 'factor(period)4']);
  assert.deepEqual(analysis.pool.terms, ['factor(period)2', 'factor(period)3']);
});

test('factors without declared levels are listed until their levels are agreed', () => {
  const text = `${HEAD}${ONE_ARM}${OUTCOMES.cox}levels: {g: [0, 1]}
analyses:
  - {id: a, approach: two-stage, model: {family: cox, adjust: [factor(g), factor(h)]}, effect_modifier: {variable: m, form: factor}}
  - {id: b, approach: one-stage, model: {family: cox, adjust: [factor(k)]}}
`;
  const plan = parsePlan(text, 'plan.yaml');
  assert.deepEqual(undeclaredFactors(plan), ['h', 'm', 'k']);
  const early = expandPlan(plan, { h: ['x', 'y'], k: [1, 2] });
  assert.deepEqual(early.undeclared, ['m']);
  assert.deepEqual(terms(early.analyses[0]!), ['treatment', 'factor(g)1', 'factor(h)y']);
  const late = expandPlan(plan, { h: ['x', 'y'], m: [1, 2], k: [1, 2], other: ['p', 'q'] });
  assert.deepEqual(late.undeclared, []);
  assert.deepEqual(late.levels, { g: [0, 1], h: ['x', 'y'], m: [1, 2], k: [1, 2] });
  assert.equal(terms(late.analyses[0]!).at(-1), 'treatment:factor(m)2.within');
});

test('what the agreed levels leave without its term is not computed, and says why', () => {
  const pooled = ', pool: {term: factor(h)c}';
  assert.match(
    one('cox', ', adjust: [factor(h)]', pooled, ONE_ARM, { h: ['a', 'b'] }).unsupported!,
    /no level that makes the term `factor\(h\)c`/,
  );
  assert.match(
    one('cox', ', adjust: [factor(h)]', '', ONE_ARM, { h: ['a'] }).unsupported!,
    /fewer than two levels of `h`/,
  );
  assert.equal(one('cox', ', adjust: [factor(h)]', pooled, ONE_ARM, { h: ['a', 'c'] }).unsupported, null);
});

test('what this version cannot compute is named, with what to use instead, beside what it can', () => {
  const plan = (outcome: string, analysis: string): Analysis =>
    expand(`${ONE_ARM}outcome: ${outcome}\nanalyses:\n  - {id: a, approach: ${analysis}}\n`).analyses[0]!;
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      '{kind: continuous, variable: y}',
      'two-stage, model: {family: gaussian, link: log}',
      /canonical `identity`/,
    ],
    [
      '{kind: binary, variable: y}',
      'two-stage, model: {family: binomial, link: log}',
      /`approach: one-stage`/,
    ],
    [
      '{kind: binary, variable: y}',
      'one-stage, model: {family: binomial, link: probit}',
      /canonical `logit`/,
    ],
    [
      '{kind: repeated, variable: y, subject: i, visit: v, visits: [1, 2]}',
      'one-stage, model: {family: gaussian, treatment_effect: random}',
      /`treatment_effect: common`/,
    ],
    [
      '{kind: time-to-event, time: t, event: d}',
      'one-stage, model: {family: cox, baseline: shared, frailty: gamma}',
      /`grid: /,
    ],
    [
      '{kind: time-to-event, time: t, event: d}',
      'one-stage, model: {family: cox, baseline: shared, frailty: gaussian, grid: [1, 2], strata: [c], treatment_effect: random}, inference: {likelihood_ratio: true}',
      /`strata`, `treatment_effect: random`, `likelihood_ratio`.*not computed/,
    ],
    [
      '{kind: continuous, variable: y}',
      'two-stage, model: {family: gaussian, adjust: ["rcs(x, 4)"]}',
      /`rcs\(x, \[k1, k2, k3\]\)`/,
    ],
    [
      '{kind: continuous, variable: y}',
      'two-stage, model: {family: gaussian}, effect_modifier: {variable: x, form: rcs}',
      /`rcs\(x, \[k1, k2, k3\]\)`/,
    ],
  ];
  for (const [outcome, analysis, reason] of cases) {
    const expanded = plan(outcome, analysis);
    assert.match(expanded.unsupported!, reason);
    assert.deepEqual(expanded.columns, []);
  }
  assert.equal(
    plan('{kind: continuous, variable: y}', 'two-stage, model: {family: gaussian, link: identity}')
      .unsupported,
    null,
  );
  assert.equal(
    plan('{kind: binary, variable: y}', 'one-stage, model: {family: binomial, link: log}').unsupported,
    null,
  );
});

test('one stage separates within- from across-trial information, and centres a random treatment effect beside study intercepts', () => {
  const expanded = expand(
    `${ONE_ARM}${OUTCOMES.binomial}analyses:
  - {id: a, approach: one-stage, model: {family: binomial, treatment_effect: random, adjust: [w, stratified(b)]}, effect_modifier: {variable: x}}
`,
  ).analyses[0]!;
  assert.deepEqual(
    expanded.columns.map(({ term, role, stratified }) => [term, role, stratified ?? false]),
    [
      ['(intercept)', 'intercept', true],
      ['treatment', 'treatment', false],
      ['w', 'adjust', false],
      ['stratified(b)', 'adjust', true],
      ['x', 'modifier', false],
      ['treatment:x.within', 'within', false],
      ['treatment:x.across', 'across', false],
    ],
  );
  assert.deepEqual(expanded.columns[1]!.product, [{ kind: 'treatment', arm: 1, centred: true }]);
  assert.deepEqual(expanded.columns[6]!.product, [
    { kind: 'treatment', arm: 1 },
    { kind: 'study-mean', of: { kind: 'linear', variable: 'x', centred: false } },
  ]);
});

test('of a repeated outcome every column stands once a visit, with study × visit means', () => {
  const expanded = expand(
    `${ONE_ARM}outcome: {kind: repeated, variable: y, subject: i, visit: v, visits: [3, 5]}
analyses:
  - {id: a, approach: one-stage, model: {family: gaussian, adjust: [b]}}
`,
  ).analyses[0]!;
  assert.deepEqual(terms(expanded), [
    '(intercept):factor(v)3',
    '(intercept):factor(v)5',
    'treatment:factor(v)3',
    'treatment:factor(v)5',
    'b:factor(v)3',
    'b:factor(v)5',
  ]);
});
