/**
 * The compose files of `deploy/`: docker-compose takes them, they confine what they start, and the consortium in a box starts and lets
 * an institution join. Needs a Docker engine, docker-compose and the images that `deploy/` builds.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { generate } from '../../examples/hypertension/generate.ts';
import { until } from './support.ts';

const project = `concordat-box-${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'concordat-compose-'));
mkdirSync(join(folder, 'data'));
for (const { file, text } of generate()) writeFileSync(join(folder, 'data', file), text);

after(async () => {
  await compose('consortium', 'down', '--volumes', '--timeout', '0');
  rmSync(folder, { recursive: true });
});

async function compose(name: string, ...args: readonly string[]): Promise<string> {
  const file = new URL(`../../deploy/compose.${name}.yaml`, import.meta.url).pathname;
  const run = promisify(execFile);
  const { stdout } = await run('docker-compose', ['-p', project, '-f', file, ...args], {
    env: { ...process.env, DATA: join(folder, 'data'), COMPOSE_INTERACTIVE_NO_CLI: '1' },
  });
  return stdout;
}

interface Service {
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly privileged?: boolean;
  readonly ports?: readonly (string | { readonly host_ip?: string })[];
  readonly networks: Readonly<Record<string, unknown>>;
}

interface Composed {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
}

const composed = async (name: string): Promise<Composed> => parse(await compose(name, 'config')) as Composed;

test('every service is confined', async () => {
  for (const name of ['institution', 'consortium']) {
    for (const service of Object.values((await composed(name)).services)) {
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ['ALL']);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
      assert.equal(service.privileged, undefined);
    }
  }
});

test("an institution's page is published to its own machine alone", async () => {
  const { services } = await composed('institution');
  assert.deepEqual(services['agent']!.ports, ['127.0.0.1:8480:8480/tcp']);
});

test('in the box each institution has a network of its own, without a way out', async () => {
  const { services, networks } = await composed('consortium');
  assert.ok(Object.values(networks).every(({ internal }) => internal === true));
  for (const study of ['alder', 'fulmar', 'ibis'])
    assert.deepEqual(Object.keys(services[study]!.networks), [study]);
  assert.deepEqual(Object.keys(services['coordinator']!.networks), ['consortium']);
});

test('in a cluster the agent reaches one address and port, and the name service, and nothing reaches it', () => {
  const file = new URL('../../deploy/network-policy.yaml', import.meta.url);
  const { kind, spec } = parse(readFileSync(file, 'utf8')) as {
    kind: string;
    spec: {
      policyTypes: string[];
      ingress: unknown[];
      egress: { to: { ipBlock?: { cidr: string } }[]; ports: { protocol: string; port: number }[] }[];
    };
  };
  assert.equal(kind, 'NetworkPolicy');
  assert.deepEqual([spec.policyTypes, spec.ingress], [['Ingress', 'Egress'], []]);
  const [out, names] = spec.egress;
  assert.equal(spec.egress.length, 2);
  assert.match(out!.to[0]!.ipBlock!.cidr, /\/32$/);
  assert.deepEqual([out!.to.length, out!.ports.length], [1, 1]);
  assert.ok(names!.ports.every(({ port }) => port === 53));
});

test('the box starts, and an institution joins', async () => {
  const once = (service: string, ...args: readonly string[]): Promise<string> =>
    compose('consortium', 'run', '-T', '--rm', service, ...args);
  await once('coordinator', 'init', '--dir', '.', '--host', 'coordinator');
  await compose('consortium', 'up', '-d', 'proxy', 'coordinator');
  await until('the coordinator listens', async () =>
    (await compose('consortium', 'logs', 'coordinator')).includes('"listening"') ? true : null,
  );
  const config = ['--config', 'coordinator.yaml'];
  const printed = await compose(
    'consortium',
    'exec',
    '-T',
    'coordinator',
    'concordat-coordinator',
    'invite',
    'FULMAR',
    ...config,
  );
  const [invitation = ''] = /^concordat-invitation-1\.\S+$/m.exec(printed) ?? [];
  await once('fulmar', 'join', invitation, '--dir', '.', '--data', '/data/records.csv');
  assert.match(await once('coordinator', 'sites', ...config), /^FULMAR\s+enrolled/m);
});
