/**
 * Hospital networks on loopback: proxies, lines that are cut, go dead or lead elsewhere, a coordinator that is away for hours. The
 * result is the undisturbed one, bit for bit, and by both sides' logs no message is lost, or sent twice with other bytes.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, test, type TestContext } from 'node:test';
import { buildAgent, readAgentConfig } from '@concordat/node-agent/app.ts';
import type { Timing } from '@concordat/node-agent/egress/client.ts';
import { relay, testAuthority, testProxy, type ProxyOptions } from '@concordat/node-agent/egress/testing.ts';
import { WorkerPool } from '@concordat/node-agent/fit/pool.ts';
import type { LogFields } from '@concordat/node-agent/logger.ts';
import { concordat, entriesOf, Federation, HOST, resultOf, until, type Program } from './federation.ts';
import { assertLogsAgree } from './logs.ts';
import { BINARY_PLAN, writeOneStageTrials } from './trials.ts';

const STUDIES = ['A', 'B', 'C'];
const records = writeOneStageTrials(STUDIES);
const workers = new WorkerPool();
after(() => workers.close());
const hospital = await testAuthority('Hospital');
/** A connection that is dead is found out in a moment. */
const TIMING: Timing = { call: 20_000, patience: 2_000, ping: 100, pong: 200 };

const analysesOf = (federation: Federation): string =>
  JSON.stringify(resultOf(federation.path('out')).analyses);
const undisturbed = (async (): Promise<string> => {
  const federation = await Federation.make(records, BINARY_PLAN);
  const agents = federation.agents(STUDIES);
  assert.equal(await federation.coordinator().exit, 0);
  await agents.kill('SIGTERM');
  return analysesOf(federation);
})();

interface Serving {
  readonly events: LogFields[];
  stop(): Promise<void>;
}

/** An agent in this process: nothing waits, but what it would have waited is told. */
function serve(
  t: TestContext,
  federation: Federation,
  study: string,
  change: object = {},
  waited: (milliseconds: number) => void = () => undefined,
): Serving {
  const file = `${study}.yaml`;
  const config = JSON.parse(readFileSync(federation.path(file), 'utf8')) as object;
  federation.write(file, { ...config, ...change, health: undefined });
  const events: LogFields[] = [];
  const tell = (fields: LogFields): void => void events.push(fields);
  const { agent } = buildAgent(readAgentConfig(federation.path(file)), {
    logger: { info: tell, warn: tell, error: tell },
    workers,
    local: false,
    timing: TIMING,
  });
  const run = agent.run(
    (milliseconds) => {
      waited(milliseconds);
      return new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    },
    () => 0.5,
  );
  const stop = (): Promise<void> => {
    agent.stop();
    return run;
  };
  t.after(stop);
  return { events, stop };
}

async function assertUndisturbed(federation: Federation, agents: readonly Serving[]): Promise<void> {
  for (const agent of agents) await agent.stop();
  assert.equal(analysesOf(federation), await undisturbed);
  assertLogsAgree(
    federation.log('coordinator'),
    Object.fromEntries(STUDIES.map((study) => [study, federation.log(study)])),
  );
}

async function proxyFor(
  t: TestContext,
  federation: Federation,
  options: ProxyOptions = {},
): Promise<Awaited<ReturnType<typeof testProxy>>> {
  const resolve = (): { host: string; port: number } => ({ host: '127.0.0.1', port: federation.port });
  const proxy = await testProxy({ resolve, ...options });
  t.after(() => proxy.close());
  return proxy;
}

test('each site behind a proxy of its own: plain, with sign-in, and over TLS', async (t) => {
  await undisturbed;
  const federation = await Federation.make(records, BINARY_PLAN);
  const pair = await hospital.issue(['127.0.0.1']);
  writeFileSync(federation.path('proxy-ca.crt'), hospital.ca);
  writeFileSync(federation.path('proxy.credentials'), 'ward:s3cret\n');
  const [plain, asking, secure] = [
    await proxyFor(t, federation, { idle: 1_000 }),
    await proxyFor(t, federation, { credentials: 'ward:s3cret' }),
    await proxyFor(t, federation, { tls: pair, credentials: 'ward:s3cret' }),
  ];
  const coordinator = `${HOST}:443`;
  const agents = [
    serve(t, federation, 'A', { coordinator, proxy: { url: `http://127.0.0.1:${plain.port}` } }),
    serve(t, federation, 'B', { coordinator, proxy: { url: `http://ward:s3cret@127.0.0.1:${asking.port}` } }),
    serve(t, federation, 'C', {
      coordinator,
      proxy: {
        url: `https://127.0.0.1:${secure.port}`,
        ca: 'proxy-ca.crt',
        credentials_file: 'proxy.credentials',
      },
    }),
  ];
  assert.equal(await federation.coordinator().exit, 0);
  await assertUndisturbed(federation, agents);
  for (const { asked } of [plain, asking, secure]) assert.deepEqual([...new Set(asked)], [coordinator]);
  assert.doesNotMatch(JSON.stringify(agents.map(({ events }) => events)), /s3cret/);
});

test('lines that are cut between and in the middle of messages, or go dead', async (t) => {
  await undisturbed;
  const federation = await Federation.make(records, BINARY_PLAN);
  const lines = await Promise.all(STUDIES.map(() => relay(() => federation.port)));
  t.after(() => Promise.all(lines.map((line) => line.close())));
  const [cut, torn, dead] = lines as [(typeof lines)[0], (typeof lines)[0], (typeof lines)[0]];
  const agents = STUDIES.map((study, i) =>
    serve(t, federation, study, { coordinator: `127.0.0.1:${lines[i]!.port}` }),
  );
  let answers = 0;
  let deaths = 0;
  const coordinator = federation.coordinator(({ event }) => {
    if (event !== 'answer') return;
    answers++;
    if (answers % 2 === 0) cut.cut();
    if (answers % 3 === 0) torn.cutAfter(200 + 97 * answers);
    if (answers % 5 === 0 && deaths < 3) {
      deaths++;
      dead.freeze();
      setTimeout(() => dead.mend(), 1_000);
    }
  });
  assert.equal(await coordinator.exit, 0);
  await assertUndisturbed(federation, agents);
  assert.equal(deaths, 3);
  for (const line of lines) assert.ok(line.connections() >= 3, `${line.connections()} connections`);
});

test('a coordinator that is killed, and comes back at another address', async (t) => {
  await undisturbed;
  const federation = await Federation.make(records, BINARY_PLAN);
  const other = await Federation.make(records, BINARY_PLAN);
  let port = federation.port;
  const proxy = await proxyFor(t, federation, { resolve: () => ({ host: '127.0.0.1', port }) });
  const change = { coordinator: `${HOST}:443`, proxy: { url: `http://127.0.0.1:${proxy.port}` } };
  const agents = STUDIES.map((study) => serve(t, federation, study, change));
  let kills = 0;
  for (let status: number | null = null; status === null;) {
    const program: Program = federation.coordinator((event) => {
      if (kills < 3 && event['event'] === 'answer' && (event['round'] as number) >= kills + 2)
        void program.kill();
    });
    status = await program.exit;
    if (status !== null) break;
    kills++;
    port = port === federation.port ? other.port : federation.port;
    const config = JSON.parse(readFileSync(federation.path('coordinator.yaml'), 'utf8')) as object;
    federation.write('coordinator.yaml', { ...config, listen: `127.0.0.1:${port}` });
  }
  assert.equal(kills, 3);
  await assertUndisturbed(federation, agents);
});

test('an outage of hours: about four tries a minute, and the run goes on', async (t) => {
  await undisturbed;
  const federation = await Federation.make(records, BINARY_PLAN);
  const hours = 3 * 3_600_000;
  let waited = 0;
  let tries = 0;
  const agents = STUDIES.map((study, i) =>
    serve(t, federation, study, {}, (milliseconds) => {
      if (i > 0) return;
      waited += milliseconds;
      tries++;
    }),
  );
  const program: Program = federation.coordinator((event) => {
    if (event['round'] === 3 && event['event'] === 'answer') void program.kill();
  });
  assert.equal(await program.exit, null);
  [waited, tries] = [0, 0];
  await until(() => waited >= hours, 'hours to pass');
  assert.ok(tries < 4.5 * (waited / 60_000), `${tries} tries in ${waited / 60_000} minutes`);
  const said = agents[0]!.events.filter(({ event }) => event === 'exchange failed');
  assert.ok(said.length <= 3, `${said.length} lines`);
  assert.equal(await federation.coordinator().exit, 0);
  await assertUndisturbed(federation, agents);
});

test('TLS inspection is named in the log, once, and nothing passes until it is lifted', async (t) => {
  await undisturbed;
  const federation = await Federation.make(records, BINARY_PLAN);
  const inspecting = await testProxy({ intercepts: await hospital.issue([HOST]) });
  t.after(() => inspecting.close());
  const honest = await proxyFor(t, federation);
  let url = inspecting.port;
  const line = await relay(() => url);
  t.after(() => line.close());
  const change = { coordinator: `${HOST}:443`, proxy: { url: `http://127.0.0.1:${line.port}` } };
  let tries = 0;
  const agents = STUDIES.map((study) => serve(t, federation, study, change, () => void tries++));
  await until(() => tries > 20, 'some tries');
  // The start, and the agreement in force.
  for (const study of STUDIES)
    assert.deepEqual(
      entriesOf(federation.log(study)).map(({ kind }) => kind),
      ['start', 'decision'],
    );
  // A later reason of the same outage is told too.
  await inspecting.close();
  await until(() => agents[0]!.events.some(({ code }) => code === 'network/proxy'), 'another reason');
  url = honest.port;
  assert.equal(await federation.coordinator().exit, 0);
  await assertUndisturbed(federation, agents);
  const said = agents[0]!.events.filter(({ code }) => code === 'network/intercepted');
  assert.equal(said.length, 1);
  assert.match(said[0]!.detail ?? '', /issued by "CN=Hospital".*exempt/);
});

test('the doctor as a command: status 0 where all is well, and 2 where something is to be mended', async () => {
  const federation = await Federation.make(records, BINARY_PLAN);
  const doctor = (...more: readonly string[]): Program =>
    concordat(['agent', 'doctor', '--config', federation.path('B.yaml'), ...more]);
  let listening = false;
  const coordinator = federation.coordinator(({ event }) => (listening ||= event === 'listening'));
  await until(() => listening, 'the coordinator');
  const well = doctor();
  assert.equal(await well.exit, 0, well.output);
  assert.match(well.output, /^ok {4}coordinator: admits.*For the IT department/ms);
  await coordinator.kill();
  const ill = doctor('--json');
  assert.equal(await ill.exit, 2);
  const { findings } = JSON.parse(ill.output) as { findings: { state: string; found: string }[] };
  assert.deepEqual(
    findings.filter(({ state }) => state === 'fail').map(({ found }) => found.split(' ')[0]),
    ['network/unreachable'],
  );
});

test('an agent whose proxy it cannot use does not start, and dials nothing', async () => {
  const federation = await Federation.make(records, BINARY_PLAN);
  const config = JSON.parse(readFileSync(federation.path('B.yaml'), 'utf8')) as object;
  const proxy = { url: 'socks5://ward:s3cret@127.0.0.1:1080' };
  federation.write('B.yaml', { ...config, coordinator: `${HOST}:443`, proxy });
  const agent = federation.agent('B');
  assert.equal(await agent.exit, 2);
  assert.match(agent.output, /network\/proxy at proxy\.url in agent\.yaml/);
  assert.doesNotMatch(agent.output, /s3cret/);
  assert.deepEqual(entriesOf(federation.log('B')), []);
});
