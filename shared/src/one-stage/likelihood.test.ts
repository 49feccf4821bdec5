import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { federate, type Federation, type Records } from './testing.ts';

interface Case {
  readonly name: string;
  readonly outcome: string;
  readonly model: string;
  readonly terms: readonly string[];
  readonly estimates: readonly number[];
  readonly se: readonly number[];
  readonly logLik: number;
  readonly tolerance: number;
  readonly variances?: readonly number[];
}

const { records, cases } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/one-stage/cases.json', import.meta.url), 'utf8'),
) as { records: { trials: readonly Records[]; grouped: readonly Records[] }; cases: readonly Case[] };
const { trials } = records;

const TIME = '{kind: time-to-event, time: time, event: event}';
const BINARY = '{kind: binary, variable: y}';
const COUNT = '{kind: count, variable: count}';
const ORDINAL = '{kind: ordinal, variable: level, levels: [1, 2, 3]}';

function fit(outcome: string, model: string, studies: readonly Records[] = trials, more = ''): Federation {
  const levels = model.includes('factor(') ? 'levels: {g: [a, b, c]}\n' : '';
  const text = `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\n${levels}analyses:\n  - {id: t, approach: one-stage, model: {${model}}${more}}\n`;
  return federate(text, studies);
}

const of = ({ fit: { coefficients } }: Federation, term: string) => {
  const found = coefficients.find(
    (coefficient) => coefficient.term === term && coefficient.study === undefined,
  );
  assert.ok(found, `no coefficient ${term}`);
  return found;
};

const near = (what: string, value: number, expected: number, tolerance: number): void =>
  assert.ok(
    Math.abs(value - expected) <= tolerance,
    `${what}: ${value}, expected ${expected} ± ${tolerance}`,
  );

/** The records with some variables changed, study by study. */
const changed = (
  change: (
    records: Records,
    study: number,
  ) => Readonly<Record<string, (value: number, row: number) => number | string>>,
): Records[] =>
  trials.map((study, i) => ({
    ...study,
    ...Object.fromEntries(
      Object.entries(change(study, i)).map(([name, f]) => [
        name,
        study[name]!.map((value, row) => f(Number(value), row)),
      ]),
    ),
  }));

for (const { name, outcome, model, ...expected } of cases) {
  test(`equals R: ${name}`, () => {
    const federation = fit(outcome, model, outcome.includes('trials') ? records.grouped : trials);
    const { failure, logLikelihood, randomEffects, rounds } = federation.fit;
    assert.equal(failure, null);
    assert.ok(rounds <= (randomEffects.length > 0 ? 15 : 8), `${rounds} rounds`);
    // R's optimisers stop short of the maximum, never beyond it.
    const gain = logLikelihood! - expected.logLik;
    assert.ok(
      gain > -1e-8 * Math.abs(expected.logLik) && gain < expected.tolerance,
      `log-likelihood: R's + ${gain}`,
    );
    expected.terms.forEach((term, k) => {
      const { estimate, se } = of(federation, term);
      near(
        `${term} in standard errors`,
        estimate / expected.se[k]!,
        expected.estimates[k]! / expected.se[k]!,
        expected.tolerance * 10,
      );
      near(`standard error of ${term}`, se! / expected.se[k]!, 1, expected.tolerance * 10);
    });
    expected.variances?.forEach((variance, a) =>
      near('variance', randomEffects[a]!.variance, variance, 1e-3 * variance + 1e-7),
    );
  });
}

test('adaptive quadrature raises the log-likelihood of sparse trials, and starts at the Laplace maximum', () => {
  const laplace = fit(BINARY, 'family: binomial, intercept: random');
  const points = fit(BINARY, 'family: binomial, intercept: random, quadrature: 9');
  assert.deepEqual(
    [...new Set(points.asked.map(({ ask }) => ask.objective))],
    ['laplace-log-likelihood', 'log-likelihood', 'study-effects'],
  );
  near('treatment', of(points, 'treatment').estimate, of(laplace, 'treatment').estimate, 0.01);
  assert.notEqual(points.fit.logLikelihood, laplace.fit.logLikelihood);
});

test('without the studies’ own estimates the fit is the same', () => {
  const text = (model: string, outcome: string) =>
    `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\nanalyses:\n  - {id: t, approach: one-stage, model: {${model}}}\n`;
  for (const { outcome, model } of cases.filter(({ outcome: kind }) => !kind.includes('trials'))) {
    const [told, kept] = [true, false].map((ownEstimates) =>
      federate(text(model, outcome), trials, { ownEstimates }),
    );
    assert.equal(kept!.fit.failure, null, model);
    near(model, of(kept!, 'treatment').estimate, of(told!, 'treatment').estimate, 1e-6);
    near(
      model,
      kept!.fit.logLikelihood!,
      told!.fit.logLikelihood!,
      1e-8 * Math.abs(told!.fit.logLikelihood!),
    );
  }
});

for (const [outcome, model] of [
  [BINARY, 'family: binomial'],
  [BINARY, 'family: binomial, intercept: random, treatment_effect: random'],
  [COUNT, 'family: negative-binomial, intercept: random'],
  [ORDINAL, 'family: ordinal, thresholds: stratified'],
  [ORDINAL, 'family: ordinal, intercept: random'],
  [TIME, 'family: cox, treatment_effect: random'],
  [TIME, 'family: weibull'],
  [TIME, 'family: piecewise-exponential, cuts: [0.4, 1], treatment_effect: random'],
  [TIME, 'family: royston-parmar, knots: [0.05, 0.5, 2.5], baseline: shared, intercept: random'],
] as const) {
  test(`a covariate’s unit and origin change its coefficient and the level alone: ${model}`, () => {
    const plain = fit(outcome, `${model}, adjust: [x]`);
    for (const [scale, shift] of [
      [1e6, 0],
      [1e-6, 0],
      [0.1, 2000],
    ] as const) {
      const other = fit(
        outcome,
        `${model}, adjust: [x]`,
        changed(() => ({ x: (x) => x * scale + shift })),
      );
      const [a, b] = [of(plain, 'x'), of(other, 'x')];
      near('x', (b.estimate * scale) / a.se!, a.estimate / a.se!, 1e-6);
      near('se', (b.se! * scale) / a.se!, 1, 1e-6);
      near('treatment', of(other, 'treatment').estimate, of(plain, 'treatment').estimate, 1e-7);
      near('log-likelihood', other.fit.logLikelihood!, plain.fit.logLikelihood!, 1e-7);
    }
  });

  test(`collinear and constant columns are rank-deficient and named: ${model}`, () => {
    const studies = trials.map((study) => ({
      ...study,
      z: study['x']!.map((x) => 2 * Number(x) - 7),
    }));
    assert.deepEqual(fit(outcome, `${model}, adjust: [x, z]`, studies).fit.failure, {
      code: 'rank-deficient',
      terms: ['z'],
    });
    const constant = studies.map((study) => ({ ...study, z: study.z.map(() => 5) }));
    assert.deepEqual(fit(outcome, `${model}, adjust: [x, z]`, constant).fit.failure, {
      code: 'rank-deficient',
      terms: ['z'],
    });
  });

  test(`a factor’s level in one study alone, and in none: ${model}`, () => {
    const withLevels = (inOne: boolean): Records[] =>
      trials.map((study, i) => ({
        ...study,
        g: study['x']!.map((_, row) => (inOne && i === 2 && row % 3 === 0 ? 'c' : row % 5 < 2 ? 'b' : 'a')),
      }));
    assert.equal(fit(outcome, `${model}, adjust: [factor(g)]`, withLevels(true)).fit.failure, null);
    assert.deepEqual(fit(outcome, `${model}, adjust: [factor(g)]`, withLevels(false)).fit.failure, {
      code: 'rank-deficient',
      terms: ['factor(g)c'],
    });
  });

  test(`studies of one arm, of one participant and of none spoil nothing: ${model}`, () => {
    const one = Object.fromEntries(
      Object.entries(trials[0]!).map(([name, values]) => [name, values.slice(0, 1)]),
    );
    const none = Object.fromEntries(Object.entries(trials[0]!).map(([name]) => [name, []]));
    const control = Object.fromEntries(
      Object.entries(trials[1]!).map(([name, values]) => [
        name,
        values.filter((_, row) => trials[1]!['treat']![row] === 0),
      ]),
    );
    const federation = fit(outcome, `${model}, adjust: [x]`, [...trials, one, none, control]);
    assert.equal(federation.fit.failure, null);
    assert.equal(federation.excluded.get(trials.length + 1), 'no-participants');
    assert.ok(of(federation, 'treatment').se! > 0);
  });
}

for (const [outcome, variable, model, code] of [
  [BINARY, 'y', 'family: binomial', 'separation'],
  [BINARY, 'y', 'family: binomial, intercept: random, treatment_effect: random', 'separation'],
  [COUNT, 'count', 'family: poisson, treatment_effect: random', 'separation'],
  [COUNT, 'count', 'family: negative-binomial, intercept: random', 'separation'],
  [TIME, 'event', 'family: cox', 'monotone-likelihood'],
  [TIME, 'event', 'family: cox, treatment_effect: random', 'monotone-likelihood'],
  [TIME, 'event', 'family: weibull', 'monotone-likelihood'],
  [TIME, 'event', 'family: piecewise-exponential, cuts: [0.4, 1]', 'monotone-likelihood'],
] as const) {
  test(`no events in an arm of one trial is no failure, in an arm of all trials ${code}: ${model}`, () => {
    const without = (only: boolean): Records[] =>
      changed(({ treat }, i) =>
        only && i !== 1 ? {} : { [variable]: (value, row) => (treat![row] === 1 ? 0 : value) },
      );
    assert.equal(fit(outcome, model, without(true)).fit.failure, null);
    const failed = fit(outcome, model, without(false)).fit;
    assert.deepEqual(failed.failure, { code, terms: ['treatment'] });
    assert.ok(failed.rounds <= 20);
  });

  test(`a trial without events is left out beside stratified baselines alone: ${model}`, () => {
    const federation = fit(
      outcome,
      model,
      changed((_, i) => (i === 1 ? { [variable]: () => 0 } : {})),
    );
    assert.equal(federation.fit.failure, null);
    const expected = /random, t|intercept: random|cox/.test(model) ? [] : [[1, 'no-events']];
    assert.deepEqual([...federation.excluded], expected);
    if (expected.length === 0) return;
    const others = fit(
      outcome,
      model,
      trials.filter((_, i) => i !== 1),
    );
    near('treatment', of(federation, 'treatment').estimate, of(others, 'treatment').estimate, 1e-9);
  });
}

test('complete separation with a covariate whose values nearly touch ends early', () => {
  const studies = changed(() => ({ x: (x, row) => x + row / 1e5 })).map((study) => ({
    ...study,
    y: study['x']!.map((x) => (Number(x) > 1 ? 1 : 0)),
  }));
  for (const model of ['family: binomial', 'family: binomial, intercept: random, treatment_effect: random']) {
    const { failure, rounds } = fit(BINARY, `${model}, adjust: [x]`, studies).fit;
    assert.deepEqual(failure, { code: 'separation', terms: ['x'] });
    assert.ok(rounds <= 25, `${rounds} rounds`);
  }
});

test('nearly collinear columns have large coefficients, not a divergence', () => {
  const studies = trials.map((study) => ({
    ...study,
    z: study['x']!.map((x, row) => Number(x) + 1e-3 * Math.sin(7 * row)),
  }));
  for (const model of ['family: binomial', 'family: binomial, intercept: random']) {
    const { failure, rounds } = fit(BINARY, `${model}, adjust: [x, z]`, studies).fit;
    assert.equal(failure, null);
    assert.ok(rounds <= 15, `${rounds} rounds`);
  }
});

test('a maximum where a fitted mean leaves the range of its link is said to be there', () => {
  const certain = changed(({ treat }) => ({
    r: (_, row) => (treat![row] === 1 ? 1 : row % 4 === 0 ? 1 : 0),
  }));
  for (const model of [
    'family: binomial, link: log',
    'family: binomial, link: identity',
    'family: binomial, link: log, intercept: random',
  ]) {
    const { failure, rounds } = fit('{kind: binary, variable: r}', model, certain).fit;
    assert.deepEqual(failure, { code: 'link-boundary', terms: [] });
    assert.ok(rounds <= 25, `${rounds} rounds`);
  }
});

test('counts without overdispersion: a warning, Poisson’s estimates and no size', () => {
  const even = changed(() => ({ count: (_, row) => 2 + (row % 3 === 0 ? 1 : 0) }));
  const mine = fit(COUNT, 'family: negative-binomial', even);
  const poisson = fit(COUNT, 'family: poisson', even);
  assert.deepEqual(mine.fit.warnings, [{ code: 'no-overdispersion', terms: ['log(size)'] }]);
  assert.ok(mine.fit.coefficients.every(({ term }) => term !== 'log(size)'));
  near('treatment', of(mine, 'treatment').estimate, of(poisson, 'treatment').estimate, 1e-7);
  near('standard error', of(mine, 'treatment').se!, of(poisson, 'treatment').se!, 1e-7);
});

test('ordinal: a level that a study lacks costs nothing, one that nobody has is named', () => {
  const one = changed((_, i) => (i === 2 ? { level: (level) => (level === 2 ? 1 : level) } : {}));
  for (const model of [
    'family: ordinal',
    'family: ordinal, thresholds: stratified',
    'family: ordinal, intercept: random',
  ])
    assert.equal(fit(ORDINAL, model, one).fit.failure, null, model);
  const thresholds = fit(ORDINAL, 'family: ordinal, thresholds: stratified', one).fit.coefficients;
  assert.deepEqual(
    thresholds.filter(({ study }) => study === 2).map(({ term }) => term),
    ['threshold[2|3]'],
  );
  const all = changed(() => ({ level: (level) => (level === 2 ? 1 : level) }));
  assert.deepEqual(fit(ORDINAL, 'family: ordinal, intercept: random', all).fit.failure, {
    code: 'no-variation',
    terms: ['threshold[2|3]'],
  });
});

test('an interval without events: a study’s own is left out, one of all studies is named', () => {
  const model = 'family: piecewise-exponential, cuts: [0.4, 1]';
  const empty = (which: (study: number) => boolean): Records[] =>
    changed(({ time }, i) =>
      which(i) ? { event: (event, row) => (Number(time![row]) > 1 ? 0 : event) } : {},
    );
  const one = fit(
    TIME,
    model,
    empty((i) => i === 3),
  ).fit;
  assert.equal(one.failure, null);
  assert.equal(one.coefficients.filter(({ study }) => study === 3).length, 2);
  assert.deepEqual(
    fit(
      TIME,
      `${model}, baseline: shared`,
      empty(() => true),
    ).fit.failure,
    { code: 'monotone-likelihood', terms: ['log(hazard)(1,∞)'] },
  );
});

test('one trial, and trials alike: variances at zero are said to be at the boundary', () => {
  for (const studies of [trials.slice(0, 1), [trials[0]!, trials[0]!, trials[0]!]]) {
    const { failure, warnings, randomEffects, correlations } = fit(
      BINARY,
      'family: binomial, intercept: random, treatment_effect: random',
      studies,
    ).fit;
    assert.equal(failure, null);
    assert.deepEqual(warnings, [{ code: 'boundary', terms: ['(intercept)', 'treatment'] }]);
    assert.deepEqual(
      randomEffects.map(({ variance }) => variance),
      [0, 0],
    );
    assert.deepEqual(correlations, [null, null, null]);
  }
});

test('profile limits and likelihood ratios are those of refits', () => {
  const federation = fit(
    BINARY,
    'family: binomial, intercept: random',
    trials,
    ', inference: {ci: profile, likelihood_ratio: true}',
  );
  const { profile } = of(federation, 'treatment');
  const { estimate, se } = of(federation, 'treatment');
  assert.ok(profile![0] < estimate && estimate < profile![1]);
  near('half width', (profile![1] - profile![0]) / 2, 1.96 * se!, 0.1 * se!);
  const { statistic } = federation.fit.tests[0]!;
  near('likelihood ratio beside Wald', statistic!, (estimate / se!) ** 2, 1);
});

test('results hold no NaN and no infinity, nor do the sums', () => {
  for (const { outcome, model } of cases.filter(({ outcome: kind }) => !kind.includes('trials'))) {
    const { fit: result, asked } = fit(outcome, model);
    for (const { sum } of asked) assert.ok(sum.every(Number.isFinite));
    JSON.stringify(result, (_, value: unknown) => {
      assert.ok(typeof value !== 'number' || Number.isFinite(value), model);
      return value;
    });
  }
});
