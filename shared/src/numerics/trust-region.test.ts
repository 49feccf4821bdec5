import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import type { Objective } from '../models/types.ts';
import { drive, newton } from './newton.ts';
import { trustRegion } from './trust-region.ts';

/** An objective from its value, gradient and packed Hessian. */
const objective = (
  parameters: number,
  f: (x: Float64Array) => readonly [number, readonly number[], readonly number[]],
): Objective => ({
  parameters,
  evaluate(theta, _order, out) {
    const [value, gradient, hessian] = f(theta);
    out.value = value;
    out.gradient.set(gradient);
    out.hessian.set(hessian);
  },
});

/** Events and non-events at one logit. */
const logit = (events: number, nonevents: number) =>
  objective(1, ([x]) => {
    const p = 1 / (1 + Math.exp(-x!));
    const n = events + nonevents;
    return [events * x! - n * Math.log1p(Math.exp(x!)), [events - n * p], [-n * p * (1 - p)]];
  });

/** Normal random effects of variance λ² seen through a variance s: Σ log density of y at λ² + s, in (mean, λ). */
const randomEffects = (y: readonly number[], s: number) =>
  objective(2, ([mean, lambda]) => {
    const v = lambda! * lambda! + s;
    let [value, g0, g1, h00, h10, h11] = [0, 0, 0, 0, 0, 0];
    for (const yi of y) {
      const r = yi - mean!;
      value -= (Math.log(v) + (r * r) / v) / 2;
      g0 += r / v;
      const byV = (-1 / v + (r * r) / (v * v)) / 2;
      const byVV = (1 / (v * v) - (2 * r * r) / v ** 3) / 2;
      g1 += byV * 2 * lambda!;
      h00 -= 1 / v;
      h10 -= (r / (v * v)) * 2 * lambda!;
      h11 += byVV * 4 * lambda! * lambda! + 2 * byV;
    }
    return [value, [g0, g1], [h00, h10, h11]];
  });

/** Mean square about the mean less s, or 0. */
const momentVariance = (y: readonly number[], s: number) => {
  const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
  return Math.max(0, y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / y.length - s);
};

test('a quadratic takes one step', () => {
  const fit = drive(
    trustRegion(Float64Array.of(10, -4)),
    objective(2, ([x, y]) => [-((x! - 3) ** 2) / 2 - 2 * y! * y!, [3 - x!, -4 * y!], [-1, 0, -4]]),
  );
  assert.equal(fit.status, 'converged');
  assert.deepEqual([...fit.theta], [3, 0]);
  assert.equal(fit.rounds, 2);
});

test('on a concave objective it converges to what Newton does, in no more rounds', () => {
  for (const [events, nonevents] of [
    [30, 70],
    [500, 3],
    [1, 1],
    [1, 1000],
  ] as const) {
    const fit = drive(trustRegion(Float64Array.of(0.3)), logit(events, nonevents));
    const reference = drive(newton(Float64Array.of(0.3)), logit(events, nonevents));
    assert.equal(fit.status, 'converged');
    assert.ok(Math.abs(fit.theta[0]! - Math.log(events / nonevents)) < 1e-12);
    assert.ok(fit.rounds <= reference.rounds + 1);
  }
});

test('a variance that is not zero is found from any start, a saddle at zero too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 4, maxLength: 12 }),
      fc.double({ min: 0.01, max: 0.5, noNaN: true }),
      fc.constantFrom(0, 1e-6, 0.05, 0.5, 1, 3),
      fc.double({ min: -1, max: 1, noNaN: true }),
      (y, s, lambda, mean) => {
        const fit = drive(
          trustRegion(Float64Array.of(mean, lambda), { longest: Float64Array.of(3, 0.5) }),
          randomEffects(y, s),
        );
        assert.equal(fit.status, 'converged');
        assert.ok(fit.rounds <= 25, `${fit.rounds} rounds`);
        assert.ok(Math.abs(fit.theta[1]! ** 2 - momentVariance(y, s)) < 1e-6, String(fit.theta));
      },
    ),
    { numRuns: 300 },
  );
});

test('at an inflection Newton’s step is endless, and comes back', () => {
  const fit = drive(trustRegion(Float64Array.of(0.1, 0)), randomEffects([0, 0, 0, 0], 0.01));
  assert.equal(fit.status, 'converged');
  assert.ok(Math.abs(fit.theta[0]!) < 1e-9 && Math.abs(fit.theta[1]!) < 1e-8);
});

test('a variance of zero is an ordinary maximum', () => {
  const y = [0.1, -0.1, 0.05, -0.05];
  const fit = drive(trustRegion(Float64Array.of(1, 0.8)), randomEffects(y, 1));
  assert.equal(fit.status, 'converged');
  assert.ok(Math.abs(fit.theta[1]!) < 1e-8);
  assert.ok(fit.rounds <= 12);
});

test('where the likelihood only approaches its supremum it says so', () => {
  const fit = drive(trustRegion(Float64Array.of(0)), logit(20, 0));
  assert.equal(fit.status, 'diverging');
  assert.ok(fit.rounds < 30);
});

test('a ridge that nothing distinguishes is singular, with its maximum', () => {
  const fit = drive(
    trustRegion(Float64Array.of(1, 0)),
    objective(2, ([x, y]) => {
      const r = x! + y! - 5;
      return [-(r * r) / 2, [-r, -r], [-1, -1, -1]];
    }),
  );
  assert.equal(fit.status, 'singular');
  assert.ok(Math.abs(fit.theta[0]! + fit.theta[1]! - 5) < 1e-9);
});

test('a long curved ridge is no divergence', () => {
  // −ℓ is Rosenbrock's function.
  const fit = drive(
    trustRegion(Float64Array.of(-1.2, 1)),
    objective(2, ([x, y]) => {
      const r = y! - x! * x!;
      return [
        -100 * r * r - (1 - x!) ** 2,
        [400 * x! * r + 2 * (1 - x!), -200 * r],
        [400 * (r - 2 * x! * x!) - 2, 400 * x!, -200],
      ];
    }),
  );
  assert.equal(fit.status, 'converged');
  assert.ok(Math.abs(fit.theta[0]! - 1) < 1e-9 && Math.abs(fit.theta[1]! - 1) < 1e-9);
  assert.ok(fit.rounds <= 40, `${fit.rounds} rounds`);
});

test('a value that is not finite shortens the step', () => {
  // log x − x has its maximum at 1 and does not exist for x ≤ 0; Newton's step from 3 is to −3.
  for (const outside of [-Infinity, NaN]) {
    const fit = drive(
      trustRegion(Float64Array.of(3)),
      objective(1, ([x]) =>
        x! > 0 ? [Math.log(x!) - x!, [1 / x! - 1], [-1 / (x! * x!)]] : [outside, [0], [0]],
      ),
    );
    assert.equal(fit.status, 'converged');
    assert.ok(Math.abs(fit.theta[0]! - 1) < 1e-12);
  }
});

test('a start that has no value is a step failure', () => {
  const fit = drive(
    trustRegion(Float64Array.of(0)),
    objective(1, () => [-Infinity, [0], [0]]),
  );
  assert.equal(fit.status, 'step-failure');
  assert.equal(fit.rounds, 1);
});

test('rounds are limited', () => {
  const fit = drive(trustRegion(Float64Array.of(-1.2), { maxRounds: 3 }), logit(5, 1000));
  assert.equal(fit.status, 'iteration-limit');
  assert.equal(fit.rounds, 3);
});

test('no coordinate moves further than its longest', () => {
  const longest = Float64Array.of(0.5, 10);
  const seen: number[] = [];
  const bounded = objective(2, ([x, y]) => {
    seen.push(x!);
    return [-(x! ** 2) - y! ** 2, [-2 * x!, -2 * y!], [-2, 0, -2]];
  });
  const fit = drive(trustRegion(Float64Array.of(4, 4), { longest }), bounded);
  assert.equal(fit.status, 'converged');
  seen.slice(1).forEach((x, k) => assert.ok(Math.abs(x - seen[k]!) <= 0.5 + 1e-12));
});

test('rescaling a coordinate of a concave objective rescales its estimate', () => {
  fc.assert(
    fc.property(fc.constantFrom(1e-6, 1e-3, 1, 1e3, 1e6), (scale) => {
      const scaled = objective(2, ([a, b]) => {
        const z = b! * scale;
        const [p, q] = [1 / (1 + Math.exp(-a!)), 1 / (1 + Math.exp(-a! - z))];
        const h = [-50 * p * (1 - p), -60 * q * (1 - q)] as const;
        const hessian = new Float64Array(3);
        hessian[packedIndex(0, 0)] = h[0] + h[1];
        hessian[packedIndex(1, 0)] = h[1] * scale;
        hessian[packedIndex(1, 1)] = h[1] * scale * scale;
        return [
          20 * Math.log(p) + 30 * Math.log(1 - p) + 40 * Math.log(q) + 20 * Math.log(1 - q),
          [20 - 50 * p + 40 - 60 * q, (40 - 60 * q) * scale],
          [...hessian],
        ];
      });
      const fit = drive(trustRegion(Float64Array.of(0, 0)), scaled);
      assert.equal(fit.status, 'converged');
      assert.ok(Math.abs(fit.theta[1]! * scale - Math.log(2) + Math.log(2 / 3)) < 1e-9);
    }),
  );
});
