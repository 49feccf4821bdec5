import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedLength } from '../linalg/symmetric.ts';
import { traceProduct } from './gaussian-matrices.ts';
import { covarianceStructure } from './mmrm-covariance.ts';
import { stream } from './mmrm-testing.ts';
import { addSecondDerivatives, changeOfLogDeterminant, changeOfWeights, seenVisits } from './mmrm-visits.ts';

const T = 5;
const structure = covarianceStructure('unstructured', T);
const pattern = (visits: readonly number[]) => ({ visits, participants: 7, products: [] });

function near(actual: number, expected: number, tolerance: number): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)),
    `${actual}, expected ${expected}`,
  );
}

const visitsSeen = fc.subarray([0, 1, 2, 3, 4], { minLength: 1 });

test('changes of V⁻¹ and log|V| with K, once and twice, against differences', () => {
  fc.assert(
    fc.property(visitsSeen, fc.integer({ min: 1, max: 1e6 }), (visits, seed) => {
      const { normal } = stream(seed);
      const theta = structure.identity.map((value) => value + 0.2 * normal());
      if (structure.at(theta) === null) return;
      const at = (point: Float64Array) => seenVisits(pattern(visits), structure.at(point)!, T);
      const o = visits.length;
      const e = new Float64Array(o * o);
      for (let i = 0; i < o; i++) for (let j = 0; j <= i; j++) e[i * o + j] = e[j * o + i] = normal();
      const { first } = structure.at(theta)!;
      const here = at(theta);
      const second = new Float64Array(packedLength(first.length));
      addSecondDerivatives(here, e, first, T, second, new Float64Array(T * T));
      const h = 1e-6;
      first.forEach((d, a) => {
        const [up, down] = [h, -h].map((step) =>
          at(theta.map((value, b) => (a === b ? value + step : value))),
        );
        const change = changeOfWeights(here, d, T);
        change.forEach((value, k) => near(value, (up!.w[k]! - down!.w[k]!) / (2 * h), 1e-5));
        near(changeOfLogDeterminant(here, d, T), (up!.logDeterminant - down!.logDeterminant) / (2 * h), 1e-5);
        first.slice(0, a + 1).forEach((other, b) => {
          const [above, below] = [up!, down!].map(
            (one) =>
              7 * changeOfLogDeterminant(one, other, T) + traceProduct(e, changeOfWeights(one, other, T), o),
          );
          near(second[packedLength(a) + b]!, (above! - below!) / (2 * h), 1e-4);
        });
      });
    }),
    { numRuns: 20 },
  );
});

test('nearly singular Σ: the change of V⁻¹ of all visits is that of K’K to the last digits', () => {
  const theta = structure.identity.map((value) => value);
  // Each visit all but the one before it.
  for (let i = 1; i < T; i++) {
    theta[packedLength(i) + i] = 1e4;
    theta[packedLength(i) + i - 1] = -1e4;
  }
  const root = structure.at(theta)!;
  const seen = seenVisits(pattern([0, 1, 2, 3, 4]), root, T);
  root.first.forEach((d) => {
    const change = changeOfWeights(seen, d, T);
    for (let i = 0; i < T; i++) {
      for (let j = 0; j < T; j++) {
        let exact = 0;
        for (let k = 0; k < T; k++)
          exact += d[k * T + i]! * root.root[k * T + j]! + root.root[k * T + i]! * d[k * T + j]!;
        assert.ok(Math.abs(change[i * T + j]! - exact) <= 1e-3, `${change[i * T + j]} and ${exact}`);
      }
    }
  });
});
