import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import { assertAsR, fixtureOf, near, rowsWhere, type Reference } from '../models/derivatives-testing.ts';
import type { StudyData } from '../models/types.ts';
import { firthModel, fitFirth } from './firth.ts';
import { firthStudy } from './firth-study.ts';
import { runProgram, specOf } from './likelihood-testing.ts';
import type { OneStageFit } from './types.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { families, column, records } = fixtureOf(readFileSync(file, 'utf8'));
const studyOf = column('study');
const terms = ['(intercept)', 'treatment', 'x'];
const spec = specOf({
  kind: 'firth',
  options: { family: 'binomial', ties: 'efron' },
  terms,
  stratified: [0],
  inference: { ci: 'profile', likelihoodRatio: true },
});

const split = (data: StudyData): StudyData[] =>
  [1, 2, 3, 4].map((k) => rowsWhere(data, (i) => studyOf[i] === k));
const binary = (name: string): StudyData => records({ kind: 'binary', events: column(name), trials: null });

/** In R's order: the studies' intercepts, then the common coefficients. */
function asReference({ coefficients, vcov, logLikelihood }: OneStageFit) {
  const order = [...coefficients.keys()].sort(
    (a, b) =>
      Number(coefficients[b]!.study !== undefined) - Number(coefficients[a]!.study !== undefined) || a - b,
  );
  return {
    estimates: Float64Array.from(order, (k) => coefficients[k]!.estimate),
    vcov: Float64Array.from(
      order.flatMap((k, a) => order.slice(0, a + 1).map((l) => vcov[packedIndex(k, l)]!)),
    ),
    logLik: logLikelihood!,
  };
}

for (const [name, response] of [
  ['firthFixed', 'event'],
  ['firthSparse', 'rare'],
] as const) {
  test(`as R: ${name}, with study intercepts at home`, () => {
    const fit = runProgram(firthModel, spec, split(binary(response)));
    assert.equal(fit.failure, null);
    const expected = families[name];
    assertAsR(expected, asReference(fit));
    const treatment = fit.coefficients.find(({ term }) => term === 'treatment')!;
    expected.profile.forEach((limit, side) =>
      near('profile limit', treatment.profile![side]!, limit, treatment.se!, 1e-6),
    );
    near('likelihood ratio', fit.tests[0]!.statistic!, expected.lr, 1 + expected.lr, 1e-8);
  });
}

test('as R: one study, with grouped rows', () => {
  const fit = fitFirth(records({ kind: 'binary', events: column('events'), trials: column('trials') }))!;
  const expected: Reference = families.firthGrouped;
  assertAsR(expected, { ...fit, logLik: fit.penalisedLogLikelihood });
});

test('a study of its own with an intercept of its own is the one-study fit', () => {
  for (const response of ['event', 'rare']) {
    for (const study of split(binary(response))) {
      const alone = fitFirth(study)!;
      const fit = runProgram(firthModel, spec, [study]);
      fit.coefficients.forEach(({ term, estimate, se }) => {
        const j = terms.indexOf(term);
        near(term, estimate, alone.estimates[j]!, se!, 1e-7);
        near(`${term} se`, se!, Math.sqrt(alone.vcov[packedIndex(j, j)]!), se!, 1e-7);
      });
      near('ℓ*', fit.logLikelihood!, alone.penalisedLogLikelihood, 1, 1e-9);
    }
  }
});

test('nine participants without an event have a finite estimate', () => {
  const study: StudyData = {
    n: 9,
    columns: [new Float64Array(9).fill(1), Float64Array.of(1, 0, 1, 1, 0, 0, 1, 1, 0)],
    terms: terms.slice(0, 2),
    response: { kind: 'binary', events: new Float64Array(9), trials: null },
    offset: null,
  };
  // Saturated: ½ is added to each cell (Firth 1993).
  const fit = fitFirth(study)!;
  near('control', fit.estimates[0]!, Math.log(0.5 / 4.5), 1, 1e-8);
  near('difference', fit.estimates[1]!, Math.log(0.5 / 5.5) - Math.log(0.5 / 4.5), 1, 1e-8);
});

test('covariates on another scale, or shifted, change nothing but their own coefficient', () => {
  const base = runProgram(firthModel, spec, split(binary('rare')));
  fc.assert(
    fc.property(
      fc.double({ min: 0.05, max: 20, noNaN: true }),
      fc.double({ min: -5, max: 5, noNaN: true }),
      (scale, shift) => {
        const data = binary('rare');
        const moved = {
          ...data,
          columns: [data.columns[0]!, data.columns[1]!, data.columns[2]!.map((x) => x * scale + shift)],
        };
        const fit = runProgram(firthModel, spec, split(moved), {
          centre: Float64Array.of(0, 0, shift),
          scale: Float64Array.of(1, 1, scale),
          intercept: 0,
        });
        near(
          'treatment',
          fit.coefficients[0]!.estimate,
          base.coefficients[0]!.estimate,
          base.coefficients[0]!.se!,
          1e-7,
        );
        near(
          'x',
          fit.coefficients[1]!.estimate * scale,
          base.coefficients[1]!.estimate,
          base.coefficients[1]!.se!,
          1e-7,
        );
        near('ℓ*', fit.logLikelihood!, base.logLikelihood! + Math.log(scale), 1, 1e-8);
      },
    ),
    { numRuns: 5 },
  );
});

test('a covariate that another determines is named', () => {
  const data = binary('event');
  const twice = {
    ...data,
    columns: [data.columns[0]!, data.columns[1]!, data.columns[1]!.map((x) => 2 * x)],
  };
  assert.deepEqual(runProgram(firthModel, spec, split(twice)).failure, {
    code: 'rank-deficient',
    terms: ['x'],
  });
  assert.equal(fitFirth(twice), null);
});

test('a study of one participant has the logit of ¾ where there was an event, of ¼ where there was none', () => {
  // Its leverage is 1, so that its modified score is k − μ + ½ − μ.
  for (const [event, eta] of [
    [1, Math.log(3)],
    [0, -Math.log(3)],
  ] as const) {
    const study = firthStudy(
      {
        n: 1,
        columns: [Float64Array.of(1), Float64Array.of(1)],
        terms: ['(intercept)', 'treatment'],
        response: { kind: 'binary', events: Float64Array.of(event), trials: null },
        offset: null,
      },
      { family: 'binomial', ties: 'efron' },
      { centre: new Float64Array(2), scale: new Float64Array(2).fill(1), intercept: 0 },
      [0],
    );
    const answer = study(Float64Array.of(0.7), Float64Array.of(0.03));
    assert.ok(answer !== null && Math.abs(answer.own[0]! + 0.7 - eta) < 1e-9);
  }
});
