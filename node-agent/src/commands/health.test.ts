import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { healthServer } from '../health.ts';
import { agentHealth } from './health.ts';

const folder = mkdtempSync(join(tmpdir(), 'health-'));
after(() => rmSync(folder, { recursive: true }));

function configuration(more: object): string {
  const file = join(folder, 'agent.yaml');
  const config = {
    agent: 1,
    study: 'A',
    coordinator: 'coordinator:443',
    coordinator_key: '0'.repeat(64),
    tls: { ca: 'ca.crt', certificate: 'a.crt', key: 'a.key' },
    signing_key: 'signing.key',
    data: 'records.csv',
    agreement: 'agreement.yaml',
    log: 'log',
  };
  writeFileSync(file, JSON.stringify({ ...config, ...more }));
  return file;
}

test('a running agent answers; one that does not run, or has no endpoint, is said to have none', async () => {
  const server = healthServer(
    new Map([['A', { connected: true, connection: { connected: true, since: null, failure: null } }]]),
  );
  await server.listen({ host: '127.0.0.1', port: 0 });
  const file = configuration({ health: `127.0.0.1:${(server.server.address() as AddressInfo).port}` });
  assert.deepEqual(JSON.parse(await agentHealth(file)), { status: 'alive', agents: { A: 'connected' } });
  await server.close();
  await assert.rejects(agentHealth(file), { code: 'process/failed' });
  await assert.rejects(agentHealth(configuration({})), { code: 'config/invalid' });
});
