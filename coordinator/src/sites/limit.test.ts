import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttemptLimit } from './limit.ts';

test('so many attempts at once, then one more as each interval passes; others are not concerned', () => {
  const limit = new AttemptLimit(3, 1000);
  for (let i = 0; i < 3; i++) assert.ok(limit.take('a', 0));
  assert.ok(!limit.take('a', 0));
  assert.ok(!limit.take('a', 999));
  assert.ok(limit.take('b', 0));
  assert.ok(limit.take('a', 1000));
  assert.ok(!limit.take('a', 1001));
  assert.ok(limit.take('a', 10_000));
});

test('however many come too often, they are not let in by it', () => {
  const limit = new AttemptLimit(3, 1000);
  const taken = Array.from({ length: 100 }, () => limit.take('a', 0)).filter(Boolean);
  assert.equal(taken.length, 3);
});

test('an attempt that is given back does not weigh', () => {
  const limit = new AttemptLimit(1, 1000);
  for (let i = 0; i < 5; i++) {
    assert.ok(limit.take('a', i));
    assert.ok(!limit.take('a', i));
    limit.giveBack('a', i);
  }
  limit.giveBack('nobody', 0);
  assert.ok(limit.take('nobody', 0));
  assert.ok(!limit.take('nobody', 0));
});

test('a clock that is set back keeps nobody out, and one that is set back a little forgives nothing', () => {
  const limit = new AttemptLimit(2, 1000);
  assert.ok(limit.take('a', 1_000_000));
  assert.ok(limit.take('a', 1_000_000));
  assert.ok(!limit.take('a', 1_000_000));
  assert.ok(!limit.take('a', 999_000));
  assert.ok(limit.take('a', 0));
});
