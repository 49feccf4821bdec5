import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { findRoot } from './roots.ts';

test('finds roots to the last digits', () => {
  assert.ok(Math.abs(findRoot((x) => x * x - 2, 0, 2) - Math.SQRT2) < 1e-15);
  assert.ok(Math.abs(findRoot((x) => Math.cos(x), 3, 0) - Math.PI / 2) < 1e-15);
  const tiny = findRoot((x) => 1e-12 - x, 0, 1e6);
  assert.ok(Math.abs(tiny / 1e-12 - 1) < 1e-14);
});

test('a flat function and a jump are only bisected', () => {
  assert.ok(Math.abs(findRoot((x) => (x - 1) ** 9, 0, 5) - 1) < 1e-2);
  assert.ok(Math.abs(findRoot((x) => (x < 0.3 ? -1 : 1), 0, 1) - 0.3) < 1e-15);
});

test('an end that is a root is returned', () => {
  assert.equal(
    findRoot((x) => x, 0, 1),
    0,
  );
  assert.equal(
    findRoot((x) => x - 1, 0, 1),
    1,
  );
});

test('refuses an interval without a change of sign', () => {
  const refused = (f: (x: number) => number): void =>
    assert.throws(
      () => findRoot(f, 0, 1),
      (error) => error instanceof ConcordatError && error.code === 'numerics/no-bracket',
    );
  refused((x) => x + 1);
  refused(() => Number.NaN);
});

test('any root of a monotone cubic is found', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
      (root, slope) => {
        const found = findRoot((x) => (x - root) * (slope + (x - root) ** 2), -2e3, 2e3);
        return Math.abs(found - root) <= 1e-12 * Math.max(1, Math.abs(root));
      },
    ),
  );
});
