import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex, packedLength } from '@concordat/shared/linalg/symmetric.ts';
import fc from 'fast-check';
import { floatingVariances } from './floating.ts';

/** Covariance of independent estimates with a common shift. */
function shifted(variances: readonly number[], shift: number): Float64Array {
  const packed = new Float64Array(packedLength(variances.length)).fill(shift);
  variances.forEach((value, i) => (packed[packedIndex(i, i)]! += value));
  return packed;
}

test('estimates that are independent but for a common shift have their own variances', () => {
  const variance = fc.double({ min: 0.01, max: 10, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(variance, { minLength: 2, maxLength: 6 }),
      fc.double({ min: 0, max: 5, noNaN: true }),
      (variances, shift) => {
        const found = floatingVariances(shifted(variances, shift));
        assert.ok(found !== null && found.error < 1e-5);
        found.variances.forEach((value, i) => assert.ok(Math.abs(value / variances[i]! - 1) < 1e-4));
      },
    ),
    { numRuns: 100 },
  );
});

test('for three estimates the differences are exact whatever the correlations; for four, nearly', () => {
  const three = Float64Array.from([1, 0.2, 2, 0.1, -0.3, 0.8]);
  const found = floatingVariances(three);
  assert.ok(found !== null && found.error < 1e-8);
  assert.ok(Math.abs(found.variances[0]! + found.variances[1]! - (1 + 2 - 0.4)) < 1e-8);
  const four = Float64Array.from([1, 0.2, 2, 0.1, -0.3, 0.8, 0.25, 0.3, 0.1, 1.5]);
  const near = floatingVariances(four);
  assert.ok(near !== null && near.error > 0 && near.error < 0.1);
});

test('what no positive variances can give is null, never NaN', () => {
  assert.equal(floatingVariances(Float64Array.from([1])), null);
  assert.equal(floatingVariances(Float64Array.from([1, 1.5, 3])), null);
  assert.equal(floatingVariances(Float64Array.from([1, Number.NaN, 3])), null);
});
