import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StudyData } from '../models/types.ts';
import { combineEntries, defaultStart, siteEntry, startBound, type StudyEntry } from './entry.ts';
import { specOf } from './likelihood-testing.ts';

const logistic = specOf({
  options: { family: 'binomial', ties: 'efron' },
  terms: ['(intercept)', 'treatment', 'x'],
});
const moments = {
  participants: 50,
  means: Float64Array.of(1, 0.5, 2004),
  deviations: Float64Array.of(0, 0.5, 5),
};
const entry = (estimates: readonly number[], variance = 1): StudyEntry => ({
  ...moments,
  own: {
    estimable: [true, true, true],
    estimates: Float64Array.from(estimates),
    vcov: Float64Array.of(variance, 0, variance, 0, 0, variance),
  },
});

test('columns are centred and scaled by powers of two; intercept and treatment are left as they are', () => {
  const { scaling, studies, n } = combineEntries(logistic, [
    entry([0, 0, 0]),
    { ...entry([0, 0, 0]), means: Float64Array.of(1, 0.5, 1996) },
  ]);
  assert.deepEqual([studies, n], [2, 100]);
  assert.deepEqual([...scaling.centre], [0, 0, 2000]);
  assert.deepEqual([...scaling.scale], [1, 1, 8]);
});

test('the start is the estimates weighted by their information, in standardised columns', () => {
  const { start } = combineEntries(logistic, [entry([1, 0.2, 0.01], 1), entry([1, 0.8, 0.01], 4)]);
  assert.ok(Math.abs(start[1]! - (0.2 + 0.8 / 4) / 1.25) < 1e-12);
  assert.ok(Math.abs(start[2]! - 0.01 * 4) < 1e-9);
  // The linear predictor at the centre.
  assert.ok(Math.abs(start[0]! - (1 + 0.01 * 2004)) < 1e-6);
});

test('a study’s divergence, or a crafted number, does not reach the start', () => {
  const { start } = combineEntries(logistic, [entry([1, 0.2, 0]), entry([1, 1e6, 0])]);
  assert.ok(Math.abs(start[1]! - 0.2) < 1e-9);
  assert.ok(start.every((value, j) => Math.abs(value) <= startBound(logistic, j)));
});

test('property: the start is finite and within bounds, whatever the studies say', () => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(number, number, number, fc.double({ min: 1e-12, max: 1e12, noNaN: true })), {
        maxLength: 4,
      }),
      (studies) => {
        const { start, sd } = combineEntries(
          specOf({ ...logistic, random: [{ term: 'treatment', direction: Float64Array.of(0, 1, 0) }] }),
          studies.map(([a, b, c, variance]) => entry([a, b, c], variance)),
        );
        assert.ok(start.every((value, j) => Math.abs(value) <= startBound(logistic, j)));
        assert.ok(sd.every((value) => value > 0 && Number.isFinite(value)));
      },
    ),
  );
});

test('a standard deviation starts at the moment estimate of the variance between studies', () => {
  const random = [{ term: 'treatment', direction: Float64Array.of(0, 1, 0) }];
  const estimates = [-1, 0, 1, 2];
  const { sd } = combineEntries(
    specOf({ ...logistic, random }),
    estimates.map((value) => entry([0, value, 0], 0.25)),
  );
  // DerSimonian & Laird with equal weights: the sample variance less the mean sampling variance.
  assert.ok(Math.abs(sd[0]! ** 2 - (5 / 3 - 0.25)) < 1e-12);
});

test('thresholds start in order, although studies with different levels estimate different ones', () => {
  const spec = specOf({
    options: { family: 'ordinal', ties: 'efron' },
    terms: ['x', 't1', 't2', 't3'],
    columns: 1,
    intercept: -1,
    treatment: [],
  });
  const some = (estimable: boolean[], estimates: number[]): StudyEntry => ({
    participants: 9,
    means: Float64Array.of(0),
    deviations: Float64Array.of(1),
    own: {
      estimable,
      estimates: Float64Array.from(estimates),
      vcov: Float64Array.from({ length: (estimates.length * (estimates.length + 1)) / 2 }, (_, k) =>
        [0, 2, 5, 9].includes(k) ? 1 : 0,
      ),
    },
  });
  for (const entries of [
    [],
    [some([true, true, false, true], [0, 1, -1])],
    [some([true, false, true, false], [0, 4]), some([true, true, false, true], [0, 1, 2])],
  ]) {
    const { start } = combineEntries(spec, entries);
    assert.ok(start[1]! < start[2]! && start[2]! < start[3]!);
  }
});

test('links start inside their range', () => {
  const at = (link: 'log' | 'identity', family: 'binomial' | 'poisson') =>
    defaultStart(specOf({ ...logistic, options: { family, ties: 'efron', link } }))[0]!;
  assert.ok(at('log', 'binomial') < 0);
  assert.ok(at('identity', 'binomial') > 0 && at('identity', 'binomial') < 1);
  assert.ok(at('identity', 'poisson') > 0);
});

const rows = (y: readonly number[], treat = y.map((_, i) => i % 2)): StudyData => ({
  n: y.length,
  columns: [new Float64Array(y.length).fill(1), Float64Array.from(treat)],
  terms: ['(intercept)', 'treatment'],
  response: { kind: 'binary', events: Float64Array.from(y), trials: null },
  offset: null,
});

test('who can take part: no study without rows; none whose own intercept would be infinite', () => {
  const spec = (stratified: readonly number[]) =>
    specOf({
      options: { family: 'binomial', ties: 'efron' },
      terms: ['(intercept)', 'treatment'],
      columns: 2,
      stratified,
    });
  const code = (stratified: readonly number[], y: readonly number[]) => {
    const outcome = siteEntry(spec(stratified), rows(y));
    return outcome.status === 'excluded' ? outcome.code : null;
  };
  assert.equal(code([], []), 'no-participants');
  assert.equal(code([0], [0, 0, 0]), 'no-events');
  assert.equal(code([0], [1, 1, 1]), 'all-events');
  assert.equal(code([], [0, 0, 0]), null);
  assert.equal(code([0], [0, 1, 0, 0]), null);
});

test('a study without a fit of its own still tells where the common intercept lies', () => {
  const spec = specOf({
    options: { family: 'binomial', ties: 'efron' },
    terms: ['(intercept)', 'treatment'],
    columns: 2,
  });
  const outcome = siteEntry(spec, rows([0, 1, 0, 1, 0, 0, 0, 0]));
  assert.ok(outcome.status === 'taking-part');
  assert.equal(outcome.diagnosis?.code, 'no-events-in-arm');
  assert.deepEqual(outcome.entry.own?.estimable, [true, false]);
  assert.ok(Math.abs(outcome.entry.own.estimates[0]! - Math.log(2 / 6)) < 1e-9);
});

test('a Weibull shape of a study’s own has no maximum with one event', () => {
  const spec = specOf({
    options: { family: 'weibull', ties: 'efron' },
    terms: ['(intercept)', 'treatment', 'log(shape)'],
    columns: 2,
    stratified: [0, 2],
  });
  const study = (event: readonly number[]): StudyData => ({
    ...rows(event),
    response: {
      kind: 'time-to-event',
      time: Float64Array.of(1, 2, 3, 4),
      event: Float64Array.from(event),
      entry: null,
      stratum: null,
    },
  });
  assert.deepEqual(siteEntry(spec, study([0, 0, 0, 1])), { status: 'excluded', code: 'not-converged' });
  assert.equal(siteEntry(spec, study([1, 1, 0, 1])).status, 'taking-part');
});
