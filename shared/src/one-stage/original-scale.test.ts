import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex } from '../linalg/symmetric.ts';
import { fitStageOne } from '../models/stage-one.ts';
import { federate, type Records } from './testing.ts';

/** Four trials of different size, allocation and level. */
const trials: Records[] = [18, 25, 32, 21].map((n, i) => {
  const rows = [...Array.from({ length: n }).keys()];
  return {
    treat: rows.map((row) => (row % (i + 2) === 0 ? 1 : 0)),
    x: rows.map((row) => 2000 + ((row * 7 + i) % 11) / 2),
    y: rows.map((row) => ((row * row + 3 * row + i) % 7 < 2 + (row % (i + 2) === 0 ? 2 : 0) ? 1 : 0)),
    count: rows.map((row) => (row * 5 + i) % 4),
    time: rows.map((row) => 0.2 + ((row * 13 + 5 * i) % 17) / 10),
    event: rows.map((row) => (row % 3 === 0 ? 0 : 1)),
    level: rows.map((row) => 1 + ((row * row + row * (i + 1) + 2 * i) % 3)),
  };
});

const fit = (outcome: string, model: string, studies: readonly Records[] = trials) =>
  federate(
    `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\nanalyses:\n  - {id: t, approach: one-stage, model: {${model}}}\n`,
    studies,
  );

/** Trials with the same outcomes in each arm, but other shares of participants in them: their effects do not differ. */
const alike: Records[] = [
  [12, 6],
  [18, 12],
  [24, 12],
  [12, 24],
].map(([control, active]) => {
  const rows = [control!, active!].flatMap((n, arm) =>
    Array.from({ length: n }, (_, k) => ({ arm, k: k % 6 })),
  );
  return {
    treat: rows.map(({ arm }) => arm),
    y: rows.map(({ arm, k }) => (k < 2 + 2 * arm ? 1 : 0)),
    level: rows.map(({ arm, k }) => [1, 1, 2, 2, 3, 1, 2, 3, 3][k + 3 * arm]!),
    time: rows.map(({ arm, k }) => (0.2 + k / 4) * (1 - 0.3 * arm)),
    event: rows.map(({ k }) => (k === 2 ? 0 : 1)),
  };
});

const near = (value: number, expected: number, scale: number, tolerance = 1e-6): void =>
  assert.ok(Math.abs(value - expected) <= tolerance * scale, `${value}, expected ${expected}`);

test('estimates and covariances, study intercepts included, are those of one fit with an indicator for each study', () => {
  const { coefficients, vcov } = fit('{kind: binary, variable: y}', 'family: binomial, adjust: [x]').fit;
  const pooled = (name: string): Float64Array =>
    Float64Array.from(
      trials.flatMap((trial) => trial[name]!),
      Number,
    );
  const indicators = trials.map((_, i) =>
    Float64Array.from(trials.flatMap((trial, k) => trial['treat']!.map(() => (k === i ? 1 : 0)))),
  );
  const n = indicators[0]!.length;
  // The first study's level as the intercept, the others' as differences.
  const reference = fitStageOne(
    {
      n,
      columns: [new Float64Array(n).fill(1), pooled('treat'), pooled('x'), ...indicators.slice(1)],
      terms: ['(intercept)', 'treatment', 'x', 's2', 's3', 's4'],
      response: { kind: 'binary', events: pooled('y'), trials: null },
      offset: null,
    },
    { family: 'binomial', ties: 'efron' },
    [1],
  );
  assert.ok(reference.status === 'fitted');
  // Ours: treatment, x, then the intercepts of studies 1 to 4; each as a sum of the reference's coefficients.
  const sums = [[1], [2], [0], [0, 3], [0, 4], [0, 5]];
  const cov = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, i) => b.reduce((part, j) => part + reference.vcov[packedIndex(i, j)]!, sum), 0);
  assert.deepEqual(
    coefficients.map(({ study }) => study),
    [undefined, undefined, 0, 1, 2, 3],
  );
  coefficients.forEach(({ estimate, se }, k) => {
    const size = Math.sqrt(cov(sums[k]!, sums[k]!));
    near(
      estimate,
      sums[k]!.reduce((sum, i) => sum + reference.estimates[i]!, 0),
      size,
    );
    near(se!, size, size);
    sums
      .slice(0, k + 1)
      .forEach((other, j) =>
        near(vcov[packedIndex(k, j)]!, cov(sums[k]!, other), size * Math.sqrt(cov(other, other))),
      );
  });
});

for (const [outcome, random, common] of [
  ['{kind: binary, variable: y}', 'family: binomial, treatment_effect: random', 'family: binomial'],
  [
    '{kind: ordinal, variable: level, levels: [1, 2, 3]}',
    'family: ordinal, thresholds: stratified, treatment_effect: random',
    'family: ordinal, thresholds: stratified',
  ],
  [
    '{kind: time-to-event, time: time, event: event}',
    'family: weibull, treatment_effect: random',
    'family: weibull',
  ],
  [
    '{kind: time-to-event, time: time, event: event}',
    'family: piecewise-exponential, cuts: [0.8], treatment_effect: random',
    'family: piecewise-exponential, cuts: [0.8]',
  ],
  [
    '{kind: time-to-event, time: time, event: event}',
    'family: royston-parmar, knots: [0.2, 2], treatment_effect: random',
    'family: royston-parmar, knots: [0.2, 2]',
  ],
] as const) {
  test(`levels of studies are the uncentred treatment’s, although it is centred to fit: ${random}`, () => {
    const mixed = fit(outcome, random, alike);
    assert.equal(mixed.fit.failure, null);
    assert.ok(mixed.spec.centredTreatment);
    const plain = fit(outcome, common, alike);
    // Without a variance, both are one model.
    assert.equal(mixed.fit.randomEffects[0]!.variance, 0);
    assert.equal(mixed.fit.coefficients.length, plain.fit.coefficients.length);
    mixed.fit.coefficients.forEach(({ term, study, estimate, se }) => {
      const other = plain.fit.coefficients.find(
        (coefficient) => coefficient.term === term && coefficient.study === study,
      )!;
      near(estimate, other.estimate, other.se!, 1e-5);
      near(se!, other.se!, other.se!, 1e-5);
    });
  });
}
