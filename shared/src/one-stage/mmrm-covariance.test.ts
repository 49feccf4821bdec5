import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cholesky, packedIndex } from '../linalg/symmetric.ts';
import { multiply } from './gaussian-matrices.ts';
import { covarianceStructure, type CovarianceKind } from './mmrm-covariance.ts';

const KINDS = ['unstructured', 'ar1', 'compound-symmetry'] as const;

function near(actual: Float64Array, expected: Float64Array, tolerance: number): void {
  actual.forEach((value, k) =>
    assert.ok(Math.abs(value - expected[k]!) <= tolerance, `${k}: ${value}, expected ${expected[k]}`),
  );
}

/** A θ in the interior. */
function someTheta(kind: CovarianceKind, visits: number, noise: readonly number[]): Float64Array {
  const { identity } = covarianceStructure(kind, visits);
  return identity.map(
    (value, a) => value * (1 + noise[a % noise.length]!) + 0.4 * noise[(3 * a + 1) % noise.length]!,
  );
}

const cases = fc.tuple(
  fc.constantFrom(...KINDS),
  fc.integer({ min: 2, max: 6 }),
  fc.array(fc.double({ min: -0.4, max: 0.9, noNaN: true }), { minLength: 7, maxLength: 7 }),
);

test('Σ is the inverse of K’K, and θ of the identity is the identity', () => {
  fc.assert(
    fc.property(cases, ([kind, t, noise]) => {
      const structure = covarianceStructure(kind, t);
      const unit = Float64Array.from({ length: t * t }, (_, k) => (k % (t + 1) === 0 ? 1 : 0));
      near(structure.at(structure.identity)!.covariance, unit, 1e-14);
      const at = structure.at(someTheta(kind, t, noise));
      if (at === null) return;
      near(multiply(at.root, at.inverse, t, t, t), unit, 1e-9);
    }),
  );
});

test('derivatives of K against differences', () => {
  fc.assert(
    fc.property(cases, ([kind, t, noise]) => {
      const structure = covarianceStructure(kind, t);
      const theta = someTheta(kind, t, noise);
      const at = structure.at(theta);
      if (at === null) return;
      const h = 1e-6;
      const moved = (a: number, by: number) =>
        structure.at(theta.map((value, b) => (a === b ? value + by : value)));
      at.first.forEach((d, a) => {
        const [up, down] = [moved(a, h), moved(a, -h)];
        if (up === null || down === null) return;
        near(
          up.root.map((value, k) => (value - down.root[k]!) / (2 * h)),
          d,
          1e-7,
        );
        for (let b = 0; b < at.first.length; b++) {
          const change = up.first[b]!.map((value, k) => (value - down.first[b]![k]!) / (2 * h));
          near(change, at.second?.[packedIndex(a, b)] ?? new Float64Array(t * t), 1e-7);
        }
      });
    }),
  );
});

test('the structures are what they are called', () => {
  const ar1 = covarianceStructure('ar1', 4).at(Float64Array.of(0.5, Math.atanh(0.7)))!;
  const cs = covarianceStructure('compound-symmetry', 3).at(
    Float64Array.of(1 / Math.sqrt(2 * 0.6), 1 / Math.sqrt(2 * 1.8)),
  )!;
  for (let s = 0; s < 4; s++)
    for (let t = 0; t < 4; t++)
      assert.ok(Math.abs(ar1.covariance[s * 4 + t]! - 4 * 0.7 ** Math.abs(s - t)) < 1e-12);
  for (let s = 0; s < 3; s++)
    for (let t = 0; t < 3; t++) assert.ok(Math.abs(cs.covariance[s * 3 + t]! - (s === t ? 2 : 0.8)) < 1e-12);
});

test('what is no covariance matrix is null', () => {
  const un = covarianceStructure('unstructured', 2);
  assert.equal(un.at(Float64Array.of(1, 0, -1)), null);
  assert.equal(un.at(Float64Array.of(1, 1e9, 1)), null);
  assert.equal(covarianceStructure('ar1', 3).at(Float64Array.of(0, 0)), null);
  assert.equal(covarianceStructure('ar1', 3).at(Float64Array.of(1, 400)), null);
  assert.equal(covarianceStructure('compound-symmetry', 3).at(Float64Array.of(1, -1)), null);
});

test('an unstructured start is the moments’ covariance matrix, or a positive definite one near it', () => {
  const structure = covarianceStructure('unstructured', 3);
  const start = (sigma: readonly number[], n: number) => {
    const diagonal = [0, 2, 5];
    const products = Float64Array.from(sigma, (value) => 2 * n * value);
    const curvatures = Float64Array.from(sigma, (_, k) => (diagonal.includes(k) ? 2 * n : 0));
    return structure.start({ products, curvatures, variance: 1 });
  };
  const sigma = [2, 1, 3, 0.5, -0.2, 1];
  const covariance = structure.at(start(sigma, 17)!)!.covariance;
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      assert.ok(Math.abs(covariance[3 * i + j]! - sigma[packedIndex(i, j)]!) < 1e-12);
  const indefinite = [1, 0.9, 1, -0.9, 0.9, 1];
  assert.throws(() => cholesky(Float64Array.from(indefinite)));
  assert.notEqual(structure.at(start(indefinite, 5)!), null);
  assert.equal(start([0, 0, 1, 0, 0, 1], 5), null);
  assert.equal(start([1, 0, 1, 0.5, 0.5, 1], 5), null, 'two visits that nobody has in common');
});

test('a number of visits that has no covariance is refused', () => {
  assert.throws(() => covarianceStructure('ar1', 1), { code: 'numerics/invalid-input' });
  assert.throws(() => covarianceStructure('unstructured', 0), { code: 'numerics/invalid-input' });
  assert.throws(() => covarianceStructure('unstructured', 31), { code: 'numerics/invalid-input' });
});
