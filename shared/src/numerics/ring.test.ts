import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ConcordatError } from '../errors.ts';
import { fromRing, ringSum, toRing } from './ring.ts';

const inRange = fc.double({ min: -(2 ** 58), max: 2 ** 58, noNaN: true });

test('a number comes back from the ring to within half a unit, 2⁻⁶⁵', () => {
  fc.assert(
    fc.property(inRange, (x) => {
      assert.ok(Math.abs(fromRing(toRing(x)) - x) <= 2 ** -65);
    }),
  );
  for (const exact of [0, 1, -1, 0.1, 2 ** 58, 2 ** -64, -3 * 2 ** -64])
    assert.equal(fromRing(toRing(exact)), exact);
  assert.equal(toRing(2 ** -65), 1n);
  assert.equal(toRing(2 ** -66), 0n);
  assert.equal(toRing(Number.MIN_VALUE), 0n);
});

test('a sum does not depend on the order of its terms, nor on masks that cancel', () => {
  fc.assert(
    fc.property(
      fc.array(inRange, { minLength: 1, maxLength: 30 }),
      fc.bigInt({ min: 0n, max: 2n ** 128n }),
      (terms, mask) => {
        const vectors = terms.map((x) => Float64Array.of(x));
        const [sum] = ringSum(vectors);
        assert.equal(ringSum(vectors.toReversed())[0], sum);
        const masked = terms.reduce((total, x, i) => {
          const own = i === 0 ? mask : 0n;
          return BigInt.asUintN(128, total + toRing(x) + own);
        }, 0n);
        assert.equal(fromRing(BigInt.asUintN(128, masked - mask)), sum);
      },
    ),
  );
});

test('what is out of range is refused, never clipped', () => {
  for (const bad of [2 ** 58 * 1.01, -Infinity, NaN]) {
    assert.throws(
      () => toRing(bad),
      (error: unknown) => error instanceof ConcordatError && error.code === 'numerics/invalid-input',
    );
  }
});
