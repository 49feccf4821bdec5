import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { LogEntry } from '@concordat/shared/log/entry.ts';

import { LogIndex } from './log-index.ts';

const decision = (n: number, type: string, log: string): LogEntry => ({
  n,
  time: '2026-01-01T00:00:00Z',
  kind: 'decision',
  peer: 'A',
  type,
  detail: { divergence: 'rollback', log, evidence: 'ab'.repeat(32), kept_size: 40, size: 20 },
});

for (const [whose, log, excused] of [
  ['the peer’s', 'concordat/site/A', true],
  ['the own', 'concordat/coordinator', false],
] as const)
  test(`a divergence of ${whose} log: ${excused ? 'what is seen after it counts' : 'what was seen of the peer’s stays'}`, () => {
    const index = new LogIndex({ party: 'coordinator', origin: 'concordat/coordinator' });
    const old = { size: 30, root: 'aa', n: 5 };
    const next = { size: 30, root: 'bb', n: 12 };
    assert.equal(index.see('A', old), null);
    index.take(decision(10, 'divergence', log), null, null);
    assert.equal(index.see('A', { ...next, n: 10 }), old);
    index.take(decision(11, 'acknowledgement', log), null, null);
    assert.equal(index.see('A', next), excused ? null : old);
    assert.deepEqual([...index.sightingsOf('A', null)], [excused ? next : old]);
    assert.equal(index.see('A', { ...old, n: 13 }), excused ? next : null);
  });
