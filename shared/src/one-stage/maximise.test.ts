import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex } from '../linalg/symmetric.ts';
import type { Evaluation, Objective } from '../models/types.ts';
import { emptyEvaluation, newton } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import {
  OUTSIDE,
  evaluationLength,
  maximise,
  onRidge,
  pack,
  profileLimit,
  restrict,
  unpack,
  type AskAt,
} from './maximise.ts';
import type { Ask, Gathered } from './types.ts';

const askAt =
  (m: number): AskAt =>
  (theta) => ({ objective: 'log-likelihood', theta, order: 2, length: evaluationLength(m), gather: 'sum' });

function drive<T>(
  program: Generator<Ask, T, Gathered>,
  objective: Objective,
): { value: T; asked: Float64Array[] } {
  const asked: Float64Array[] = [];
  let turn = program.next();
  while (turn.done !== true) {
    asked.push(turn.value.theta);
    const out = emptyEvaluation(objective.parameters);
    objective.evaluate(turn.value.theta, 2, out);
    turn = program.next([pack(out)]);
  }
  return { value: turn.value, asked };
}

const objectiveOf = (m: number, f: (theta: Float64Array, out: Evaluation) => number): Objective => ({
  parameters: m,
  evaluate(theta, _order, out) {
    out.value = f(theta, out);
  },
});

/** −½(θ − μ)'A(θ − μ). */
const quadratic = (mean: readonly number[], a: readonly number[]): Objective =>
  objectiveOf(mean.length, (theta, { gradient, hessian }) => {
    let value = 0;
    mean.forEach((_, i) => {
      gradient[i] = 0;
      mean.forEach((centre, j) => {
        gradient[i]! -= a[packedIndex(i, j)]! * (theta[j]! - centre);
        value -= (a[packedIndex(i, j)]! * (theta[i]! - mean[i]!) * (theta[j]! - centre)) / 2;
      });
    });
    hessian.set(a.map((element) => -element));
    return value;
  });

/** Of k events of m in each of two arms: log odds α, and α + β. */
const twoArms = ([k0, m0]: readonly number[], [k1, m1]: readonly number[]): Objective =>
  objectiveOf(2, ([alpha, beta], { gradient, hessian }) => {
    const part = (k: number, m: number, eta: number): readonly number[] => {
      const p = 1 / (1 + Math.exp(-eta));
      return [k * eta - m * Math.log1p(Math.exp(eta)), k - m * p, m * p * (1 - p)];
    };
    const [l0, u0, w0] = part(k0!, m0!, alpha!);
    const [l1, u1, w1] = part(k1!, m1!, alpha! + beta!);
    gradient.set([u0! + u1!, u1!]);
    hessian.set([-w0! - w1!, -w1!, -w1!]);
    return l0! + l1!;
  });

test('what does not exist travels as a finite number, and a sum with it does not exist either', () => {
  const out = emptyEvaluation(2);
  out.value = -Infinity;
  const sum = pack(out).map((value, k) => value + [-12, 1, 2, 3, 4, 5][k]!);
  assert.ok(sum.every(Number.isFinite) && sum[0]! < OUTSIDE / 2);
  assert.equal(unpack(sum, 2).value, -Infinity);
});

test('a vector of numbers is the evaluation that it was made from', () => {
  const out = emptyEvaluation(2);
  twoArms([3, 10], [6, 10]).evaluate(Float64Array.of(0.1, 0.2), 2, out);
  assert.deepEqual(unpack(pack(out), 2), { ...out });
});

test('the maximum over free coordinates is conditional on those that are held; every question is about all', () => {
  const { value, asked } = drive(
    maximise(newton, Float64Array.of(5, 7, 1), askAt(3), [2]),
    quadratic([1, 2, 3], [2, 0.5, 2, 0.3, 0.1, 2]),
  );
  assert.equal(value.status, 'converged');
  assert.ok(asked.every((theta) => theta.length === 3 && theta[2] === 1));
  assert.equal(value.full.gradient.length, 3);
  // A₁₁(θ₁ − μ₁) + A₁₂(θ₂ − μ₂) = −A·₃(θ₃ − μ₃), θ₃ − μ₃ = −2.
  const [a, b] = [value.theta[0]! - 1, value.theta[1]! - 2];
  assert.ok(Math.abs(2 * a + 0.5 * b - 0.6) < 1e-12 && Math.abs(0.5 * a + 2 * b - 0.2) < 1e-12);
});

test('a verdict ends a divergence after two questions, a singular start at once', () => {
  const flat = objectiveOf(1, ([theta], { gradient, hessian }) => {
    gradient[0] = Math.exp(-theta!);
    hessian[0] = -Math.exp(-theta!);
    return -Math.exp(-theta!);
  });
  const far = drive(
    maximise(trustRegion, Float64Array.of(0), askAt(1), [], ([theta]) => (theta! > 3 ? 'diverging' : null)),
    flat,
  );
  assert.equal(far.value.status, 'diverging');
  assert.equal(far.asked.filter(([theta]) => theta! > 3).length, 2);
  const { value } = drive(
    maximise(newton, Float64Array.of(0), askAt(1), [], () => 'singular'),
    flat,
  );
  assert.deepEqual([value.status, value.rounds], ['singular', 1]);
});

test('a maximum on the edge of where the function exists ends as a failure of steps, in few rounds', () => {
  const edge = objectiveOf(1, ([theta], { gradient, hessian }) => {
    gradient[0] = 1;
    hessian[0] = -1e-3;
    return theta! >= 1 ? -Infinity : theta!;
  });
  const { value } = drive(maximise(trustRegion, Float64Array.of(0), askAt(1)), edge);
  assert.equal(value.status, 'step-failure');
  assert.ok(value.rounds <= 25);
  assert.ok(value.full.value > 0.5 && Number.isFinite(value.full.value));
});

test('the ridge of a quadratic is followed exactly', () => {
  const objective = quadratic([1, 2], [2, 1, 2]);
  const { value } = drive(maximise(newton, Float64Array.of(0, 0), askAt(2)), objective);
  // θ₁ at its maximum given θ₂ = 0: 1 − (A₁₂/A₁₁)(0 − 2).
  const psi = onRidge(value, 1, 0, []);
  assert.ok(Math.abs(psi[0]! - 2) < 1e-12 && psi[1] === 0);
});

test('profile limits of a quadratic are Wald’s', () => {
  const { value } = drive(maximise(newton, Float64Array.of(0, 0), askAt(2)), quadratic([1, 2], [2, 1, 2]));
  for (const side of [-1, 1] as const) {
    const { value: limit } = drive(
      profileLimit(value, 1, side, 3.84, askAt(2)),
      quadratic([1, 2], [2, 1, 2]),
    );
    // var θ₂ = A₁₁/|A| = 2/3.
    assert.ok(Math.abs(limit! - (2 + side * Math.sqrt(3.84 * (2 / 3)))) < 1e-8);
  }
});

test('profile limits of a log odds ratio are where refits’ likelihood has fallen by half the quantile', () => {
  const objective = twoArms([4, 20], [11, 20]);
  const { value } = drive(maximise(newton, Float64Array.of(0, 0), askAt(2)), objective);
  for (const side of [-1, 1] as const) {
    const { value: limit, asked } = drive(profileLimit(value, 1, side, 3.84, askAt(2)), objective);
    const { value: refit } = drive(maximise(newton, Float64Array.of(0, limit!), askAt(2), [1]), objective);
    assert.ok(Math.abs(2 * (value.evaluation.value - refit.evaluation.value) - 3.84) < 1e-7);
    assert.ok(asked.length <= 8);
  }
});

test('a limit that the likelihood never reaches is null', () => {
  const objective = twoArms([4, 20], [20, 20]);
  const start = Float64Array.of(Math.log(4 / 16), 12);
  const out = emptyEvaluation(2);
  objective.evaluate(start, 2, out);
  const { value } = drive(profileLimit({ theta: start, full: out }, 1, 1, 3.84, askAt(2)), objective);
  assert.equal(value, null);
});

test('restriction keeps the coordinates asked for', () => {
  const out = emptyEvaluation(3);
  out.gradient.set([1, 2, 3]);
  out.hessian.set([11, 21, 22, 31, 32, 33]);
  const part = restrict(out, [0, 2]);
  assert.deepEqual([...part.gradient], [1, 3]);
  assert.deepEqual([...part.hessian], [11, 31, 33]);
});
