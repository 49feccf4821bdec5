import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Rule,
  SiteMessage,
  type Refusal,
  type StageOneEstimate,
} from '@concordat/proto/concordat/v1/site.ts';
import type { DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { verifyMessage } from '@concordat/shared/wire/signing.ts';
import type { Draft, Evidence, LevelCounts, Payload } from '../fit/draft.ts';
import { headerOf, newFolder, openLog, PLAN, site, STUDY } from '../testing.ts';
import { crossedId, type Crossed } from '../data/crossed.ts';
import type { Members } from '../data/members.ts';
import { ExchangeClient } from './client.ts';
import { Ledger } from './ledger.ts';
import { Gate, Released, type Task } from './gate.ts';
import { HeldAnswers } from './held.ts';

const plan = expandPlan(parsePlan(PLAN, 'plan'));
const analysis = plan.analyses[0]!;
let tasks = 0;
const newTask = (over: Partial<Task> = {}): Task => ({
  header: headerOf({ analysis: 'effect', round: 2 }),
  digest: sha256(`task ${tasks++}`),
  plan,
  analysis,
  askedVariables: [],
  ask: null,
  terms: null,
  ...over,
});
/** A gate under one policy. */
function gateOf(
  log: MessageLog,
  policy: Policy = DEFAULT_POLICY,
  ledger?: Ledger,
): { release: (draft: Draft, task: Task) => Released; earlier: Gate['earlier'] } {
  const gate = new Gate({ study: STUDY, identity: site, log, held: new HeldAnswers(newFolder()), ledger });
  const terms = { policy, tellCounts: false, hold: false };
  return {
    release: (draft, task) => gate.release(draft, { ...task, terms })!,
    earlier: (digest) => gate.earlier(digest),
  };
}

const counts = {
  participants: [50, 51],
  events: [],
  notInPopulation: 0,
  otherTreatment: 0,
  missingTreatment: 0,
  missingOutcome: 0,
  missingCovariate: 0,
};
const estimate: StageOneEstimate = {
  counts,
  estimable: [true, true],
  estimates: [0.1, 0.2],
  vcov: [1, 0.1, 1],
  logLikelihoodNull: -50,
  logLikelihood: -49,
  residualVariance: 1,
  modifierMeans: [],
  rounds: 1,
  badlyScaled: [],
};
const facts: DisclosureFacts = {
  participants: 101,
  effective: 101,
  perArm: [50, 51],
  parameters: 2,
  events: 60,
  eventFree: null,
  grouped: false,
  cells: [{ what: 'level', variable: 'centre', count: 40 }],
  shares: [{ what: 'squared deviations', variable: 'y', share: 0.1 }],
  leverage: 0.02,
  rank: { deficient: false, nearDeficient: false },
};
const draftOf = (over: Partial<DisclosureFacts> = {}, value: Partial<StageOneEstimate> = {}): Draft => ({
  payload: { $case: 'stageOneEstimate', value: { ...estimate, ...value } },
  evidence: { kind: 'analysis-set', facts: { ...facts, ...over }, set: '' },
});
const levelsOf = (variables: readonly LevelCounts[]): Evidence => ({
  kind: 'levels',
  variables,
  participants: 100,
  cells: [],
});
const payloadOf = (released: Released): Payload => SiteMessage.decode(released.message.body).payload!;
function ruleOf(released: Released): Rule {
  const payload = payloadOf(released);
  assert.equal(payload.$case, 'refusal');
  return payload.$case === 'refusal' ? payload.value.rule : Rule.UNRECOGNIZED;
}

test('what the rules allow leaves as it was drafted, signed, in its place, and logged first', () => {
  const log = openLog(newFolder());
  const task = newTask();
  const released = gateOf(log).release(draftOf(), task);
  verifyMessage(released.message, site.publicKey, STUDY);
  const { header, payload } = SiteMessage.decode(released.message.body);
  assert.deepEqual(payload, { $case: 'stageOneEstimate', value: estimate });
  assert.deepEqual(header, {
    ...task.header,
    inReplyTo: task.digest,
    checkpoint: { size: 0, root: sha256() },
  });
  assert.deepEqual(
    log.entries.map(({ kind, type, task: of }) => [kind, type, of]),
    [['sent', 'stageOneEstimate', toHex(task.digest)]],
  );
});

/** Of the first rule that refused, from the body, which not everybody sees who sees the log. */
function observedIn(log: MessageLog, entry: LogEntry | undefined): number | null {
  if (entry === undefined || !hasBody(entry) || entry.detail?.['observed'] !== undefined) return null;
  const [first] = JSON.parse(Buffer.from(log.body(entry)).toString('utf8')) as readonly {
    observed: number;
  }[];
  return first?.observed ?? null;
}

const failing: readonly (readonly [Rule, Partial<DisclosureFacts>, number])[] = [
  [Rule.RULE_PARTICIPANTS, { participants: 19, parameters: 1 }, 19],
  [Rule.RULE_PARTICIPANTS_PER_ARM, { perArm: [97, 4] }, 4],
  [Rule.RULE_PARAMETERS_PER_PARTICIPANT, { parameters: 11, events: 1000 }, 11 / 101],
  [Rule.RULE_EVENTS_PER_PARAMETER, { events: 9 }, 4.5],
  [Rule.RULE_SMALLEST_CELL, { cells: [{ what: 'level', variable: 'centre', count: 4 }] }, 4],
  [Rule.RULE_LEVERAGE, { leverage: 0.5 }, 0.5],
  [Rule.RULE_DOMINANCE, { shares: [{ what: 'counts', variable: 'visits', share: 0.6 }] }, 0.6],
  [Rule.RULE_RANK, { rank: { deficient: false, nearDeficient: true } }, 1],
];
for (const [rule, over, observed] of failing) {
  test(`${rule} turns an estimate into a refusal, and what was observed stays in the site's own log`, () => {
    const log = openLog(newFolder());
    const released = gateOf(log).release(draftOf(over), newTask());
    assert.equal(ruleOf(released), rule);
    const refused = log.entries.find(({ kind }) => kind === 'refused');
    assert.equal(refused?.detail?.['code'], rule);
    assert.equal(observedIn(log, refused), observed);
    const told = SiteMessage.decode(released.message.body).payload!.value as Refusal;
    assert.deepEqual([told.observed, told.objection], [undefined, 'OBJECTION_UNSPECIFIED']);
  });
}

test('a failure to fit is held to the same rules: its counts are about people too', () => {
  const log = openLog(newFolder());
  const payload: Payload = {
    $case: 'stageOneFailure',
    value: { diagnosis: 'DIAGNOSIS_SEPARATION', terms: [1], counts },
  };
  const evidence = { kind: 'analysis-set', facts: { ...facts, participants: 3 }, set: '' } as const;
  assert.equal(ruleOf(gateOf(log).release({ payload, evidence }, newTask())), Rule.RULE_PARTICIPANTS);
});

test('under a policy that keeps per-trial estimates, no failure tells events by arm', () => {
  const gate = gateOf(openLog(newFolder()), { ...DEFAULT_POLICY, per_trial_estimates: false });
  const { evidence } = draftOf();
  const failure = (events: number[]): Payload => ({
    $case: 'stageOneFailure',
    value: { diagnosis: 'DIAGNOSIS_SEPARATION', terms: [1], counts: { ...counts, events } },
  });
  assert.equal(
    ruleOf(gate.release({ payload: failure([30, 30]), evidence }, newTask())),
    Rule.RULE_PER_TRIAL_ESTIMATES,
  );
  assert.deepEqual(payloadOf(gate.release({ payload: failure([]), evidence }, newTask())), failure([]));
});

test('what is wrong with the rows that a plan selects is not said of a few', () => {
  const gate = gateOf(openLog(newFolder()));
  const payload: Payload = { $case: 'dataProblem', value: { problem: 'PROBLEM_IMPOSSIBLE_CODE' } };
  const of = (participants: number): Draft => ({
    payload,
    evidence: { kind: 'selected-rows', participants, cells: [] },
  });
  assert.equal(ruleOf(gate.release(of(1), newTask())), Rule.RULE_PARTICIPANTS);
  assert.equal(ruleOf(gate.release(of(19), newTask())), Rule.RULE_PARTICIPANTS);
  assert.deepEqual(payloadOf(gate.release(of(20), newTask())), payload);
  assert.deepEqual(payloadOf(gate.release({ payload, evidence: { kind: 'none' } }, newTask())), payload);
});

test('default deny: no evidence, no plan, or a payload of another kind, and nothing leaves but a refusal', () => {
  const gate = gateOf(openLog(newFolder()));
  const { payload, evidence } = draftOf();
  const levels: Payload = { $case: 'factorLevels', value: { variables: [] } };
  const unlisted = { $case: 'records', value: { rows: [1, 2, 3] } } as unknown as Payload;
  const cases: readonly (readonly [Draft, Task])[] = [
    [{ payload, evidence: { kind: 'none' } }, newTask()],
    [{ payload, evidence: levelsOf([]) }, newTask()],
    [{ payload, evidence }, newTask({ plan: null, analysis: null })],
    [{ payload: levels, evidence: { kind: 'none' } }, newTask()],
    [{ payload: levels, evidence }, newTask()],
    [{ payload: levels, evidence: levelsOf([]) }, newTask({ plan: null })],
    [{ payload: unlisted, evidence }, newTask()],
    [{ payload, evidence }, newTask({ analysis: null })],
    [{ payload, evidence }, newTask({ analysis: { ...analysis, unsupported: 'ordinal' } })],
    [
      { payload: levels, evidence: levelsOf([{ variable: 'postcode', levels: [] }]) },
      newTask({ analysis: null, askedVariables: ['postcode'] }),
    ],
  ];
  for (const [draft, task] of cases) assert.equal(ruleOf(gate.release(draft, task)), Rule.RULE_AGREEMENT);
});

test('an answer that has not the plan’s form becomes an internal problem, in the log with its code', () => {
  const wrong: readonly (readonly [Partial<StageOneEstimate>, string])[] = [
    [{ estimates: [0.1, Number.NaN] }, 'wire/not-finite'],
    [{ vcov: [1] }, 'wire/length'],
    [{ ...({ rows: [1, 2] } as object) }, 'wire/not-releasable'],
  ];
  for (const [value, code] of wrong) {
    const log = openLog(newFolder());
    const payload = payloadOf(gateOf(log).release(draftOf({}, value), newTask()));
    assert.deepEqual(payload, { $case: 'dataProblem', value: { problem: 'PROBLEM_INTERNAL' } });
    assert.equal(log.entries.find(({ kind }) => kind === 'refused')?.detail?.['code'], code);
  }
});

test('the same task gets the same bytes, whatever is drafted later, also after the log was opened again', () => {
  const directory = newFolder();
  const log = openLog(directory);
  const gate = gateOf(log);
  const task = newTask();
  const first = gate.release(draftOf(), task);
  const again = gate.release(draftOf({}, { estimates: [9, 9] }), task);
  assert.deepEqual(again.message, first.message);
  assert.equal(log.entries.length, 1);
  log.close();
  const reopened = openLog(directory);
  const later = gateOf(reopened).earlier(task.digest);
  assert.deepEqual(later?.message, first.message);
  assert.equal(gateOf(reopened).earlier(newTask().digest), null);
  reopened.close();
});

test('only what the gate made can be sent: a look-alike is refused before a connection is used', () => {
  const genuine = gateOf(openLog(newFolder())).release(draftOf(), newTask());
  const lookAlike = { message: genuine.message, task: genuine.task, gate: true } as unknown as Released;
  const heir = Object.assign(Object.create(Released.prototype) as Released, genuine);
  assert.ok(Released.check(genuine));
  for (const value of [lookAlike, heir, Object.fromEntries(Object.entries(genuine)) as unknown as Released]) {
    assert.ok(!Released.check(value));
    assert.throws(
      () => ExchangeClient.prototype.exchange.call(Object.create(ExchangeClient.prototype), [value]),
      (error: unknown) => error instanceof ConcordatError && error.code === 'wire/not-releasable',
    );
  }
});

const levelsDraft = (levels: LevelCounts['levels']): Draft => ({
  payload: { $case: 'factorLevels', value: { variables: [] } },
  evidence: levelsOf([{ variable: 'centre', levels }]),
});
const askCentre = (): Task => newTask({ analysis: null, askedVariables: ['centre'] });

test('levels that too few participants have are withheld', () => {
  const gate = gateOf(openLog(newFolder()));
  const draft = levelsDraft([
    { code: 'north', participants: 5 },
    { code: 'south', participants: 4 },
    { code: 3, participants: 90 },
  ]);
  const payload = payloadOf(gate.release(draft, askCentre()));
  assert.deepEqual(payload, {
    $case: 'factorLevels',
    value: {
      variables: [
        {
          variable: 'centre',
          levels: [{ code: { $case: 'text', value: 'north' } }, { code: { $case: 'number', value: 3 } }],
        },
      ],
    },
  });
});

test('too many levels, free text, or a policy that releases none: the levels are refused', () => {
  const many = Array.from({ length: 51 }, (_, i) => ({ code: i, participants: 100 }));
  const text = [{ code: 'x'.repeat(65), participants: 100 }];
  const silent: Policy = { ...DEFAULT_POLICY, levels: { release: false, maximum: 50 } };
  const cases: readonly (readonly [Policy, LevelCounts['levels']])[] = [
    [DEFAULT_POLICY, many],
    [DEFAULT_POLICY, text],
    [silent, [{ code: 1, participants: 100 }]],
  ];
  for (const [policy, levels] of cases) {
    const log = openLog(newFolder());
    assert.equal(
      ruleOf(gateOf(log, policy).release(levelsDraft(levels), askCentre())),
      Rule.RULE_FACTOR_LEVELS,
    );
    assert.equal(observedIn(log, log.entries[0]), levels.length);
  }
});

const membersOf = (rows: number): Members => ({
  snapshot: 'file',
  rows: 100,
  keys: Uint32Array.from({ length: 200 }, (_, i) => i),
  subjects: null,
  population: new Uint32Array(4).fill(0xffffffff),
  analysis: Uint32Array.from({ length: 4 }, (_, w) => {
    const bits = Math.max(0, Math.min(32, rows - 32 * w));
    return bits === 32 ? 0xffffffff : 2 ** bits - 1;
  }),
});
const CROSSED: Crossed = {
  variables: ['y', 'arm'],
  time: null,
  treatment: 'arm',
  columns: [[], [{ variable: 'arm', code: 1 }]],
  times: [],
};
/** @param against names of what it was held against */
const aboutRows = (rows: number | null, against: readonly string[] = []): Draft => ({
  ...draftOf(),
  evidence: {
    kind: 'analysis-set',
    facts,
    set: '',
    ...(rows === null ? {} : { members: membersOf(rows), crossing: { crossed: CROSSED, against } }),
  },
});

test('a set that differs by a few from one that was answered is refused, also by an agent that was started again', () => {
  const folder = newFolder();
  const withLedger = (): ReturnType<typeof gateOf> =>
    gateOf(openLog(newFolder()), DEFAULT_POLICY, new Ledger(folder));
  const first = withLedger();
  assert.equal(payloadOf(first.release(aboutRows(100), newTask())).$case, 'stageOneEstimate');
  for (const gate of [first, withLedger()]) {
    const all = crossedId(CROSSED, membersOf(100));
    assert.equal(ruleOf(gate.release(aboutRows(99, [all]), newTask())), Rule.RULE_DIFFERENCING);
    assert.equal(payloadOf(gate.release(aboutRows(100), newTask())).$case, 'stageOneEstimate');
    assert.equal(payloadOf(gate.release(aboutRows(60, [all]), newTask())).$case, 'stageOneEstimate');
    // What says nothing of its rows cannot be held against anything.
    assert.equal(ruleOf(gate.release(aboutRows(null), newTask())), Rule.RULE_AGREEMENT);
  }
});

test('what was not held against every earlier answer does not leave', () => {
  const gate = gateOf(openLog(newFolder()), DEFAULT_POLICY, new Ledger(newFolder()));
  assert.equal(payloadOf(gate.release(aboutRows(100), newTask())).$case, 'stageOneEstimate');
  assert.equal(ruleOf(gate.release(aboutRows(60), newTask())), Rule.RULE_AGREEMENT);
});

test('a refused answer is in no ledger: what it was about may be asked differently', () => {
  const gate = gateOf(openLog(newFolder()), DEFAULT_POLICY, new Ledger(newFolder()));
  const small = aboutRows(99);
  const evidence = { ...small.evidence, facts: { ...facts, leverage: 0.9 } } as Draft['evidence'];
  assert.equal(ruleOf(gate.release({ ...small, evidence }, newTask())), Rule.RULE_LEVERAGE);
  assert.equal(payloadOf(gate.release(aboutRows(100), newTask())).$case, 'stageOneEstimate');
});

test('where all but a few of an arm were followed to the event, events by arm stay; the estimate leaves', () => {
  const survival = expandPlan(
    parsePlan(
      PLAN.replace(/outcome: .*/, 'outcome: {kind: time-to-event, time: t, event: e}').replace(
        /family: \w+/g,
        'family: cox',
      ),
      'plan',
    ),
  );
  const of = (eventFree: number): Payload => {
    const draft = draftOf(
      { eventFree },
      { counts: { ...counts, events: [48, 50] }, estimable: [true], estimates: [0.1], vcov: [1] },
    );
    const task = newTask({ plan: survival, analysis: survival.analyses[0]! });
    return payloadOf(gateOf(openLog(newFolder())).release(draft, task));
  };
  for (const [eventFree, events] of [
    [0, [48, 50]],
    [1, []],
    [4, []],
    [5, [48, 50]],
  ] as const) {
    const payload = of(eventFree);
    assert.ok(payload.$case === 'stageOneEstimate', JSON.stringify(payload));
    assert.deepEqual(payload.value.counts?.events, events);
  }
});

test('levels of a population of few, or that few are left out of, are not told', () => {
  const levels: LevelCounts['levels'] = [{ code: 'north', participants: 10 }];
  const of = (participants: number, count: number): Draft => ({
    payload: { $case: 'factorLevels', value: { variables: [] } },
    evidence: {
      kind: 'levels',
      variables: [{ variable: 'centre', levels }],
      participants,
      cells: [{ what: 'population', variable: 'age', count }],
    },
  });
  const gate = gateOf(openLog(newFolder()));
  assert.equal(ruleOf(gate.release(of(19, 10), askCentre())), Rule.RULE_PARTICIPANTS);
  assert.equal(ruleOf(gate.release(of(20, 4), askCentre())), Rule.RULE_SMALLEST_CELL);
  assert.equal(payloadOf(gate.release(of(20, 5), askCentre())).$case, 'factorLevels');
});
