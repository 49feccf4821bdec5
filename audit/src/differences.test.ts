import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences } from './differences.ts';

test('what is the same bit for bit has no difference', () => {
  const value = { a: [1, -0, NaN, 'x', null, true], b: { c: new Uint8Array([1, 2]) } };
  assert.deepEqual(differences(value, structuredClone(value)), []);
  assert.deepEqual(differences({ a: undefined }, {}), []);
});

test('each difference is told where it is', () => {
  const of = (expected: unknown, found: unknown): unknown => {
    const told = differences(expected, found);
    assert.equal(told.length, 1);
    return [told[0]!.path, told[0]!.expected, told[0]!.found];
  };
  assert.deepEqual(of({ a: [0.1, 0.2] }, { a: [0.1, 0.2 + 2 ** -55] }), [
    ['a', 1],
    '0.2',
    '0.20000000000000004',
  ]);
  assert.deepEqual(of(0, -0), [[], '0', '-0']);
  assert.deepEqual(of([1], [1, 2]), [[1], 'nothing', '2']);
  assert.deepEqual(of({ a: 1, b: 2 }, { a: 1 }), [['b'], '2', 'nothing']);
  assert.deepEqual(of({ a: 1 }, { a: 1, toString: 'x' }), [['toString'], 'nothing', '"x"']);
  assert.deepEqual(of(null, { a: 1 }), [[], 'null', '{"a":1}']);
  assert.deepEqual(of([1], { 0: 1 }), [[], '[1]', '{"0":1}']);
  assert.deepEqual(of('1', 1), [[], '"1"', '1']);
  assert.deepEqual(of(new Uint8Array([1]), new Uint8Array([2])), [[], '01', '02']);
});
