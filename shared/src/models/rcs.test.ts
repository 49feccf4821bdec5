import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rcsBasis } from './rcs.ts';

test('the basis is Hmisc::rcspline.eval(x, knots = c(50, 65, 74, 85), inclx = TRUE, norm = 2)', () => {
  const knots = [50, 65, 74, 85];
  const reference: readonly (readonly number[])[] = [
    [30, 0, 0],
    [50, 0, 0],
    [60, 0.816326530612245, 0],
    [70, 6.53061224489796, 0.102040816326531],
    [80, 21.4797773654917, 2.43450834879406],
    [90, 41.8285714285715, 6.75918367346939],
  ];
  for (const row of reference) {
    row.forEach((expected, index) => {
      const value = rcsBasis(row[0]!, knots, index);
      assert.ok(
        Math.abs(value - expected) <= 1e-13 * Math.max(1, Math.abs(expected)),
        `${value} ${expected}`,
      );
    });
  }
});

const increasingKnots = fc
  .uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 7 })
  .map((knots) => knots.toSorted((a, b) => a - b));

test('every cubic column is zero below the first knot and linear above the last', () => {
  fc.assert(
    fc.property(increasingKnots, fc.double({ min: 0.1, max: 20, noNaN: true }), (knots, step) => {
      const last = knots[knots.length - 1]!;
      for (let index = 1; index <= knots.length - 2; index += 1) {
        assert.equal(rcsBasis(knots[0]! - step, knots, index), 0);
        const [a, b, c] = [0, 1, 2].map((i) => rcsBasis(last + i * step, knots, index)) as [
          number,
          number,
          number,
        ];
        const scale = Math.max(1, Math.abs(a), Math.abs(c));
        assert.ok(Math.abs(a - 2 * b + c) <= 1e-8 * scale);
      }
    }),
  );
});

test('rescaling the variable and its knots rescales every column', () => {
  fc.assert(
    fc.property(increasingKnots, fc.integer({ min: -800, max: 800 }), (knots, tenths) => {
      const x = tenths / 10;
      const scaled = knots.map((knot) => knot * 4);
      for (let index = 0; index <= knots.length - 2; index += 1) {
        assert.equal(rcsBasis(x * 4, scaled, index), 4 * rcsBasis(x, knots, index));
      }
    }),
  );
});
