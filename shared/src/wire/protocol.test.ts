import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { negotiate, versionMismatch } from './protocol.ts';

const range = (oldest: number, newest: number) => ({ oldest, newest });

test('the newest version that both speak is used; 0 where there is none', () => {
  assert.equal(negotiate(range(1, 3), range(2, 5)), 3);
  assert.equal(negotiate(range(1, 1), range(1, 1)), 1);
  assert.equal(negotiate(range(1, 2), range(3, 4)), 0);
  assert.equal(negotiate(range(3, 4), range(1, 2)), 0);
  assert.equal(negotiate(range(1, 1), range(0, 0)), 0);
});

test('both sides choose the same version', () => {
  const any = fc.tuple(fc.nat(50), fc.nat(50)).map(([a, b]) => range(1 + Math.min(a, b), 1 + Math.max(a, b)));
  fc.assert(
    fc.property(any, any, (a, b) => {
      const chosen = negotiate(a, b);
      assert.equal(chosen, negotiate(b, a));
      for (const { oldest, newest } of [a, b])
        if (chosen > 0) assert.ok(oldest <= chosen && chosen <= newest);
    }),
  );
});

test('a mismatch says which side to upgrade, and both ranges', () => {
  const behind = versionMismatch(range(1, 1), range(2, 3), 'the coordinator');
  assert.equal(behind.code, 'wire/version');
  assert.equal(
    behind.message,
    'no protocol version in common: this side speaks 1 to 1, the coordinator speaks 2 to 3',
  );
  assert.equal(behind.remedy, 'upgrade this side; nothing was exchanged');
  assert.equal(
    versionMismatch(range(2, 3), range(1, 1), 'the agent').remedy,
    'upgrade the agent; nothing was exchanged',
  );
});
