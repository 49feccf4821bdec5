import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  chiSquareQuantile,
  chiSquareUpper,
  fUpper,
  normalQuantile,
  normalTwoSided,
  tQuantile,
  tTwoSided,
} from './distributions.ts';

function close(actual: number, expected: number, tolerance = 1e-10): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${actual}, expected ${expected}`);
}

// Expected values: R 4.2.2, printed with 17 digits.
test('tails keep their digits far out', () => {
  close(normalTwoSided(-10.6246525010465), 2.2886293069735502e-26);
  close(normalTwoSided(21.1470989885807), 2.9344162269752306e-99);
  close(chiSquareUpper(152.233008082373, 12), 1.9967645908462381e-26);
  close(chiSquareUpper(1500, 3), 0);
  close(tTwoSided(50, 12), 2.6864125626882535e-15);
  close(tTwoSided(-1e4, 19), 2.5410309330878664e-65);
  close(fUpper(300, 2, 20), 1.220065261148586e-15);
});

test('tails near the centre', () => {
  close(normalTwoSided(0), 1);
  close(tTwoSided(0, 3), 1);
  close(tTwoSided(0.01, 100000), 0.9920213073188231);
  close(chiSquareUpper(0.01, 3), 0.99973483494134441);
  assert.equal(chiSquareUpper(0, 4), 1);
  assert.equal(fUpper(0, 2, 5), 1);
});

test('quantiles', () => {
  close(normalQuantile(0.975), 1.9599639845400536);
  close(tQuantile(0.975, 12), 2.1788128296672284);
  close(tQuantile(0.995, 1), 63.656741162871526);
  close(chiSquareQuantile(0.025, 1), 0.00098206911717525617);
  close(chiSquareQuantile(0.975, 12), 23.336664158645334);
  close(chiSquareQuantile(0.025, 999), 913.30099830211338);
  close(chiSquareQuantile(0.975, 100000), 100878.41530566558);
});
