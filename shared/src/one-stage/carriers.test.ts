import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StudyData } from '../models/types.ts';
import { carriers } from './carriers.ts';
import { specOf } from './likelihood-testing.ts';

const N = 200;
const terms = ['(intercept)', 'x'];
const ones = new Float64Array(N).fill(1);
const x = Float64Array.from({ length: N }, (_, i) => i - (N - 1) / 2);
const scaling = { centre: new Float64Array(2), scale: Float64Array.of(1, 1), intercept: 0 };
const binary = (trials: Float64Array | null = null): StudyData => ({
  n: N,
  columns: [ones, x],
  terms,
  response: { kind: 'binary', events: x.map((value) => (value > 0 ? 1 : 0)), trials },
  offset: null,
});
const logistic = specOf({ options: { family: 'binomial', ties: 'efron' }, terms });
const poisson = specOf({ options: { family: 'poisson', ties: 'efron' }, terms });
const at = (spec: typeof logistic, data: StudyData, ...theta: number[]): number | null =>
  carriers(spec, data, scaling, Float64Array.from(theta), Infinity);

test('everybody carries a Hessian at θ = 0, and few one where the linear predictor is steep', () => {
  assert.equal(at(logistic, binary(), 0, 0), N);
  assert.equal(at(logistic, binary(), -8, 0), N);
  // p(1 − p) of a slope b over unit steps: (Σ w)²/Σ w² = (1/b)²/(1/(6b)) = 6/b.
  assert.ok(Math.abs(at(logistic, binary(), 0, 1)! - 6) < 0.01);
  assert.ok(at(logistic, binary(), 0, 1000)! < 2.001);
  // e^η of a slope b: (1 + e^−b)/(1 − e^−b).
  const counts: StudyData = { ...binary(), response: { kind: 'count', y: ones } };
  assert.ok(Math.abs(at(poisson, counts, 3, 1)! - (1 + Math.exp(-1)) / (1 - Math.exp(-1))) < 1e-9);
});

test('a study’s own intercept is where its events are', () => {
  const own = specOf({ options: { family: 'binomial', ties: 'efron' }, terms, stratified: [0] });
  assert.ok(Math.abs(at(own, binary(), 1)! - 6) < 0.01);
});

test('those who share a row count each', () => {
  const trials = new Float64Array(N).fill(10);
  assert.equal(at(logistic, binary(trials), 0, 0), 10 * N);
});

test('a linear model has no weights that parameters move', () => {
  const gaussian = specOf({ kind: 'gaussian', options: { family: 'gaussian', ties: 'efron' }, terms });
  assert.equal(at(gaussian, binary(), 0, 1000), null);
});

test('a sample of the rows is enough where it carries enough', () => {
  const n = 20_000;
  const data: StudyData = {
    ...binary(),
    n,
    columns: [new Float64Array(n).fill(1), Float64Array.from({ length: n }, (_, i) => i % 7)],
    response: { kind: 'binary', events: new Float64Array(n), trials: null },
  };
  const sampled = carriers(logistic, data, scaling, Float64Array.of(0, 0), 40);
  assert.ok(sampled! >= 40 && sampled! < n);
});
