import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { estimate, identities, replyTo } from '@concordat/shared/runs/testing.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import {
  analysesOf,
  behave,
  Federation,
  playNew,
  refusals,
  undisturbed,
  type Behaviour,
} from './engine-testing.ts';
import { STAGING_LIMIT } from './engine.ts';
import { newFolder, newRun } from './testing.ts';

// Time stands still unless a test moves it: no round ends because the machine is slow.
beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const caseOf = (task: SignedMessage): string => CoordinatorMessage.decode(task.body).payload!.$case;

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
    'again and again, with other bytes each time',
    ['conflict', 'not-kept'],
    spoil((task, genuine) => [
      genuine,
      ...Array.from({ length: 50 }, (_, i) =>
        replyTo(task, stageOne(estimate('C', 2)), siteB, { attempt: i }),
      ),
      genuine,
    ]),
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

test('a site that answers a task again and again has the log read once, and one more reply in it', async () => {
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const read = mock.method(federation.log, 'body');
  const again = spoil((task, genuine) => [
    genuine,
    ...Array.from({ length: 50 }, (_, i) =>
      replyTo(task, stageOne(estimate('C', 2)), siteB, { attempt: i % 25 }),
    ),
  ]);
  await federation.play(again);
  assert.equal(read.mock.callCount(), 1);
  const bodies = federation.log.entries.filter(({ kind, body }) => kind === 'refused' && body !== undefined);
  assert.equal(bodies.length, 1);
  federation.close();
  assert.deepEqual(federation.log.entries.at(-1)?.detail, { code: 'not-kept', replies: 48 });
});

test('a site cannot answer for another', async () => {
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const outcome = await federation.play(async (study, task) => {
    const genuine = behave(study, task);
    // A hands in C's own signed answer, and one of its own to C's question.
    if (study === 'C') {
      await federation.engine.accept('A', genuine[0]!);
      await federation.engine.accept('A', replyTo(task, stageOne(estimate('A', 2)), identities.get('A')!));
    }
    return genuine;
  });
  assert.equal(analysesOf(outcome), undisturbed);
  assert.deepEqual(new Set(refusals(federation)), new Set(['wire/signature', 'late']));
  federation.close();
});

test('a site whose custodian has to decide is waited for beyond the time limit, up to the approval limit', async () => {
  const kept: SignedMessage[] = [];
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const playing = federation.play((study, task) => {
    if (caseOf(task) !== 'planOffer' || study === 'C') return behave(study, task);
    federation.engine.waitsForCustodian(study, new Set([toHex(sha256(task.body))]));
    if (study === 'B' && kept.length === 0) kept.push(...behave(study, task));
    return [];
  });
  const about = (event: string): (string | undefined)[] =>
    federation.events.flatMap((told) => (told.event === event && 'study' in told ? [told.study] : []));
  while (federation.accepted < 1 || about('custodian').length < 2) await new Promise(setImmediate);
  mock.timers.tick(STAGING_LIMIT);
  mock.timers.tick(60_000);
  assert.deepEqual(about('no answer'), []);
  // Told once, however often the site says it.
  assert.deepEqual(new Set(about('custodian')), new Set(['A', 'B']));
  assert.equal(about('custodian').length, 2);
  await federation.engine.accept('B', kept[0]!);
  mock.timers.tick(STAGING_LIMIT);
  mock.timers.tick(1_209_600_000 - 60_000);
  const outcome = await playing;
  assert.deepEqual(about('no answer'), ['A']);
  assert.deepEqual(
    outcome.sites.map(({ status }) => status),
    ['unreachable', 'answered', 'answered'],
  );
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
  while (federation.accepted < 10 || kept.length === 0) await new Promise(setImmediate);
  // The replies of the two others wait for each other, and not for it.
  assert.equal(answers(), 6);
  mock.timers.tick(STAGING_LIMIT);
  assert.equal(answers(), 10);
  mock.timers.tick(59_999 - STAGING_LIMIT);
  assert.ok(!federation.events.some(({ event }) => event === 'no answer'));
  mock.timers.tick(1);
  while (!federation.events.some((event) => event.event === 'round' && event.name === 'close'))
    await new Promise(setImmediate);
  await federation.engine.accept('B', kept[0]!);
  await federation.engine.accept('B', kept[0]!);
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

test('answers that come in any order give the same result, bit for bit', async () => {
  for (let turn = 1; turn <= 6; turn++) {
    const federation = new Federation({ folder: newFolder(), run: newRun() });
    const seen = new Set<string>();
    const held: [string, readonly SignedMessage[]][] = [];
    let next = 0;
    const outcome = await federation.play(async (study, task) => {
      const digest = toHex(sha256(task.body));
      if (!seen.has(digest)) held.push([study, behave(study, task)]);
      seen.add(digest);
      const round = federation.events.filter(({ event }) => event === 'round').at(-1);
      if (round?.event !== 'round' || held.length < round.tasks) return [];
      const rest = held.splice(0);
      while (rest.length > 0) {
        next = (next * 5 + turn) % rest.length;
        const [[from, replies]] = rest.splice(next, 1) as [[string, readonly SignedMessage[]]];
        for (const reply of replies) await federation.engine.accept(from, reply);
        if (next % 2 === 0) mock.timers.tick(STAGING_LIMIT);
      }
      return [];
    });
    assert.equal(analysesOf(outcome), undisturbed);
    federation.close();
  }
});
