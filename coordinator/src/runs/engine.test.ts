import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { Desk } from '../exchange/desk.ts';
import { Journal, type RunRecord } from '../store/journal.ts';
import { RunEngine, STAGING_LIMIT, type Progress } from './engine.ts';
import type { RunOutcome } from './program.ts';
import {
  coordinator,
  estimate,
  honest,
  identities,
  newFolder,
  newRun,
  openLog,
  replyTo,
  STUDIES,
} from './testing.ts';

// Time stands still unless a test moves it: no round ends because the machine is slow.
beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** What a site sends when it is given a task; several messages, or none. */
type Behaviour = (study: string, task: SignedMessage) => readonly SignedMessage[];

const behave: Behaviour = (study, task) => [
  replyTo(task, honest(study, CoordinatorMessage.decode(task.body)), identities.get(study)!),
];
const caseOf = (task: SignedMessage): string => CoordinatorMessage.decode(task.body).payload!.$case;

interface Setting {
  readonly folder: string;
  readonly run: RunRecord;
  /** Shared by the processes of a run; default: a file in the folder. */
  readonly journal?: Journal;
  readonly files?: Parameters<typeof openLog>[1];
  readonly wrap?: (journal: Journal) => Journal;
}

/** A run over the sites of `testing.ts`; opened again over the same setting, it resumes. */
class Federation {
  readonly desk = new Desk();
  readonly events: Progress[] = [];
  readonly log: MessageLog;
  readonly engine: RunEngine;
  readonly #journal: Journal;
  readonly #gone = new AbortController();

  constructor({ folder, run, files, journal, wrap = (whole) => whole }: Setting) {
    this.#journal = journal ?? new Journal(join(folder, 'journal.sqlite'));
    if (this.#journal.unfinishedRun() === null) this.#journal.createRun(run);
    this.log = openLog(join(folder, 'log'), files);
    const keys = new Map([...identities].map(([study, { publicKey }]) => [study, publicKey]));
    const progress = (event: Progress): void => void this.events.push(event);
    const options = {
      journal: wrap(this.#journal),
      log: this.log,
      identity: coordinator,
      keys,
      desk: this.desk,
      progress,
    };
    this.engine = new RunEngine(options, run);
  }

  /** Resolves to the outcome; rejects where the engine, or what a site sent, threw. */
  async play(behaviour: Behaviour = behave): Promise<RunOutcome> {
    const serve = async (study: string): Promise<never> => {
      for (;;) {
        const tasks = await this.desk.collect(study, 1, this.#gone.signal);
        if (this.#gone.signal.aborted) return new Promise(() => undefined);
        for (const task of tasks)
          for (const reply of behaviour(study, task)) this.engine.accept(study, reply);
        await new Promise(setImmediate);
      }
    };
    try {
      return await Promise.race([this.engine.run(), ...STUDIES.map(serve)]);
    } finally {
      this.#gone.abort();
    }
  }

  close(): void {
    this.log.close();
  }
}

async function playNew(
  behaviour: Behaviour = behave,
): Promise<{ outcome: RunOutcome; federation: Federation }> {
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const outcome = await federation.play(behaviour);
  federation.close();
  return { outcome, federation };
}

const analysesOf = ({ analyses }: RunOutcome): string => JSON.stringify(analyses);
const undisturbed = analysesOf((await playOutside()).outcome);

/** The reference run is played before the first test, with its own timers. */
async function playOutside(): ReturnType<typeof playNew> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    return await playNew();
  } finally {
    mock.timers.reset();
  }
}

const refusals = ({ log }: Federation): unknown[] =>
  log.entries.filter(({ kind }) => kind === 'refused').map(({ detail }) => detail?.['code']);

test('a run over three sites: every task logged as sent, every reply as received, each once', async () => {
  const { outcome, federation } = await playNew();
  assert.equal(analysesOf(outcome), undisturbed);
  const { entries } = federation.log;
  const tasks = (kind: string): string[] =>
    entries
      .filter((entry) => entry.kind === kind)
      .map(({ task = '' }) => task)
      .toSorted((a, b) => (a < b ? -1 : 1));
  assert.equal(tasks('sent').length, 3 + 3 + 6 + 3);
  assert.deepEqual(tasks('received'), tasks('sent'));
  assert.deepEqual(refusals(federation), []);
  assert.deepEqual(federation.events.filter(({ event }) => event === 'answer').length, 15);
});

/** B's stage-one answer to the analysis `effect` is replaced. */
const spoil =
  (spoiled: (task: SignedMessage, genuine: SignedMessage) => readonly SignedMessage[]): Behaviour =>
  (study, task) => {
    const genuine = behave(study, task);
    const { header, payload } = CoordinatorMessage.decode(task.body);
    const chosen = study === 'B' && payload?.$case === 'stageOneQuestion' && header?.analysis === 'effect';
    return chosen ? spoiled(task, genuine[0]!) : genuine;
  };
const siteB = identities.get('B')!;
const stageOne = (value: ReturnType<typeof estimate>) => ({ $case: 'stageOneEstimate', value }) as const;

const unusable: readonly (readonly [string, string, Behaviour])[] = [
  ['of a wrong length', 'wire/length', spoil((task) => [replyTo(task, stageOne(estimate('B', 3)), siteB)])],
  [
    'with a number that is not finite',
    'wire/not-finite',
    spoil((task) => [replyTo(task, stageOne({ ...estimate('B', 2), estimates: [Number.NaN, 1] }), siteB)]),
  ],
  [
    'with a variance below zero',
    'wire/not-finite',
    spoil((task) => [replyTo(task, stageOne({ ...estimate('B', 2), vcov: [1, 0, -1] }), siteB)]),
  ],
  [
    'of another run',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { run: new Uint8Array(16) })]),
  ],
  [
    'of another round',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { round: 7 })]),
  ],
  [
    'of another plan',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { planDigest: sha256('x') })]),
  ],
  [
    'of another roster',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { rosterDigest: sha256('x') })]),
  ],
  [
    'that names another study',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { study: 'A' })]),
  ],
  [
    'that names another analysis',
    'wire/identity',
    spoil((task) => [replyTo(task, stageOne(estimate('B', 2)), siteB, { analysis: 'adjusted' })]),
  ],
];
for (const [what, code, behaviour] of unusable) {
  test(`a reply ${what} is a decision about that answer, and the run goes on without it`, async () => {
    const { outcome, federation } = await playNew(behaviour);
    assert.deepEqual(refusals(federation), [code]);
    assert.deepEqual(
      outcome.analyses['effect']!.studies.map(({ status, reason }) => [status, reason?.code]),
      [
        ['included', undefined],
        ['excluded', code],
        ['included', undefined],
      ],
    );
    assert.equal(outcome.analyses['adjusted']!.studies[1]!.status, 'included');
  });
}

const harmless: readonly (readonly [string, readonly string[], Behaviour])[] = [
  [
    'signed by another site',
    ['wire/signature'],
    spoil((task, genuine) => [replyTo(task, stageOne(estimate('B', 2)), identities.get('A')!), genuine]),
  ],
  [
    'with a changed body',
    ['wire/signature'],
    spoil((_, genuine) => [
      { ...genuine, body: genuine.body.map((byte, i) => (i === 3 ? byte ^ 1 : byte)) },
      genuine,
    ]),
  ],
  ['twice, the same', [], spoil((_, genuine) => [genuine, genuine])],
  [
    'twice, with other bytes',
    ['conflict'],
    spoil((task, genuine) => [genuine, replyTo(task, stageOne(estimate('C', 2)), siteB)]),
  ],
  [
    'to a question that was never asked',
    ['late'],
    spoil((task, genuine) => [
      replyTo(task, stageOne(estimate('B', 2)), siteB, { inReplyTo: sha256('x') }),
      genuine,
    ]),
  ],
  [
    'without payload',
    ['wire/malformed'],
    spoil((task, genuine) => [replyTo(task, undefined, siteB), genuine]),
  ],
];
for (const [what, codes, behaviour] of harmless) {
  test(`a reply ${what} changes nothing but the log`, async () => {
    const { outcome, federation } = await playNew(behaviour);
    assert.deepEqual(refusals(federation), codes);
    assert.equal(analysesOf(outcome), undisturbed);
  });
}

test('a site cannot answer for another', async () => {
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const outcome = await federation.play((study, task) => {
    const genuine = behave(study, task);
    // A hands in C's own signed answer, and one of its own to C's question.
    if (study === 'C') {
      federation.engine.accept('A', genuine[0]!);
      federation.engine.accept('A', replyTo(task, stageOne(estimate('A', 2)), identities.get('A')!));
    }
    return genuine;
  });
  assert.equal(analysesOf(outcome), undisturbed);
  assert.deepEqual(new Set(refusals(federation)), new Set(['wire/signature', 'late']));
  federation.close();
});

test('a site that does not answer in time is unreachable; its late answer is logged and not used', async () => {
  const kept: SignedMessage[] = [];
  const folder = newFolder();
  const federation = new Federation({ folder, run: newRun() });
  const playing = federation.play((study, task) => {
    if (study !== 'B' || caseOf(task) !== 'stageOneQuestion') return behave(study, task);
    if (kept.length === 0) kept.push(...behave(study, task));
    return [];
  });
  const answers = (): number => federation.events.filter(({ event }) => event === 'answer').length;
  while (kept.length < 1) await new Promise(setImmediate);
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  assert.equal(answers(), 6);
  mock.timers.tick(STAGING_LIMIT);
  assert.equal(answers(), 10);
  mock.timers.tick(59_999 - STAGING_LIMIT);
  assert.ok(!federation.events.some(({ event }) => event === 'no answer'));
  mock.timers.tick(1);
  while (!federation.events.some((event) => event.event === 'round' && event.name === 'close'))
    await new Promise(setImmediate);
  federation.engine.accept('B', kept[0]!);
  federation.engine.accept('B', kept[0]!);
  const outcome = await playing;
  assert.deepEqual(refusals(federation), ['late']);
  assert.equal(outcome.sites[1]!.status, 'unreachable');
  assert.equal(outcome.analyses['effect']!.status, 'done');
  assert.deepEqual(
    federation.log.entries
      .filter(({ kind }) => kind === 'decision')
      .map(({ peer, detail }) => [peer, detail?.['decision']]),
    [
      ['B', 'unreachable'],
      ['B', 'unreachable'],
    ],
  );
  federation.close();
});

class Crash extends Error {}

/** Lets the process die at its n-th durable step: nothing is written from then on. Counts steps where n is infinite. */
function dyingAt(
  n: number,
  torn: boolean,
): Pick<Setting, 'files' | 'wrap'> & { readonly steps: () => number } {
  let step = 0;
  const dies = (): boolean => ++step >= n;
  const files: Setting['files'] = {
    ...fs,
    // A killed process loses nothing that it wrote: the flushes are left out to be fast.
    fsyncSync: () => undefined,
    writeFileSync: (file, data) => {
      if (dies()) {
        // Of a batch of lines, most are whole.
        if (torn && step === n) {
          const bytes = Buffer.from(data as Uint8Array);
          fs.writeFileSync(file, bytes.subarray(0, bytes.length * 0.7));
        }
        throw new Crash();
      }
      fs.writeFileSync(file, data);
    },
  };
  const wrap = (journal: Journal): Journal =>
    new Proxy(journal, {
      get: (target, name: keyof Journal) => {
        const method = target[name] as (...args: unknown[]) => unknown;
        if (!['addTasks', 'settle'].includes(name)) return method.bind(target);
        return (...args: unknown[]) => {
          if (dies()) throw new Crash();
          const value = method.apply(target, args);
          if (dies()) throw new Crash();
          return value;
        };
      },
    });
  return { files, wrap, steps: () => step };
}

/** Replies that become durable together: all of a round; each alone; as it comes. */
const BATCHES: Readonly<Record<string, (reply: number) => boolean>> = {
  'a round': () => false,
  'one reply': () => true,
  'some replies': (reply) => reply % 3 === 0 || reply % 4 === 0,
};
for (const [what, ends] of Object.entries(BATCHES)) {
  test(`killed at any durable step, torn in the middle of a write too, the run resumes to the same result; a batch is ${what}`, async () => {
    /** Ends a batch after some of the replies. */
    const batched = (): Behaviour => {
      let reply = 0;
      return (study, task) => {
        if (ends(reply++)) mock.timers.tick(STAGING_LIMIT);
        return behave(study, task);
      };
    };
    const counting = dyingAt(Infinity, false);
    const whole = new Federation({ folder: newFolder(), run: newRun(), ...counting });
    assert.equal(analysesOf(await whole.play(batched())), undisturbed);
    whole.close();
    assert.ok(counting.steps() >= 40, `${counting.steps()} steps`);
    for (let n = 1; n <= counting.steps(); n++) {
      const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
      const first = new Federation({ ...setting, ...dyingAt(n, n % 2 === 0) });
      await assert.rejects(first.play(batched()), Crash);
      first.close();
      const second = new Federation({ ...setting, files: { ...fs, fsyncSync: () => undefined } });
      assert.equal(analysesOf(await second.play()), undisturbed, `step ${n}`);
      assert.deepEqual(refusals(second), [], `step ${n}`);
      assertOnce(second.log, `step ${n}`);
      second.close();
      setting.journal?.close();
    }
  });
}

/** Each site is asked one thing in a round of an analysis, and answers once, however often the coordinator was killed. */
function assertOnce({ entries }: MessageLog, where: string): void {
  for (const kind of ['sent', 'received']) {
    const places = entries
      .filter((entry) => entry.kind === kind)
      .map(({ peer, round, analysis }) => JSON.stringify([peer, round, analysis]));
    assert.equal(new Set(places).size, places.length, `${where}: ${kind}`);
  }
}

test('answers that come in any order give the same result, bit for bit', async () => {
  for (let turn = 1; turn <= 6; turn++) {
    const federation = new Federation({ folder: newFolder(), run: newRun() });
    const held = new Map<string, [string, readonly SignedMessage[]]>();
    let next = 0;
    const outcome = await federation.play((study, task) => {
      held.set(toHex(sha256(task.body)), [study, behave(study, task)]);
      const round = federation.events.filter(({ event }) => event === 'round').at(-1);
      if (round?.event !== 'round' || held.size < round.tasks) return [];
      const rest = [...held.values()];
      held.clear();
      while (rest.length > 0) {
        next = (next * 5 + turn) % rest.length;
        const [[from, replies]] = rest.splice(next, 1) as [[string, readonly SignedMessage[]]];
        for (const reply of replies) federation.engine.accept(from, reply);
        if (next % 2 === 0) mock.timers.tick(STAGING_LIMIT);
      }
      return [];
    });
    assert.equal(analysesOf(outcome), undisturbed);
    federation.close();
  }
});

test('what cannot be written ends the run, and nothing is taken after it', async () => {
  const federation = new Federation({ folder: newFolder(), run: newRun(), ...dyingAt(20, false) });
  const kept: [string, SignedMessage][] = [];
  const playing = federation.play((study, task) => {
    const replies = behave(study, task);
    kept.push(...replies.map((reply): [string, SignedMessage] => [study, reply]));
    return replies;
  });
  await assert.rejects(playing, Crash);
  const { length } = federation.log.entries;
  for (const [study, reply] of kept) assert.throws(() => federation.engine.accept(study, reply), Crash);
  assert.equal(federation.log.entries.length, length);
  federation.close();
});

test('the replies of a round are one batch of the log, in one pack', async () => {
  const { federation } = await playNew();
  const packs = new Map<string, Set<number | undefined>>();
  for (const { kind, round, pack } of federation.log.entries) {
    const key = `${kind} ${round}`;
    packs.set(key, (packs.get(key) ?? new Set()).add(pack));
  }
  assert.equal(packs.size, 8);
  for (const [what, places] of packs) assert.ok(places.size === 1 && !places.has(undefined), what);
});

test('killed between log and journal, the reply that was logged is the answer, and is not asked for again', async () => {
  const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
  let settled = 0;
  const dying = (journal: Journal): Journal =>
    new Proxy(journal, {
      get: (target, name: keyof Journal) => {
        if (name === 'settle' && ++settled === 3) throw new Crash();
        return (target[name] as (...args: unknown[]) => unknown).bind(target);
      },
    });
  const first = new Federation({ ...setting, wrap: dying });
  await assert.rejects(first.play(), Crash);
  first.close();
  const logged = first.log.entries.at(-1);
  assert.equal(logged?.type, 'stageOneEstimate');
  const second = new Federation(setting);
  const asked: (string | undefined)[] = [];
  const outcome = await second.play((study, task) => {
    asked.push(toHex(sha256(task.body)));
    return behave(study, task);
  });
  assert.equal(analysesOf(outcome), undisturbed);
  assert.ok(!asked.includes(logged.task), 'asked again for what the log holds');
  assert.equal(
    second.log.entries.filter(({ kind, task }) => kind === 'received' && task === logged.task).length,
    1,
  );
  second.close();
});

test('a coordinator that was down for longer than the time limit still gives its sites that time', async () => {
  const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
  const first = new Federation({ ...setting, ...dyingAt(24, false) });
  await assert.rejects(first.play(), Crash);
  first.close();
  mock.timers.tick(10_000_000);
  const second = new Federation(setting);
  assert.equal(analysesOf(await second.play()), undisturbed);
  second.close();
});
