import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasBody } from '@concordat/shared/log/entry.ts';
import { newFolder, openLog } from '../runs/testing.ts';
import { RefusedReplies } from './refused-replies.ts';

const MIB = 1024 * 1024;

test('what is refused is logged with its bytes, and where it belongs', () => {
  const log = openLog(join(newFolder(), 'log'));
  const refused = new RefusedReplies(log);
  refused.keep('A', Uint8Array.of(1), 'late');
  refused.keep('A', Uint8Array.of(2), 'conflict', { run: '00', task: '11' });
  refused.close();
  assert.deepEqual(
    log.entries.filter(hasBody).map((entry) => {
      const { kind, peer, run, task, detail } = entry;
      return [{ kind, peer, run, task, detail }, log.body(entry)[0]];
    }),
    [
      [{ kind: 'refused', peer: 'A', run: undefined, task: undefined, detail: { code: 'late' } }, 1],
      [{ kind: 'refused', peer: 'A', run: '00', task: '11', detail: { code: 'conflict' } }, 2],
    ],
  );
  log.close();
});

test('a site that sends too many, or too much, is counted from there on; others are not concerned', () => {
  const kept = new Map<string, number>();
  const told: unknown[] = [];
  // Without a disk: a thousand flushes take their time.
  const refused = new RefusedReplies({
    append: (entry, body) => {
      const { peer = '', detail } = entry;
      if (body === undefined) told.push([peer, detail]);
      else kept.set(peer, (kept.get(peer) ?? 0) + 1);
      return { n: 0, time: '', ...entry };
    },
  });
  for (let i = 0; i < 40; i++) refused.keep('large', new Uint8Array(4 * MIB), 'late');
  for (let i = 0; i < 1003; i++) refused.keep('many', Uint8Array.of(i), 'late');
  refused.keep('other', Uint8Array.of(1), 'late');
  refused.count('other');
  assert.deepEqual(Object.fromEntries(kept), { large: 8, many: 1000, other: 1 });
  refused.close();
  assert.deepEqual(told, [
    ['large', { code: 'not-kept', replies: 32 }],
    ['many', { code: 'not-kept', replies: 3 }],
    ['other', { code: 'not-kept', replies: 1 }],
  ]);
});
