import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttemptLimit } from './limit.ts';

test('so many failures at once, then one more as each interval passes; others are not concerned', () => {
  const limit = new AttemptLimit(3, 1000);
  for (let i = 0; i < 3; i++) {
    assert.ok(limit.allows('a', 0));
    limit.failed('a', 0);
  }
  assert.ok(!limit.allows('a', 0));
  assert.ok(!limit.allows('a', 999));
  assert.ok(limit.allows('b', 0));
  assert.ok(limit.allows('a', 1000));
  limit.failed('a', 1000);
  assert.ok(!limit.allows('a', 1001));
  assert.ok(limit.allows('a', 10_000));
});

test('whoever does not fail is not counted', () => {
  const limit = new AttemptLimit(1, 1000);
  for (let i = 0; i < 5; i++) assert.ok(limit.allows('a', i));
});

test('a clock that is set back keeps nobody out', () => {
  const limit = new AttemptLimit(1, 1000);
  limit.failed('a', 1_000_000);
  assert.ok(!limit.allows('a', 1_000_000));
  assert.ok(limit.allows('a', 0));
});
