import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthServer } from './health.ts';

test('alive at once, ready when every agent is connected', async () => {
  const agents = new Map([
    ['A', { connected: true }],
    ['B', { connected: false }],
  ]);
  const server = healthServer(agents);
  const alive = await server.inject('/health');
  assert.equal(alive.statusCode, 200);
  assert.deepEqual(alive.json(), { status: 'alive', agents: { A: 'connected', B: 'connecting' } });
  assert.equal((await server.inject('/ready')).statusCode, 503);
  agents.set('B', { connected: true });
  const ready = await server.inject('/ready');
  assert.equal(ready.statusCode, 200);
  assert.deepEqual(ready.json(), { status: 'ready', agents: { A: 'connected', B: 'connected' } });
  assert.equal((await server.inject('/other')).statusCode, 404);
  await server.close();
});
