import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { factorOf, inverseFromCholesky, packedIndex } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation, newton } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { conditional } from './expansion.ts';
import { marginal } from './marginal.ts';
import { profiled } from './profile.ts';
import { families } from './registry.ts';
import type { Objective } from './types.ts';

const treatment = [0, 1, 0, 1, 0, 1, 0, 1];
const level = [-1, -1, 0, 0, 0.5, 0.5, 2, 2];

/** One study of grouped rows: intercept, treatment, level. */
function study(events: readonly number[], trials = 12): Objective {
  return families.binomial.objective(
    {
      n: 8,
      columns: [treatment.map(() => 1), treatment, level].map((column) => Float64Array.from(column)),
      terms: ['(intercept)', 'treatment', 'level'],
      response: {
        kind: 'binary',
        events: Float64Array.from(events),
        trials: new Float64Array(8).fill(trials),
      },
      offset: null,
    },
    { family: 'binomial', ties: 'efron' },
    null,
  );
}

const outcomes = fc.array(fc.integer({ min: 1, max: 11 }), { minLength: 8, maxLength: 8 });
const theta = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 2, maxLength: 2 });
const inner = Float64Array.of(0);

function evaluate(objective: Objective, at: ArrayLike<number>) {
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(Float64Array.from(at), 2, out);
  return out;
}

const close = (a: number, b: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${what}: ${a}, expected ${b}`);

/** Holds derivatives to central differences. */
function checkDerivatives(objective: Objective, at: Float64Array): void {
  const own = evaluate(objective, at);
  const h = 1e-3;
  for (let j = 0; j < at.length; j++) {
    const moved = (t: number) =>
      evaluate(
        objective,
        at.map((value, i) => (i === j ? value + t : value)),
      );
    const near = [moved(h), moved(-h), moved(2 * h), moved(-2 * h)] as const;
    const derivative = (f: (e: typeof own) => number) =>
      (8 * (f(near[0]) - f(near[1])) - (f(near[2]) - f(near[3]))) / (12 * h);
    close(
      derivative((e) => e.value),
      own.gradient[j]!,
      1e-7,
      `gradient ${j}`,
    );
    for (let i = 0; i < at.length; i++)
      close(
        derivative((e) => e.gradient[i]!),
        own.hessian[packedIndex(i, j)]!,
        1e-7,
        `Hessian ${i} ${j}`,
      );
  }
}

test('gradient and Hessian are the derivatives of the profile', () => {
  fc.assert(
    fc.property(outcomes, theta, (events, at) => {
      checkDerivatives(profiled(study(events), [0], inner), Float64Array.from(at));
      checkDerivatives(profiled(study(events), [0, 2], Float64Array.of(0, 0)), Float64Array.of(at[0]!));
    }),
    { numRuns: 30 },
  );
});

test('on a marginal likelihood too, analytically or not', () => {
  fc.assert(
    fc.property(outcomes, theta, fc.constantFrom(1, 4), (events, at, points) => {
      const own = conditional(study(events));
      const random = { directions: [Float64Array.of(0, 1, 0)], correlated: false, points };
      const fast = profiled(marginal(own, random), [0], inner);
      const psi = Float64Array.of(...at, 0.6);
      checkDerivatives(fast, psi);
      const bare = conditional({
        parameters: 3,
        evaluate: (phi, order, out) => own.evaluate(phi, order, out),
      });
      const [a, b] = [evaluate(fast, psi), evaluate(profiled(marginal(bare, random), [0], inner), psi)];
      close(a.value, b.value, 1e-12, 'value');
      a.hessian.forEach((value, k) => close(value, b.hessian[k]!, 1e-8, `Hessian ${k}`));
    }),
    { numRuns: 10 },
  );
});

test('profiled studies together have the estimates and covariance of the model with every intercept in it', () => {
  const events = [
    [3, 5, 2, 6, 4, 8, 7, 9],
    [1, 2, 2, 4, 1, 3, 4, 5],
    [6, 5, 7, 9, 8, 9, 10, 11],
  ];
  const profiles = events.map((k) => profiled(study(k), [0], inner));
  const sum: Objective = {
    parameters: 2,
    evaluate(at, order, out) {
      const parts = profiles.map((profile) => {
        const part = emptyEvaluation(2);
        profile.evaluate(at, order, part);
        return part;
      });
      out.value = parts.reduce((total, { value }) => total + value, 0);
      out.gradient.forEach((_, i) => (out.gradient[i] = parts.reduce((t, e) => t + e.gradient[i]!, 0)));
      out.hessian.forEach((_, i) => (out.hessian[i] = parts.reduce((t, e) => t + e.hessian[i]!, 0)));
    },
  };
  const rows = events.flatMap((k) => k);
  const repeat = (column: readonly number[]) => Float64Array.from(events.flatMap(() => column));
  const indicator = (s: number) => Float64Array.from(rows, (_, i) => (Math.floor(i / 8) === s ? 1 : 0));
  const whole = families.binomial.objective(
    {
      n: 24,
      columns: [repeat(treatment), repeat(level), indicator(0), indicator(1), indicator(2)],
      terms: ['treatment', 'level', 'a', 'b', 'c'],
      response: { kind: 'binary', events: Float64Array.from(rows), trials: new Float64Array(24).fill(12) },
      offset: null,
    },
    { family: 'binomial', ties: 'efron' },
    null,
  );
  const fit = drive(trustRegion(Float64Array.of(0, 0)), sum);
  const pooled = drive(newton(new Float64Array(5)), whole);
  const covariance = (hessian: Float64Array) =>
    inverseFromCholesky(factorOf(hessian.map((value) => -value))!);
  const [v, full] = [covariance(fit.evaluation.hessian), covariance(pooled.evaluation.hessian)];
  assert.equal(fit.status, 'converged');
  assert.ok(fit.rounds <= 8);
  close(fit.evaluation.value, pooled.evaluation.value, 1e-12, 'log-likelihood');
  for (let i = 0; i < 2; i++) {
    close(fit.theta[i]!, pooled.theta[i]!, 1e-10, `estimate ${i}`);
    for (let j = 0; j <= i; j++)
      close(v[packedIndex(i, j)]!, full[packedIndex(i, j)]!, 1e-9, `covariance ${i} ${j}`);
  }
  profiles.forEach((profile, s) => {
    const own = profile.nuisanceAt(fit.theta)!;
    close(own.values[0]!, pooled.theta[2 + s]!, 1e-10, `intercept ${s}`);
    const slope = own.slopes[0]!;
    let variance = own.variance[0]!;
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 2; j++) variance += slope[i]! * slope[j]! * v[packedIndex(i, j)]!;
    close(variance, full[packedIndex(2 + s, 2 + s)]!, 1e-9, `variance of intercept ${s}`);
  });
});

test('the answer depends on the question alone', () => {
  const profile = profiled(study([3, 5, 2, 6, 4, 8, 7, 9]), [0], inner);
  const first = evaluate(profile, [0.2, 0.1]);
  evaluate(profile, [-3, 4]);
  assert.deepEqual(evaluate(profile, [0.2, 0.1]), first);
});

test('without an inner maximum the value is −Infinity and nothing is NaN', () => {
  for (const events of [0, 12]) {
    const profile = profiled(study(new Array<number>(8).fill(events)), [0], inner);
    const at = evaluate(profile, [0.1, 0.2]);
    assert.equal(at.value, -Infinity);
    assert.ok(at.gradient.every((value) => value === 0) && at.hessian.every((value) => value === 0));
    assert.equal(profile.nuisanceAt(Float64Array.of(0.1, 0.2)), null);
  }
});

test('an inner maximum far from the start is found', () => {
  const profile = profiled(study([1, 0, 0, 0, 0, 0, 0, 0], 100_000), [0], inner);
  assert.ok(Math.abs(profile.nuisanceAt(Float64Array.of(0, 0))!.values[0]! - Math.log(1 / 799_999)) < 1e-9);
  assert.ok(Number.isFinite(evaluate(profile, [30, -8]).value));
});
