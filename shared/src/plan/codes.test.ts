import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { codeKey, codeNumber, sameCode } from './codes.ts';

test('codes that read as the same number are the same; other text is itself', () => {
  for (const [a, b] of [
    [1, '1'],
    ['1', '1.0'],
    ['01', 1],
    [' 2 ', 2],
    ['1e2', 100],
    [0, '-0'],
    ['a', 'a'],
  ] as const) {
    assert.ok(sameCode(a, b), `${a} ${b}`);
  }
  for (const [a, b] of [
    [1, 2],
    ['a', 'A'],
    ['', 0],
    ['0x10', 16],
    ['1,5', 1.5],
    ['a', 'a '],
    ['Infinity', 'infinity'],
  ] as const) {
    assert.ok(!sameCode(a, b), `${a} ${b}`);
  }
  assert.equal(codeNumber('1e999'), null);
});

test('sameness is equality of keys', () => {
  const code = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer().map(String),
    fc.string(),
  );
  fc.assert(fc.property(code, code, (a, b) => assert.equal(sameCode(a, b), codeKey(a) === codeKey(b))));
});
