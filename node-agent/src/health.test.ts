import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Agent } from './agent.ts';
import type { ExchangeFailure } from './egress/client.ts';
import { healthServer } from './health.ts';

const stands = (connected: boolean, code?: ExchangeFailure): Pick<Agent, 'connected' | 'connection'> => ({
  connected,
  connection: { connected, since: null, failure: code === undefined ? null : { time: '', code } },
});

test('alive at once, ready when every agent is connected; one that has halted says why', async () => {
  const agents = new Map([
    ['A', stands(true)],
    ['B', stands(false)],
  ]);
  const server = healthServer(agents);
  const alive = await server.inject('/health');
  assert.equal(alive.statusCode, 200);
  assert.deepEqual(alive.json(), { status: 'alive', agents: { A: 'connected', B: 'connecting' } });
  assert.equal((await server.inject('/ready')).statusCode, 503);
  agents.set('B', stands(false, 'log/rollback'));
  assert.deepEqual((await server.inject('/health')).json<{ agents: object }>().agents, {
    A: 'connected',
    B: 'log/rollback',
  });
  agents.set('B', stands(true));
  const ready = await server.inject('/ready');
  assert.equal(ready.statusCode, 200);
  assert.deepEqual(ready.json(), { status: 'ready', agents: { A: 'connected', B: 'connected' } });
  assert.equal((await server.inject('/other')).statusCode, 404);
  await server.close();
});
