import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthServer } from './health.ts';

test('alive, ready, and when each site was last heard from', async () => {
  const server = healthServer(() => [
    { study: 'A', lastSeen: '2026-01-01T00:00:00.000Z', halted: null },
    { study: 'B', lastSeen: null, halted: 'log/rollback' },
  ]);
  assert.deepEqual((await server.inject('/health')).json(), { status: 'alive' });
  const ready = await server.inject('/ready');
  assert.equal(ready.statusCode, 200);
  assert.deepEqual(ready.json(), {
    status: 'ready',
    sites: [
      { study: 'A', lastSeen: '2026-01-01T00:00:00.000Z', halted: null },
      { study: 'B', lastSeen: null, halted: 'log/rollback' },
    ],
  });
  assert.equal((await server.inject('/other')).statusCode, 404);
  await server.close();
});
