import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Objective, Question } from '../models/types.ts';
import { drive, emptyEvaluation, newton } from './newton.ts';

/** An objective of one parameter from its value and first two derivatives. */
const scalar = (f: (x: number) => readonly [number, number, number]): Objective => ({
  parameters: 1,
  evaluate(theta, _order, out) {
    const [value, slope, curvature] = f(theta[0]!);
    out.value = value;
    out.gradient[0] = slope;
    out.hessian[0] = curvature;
  },
});

/** Events and non-events at one logit. */
const logit = (events: number, nonevents: number) =>
  scalar((x) => {
    const p = 1 / (1 + Math.exp(-x));
    const n = events + nonevents;
    return [events * x - n * Math.log1p(Math.exp(x)), events - n * p, -n * p * (1 - p)];
  });

test('a quadratic takes one step', () => {
  const fit = drive(
    newton(Float64Array.of(10)),
    scalar((x) => [-((x - 3) ** 2) / 2, 3 - x, -1]),
  );
  assert.equal(fit.status, 'converged');
  assert.equal(fit.theta[0], 3);
  assert.equal(fit.rounds, 2);
});

test('a logit far from the start converges to rounding', () => {
  for (const [events, nonevents] of [
    [1, 1_000_000],
    [500, 3],
    [1, 1],
  ] as const) {
    const fit = drive(newton(Float64Array.of(0)), logit(events, nonevents));
    assert.equal(fit.status, 'converged');
    assert.ok(Math.abs(fit.theta[0]! - Math.log(events / nonevents)) < 1e-12);
    assert.ok(fit.decrement < 1e-12);
  }
});

test('steps that overshoot are halved, into overflow too', () => {
  // Poisson with 1000 events, from log mean 0: the first full step is to e^999.
  const fit = drive(
    newton(Float64Array.of(0)),
    scalar((x) => [1000 * x - Math.exp(x), 1000 - Math.exp(x), -Math.exp(x)]),
  );
  assert.equal(fit.status, 'converged');
  assert.ok(Math.abs(fit.theta[0]! - Math.log(1000)) < 1e-12);
});

test('a supremum at infinity is divergence, not convergence', () => {
  assert.equal(drive(newton(Float64Array.of(0)), logit(10, 0)).status, 'diverging');
  assert.equal(drive(newton(Float64Array.of(0)), logit(1_000_000, 0)).status, 'diverging');
});

test('what cannot be maximised says so', () => {
  assert.equal(
    drive(
      newton(Float64Array.of(0)),
      scalar((x) => [x, 1, 0]),
    ).status,
    'singular',
  );
  assert.equal(
    drive(
      newton(Float64Array.of(0)),
      scalar(() => [Number.NaN, 0, -1]),
    ).status,
    'step-failure',
  );
  assert.equal(
    drive(
      newton(Float64Array.of(0)),
      scalar((x) => [-Math.abs(x - 1), 1, -1]),
    ).status,
    'step-failure',
  );
  assert.equal(
    drive(newton(Float64Array.of(0), { maxRounds: 2 }), logit(1, 100_000)).status,
    'iteration-limit',
  );
});

test('questions are copies, the start is not changed, and a replay asks the same', () => {
  const objective = logit(3, 40);
  const start = Float64Array.of(0.5);
  const ask = (spoil: boolean) => {
    const optimiser = newton(start);
    const questions: Question[] = [];
    const asked: number[] = [];
    const evaluation = emptyEvaluation(1);
    let turn = optimiser.next();
    while (!turn.done) {
      questions.push(turn.value);
      asked.push(turn.value.theta[0]!);
      objective.evaluate(turn.value.theta, 2, evaluation);
      if (spoil) turn.value.theta.fill(Number.NaN);
      turn = optimiser.next(evaluation);
    }
    if (!spoil)
      assert.deepEqual(
        questions.map((question) => question.theta[0]),
        asked,
      );
    return { asked, theta: turn.value.theta[0] };
  };
  assert.deepEqual(ask(false), ask(true));
  assert.equal(start[0], 0.5);
});
