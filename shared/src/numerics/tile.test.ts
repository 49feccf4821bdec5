import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import {
  BLOCK,
  addGradient,
  loadColumn,
  logisticRows,
  predict,
  residualRows,
  subtractCrossproducts,
  subtractInformation,
  workspace,
} from './tile.ts';

test('crossproducts of every width and length, past the first page of memory', () => {
  for (const p of [1, 2, 3, 4, 7, 60]) {
    for (const rows of [1, 2, 3, 5, 255, BLOCK]) {
      const space = workspace(p);
      // What an earlier block left behind must not count.
      space.x.fill(1e9);
      space.weight.fill(7);
      space.residual.fill(7);
      const x = (k: number, j: number) => ((k * 7 + j * 13) % 11) - 5;
      for (let k = 0; k < rows; k++) {
        space.weight[k] = (k % 4) + 0.5;
        space.residual[k] = (k % 5) - 2;
        for (let j = 0; j < p; j++) space.x[j * BLOCK + k] = x(k, j);
      }
      const hessian = new Float64Array(packedLength(p)).fill(100);
      const gradient = new Float64Array(p).fill(10);
      subtractInformation(p, rows, space, hessian);
      addGradient(p, rows, space, gradient);
      const plain = new Float64Array(packedLength(p));
      subtractCrossproducts(p, rows, space, plain);
      const sum = (f: (k: number) => number) =>
        Array.from({ length: rows }, (_, k) => f(k)).reduce((a, b) => a + b, 0);
      for (let i = 0; i < p; i++) {
        assert.equal(gradient[i], 10 + sum((k) => x(k, i) * ((k % 5) - 2)));
        for (let j = 0; j <= i; j++) {
          assert.equal(hessian[packedIndex(i, j)], 100 - sum((k) => x(k, i) * x(k, j) * ((k % 4) + 0.5)));
          assert.equal(plain[packedIndex(i, j)], 0 - sum((k) => x(k, i) * x(k, j)));
        }
      }
    }
  }
});

test('columns are standardised, predicted from, and padded with zeros', () => {
  for (const rows of [1, 2, 3, 255, BLOCK]) {
    const space = workspace(2);
    space.x.fill(Number.NaN);
    space.eta.fill(0.5);
    const column = Float64Array.from({ length: rows + 3 }, (_, k) => 3 * k - 7);
    loadColumn(space, 1, column, 3, rows);
    predict(1, rows, 5, 0.25, 0);
    assert.equal(space.eta[0], 0.5);
    predict(1, rows, 1, 2, -1.5);
    for (let k = 0; k < rows; k++) {
      const z = ((column[k + 3]! - 5) * 0.25 - 1) * 2;
      assert.equal(space.x[BLOCK + k], z);
      assert.equal(space.eta[k], 0.5 - 1.5 * z);
    }
    // Crossproducts take four rows at a time.
    for (let k = rows; k < ((rows + 3) & ~3); k++) assert.ok(Number.isFinite(space.x[BLOCK + k]!));
  }
});

test('residuals and their sum of squares', () => {
  for (const rows of [1, 2, 255, BLOCK]) {
    const space = workspace(1);
    space.eta.fill(Number.NaN);
    space.residual.fill(Number.NaN);
    for (let k = 0; k < rows; k++) space.eta[k] = k % 7;
    const outcomes = Float64Array.from({ length: rows + 2 }, (_, k) => k % 5);
    let squares = 0;
    const sum = residualRows(rows, outcomes, 2, space);
    for (let k = 0; k < rows; k++) {
      const r = ((k + 2) % 5) - (k % 7);
      assert.equal(space.residual[k], r);
      squares += r * r;
    }
    assert.equal(sum, squares);
  }
});

test('logistic rows as in plain arithmetic, to a few units in the last place', () => {
  const extremes = [0, -0, 1e-300, -1e-17, 0.34657359027997264, 36, -37, 500, -700, -707.9];
  const etas = [...extremes, ...Array.from({ length: 1001 }, (_, k) => 40 * Math.sin(k * k))];
  for (const rows of [1, 2, 10, etas.length]) {
    const space = workspace(1);
    space.eta.fill(Number.NaN);
    space.outcome.fill(Number.NaN);
    space.eta.set(etas.slice(0, rows));
    const y = (k: number) => (k % 3 === 0 ? 1 : 0);
    const outcomes = Float64Array.from({ length: rows + 2 }, (_, k) => y(k - 2));
    let value = 0;
    const close = (actual: number, expected: number, unit = Math.abs(expected)) =>
      assert.ok(Math.abs(actual - expected) <= 4 * Number.EPSILON * unit, `${actual} is not ${expected}`);
    const logLikelihood = logisticRows(rows, outcomes, 2, space);
    for (let k = 0; k < rows; k++) {
      const e = Math.exp(-Math.abs(etas[k]!));
      const [above, below] = [1 / (1 + e), e / (1 + e)];
      const [mu, complement] = etas[k]! >= 0 ? [above, below] : [below, above];
      close(space.residual[k]!, y(k) === 1 ? complement : -mu);
      close(space.weight[k]!, above * below);
      value += y(k) * etas[k]! - Math.max(etas[k]!, 0) - Math.log1p(e);
    }
    close(logLikelihood, value, 100 * (1 + Math.abs(value)));
  }
});

test('a linear predictor that is no finite number, or beyond the range of exp, makes no false weights', () => {
  const space = workspace(1);
  space.eta.set([-1e6, 1e6]);
  assert.equal(logisticRows(2, Float64Array.of(0, 1), 0, space), 0);
  assert.ok(space.weight[0]! < 1e-300 && space.weight[1]! < 1e-300);
  for (const eta of [Number.NaN, Infinity, -Infinity]) {
    space.eta[0] = eta;
    const outcomes = Float64Array.of(Number(eta < 0), 1);
    assert.ok(!Number.isFinite(logisticRows(2, outcomes, 0, space)), String(eta));
  }
});
