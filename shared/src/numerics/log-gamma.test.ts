import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logChoose, logFactorial, logGamma } from './log-gamma.ts';

const close = (actual: number, expected: number) =>
  assert.ok(
    Math.abs(actual - expected) <= 4e-15 * Math.max(1, Math.abs(expected)),
    `${actual}, not ${expected}`,
  );

test('log gamma agrees with known values', () => {
  close(logGamma(0.5), Math.log(Math.PI) / 2);
  close(logGamma(1), 0);
  close(logGamma(10), Math.log(362880));
  close(logGamma(100.5), 361.4355404677776); // R: lgamma(100.5)
});

test('log factorials are sums of logarithms, in the table and beyond it', () => {
  let sum = 0;
  for (let k = 1; k <= 400; k++) {
    sum += Math.log(k);
    assert.ok(Math.abs(logFactorial(k) - sum) <= 1e-14 * Math.max(1, sum), `${k}!`);
  }
  close(logFactorial(2.5), logGamma(3.5));
});

test('log binomial coefficients', () => {
  close(logChoose(10, 3), Math.log(120));
  assert.equal(logChoose(7, 0), 0);
  assert.equal(logChoose(7, 7), 0);
});
