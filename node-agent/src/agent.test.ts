import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import type { Standpoint } from '@concordat/shared/log/peer-log.ts';
import type { DivergenceKind } from '@concordat/shared/log/witness.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import { signMessage } from '@concordat/shared/wire/signing.ts';
import fc from 'fast-check';
import { Agent, backOff, type AgentOptions } from './agent.ts';
import type { ExchangeAnswer } from './egress/client.ts';
import type { Released } from './egress/gate.ts';
import type { Draft, StudyAnswer, StudyQuestion } from './fit/draft.ts';
import {
  AGREEING,
  coordinator,
  headerOf,
  newFolder,
  offer,
  openLog,
  PLAN,
  RUN,
  site,
  situation,
  taskOf,
} from './testing.ts';

const PROBLEM: Draft = {
  payload: { $case: 'dataProblem', value: { problem: 'PROBLEM_ENCODING' } },
  evidence: { kind: 'none' },
};
const answerProblems = (question: StudyQuestion): StudyAnswer => ({
  drafts: (question.kind === 'stage-one' ? question.analyses : ['']).map(() => PROBLEM),
  problems: [],
});
const nobody = {
  exchange: () => Promise.reject(new Error('not called')),
  interrupt: () => undefined,
  close: () => undefined,
};

function agentOf(log: MessageLog, over: Partial<AgentOptions> = {}): Agent {
  return new Agent({
    ...situation(),
    client: nobody,
    log,
    workers: { ask: (question) => Promise.resolve(answerProblems(question)) },
    ...over,
  });
}

const kindOf = ({ message }: Released): string => SiteMessage.decode(message.body).payload!.$case;
const stageOne = (analysis: string): SignedMessage =>
  taskOf(
    { $case: 'stageOneQuestion', value: { agreedLevels: [{ variable: 'centre', levels: [] }] } },
    { analysis, round: 2 },
  );
const close = (): SignedMessage => taskOf({ $case: 'runClosed', value: {} }, { round: 3 });

test('a run from the offer to its close, one answer a task', async () => {
  const log = openLog(newFolder());
  const agent = agentOf(log);
  const kinds: string[][] = [];
  for (const tasks of [
    [offer()],
    [taskOf({ $case: 'factorLevelsQuestion', value: { variables: ['centre'] } }, { round: 1 })],
    [stageOne('effect'), stageOne('by-centre')],
    [close()],
  ]) {
    kinds.push((await agent.answerAll(tasks)).map(kindOf));
  }
  assert.deepEqual(kinds, [['planAccepted'], ['dataProblem'], ['dataProblem', 'dataProblem'], ['runLeft']]);
  assert.deepEqual(
    log.entries.filter(({ kind }) => kind === 'approved').map(({ detail }) => detail?.['mode']),
    ['automatic'],
  );
});

test('a restarted agent still knows its plan, and repeats what it said byte for byte without asking its records', async () => {
  const directory = newFolder();
  const log = openLog(directory);
  const before = await agentOf(log).answerAll([offer(), stageOne('effect')]);
  log.close();
  const reopened = openLog(directory);
  const unused = { ask: () => Promise.reject(new Error('asked again')) };
  const again = await agentOf(reopened, { workers: unused }).answerAll([offer(), stageOne('effect')]);
  assert.deepEqual(
    again.map(({ message }) => message),
    before.map(({ message }) => message),
  );
  const other = await agentOf(reopened).answerAll([stageOne('by-centre')]);
  assert.deepEqual(other.map(kindOf), ['dataProblem']);
});

test('a restart does not take up another plan that was offered under the same run', async () => {
  const directory = newFolder();
  const log = openLog(directory);
  const other = PLAN.replace('id: tiny', 'id: other');
  const second = offer(other, { planDigest: sha256(other) });
  const before = agentOf(log);
  assert.deepEqual((await before.answerAll([offer()])).map(kindOf), ['planAccepted']);
  assert.deepEqual(await before.answerAll([second]), []);
  log.close();
  const after = agentOf(openLog(directory));
  assert.deepEqual(await after.answerAll([second]), []);
  assert.deepEqual((await after.answerAll([stageOne('effect')])).map(kindOf), ['dataProblem']);
});

test('nothing is answered or accepted under a run that is closed, after a restart too', async () => {
  const directory = newFolder();
  const log = openLog(directory);
  const agent = agentOf(log);
  await agent.answerAll([offer(), close()]);
  const late = async (closed: Agent, analysis: string): Promise<string[]> =>
    (
      await closed.answerAll([
        stageOne(analysis),
        taskOf({ $case: 'planOffer', value: planOffer(PLAN, undefined) }, { attempt: 1 }),
      ])
    ).map(kindOf);
  assert.deepEqual((await late(agent, 'effect')).toSorted(), ['refusal', 'refusal']);
  log.close();
  assert.deepEqual((await late(agentOf(openLog(directory)), 'effect')).toSorted(), ['refusal', 'refusal']);
});

test('a question under a run whose plan was not accepted is refused', async () => {
  const agent = agentOf(openLog(newFolder()));
  assert.deepEqual((await agent.answerAll([stageOne('effect')])).map(kindOf), ['refusal']);
  const broken = 'plan: 1\nid: broken\n';
  const released = await agent.answerAll([
    offer(broken, { planDigest: sha256(broken) }),
    stageOne('by-centre'),
  ]);
  assert.deepEqual(released.map(kindOf), ['refusal', 'refusal']);
});

test('a task that is not what it claims to be gets no answer, and an entry in the log', async () => {
  const cases: readonly (readonly [string, SignedMessage])[] = [
    ['wire/signature', taskOf({ $case: 'runClosed', value: {} }, {}, site)],
    ['wire/signature', { ...close(), signature: new Uint8Array(64) }],
    ['wire/identity', taskOf({ $case: 'runClosed', value: {} }, { study: 'B' })],
    ['wire/identity', taskOf({ $case: 'runClosed', value: {} }, { run: RUN.subarray(1) })],
    ['wire/identity', taskOf({ $case: 'runClosed', value: {} }, { planDigest: sha256('another') })],
    ['wire/identity', taskOf({ $case: 'runClosed', value: {} }, { rosterDigest: sha256('another') })],
    [
      'wire/identity',
      signMessage(
        coordinator,
        CoordinatorMessage.encode({ header: headerOf(), payload: undefined }).finish(),
      ),
    ],
    ['wire/malformed', signMessage(coordinator, Uint8Array.of(0xff))],
    ['wire/unknown-field', signMessage(coordinator, Uint8Array.of(0x98, 0x06, 1))],
  ];
  for (const [code, task] of cases) {
    const log = openLog(newFolder());
    const agent = agentOf(log);
    await agent.answerAll([offer()]);
    assert.deepEqual(await agent.answerAll([task]), []);
    const last = log.entries.at(-1);
    assert.equal(last?.kind, 'refused');
    assert.equal(last?.detail?.['code'], code);
  }
});

test('fuzz: whatever arrives, no crash, and no answer to what the coordinator did not sign', async () => {
  const log = openLog(newFolder());
  const agent = agentOf(log);
  const genuine = [offer(), stageOne('effect'), close()];
  const mutated = fc
    .tuple(fc.constantFrom(...genuine), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean())
    .map(([task, at, change, cut]) => {
      const body = Uint8Array.from(task.body);
      body[at % body.length]! ^= change;
      return cut ? body.subarray(0, at % body.length) : body;
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), async (body) => {
      const forged = { ...signMessage(site, body), key: coordinator.publicKey };
      assert.deepEqual(await agent.answerAll([forged, { ...genuine[0]!, body }]), []);
      // Signed, so that what is inside is reached: an answer or none, never an exception.
      for (const { message } of await agent.answerAll([signMessage(coordinator, body)]))
        SiteMessage.decode(message.body);
    }),
    { numRuns: 100 },
  );
});

test('told to stop during a fit: no answer is made up, and the log ends with the stop', async () => {
  const directory = newFolder();
  const log = openLog(directory);
  const accepted = await agentOf(log).answerAll([offer()]);
  assert.equal(accepted.length, 1);
  const asked: ExchangeAnswer[] = [{ status: 'ok', tasks: [stageOne('effect')] }];
  const client = {
    exchange: (replies: readonly Released[]): Promise<ExchangeAnswer> => {
      assert.deepEqual(replies, []);
      return Promise.resolve(asked.shift() ?? { status: 'failed', failure: 'network/unreachable' });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const workers = {
    ask: (question: StudyQuestion): Promise<StudyAnswer> => {
      agent.stop();
      return Promise.resolve(answerProblems(question));
    },
  };
  const agent: Agent = agentOf(log, { client, workers });
  await agent.run(() => Promise.resolve(), Math.random);
  const after = openLog(directory);
  assert.equal(after.entries.at(-1)?.kind, 'stop');
  assert.equal(after.entries.filter(({ type }) => type === 'dataProblem').length, 0);
  const later = await agentOf(after).answerAll([stageOne('effect')]);
  assert.deepEqual(later.map(kindOf), ['dataProblem']);
});

test('a failed exchange is tried again with the same replies; connected says how it stands', async () => {
  const states: boolean[] = [];
  const replies: number[] = [];
  const answers: ExchangeAnswer[] = [
    { status: 'ok', tasks: [offer()] },
    { status: 'failed', failure: 'network/unreachable' },
    { status: 'failed', failure: 'not-admitted' },
    { status: 'ok', tasks: [] },
  ];
  const client = {
    exchange: (sent: readonly Released[]): Promise<ExchangeAnswer> => {
      states.push(agent.connected);
      replies.push(sent.length);
      const next = answers.shift();
      if (next === undefined) agent.stop();
      return Promise.resolve(next ?? { status: 'ok', tasks: [] });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const agent: Agent = agentOf(openLog(newFolder()), { client });
  await agent.run(
    () => Promise.resolve(),
    () => 0.5,
  );
  assert.deepEqual(states, [false, true, false, false, true]);
  assert.deepEqual(replies, [0, 1, 1, 1, 0]);
});

test('a decision is taken while the coordinator is away, and not only when the next try is due', async () => {
  let calls = 0;
  const client = {
    exchange: (): Promise<ExchangeAnswer> => {
      if (++calls === 2) agent.stop();
      return Promise.resolve({ status: 'failed', failure: 'network/unreachable' });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const agent: Agent = agentOf(openLog(newFolder()), { client });
  const never = (): Promise<void> => {
    setImmediate(() => agent.decided());
    return new Promise(() => undefined);
  };
  await agent.run(never, () => 1);
  assert.equal(calls, 2);
});

test('asked the same again and again, it answers more and more slowly', async () => {
  const waits: number[] = [];
  let calls = 0;
  const tasks = [taskOf({ $case: 'runClosed', value: {} }, {}, site)];
  const client = {
    exchange: (): Promise<ExchangeAnswer> => {
      if (++calls === 5) agent.stop();
      return Promise.resolve({ status: 'ok', tasks });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const agent: Agent = agentOf(openLog(newFolder()), { client });
  await agent.run(
    (milliseconds) => Promise.resolve(void waits.push(milliseconds)),
    () => 1,
  );
  assert.deepEqual(waits, [200, 400, 800]);
});

test('tasks that wait for a custodian are named with each exchange, so many at most, and those of a closed run no more', async () => {
  const other = new Uint8Array(16).fill(7);
  const many = Array.from({ length: 300 }, (_, n) => offer(PLAN, { run: other, attempt: n }));
  const answers: ExchangeAnswer[] = [
    { status: 'ok', tasks: [offer()] },
    { status: 'ok', tasks: many },
    { status: 'ok', tasks: [taskOf({ $case: 'runClosed', value: {} }, { run: other, round: 3 })] },
  ];
  const named: number[] = [];
  const client = {
    exchange: (_: readonly Released[], waiting: readonly Uint8Array[]): Promise<ExchangeAnswer> => {
      named.push(waiting.length);
      const next = answers.shift();
      if (next === undefined) agent.stop();
      return Promise.resolve(next ?? { status: 'ok', tasks: [] });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const custodians = [{ name: 'Vera', key: toHex(site.publicKey) }];
  const agent: Agent = agentOf(openLog(newFolder()), {
    ...situation({ approval: 'each-plan', custodians }),
    client,
  });
  await agent.run(() => Promise.resolve(), Math.random);
  assert.deepEqual(named, [0, 1, 256, 1]);
});

test('no common version ends the agent, with its log closed', async () => {
  const directory = newFolder();
  const client = {
    exchange: () => Promise.reject(new ConcordatError('wire/version', 'none')),
    interrupt: () => undefined,
    close: () => undefined,
  };
  const agent = agentOf(openLog(directory), { client });
  await assert.rejects(
    agent.run(() => Promise.resolve(), Math.random),
    { code: 'wire/version' },
  );
  assert.equal(openLog(directory).entries.at(-1)?.kind, 'stop');
});

test('waits between tries grow to ten seconds, with full jitter', () => {
  assert.equal(backOff(0, 1), 100);
  assert.equal(backOff(3, 0.5), 400);
  assert.equal(backOff(40, 1), 30_000);
  assert.equal(backOff(40, 0), 0);
});

/** An agent whose exchanges all arrive, and come to these one after the other; what it sent. */
async function exchanged(
  standpoints: Standpoint[],
  halted: () => DivergenceKind | null = () => null,
): Promise<{ readonly replies: readonly number[]; readonly failures: readonly unknown[] }> {
  const replies: number[] = [];
  const failures: unknown[] = [];
  const client = {
    exchange: (sent: readonly Released[]): Promise<ExchangeAnswer> => {
      replies.push(sent.length);
      failures.push(agent.connection.failure?.code ?? null);
      return Promise.resolve({ status: 'ok', tasks: replies.length === 1 ? [offer()] : [] });
    },
    interrupt: () => undefined,
    close: () => undefined,
  };
  const witness = {
    ...AGREEING,
    get halted(): DivergenceKind | null {
      return halted();
    },
    take: (): Standpoint => {
      const next = standpoints.shift();
      if (next === undefined) agent.stop();
      return next ?? 'together';
    },
  };
  const agent: Agent = agentOf(openLog(newFolder()), { client, witness });
  await agent.run(
    () => Promise.resolve(),
    () => 0,
  );
  return { replies, failures };
}

test('an exchange that was not used for want of a proof is repeated at once, so many times', async () => {
  const { replies, failures } = await exchanged(['together', 'unproven', 'together']);
  assert.deepEqual(replies, [0, 1, 1, 0]);
  assert.deepEqual(failures, [null, null, null, null]);
  const endless = await exchanged(['together', 'unproven', 'unproven', 'unproven']);
  assert.deepEqual(endless.failures.at(-1), 'rejected');
});

test('while the logs diverge nothing is sent; then what was not', async () => {
  const standpoints: Standpoint[] = ['together', 'rollback', 'rollback', 'together'];
  const { replies, failures } = await exchanged(standpoints, () =>
    [1, 2].includes(standpoints.length) ? 'rollback' : null,
  );
  assert.deepEqual(replies, [0, 1, 0, 0, 1]);
  assert.deepEqual(failures, [null, null, 'log/rollback', 'log/rollback', 'log/rollback']);
});
