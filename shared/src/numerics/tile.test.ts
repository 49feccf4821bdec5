import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { BLOCK, addGradient, subtractInformation, workspace } from './tile.ts';

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
      const sum = (f: (k: number) => number) =>
        Array.from({ length: rows }, (_, k) => f(k)).reduce((a, b) => a + b, 0);
      for (let i = 0; i < p; i++) {
        assert.equal(gradient[i], 10 + sum((k) => x(k, i) * ((k % 5) - 2)));
        for (let j = 0; j <= i; j++) {
          assert.equal(hessian[packedIndex(i, j)], 100 - sum((k) => x(k, i) * x(k, j) * ((k % 4) + 0.5)));
        }
      }
    }
  }
});
