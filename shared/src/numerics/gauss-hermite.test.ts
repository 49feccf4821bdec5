import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { gaussHermite } from './gauss-hermite.ts';

const close = (actual: number, expected: number, tolerance: number) =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1e-300, Math.abs(expected)),
    `${actual}, expected ${expected}`,
  );

test('closed forms of one, two and three points', () => {
  const root = Math.sqrt(Math.PI);
  assert.deepEqual([...gaussHermite(1).nodes], [0]);
  close(gaussHermite(1).weights[0]!, root, 1e-15);
  close(gaussHermite(2).nodes[1]!, Math.SQRT1_2, 1e-15);
  close(gaussHermite(2).weights[1]!, root / 2, 1e-15);
  close(gaussHermite(3).nodes[2]!, Math.sqrt(1.5), 1e-15);
  close(gaussHermite(3).weights[1]!, (2 * root) / 3, 1e-15);
  close(gaussHermite(3).weights[0]!, root / 6, 1e-15);
});

test('closed forms of four and five points', () => {
  // Roots of 4x⁴ − 12x² + 3 and of 4x⁴ − 20x² + 15; weights 2ⁿ⁻¹n!√π/(n²Hₙ₋₁(x)²).
  const four = [Math.sqrt((3 - Math.sqrt(6)) / 2), Math.sqrt((3 + Math.sqrt(6)) / 2)];
  four.forEach((x, k) => {
    close(gaussHermite(4).nodes[2 + k]!, x, 1e-14);
    close(
      gaussHermite(4).weights[2 + k]!,
      (192 * Math.sqrt(Math.PI)) / (16 * (8 * x ** 3 - 12 * x) ** 2),
      1e-14,
    );
  });
  const five = [Math.sqrt((5 - Math.sqrt(10)) / 2), Math.sqrt((5 + Math.sqrt(10)) / 2)];
  five.forEach((x, k) => {
    close(gaussHermite(5).nodes[3 + k]!, x, 1e-14);
    const h4 = 16 * x ** 4 - 48 * x ** 2 + 12;
    close(gaussHermite(5).weights[3 + k]!, (1920 * Math.sqrt(Math.PI)) / (25 * h4 ** 2), 1e-14);
  });
  close(gaussHermite(5).weights[2]!, (8 * Math.sqrt(Math.PI)) / 15, 1e-14);
});

test('every rule has the moments of exp(−x²), and is symmetric', () => {
  for (let n = 1; n <= 100; n++) {
    const { nodes, weights } = gaussHermite(n);
    let moment = Math.sqrt(Math.PI);
    for (let degree = 0; degree <= Math.min(2 * n - 1, 60); degree += 2) {
      close(
        weights.reduce((sum, w, i) => sum + w * nodes[i]! ** degree, 0),
        moment,
        1e-13,
      );
      moment *= (degree + 1) / 2;
    }
    nodes.forEach((x, i) => {
      assert.ok(x === -nodes[n - 1 - i]!);
      assert.equal(weights[i], weights[n - 1 - i]);
      assert.ok(weights[i]! > 0 && (i === 0 || x > nodes[i - 1]!));
    });
  }
});

test('exponential moments: ∫ exp(tx − x²) dx = √π exp(t²/4)', () => {
  for (const t of [0.5, 1, 3]) {
    const { nodes, weights } = gaussHermite(40);
    close(
      weights.reduce((sum, w, i) => sum + w * Math.exp(t * nodes[i]!), 0),
      Math.sqrt(Math.PI) * Math.exp((t * t) / 4),
      2e-14,
    );
  }
});

test('a rule of no points, a broken number or too many is refused', () => {
  for (const n of [0, 1.5, 101, NaN])
    assert.throws(
      () => gaussHermite(n),
      (error) => error instanceof ConcordatError && error.code === 'numerics/invalid-input',
    );
});
