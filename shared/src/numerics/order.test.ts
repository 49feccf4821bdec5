import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ascendingOrder, orderByKey } from './order.ts';

const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -3, max: 3 }),
  fc.constant(-0),
);

test('the order is ascending and stable', () => {
  fc.assert(
    fc.property(fc.array(finite, { maxLength: 60 }), (values) => {
      const expected = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
      assert.deepEqual([...ascendingOrder(Float64Array.from(values))], expected);
    }),
  );
});

test('rows are grouped by key in the given order', () => {
  const keys = Int32Array.of(2, 0, 1, 0, 2);
  assert.deepEqual([...orderByKey(keys, 3, Uint32Array.of(4, 3, 2, 1, 0))], [3, 1, 2, 4, 0]);
  assert.deepEqual([...orderByKey(keys, 3, Uint32Array.of(0, 2, 4))], [2, 0, 4]);
});
