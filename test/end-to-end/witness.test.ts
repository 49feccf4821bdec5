/** Logs that are restored from a backup, or shown in two versions: noticed at the next exchange, and only the pair stops. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Desk } from '@concordat/coordinator/exchange/desk.ts';
import {
  startExchangeServer,
  type ExchangeServerOptions,
  type RunningServer,
} from '@concordat/coordinator/exchange/server.ts';
import { ExchangeResponse, Standing, type Witness } from '@concordat/proto/concordat/v1/exchange.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, readCheckpoint, siteOrigin } from '@concordat/shared/log/note.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';
import { audited, told } from '../audit/logs.ts';
import { done } from './coordinator.ts';
import {
  entriesOf,
  Federation,
  newFolder,
  resultOf,
  until,
  writeTrials,
  type Logged,
  type Program,
} from './federation.ts';
import * as raw from './raw.ts';

const STUDIES = ['A', 'B'];
const data = newFolder();
writeTrials(data, STUDIES);
const files = Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)]));

/** Copies these files of the federation as they are now; what is returned puts them back. */
function backup(federation: Federation, names: readonly string[]): () => void {
  const copy = newFolder();
  const copyAll = (from: (name: string) => string, to: (name: string) => string): void => {
    for (const name of names) {
      fs.rmSync(to(name), { recursive: true, force: true });
      if (fs.existsSync(from(name))) fs.cpSync(from(name), to(name), { recursive: true });
    }
  };
  const kept = (name: string): string => join(copy, name);
  const own = (name: string): string => federation.path(name);
  copyAll(own, kept);
  return () => copyAll(kept, own);
}

interface Watched {
  readonly program: Program;
  readonly events: readonly Record<string, unknown>[];
  /** Studies of the events of this name. */
  readonly of: (name: string) => readonly unknown[];
}

function run(federation: Federation): Watched {
  const events: Record<string, unknown>[] = [];
  const program = federation.coordinator((event) => events.push(event));
  const of = (name: string): readonly unknown[] =>
    events.filter(({ event }) => event === name).map(({ study }) => study);
  return { program, events, of };
}

async function runToTheEnd(federation: Federation): Promise<void> {
  const { program } = run(federation);
  assert.equal(await program.exit, 0, program.output);
}

const agreed = (federation: Federation): boolean =>
  resultOf(federation.path('out')).run.sites.every(({ status }) => status === 'answered');
/** All logs together, and each by itself: a divergence that is known to both sides is no finding. */
function assertNothingFound(federation: Federation): void {
  const logs = [...STUDIES, 'coordinator'].map((party) => [party, federation.log(party)] as const);
  for (const some of [logs, ...logs.map((log) => [log])])
    assert.deepEqual(told(audited(Object.fromEntries(some))), []);
}
const ofType = (federation: Federation, log: string, type: string): readonly Logged[] =>
  entriesOf(federation.log(log)).filter((entry) => entry.type === type);
const acknowledgeAgent = (federation: Federation, study: string): Promise<string> =>
  done(['agent', 'acknowledge', '--config', federation.path(`${study}.yaml`), '--note', 'restored']);
const acknowledgeCoordinator = (federation: Federation, study: string): Promise<string> =>
  done(['coordinator', 'acknowledge', study, '--config', federation.path('coordinator.yaml')]);

test('a site that is restored from a backup: the others go on, it goes on when both sides have acknowledged', async () => {
  const federation = await Federation.make(files);
  const b = federation.agent('B');
  let a = federation.agent('A');
  await runToTheEnd(federation);
  await a.kill('SIGTERM');
  const restore = backup(federation, ['log/A', 'state/A']);
  a = federation.agent('A');
  await runToTheEnd(federation);
  await a.kill();
  restore();
  a = federation.agent('A');
  const { program, of } = run(federation);
  await until(() => of('divergence').length > 0 && of('answer').includes('B'), 'the divergence, and B');
  await until(() => ofType(federation, 'A', 'divergence').length > 0, 'the agent to notice');
  assert.deepEqual(of('divergence'), ['A']);
  assert.ok(!of('answer').includes('A'));
  const health = await fetch(`http://127.0.0.1:${federation.agentHealth}/health`);
  assert.match(await health.text(), /"A":"log\/(rollback|split-view)"/);

  // Again, and each side by itself: nothing more comes of it.
  await a.kill();
  assert.match(await acknowledgeAgent(federation, 'A'), /of the log concordat\/site\/A/);
  a = federation.agent('A');
  await until(() => ofType(federation, 'A', 'acknowledgement').length > 0, 'the agent to take it');
  assert.match(await acknowledgeAgent(federation, 'A'), /nothing is to be acknowledged/);
  assert.ok(!of('answer').includes('A'));
  await acknowledgeCoordinator(federation, 'A');
  assert.equal(await program.exit, 0, program.output);
  assert.deepEqual([of('divergence'), of('acknowledgement')], [['A'], ['A']]);
  assert.ok(agreed(federation));
  await Promise.all([a.kill('SIGTERM'), b.kill('SIGTERM')]);
  for (const type of ['divergence', 'acknowledgement']) {
    assert.deepEqual(
      ofType(federation, 'coordinator', type).map(({ peer, detail }) => [peer, detail?.['log']]),
      [['A', siteOrigin('A')]],
    );
    assert.deepEqual(
      ofType(federation, 'A', type).map(({ peer, detail }) => [peer, detail?.['log']]),
      [['coordinator', siteOrigin('A')]],
    );
    assert.deepEqual(ofType(federation, 'B', type), []);
  }
  assertNothingFound(federation);
});

test('a coordinator whose log and journal are restored from a backup: every site notices, and each goes on by itself', async () => {
  const federation = await Federation.make(files);
  const agents = federation.agents(STUDIES);
  await runToTheEnd(federation);
  const restore = backup(federation, [
    'log/coordinator',
    'journal.sqlite',
    'journal.sqlite-wal',
    'journal.sqlite-shm',
  ]);
  await runToTheEnd(federation);
  restore();
  const { program, of } = run(federation);
  await until(() => of('divergence').length === 2, 'both divergences');
  await until(
    () => STUDIES.every((study) => ofType(federation, study, 'divergence').length > 0),
    'both sites to notice',
  );
  assert.deepEqual(of('answer'), []);
  for (const study of STUDIES) {
    await acknowledgeCoordinator(federation, study);
    await acknowledgeAgent(federation, study);
  }
  assert.equal(await program.exit, 0, program.output);
  assert.ok(agreed(federation));
  await agents.kill('SIGTERM');
  for (const study of STUDIES)
    assert.deepEqual(
      ofType(federation, study, 'divergence').map(({ detail }) => detail?.['log']),
      [COORDINATOR_ORIGIN],
    );
  assertNothingFound(federation);
});

/** A coordinator's server for site A alone, with this view of the logs. */
function serveA(
  federation: Federation,
  desk: Desk,
  witness: ExchangeServerOptions['witness'],
): Promise<RunningServer> {
  const read = (name: string): string => fs.readFileSync(federation.path(name), 'utf8');
  return startExchangeServer({
    listen: `127.0.0.1:${federation.port}`,
    tls: {
      ca: { enrolled: null, listed: read('ca.crt') },
      certificate: read('coordinator.crt'),
      key: read('coordinator.tls.key'),
    },
    registered: {
      listed: new Map([
        [
          createHash('sha256')
            .update(new X509Certificate(read('A.crt')).raw)
            .digest('hex'),
          'A',
        ],
      ]),
      site: () => null,
      certificate: () => null,
      ownerOf: () => null,
    },
    enrolment: null,
    now: () => new Date(),
    desk,
    witness,
    accept: () => Promise.reject(new Error('an answer')),
    seen: () => undefined,
    waiting: () => undefined,
    refused: () => undefined,
  });
}

test('a coordinator that shows two histories of its log gets nothing more', async () => {
  const federation = await Federation.make({ A: files['A']! });
  const read = (name: string): string => fs.readFileSync(federation.path(name), 'utf8');
  const identity = signingIdentity(read('coordinator.signing.key'), 'coordinator');
  const open = (directory: string): MessageLog =>
    new MessageLog({
      fs,
      directory,
      origin: COORDINATOR_ORIGIN,
      identity,
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
  const histories = [newFolder(), newFolder()].map(open);
  histories.forEach((log, i) => {
    for (let n = 0; n < 3 + 4 * i; n++) log.append({ kind: 'start', detail: { history: n === 0 ? 0 : i } });
  });
  const requests: Witness[] = [];
  const server = await serveA(federation, new Desk(), {
    take: (_, presented) => {
      requests.push(presented!);
      return 'unproven';
    },
    // To each call a proof from what the agent keeps, as far as the history that is shown has one.
    offer: () => {
      const log = histories[requests.length > 1 ? 1 : 0]!;
      const from = readCheckpoint(requests.at(-1)!.kept)?.size ?? 0;
      const proof = [...log.tree.consistencyProof(from)];
      return { checkpoint: log.note, from, proof, kept: '', standing: Standing.STANDING_UNSPECIFIED };
    },
    halted: () => null,
  });
  const agent = federation.agent('A');
  await until(() => ofType(federation, 'A', 'divergence').length > 0, 'the agent to notice');
  const seen = requests.length;
  await until(() => requests.length > seen, 'the agent to say so');
  assert.equal(requests.at(-1)!.standing, Standing.STANDING_SPLIT_VIEW);
  const [entry] = ofType(federation, 'A', 'divergence');
  assert.equal(entry?.detail?.['divergence'], 'split-view');
  assert.equal(entry?.detail?.['log'], COORDINATOR_ORIGIN);
  assert.match(agent.output, /logs diverged: nothing is answered/);
  assert.equal(await agent.kill('SIGTERM'), 0);
  await server.stop();
});

test('a call that was held while the pair was stopped brings no tasks', async (t) => {
  const federation = await Federation.make({ A: files['A']! });
  const desk = new Desk();
  const own = raw.witnessOf(siteOrigin('A'), fs.readFileSync(federation.path('A.signing.key'), 'utf8'));
  let halted: 'rollback' | null = null;
  const server = await serveA(federation, desk, {
    take: () => 'together',
    offer: () => own,
    halted: () => halted,
  });
  t.after(() => server.stop());
  const session = await raw.open(federation, federation.path('A'));
  t.after(() => session.close());
  const message = { key: new Uint8Array(32), body: Buffer.from('a task'), signature: new Uint8Array(64) };
  const tasksOf = async (): Promise<number> => {
    const held = raw.call(session, raw.frame(raw.request([], own)));
    await delay(500);
    desk.add('00', { study: 'A', message });
    desk.wake(['A']);
    const { status, body } = await held;
    desk.remove('A', '00');
    assert.equal(status, 0);
    return ExchangeResponse.decode(body.subarray(5)).tasks.length;
  };
  assert.equal(await tasksOf(), 1);
  const held = tasksOf();
  halted = 'rollback';
  assert.equal(await held, 0);
});
