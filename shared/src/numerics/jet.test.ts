import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import {
  combination,
  constantJet,
  displaced,
  logarithm,
  logSumExp,
  power,
  product,
  variableJet,
  type Jet,
} from './jet.ts';

/** Holds a quantity of two variables to differences of its own values. */
function check(f: (x: Jet, y: Jet) => Jet, x: number, y: number): void {
  const at = (a: number, b: number) => f(variableJet(a, 0, 2, 2), variableJet(b, 1, 2, 2));
  const own = at(x, y);
  const h = 1e-3;
  const moves = [(t: number) => at(x + t, y), (t: number) => at(x, y + t)];
  moves.forEach((move, j) => {
    const derivative = (g: (jet: Jet) => number) =>
      (8 * (g(move(h)) - g(move(-h))) - (g(move(2 * h)) - g(move(-2 * h)))) / (12 * h);
    const size = 1 + Math.abs(own.value) + own.hessian.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const slope = derivative(({ value }) => value);
    assert.ok(Math.abs(slope - own.gradient[j]!) < 1e-8 * size, `gradient ${j}`);
    for (let i = 0; i < 2; i++) {
      const curvature = derivative(({ gradient }) => gradient[i]!);
      assert.ok(Math.abs(curvature - own.hessian[packedIndex(i, j)]!) < 1e-8 * size, `Hessian ${i} ${j}`);
    }
  });
}

const positive = fc.double({ min: 0.5, max: 2, noNaN: true });

test('products, powers, logarithms and log-sum-exp have the derivatives of their values', () => {
  fc.assert(
    fc.property(positive, positive, (a, b) => {
      check((x, y) => product(product(x, y), x), a, b);
      check((x, y) => power(combination([[2, x], [3, y]]), -0.5), a, b); // prettier-ignore
      check((x, y) => logarithm(product(x, combination([[1, x], [1, y]]))), a, b); // prettier-ignore
      check(
        (x, y) => logSumExp([product(x, y), combination([[-1, x]]), power(y, 2), constantJet(0.3, 2, 2)]),
        a,
        b,
      );
    }),
    { numRuns: 50 },
  );
});

test('log-sum-exp of distant terms does not overflow', () => {
  const far = logSumExp([variableJet(-5000, 0, 1, 2), constantJet(-5001, 1, 2)]);
  assert.ok(Math.abs(far.value - (-5000 + Math.log1p(Math.exp(-1)))) < 1e-12);
});

test('a displaced function has the derivatives of the composition', () => {
  // f(x₁, x₂) = x₁²x₂ at x = (a, b) + c₁(1, 1) + c₂(0, 2), c₁ = ab, c₂ = a².
  fc.assert(
    fc.property(positive, positive, (a, b) => {
      check(
        (x, y) => {
          const c = [product(x, y), product(x, x)];
          const x1 = x.value + c[0]!.value;
          const x2 = y.value + c[0]!.value + 2 * c[1]!.value;
          const f: Jet = {
            value: x1 * x1 * x2,
            gradient: Float64Array.of(2 * x1 * x2, x1 * x1),
            hessian: Float64Array.of(2 * x2, 2 * x1, 0),
          };
          return displaced(f, [Float64Array.of(1, 1), Float64Array.of(0, 2)], c);
        },
        a,
        b,
      );
    }),
    { numRuns: 50 },
  );
});

test('quantities of lower order stay of it', () => {
  const one = product(variableJet(2, 0, 2, 1), variableJet(3, 1, 2, 1));
  assert.deepEqual([...one.gradient], [3, 2]);
  assert.equal(one.hessian.length, 0);
  const zero = logarithm(constantJet(2, 2, 0));
  assert.equal(zero.gradient.length, 0);
  assert.equal(zero.value, Math.log(2));
});
