/**
 * A coordinator and two agents in containers, each agent on a network of its own from which only the coordinator can be
 * reached, with keys and configuration files that a consortium's own PKI made and a plan that the sites' agreements name as
 * template. Needs a Docker engine and the images that `deploy/build-images.sh` makes.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { makeAuthority, type PartyKeys } from '@concordat/cli/local/keys.ts';
import { buildAnalysisSet } from '@concordat/node-agent/data/design.ts';
import { loadTable } from '@concordat/node-agent/data/load.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { GenericContainer, getContainerRuntimeClient, Wait, type StartedTestContainer } from 'testcontainers';
import { stringify } from 'yaml';
import { generate } from '../../examples/hypertension/generate.ts';

const STUDIES = ['FULMAR', 'IBIS'];
const PLAN = `plan: 1
id: containers
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: cvd_days, event: cvd_event}
analyses:
  - {id: cvd, approach: two-stage, model: {family: cox, adjust: [age, sex]}, pool: {tau2: REML, ci: HKSJ}}
`;
const AGREEMENT = stringify({
  agreement: 1,
  name: 'containers',
  until: '9999-12-31',
  approval: 'matching-template',
  templates: ['plan.yaml'],
  variables: 'all',
  outcomes: 'all',
  families: 'all',
});
const STATE = '/var/lib/concordat';

const directory = mkdtempSync(join(tmpdir(), 'containers-'));
const client = await getContainerRuntimeClient();
const agents = new Map<string, StartedTestContainer>();
const cleanup: (() => Promise<unknown>)[] = [];
let coordinator: StartedTestContainer;

async function makeNetwork(name: string): Promise<Awaited<ReturnType<typeof client.network.create>>> {
  // Internal: no route out of it.
  const network = await client.network.create({ Name: `${name}-${process.pid}`, Internal: true });
  cleanup.push(() => client.network.remove(network));
  return network;
}

/** The party's own keys and what else it is given, as files in the folder that its program works in. */
function files(
  name: string,
  more: Readonly<Record<string, string>>,
): { content: string; target: string; mode: number }[] {
  const keys = ['ca.crt', `${name}.crt`, `${name}.tls.key`, `${name}.signing.key`];
  const own = Object.fromEntries(keys.map((file) => [file, readFileSync(join(directory, file), 'utf8')]));
  return Object.entries({ ...own, ...more }).map(([file, content]) => ({
    content,
    target: `${STATE}/${file}`,
    mode: 0o444,
  }));
}

const tls = (name: string): object => ({ ca: 'ca.crt', certificate: `${name}.crt`, key: `${name}.tls.key` });

before(async () => {
  const authority = await makeAuthority(directory);
  const coordinatorKeys = await authority.issue('coordinator', 'coordinator', { hosts: ['coordinator'] });
  const siteKeys = new Map<string, PartyKeys>();
  for (const study of STUDIES) siteKeys.set(study, await authority.issue(study, study, null));
  const networks = [];
  for (const study of STUDIES) networks.push(await makeNetwork(`concordat-${study.toLowerCase()}`));

  const configuration = stringify({
    coordinator: 1,
    listen: '0.0.0.0:8443',
    tls: tls('coordinator'),
    signing_key: 'coordinator.signing.key',
    state: 'journal.sqlite',
    log: 'log',
    sites: [...siteKeys].map(([study, keys]) => ({
      study,
      key: keys.publicKey,
      certificate: keys.fingerprint,
    })),
  });
  coordinator = await new GenericContainer('concordat-coordinator')
    .withNetworkMode(networkName(0))
    .withNetworkAliases('coordinator')
    .withCopyContentToContainer(
      files('coordinator', { 'coordinator.yaml': configuration, 'plan.yaml': PLAN }),
    )
    .withCommand(['--config', 'coordinator.yaml', '--plan', 'plan.yaml', '--out', 'out'])
    .withWaitStrategy(Wait.forLogMessage('"listening"'))
    .start();
  cleanup.unshift(() => coordinator.stop());
  const container = client.container.getById(coordinator.getId());
  for (const network of networks.slice(1))
    await client.container.connectToNetwork(container, network, ['coordinator']);

  for (const [index, study] of STUDIES.entries()) {
    const agent = await new GenericContainer('concordat-node-agent')
      .withNetworkMode(networkName(index))
      .withCopyContentToContainer(
        files(study, {
          'agent.yaml': stringify({
            agent: 1,
            study,
            coordinator: 'coordinator:8443',
            coordinator_key: coordinatorKeys.publicKey,
            tls: tls(study),
            signing_key: `${study}.signing.key`,
            data: 'records.csv',
            agreement: 'agreement.yaml',
            log: 'log',
            health: '127.0.0.1:8080',
          }),
          'agreement.yaml': AGREEMENT,
          'plan.yaml': PLAN,
          'records.csv': recordsOf(study),
        }),
      )
      .withCommand(['--config', 'agent.yaml'])
      .withDroppedCapabilities('ALL')
      // As the image has it, but at once.
      .withHealthCheck({ test: ['CMD', 'concordat-agent', 'health'], interval: 500, retries: 60 })
      .start();
    agents.set(study, agent);
    cleanup.unshift(() => agent.stop());
  }
});

after(async () => {
  for (const clean of cleanup) await clean();
  rmSync(directory, { recursive: true });
});

function networkName(index: number): string {
  return `concordat-${STUDIES[index]!.toLowerCase()}-${process.pid}`;
}

function recordsOf(study: string): string {
  return generate().find(({ file }) => file === `${study}.csv`)!.text;
}

/** How a connection from inside a container ends: `connected`, or the code of the failure. */
async function dial(from: StartedTestContainer, host: string, port: number): Promise<string> {
  const script = `const s = require('node:net').connect({ host: '${host}', port: ${port}, timeout: 1000 });
    const end = (word) => { console.log(word); process.exit(); };
    s.on('connect', () => end('connected')).on('timeout', () => end('ETIMEDOUT')).on('error', (e) => end(e.code));`;
  return (await from.exec(['node', '-e', script])).output.trim();
}

test('the run ends with every analysis done, equal to what the same code gives on the records themselves', async () => {
  // Ends when the container does.
  const output = await text(await coordinator.logs());
  assert.match(output, /"listening"/);
  const container = client.container.getById(coordinator.getId());
  const tar = spawn('tar', ['--extract', '--directory', directory], { stdio: ['pipe', 'ignore', 'inherit'] });
  (await client.container.fetchArchive(container, `${STATE}/out`)).pipe(tar.stdin);
  await new Promise((resolve) => tar.once('exit', resolve));
  const result = JSON.parse(readFileSync(join(directory, 'out/result.json'), 'utf8')) as Result;
  assert.equal((await client.container.inspect(container)).State.ExitCode, 0);

  const plan = expandPlan(parsePlan(PLAN, 'plan'));
  const [analysis] = plan.analyses;
  assert.equal(result.analyses['cvd']!.status, 'done');
  for (const [index, study] of STUDIES.entries()) {
    const file = join(directory, `${study}.csv`);
    writeFileSync(file, recordsOf(study));
    const { data, treatmentTerms } = buildAnalysisSet(plan, analysis!, await loadTable(file, plan, null));
    const fit = fitStageOne(data, { family: 'cox', ties: 'efron' }, treatmentTerms);
    assert.ok(fit.status === 'fitted');
    const released = result.analyses['cvd']!.studies[index]!;
    assert.equal(released.study, study);
    assert.deepEqual(
      released.estimates?.map(({ estimate }) => estimate),
      [...fit.estimates],
    );
  }
});

test('from an agent only the coordinator can be reached', async () => {
  const [first, second] = STUDIES.map((study) => agents.get(study)!);
  for (const agent of [first!, second!]) {
    assert.match(await dial(agent, '192.0.2.1', 443), /^(ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)$/);
  }
  const address = second!.getIpAddress(networkName(1));
  assert.match(await dial(first!, address, 8443), /^(ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)$/);
});

test('an agent runs without rights, in an image without the coordinator', async () => {
  const agent = agents.get(STUDIES[0]!)!;
  const script = `const fs = require('node:fs');
    const end = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
    console.log(JSON.stringify([
      process.getuid(),
      /CapBnd:\\s*(.*)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1],
      end(() => fs.readdirSync('/opt/concordat/coordinator/src')),
      end(() => fs.appendFileSync('/opt/concordat/shared/src/errors.ts', '')),
      end(() => require('node:child_process').execFileSync('/bin/sh')),
    ]));`;
  const { output } = await agent.exec(['node', '-e', script]);
  assert.deepEqual(JSON.parse(output), [10001, '0000000000000000', 'ENOENT', 'EACCES', 'ENOENT']);
});
