import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import {
  cholesky,
  fromRows,
  inverseFromCholesky,
  logDetFromCholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
  packedOrder,
  pivotedRank,
  solveCholesky,
  symmetricEigen,
  symmetricEigenvalues,
  toRows,
} from './symmetric.ts';

/** X'X + I for a random square X: positive definite and well enough conditioned. */
const definite = fc
  .integer({ min: 1, max: 6 })
  .chain((p) =>
    fc.array(fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: p, maxLength: p }), {
      minLength: p,
      maxLength: p,
    }),
  )
  .map((x) => {
    const p = x.length;
    return fromRows(
      Array.from({ length: p }, (_, i) =>
        Array.from({ length: p }, (_, j) => x.reduce((sum, row) => sum + row[i]! * row[j]!, i === j ? 1 : 0)),
      ),
    );
  });

const close = (a: number, b: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${a} is not ${b}`);

test('packing and unpacking are inverse to each other', () => {
  const rows = [
    [1, 2, 4],
    [2, 3, 5],
    [4, 5, 6],
  ];
  assert.deepEqual(toRows(fromRows(rows)), rows);
  assert.equal(packedIndex(1, 2), packedIndex(2, 1));
  assert.equal(packedOrder(new Float64Array(packedLength(7))), 7);
  assert.throws(() => packedOrder(new Float64Array(4)), { code: 'numerics/invalid-input' });
});

test('solution, inverse and determinant agree with the matrix', () => {
  fc.assert(
    fc.property(definite, (a) => {
      const p = packedOrder(a);
      const l = cholesky(a);
      const b = Float64Array.from({ length: p }, (_, i) => i - 1.5);
      const x = solveCholesky(l, b);
      multiplyPacked(a, x).forEach((value, i) => close(value, b[i]!));
      const inverse = inverseFromCholesky(l);
      multiplyPacked(inverse, b).forEach((value, i) => close(value, x[i]!));
      const eigenvalues = symmetricEigenvalues(a);
      close(
        logDetFromCholesky(l),
        eigenvalues.reduce((sum, value) => sum + Math.log(value), 0),
      );
      assert.deepEqual(pivotedRank(a, 1e-11), { rank: p, dependent: [] });
    }),
  );
});

test('a matrix that is not positive definite is refused, whatever its scale', () => {
  for (const scale of [1e-200, 1, 1e200]) {
    for (const rows of [
      [[0]],
      [
        [1, 2],
        [2, 4],
      ],
      [
        [1, 2],
        [2, 1],
      ],
      [[-1]],
      [[Number.NaN]],
    ]) {
      assert.throws(
        () => cholesky(fromRows(rows.map((row) => row.map((value) => value * scale)))),
        (error) => error instanceof ConcordatError && error.code === 'numerics/not-positive-definite',
      );
    }
  }
});

test('dependent columns are the later ones', () => {
  const x = [
    [1, 1, 0, 0, 1],
    [1, 0, 1, 0, 2],
    [1, 1, 0, 0, 4],
    [1, 0, 1, 0, 7],
  ];
  const gram = fromRows(
    x[0]!.map((_, i) => x[0]!.map((_, j) => x.reduce((sum, row) => sum + row[i]! * row[j]!, 0))),
  );
  assert.deepEqual(pivotedRank(gram, 1e-11), { rank: 3, dependent: [2, 3] });
});

test('eigenvectors: AV = VΛ, orthonormal, the largest component positive', () => {
  fc.assert(
    fc.property(definite, (a) => {
      const { values, vectors } = symmetricEigen(a);
      const size = 1 + a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      values.forEach((value, k) => assert.ok(Math.abs(value - symmetricEigenvalues(a)[k]!) < 1e-12 * size));
      vectors.forEach((vector, k) => {
        multiplyPacked(a, vector).forEach((value, i) =>
          assert.ok(Math.abs(value - values[k]! * vector[i]!) < 1e-12 * size),
        );
        vectors.forEach((other, j) => {
          const product = vector.reduce((sum, value, i) => sum + value * other[i]!, 0);
          assert.ok(Math.abs(product - (j === k ? 1 : 0)) < 1e-12);
        });
        const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
        assert.ok(largest > 0);
      });
    }),
  );
});
