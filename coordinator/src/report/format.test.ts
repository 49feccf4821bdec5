import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  count,
  decimalsFor,
  degrees,
  fixed,
  levelPercent,
  percent,
  pStatement,
  pValue,
  ratio,
  significant,
} from './format.ts';

test('p values are printed as journals do', () => {
  const shown = [0, 1e-26, 0.000999, 0.001, 0.0123, 0.0496, 0.0994, 0.0996, 0.5, 0.989, 0.995, 1].map(pValue);
  assert.deepEqual(shown, [
    '<0.001',
    '<0.001',
    '<0.001',
    '0.001',
    '0.012',
    '0.050',
    '0.099',
    '0.10',
    '0.50',
    '0.99',
    '>0.99',
    '>0.99',
  ]);
  assert.equal(pStatement(0.04), 'p = 0.040');
  assert.equal(pStatement(1e-9), 'p < 0.001');
});

test('a minus is a minus sign, and a value rounded to zero has none', () => {
  assert.equal(fixed(-1.234, 2), '−1.23');
  assert.equal(fixed(-0.001, 2), '0.00');
  assert.equal(significant(-0.0123456, 3), '−0.0123');
});

test('what was not computed is an en dash', () => {
  for (const show of [
    pValue,
    percent,
    count,
    degrees,
    (x: null) => fixed(x, 2),
    (x: null) => significant(x, 3),
  ]) {
    assert.equal(show(null), '–');
  }
  assert.equal(fixed(Number.NaN, 2), '–');
});

test('ratios keep a significant digit and lose decimals that mean nothing', () => {
  const shown = [0.4889, 0.077, 0.0034, 12.345, 152.3, 1].map((x) => ratio(x, 2));
  assert.deepEqual(shown, ['0.49', '0.08', '0.003', '12.3', '152', '1.00']);
  assert.equal(ratio(1e-7, 2), '1.0 × 10⁻⁷');
  assert.equal(ratio(3.2e8, 2), '3.2 × 10⁸');
});

test('decimals follow the standard error', () => {
  assert.deepEqual(
    [12, 1.2, 0.18, 0.0006].map((se) => decimalsFor(se, 2)),
    [0, 1, 2, 5],
  );
  assert.equal(decimalsFor(0, 2), 2);
});

test('counts, degrees of freedom and levels', () => {
  assert.equal(count(1234567), '1,234,567');
  assert.equal(count(999), '999');
  assert.equal(degrees(12), '12');
  assert.equal(degrees(4.26), '4.3');
  assert.equal(levelPercent(0.95), '95%');
  assert.equal(levelPercent(0.999), '99.9%');
  assert.equal(percent(92.22), '92.2%');
});
