import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { leverage } from './leverage.ts';

const ones = (n: number) => new Float64Array(n).fill(1);
const close = (actual: number, expected: number, tolerance = 1e-10) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} ≠ ${expected}`);

test('one covariate: 1/n + (x − x̄)²/Sxx, with or without the column of ones', () => {
  const x = Float64Array.of(1, 2, 3, 4, 10);
  const expected = 1 / 5 + 36 / 50;
  close(leverage([ones(5), x], 5, null).maximum, expected);
  close(leverage([x], 5, null).maximum, expected);
});

test('R: max(hat(cbind(1, c(1,0,0,1,1,0), c(5,3,8,1,2,9)), FALSE))', () => {
  const columns = [ones(6), Float64Array.of(1, 0, 0, 1, 1, 0), Float64Array.of(5, 3, 8, 1, 2, 9)];
  close(leverage(columns, 6, null).maximum, 0.791666666666666);
});

test('someone alone in a factor level has leverage 1', () => {
  const alone = new Float64Array(3000);
  alone[2500] = 1;
  close(leverage([ones(3000), alone], 3000, null).maximum, 1);
});

test('exact combinations are deficient, near ones nearly; a level that nobody has is neither', () => {
  const x = Float64Array.from({ length: 50 }, (_, i) => Math.sin(i));
  const z = Float64Array.from({ length: 50 }, (_, i) => Math.cos(3 * i));
  const off = x.map((value, i) => value + (i === 7 ? 1e-4 : 0));
  assert.deepEqual(leverage([ones(50), x, x.map((value) => 3 - 2 * value)], 50, null).rank, {
    deficient: true,
    nearDeficient: false,
  });
  assert.deepEqual(leverage([x, off], 50, null).rank, { deficient: false, nearDeficient: true });
  close(leverage([x, off], 50, null).maximum, 1, 0.1);
  assert.deepEqual(leverage([ones(50), x, z, new Float64Array(50)], 50, null).rank, {
    deficient: false,
    nearDeficient: false,
  });
});

test('of many rows a bound that no threshold is near stands for the largest; near one, the largest itself', () => {
  const n = 20_000;
  const x = Float64Array.from({ length: n }, (_, i) => Math.sin(i));
  const z = Float64Array.from({ length: n }, (_, i) => Math.cos(3 * i) + x[i]! / 2);
  const rows = Int32Array.from({ length: n }, (_, i) => i);
  const exact = leverage([ones(n), x, z], n, null, rows).maximum;
  const { maximum } = leverage([ones(n), x, z], n, null);
  assert.ok(maximum >= exact && maximum < 0.01, `${exact} ${maximum}`);
  const outlier = x.with(77, 1e4);
  close(leverage([outlier, z], n, null).maximum, leverage([outlier, z], n, null, rows).maximum, 1e-9);
});

test('a participant of several rows has the sum of their leverages', () => {
  const x = Float64Array.of(0, 0, 3, 3, 0, 0);
  const one = leverage([x], 6, null).maximum;
  close(leverage([x], 6, null, Int32Array.of(0, 1, 2, 2, 3, 4)).maximum, 2 * one);
});

test('values whose squares are beyond double precision hide nobody', () => {
  const huge = Float64Array.from({ length: 50 }, (_, i) => (i === 3 ? 1e200 : i));
  assert.equal(leverage([huge], 50, null).maximum, 1);
  const tiny = Float64Array.from({ length: 50 }, (_, i) => i * 1e-200);
  assert.ok(!(leverage([tiny], 50, null).maximum < 0.5));
});

test('no rows and no columns are finite', () => {
  assert.equal(leverage([new Float64Array(0)], 0, null).maximum, 0);
  close(leverage([], 4, null).maximum, 0.25);
});

test('property: rescaling and shifting columns changes nothing; weights are repeated rows', () => {
  const row = fc.tuple(
    fc.double({ min: -5, max: 5, noNaN: true }),
    fc.constantFrom(0, 1),
    fc.integer({ min: 1, max: 4 }),
  );
  fc.assert(
    fc.property(fc.array(row, { minLength: 3, maxLength: 40 }), (rows) => {
      const column = (k: 0 | 1 | 2) => Float64Array.from(rows, (r) => r[k]);
      const [x, t, w] = [column(0), column(1), column(2)];
      // A design on the edge of deficiency may fall to either side of it.
      fc.pre(new Set(x).size > 2 && Math.max(...x) - Math.min(...x) > 1e-3);
      const base = leverage([x, t], rows.length, w);
      fc.pre(!base.rank.nearDeficient && !base.rank.deficient);
      close(
        leverage([x.map((v) => 1e5 + 1e3 * v), t.map((v) => 2 - v)], rows.length, w).maximum,
        base.maximum,
        1e-6,
      );
      const repeated = rows.flatMap((r) => Array.from({ length: r[2] }, () => r));
      const again = [Float64Array.from(repeated, (r) => r[0]), Float64Array.from(repeated, (r) => r[1])];
      close(leverage(again, repeated.length, null).maximum, base.maximum, 1e-8);
    }),
  );
});
