/** One-stage questions as a dishonest coordinator would ask them: each is refused by its rule, nothing of the records leaves, and a restart changes nothing. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CoordinatorMessage, type ObjectiveQuestion } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Problem, Rule, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';
import { hasBody, type EntryWithBody } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { ringSum } from '@concordat/shared/numerics/ring.ts';
import { combineEntries } from '@concordat/shared/one-stage/entry.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, Entry, OneStageSpec, Program } from '@concordat/shared/one-stage/types.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import { objectiveQuestion, studyEntry } from '@concordat/shared/wire/one-stage.ts';
import { Agent } from '../agent.ts';
import type { Payload } from '../fit/draft.ts';
import { WorkerPool } from '../fit/pool.ts';
import { answer } from '../fit/study.ts';
import { newFolder, offer, openLog, situation, taskOf } from '../testing.ts';

const plan = (family: string, outcome: string): string => `plan: 1
id: tiny
treatment: {variable: arm, control: 0, active: 1}
outcome: ${outcome}
analyses:
  - {id: fit, approach: one-stage, model: {family: ${family}, adjust: [age], intercept: random, treatment_effect: random}}
`;
const BINOMIAL = plan('binomial', '{kind: binary, variable: died}');
const GAUSSIAN = plan('gaussian', '{kind: continuous, variable: y}');

/** 80 participants; `shift` tells one set of records from another. */
function records(shift = 0): string {
  const rows = Array.from({ length: 80 }, (_, i) => {
    const age = 40 + ((i * 37 + shift) % 41);
    const died = (i * 7 + shift) % 5 < 2 || (i % 2 === 0 && i % 3 === 0) ? 1 : 0;
    return `${i % 2},${age},${died},${(100 + age / 3 + ((i * 29) % 17) - 4 * (i % 2)).toFixed(1)}`;
  });
  return `arm,age,died,y\n${rows.join('\n')}\n`;
}

interface Setting {
  readonly plan?: string;
  readonly policy?: Policy;
  readonly ask?: WorkerPool['ask'];
}

/** A site, and a coordinator that holds a program over it and a second study whose answers are the site's own again. */
class Dialogue {
  readonly folder = newFolder();
  readonly file = join(this.folder, 'A.csv');
  readonly text: string;
  readonly spec: OneStageSpec;
  readonly #setting: Setting;
  log: MessageLog;
  agent: Agent;
  entry!: Entry;
  program!: Program;
  ask!: Ask;
  step = 1;
  sum: Float64Array = new Float64Array(0);
  #round = 3;

  constructor(setting: Setting = {}) {
    this.#setting = setting;
    this.text = setting.plan ?? BINOMIAL;
    const expanded = expandPlan(parsePlan(this.text, 'the plan'));
    this.spec = oneStageSpec(expanded, expanded.analyses[0]!);
    writeFileSync(this.file, records());
    this.log = openLog(join(this.folder, 'log'));
    this.agent = this.#agent();
  }

  #agent(ask: WorkerPool['ask'] = this.#setting.ask ?? answer): Agent {
    const { policy = DEFAULT_POLICY } = this.#setting;
    return new Agent({
      ...situation({ policy }),
      source: { data: this.file, map: null },
      client: {
        exchange: () => Promise.reject(new Error('not called')),
        interrupt: () => undefined,
        close: () => undefined,
      },
      log: this.log,
      workers: { ask },
    });
  }

  /** Killed and started again over its log. */
  restart(ask?: WorkerPool['ask']): void {
    this.log.close();
    this.log = openLog(join(this.folder, 'log'));
    this.agent = this.#agent(ask);
  }

  async send(task: SignedMessage): Promise<Payload> {
    const [released] = await this.agent.answerAll([task]);
    return SiteMessage.decode(released!.message.body).payload!;
  }

  task(question: ObjectiveQuestion): SignedMessage {
    return taskOf(
      { $case: 'objectiveQuestion', value: question },
      { analysis: 'fit', round: this.#round++, planDigest: sha256(this.text) },
    );
  }

  /** Offer and entry; resolves to the entry. */
  async enter(): Promise<Payload> {
    await this.send(offer(this.text, { planDigest: sha256(this.text) }));
    const entered = await this.send(
      taskOf(
        { $case: 'entryQuestion', value: { agreedLevels: [] } },
        { analysis: 'fit', round: 2, planDigest: sha256(this.text) },
      ),
    );
    if (entered.$case === 'oneStageEntry') {
      const own = studyEntry(entered.value);
      this.entry = combineEntries(this.spec, [own, own]);
      this.begin(this.entry);
    }
    return entered;
  }

  begin(entry: Entry): void {
    this.program = oneStageModels[this.spec.kind].program(this.spec, entry);
    this.ask = this.program.next().value as Ask;
  }

  question(over: Partial<ObjectiveQuestion> = {}, entry = this.entry): ObjectiveQuestion {
    return {
      ...objectiveQuestion(this.ask, this.step, this.step === 1 ? entry : null, this.sum, []),
      ...over,
    };
  }

  /** Takes an answer, and goes on to the next question; `altered` changes the sum. */
  take(payload: Payload, altered: (sum: Float64Array) => Float64Array = (sum) => sum): void {
    assert.ok(payload.$case === 'objectiveValue');
    const values = Float64Array.from(payload.value.values);
    this.sum = altered(ringSum([values, values]));
    this.ask = this.program.next([this.sum]).value as Ask;
    this.step++;
  }

  async honest(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) this.take(await this.send(this.task(this.question())));
  }
}

async function dialogue(setting: Setting = {}, steps = 1): Promise<Dialogue> {
  const begun = new Dialogue(setting);
  await begun.enter();
  await begun.honest(steps);
  return begun;
}

const HONEST = { $case: 'refusal', value: refusal(Rule.RULE_HONEST_QUESTION, 0) };
const reasons = ({ log }: Dialogue): unknown[] =>
  log.entries.flatMap(({ detail }) => (detail?.['question'] === undefined ? [] : [detail['question']]));
/** What left that holds a number of the records: entries and values. */
const numbersSent = ({ log }: Dialogue): number =>
  log.entries.filter(
    ({ kind, type }) => kind === 'sent' && (type === 'objectiveValue' || type === 'oneStageEntry'),
  ).length;

/** Refused, with the same bytes after a restart, and another message of the same kind is refused as well. */
async function assertRefused(
  begun: Dialogue,
  question: ObjectiveQuestion,
  reason: string,
  expected: object = HONEST,
): Promise<void> {
  const before = numbersSent(begun);
  const task = begun.task(question);
  assert.deepEqual(await begun.send(task), expected);
  assert.equal(reasons(begun).at(-1) ?? '', reason);
  const [first] = await begun.agent.answerAll([task]);
  begun.restart();
  const [again] = await begun.agent.answerAll([task]);
  assert.deepEqual(again!.message, first!.message);
  assert.deepEqual(await begun.send(begun.task(question)), expected);
  assert.equal(numbersSent(begun), before);
}

test('an honest fit, with the agent killed between any two questions, is answered to its end', async () => {
  const begun = await dialogue({}, 0);
  for (let step = 1; ; step++) {
    begun.take(await begun.send(begun.task(begun.question())));
    if (begun.ask.objective === 'study-effects' || begun.ask.length === undefined) break;
    begun.restart();
  }
  assert.ok(begun.step > 5, `${begun.step} steps`);
  assert.deepEqual(reasons(begun), []);
});

test('a question before the site entered is refused, and is none of the questions after it', async () => {
  const donor = await dialogue({}, 0);
  const begun = new Dialogue();
  await begun.send(offer(begun.text, { planDigest: sha256(begun.text) }));
  begun.begin(donor.entry);
  await assertRefused(begun, begun.question({}, donor.entry), 'entry-missing');
  await begun.enter();
  await begun.honest(2);
  begun.restart();
  await begun.honest(2);
  assert.equal(
    reasons(begun).every((reason) => reason === 'entry-missing'),
    true,
  );
});

test('a question that named another plan is not one of the fit, before and after a restart', async () => {
  const begun = await dialogue({}, 0);
  const other = taskOf(
    { $case: 'objectiveQuestion', value: begun.question({ theta: [0] }) },
    { analysis: 'fit', round: 9, planDigest: sha256('another plan') },
  );
  assert.deepEqual(await begun.agent.answerAll([other]), []);
  await begun.honest(1);
  begun.restart();
  await begun.honest(2);
  assert.deepEqual(reasons(begun), []);
});

test('a question that comes together with the end of its run is not answered', async () => {
  const begun = await dialogue();
  const before = numbersSent(begun);
  const end = taskOf({ $case: 'runClosed', value: {} }, { round: 9, planDigest: sha256(begun.text) });
  await begun.agent.answerAll([begun.task(begun.question()), end]);
  assert.equal(numbersSent(begun), before);
});

test('another θ than the replay asks is refused, and so is the honest one after it, after a restart too', async () => {
  const begun = await dialogue();
  const honest = begun.question();
  await assertRefused(
    begun,
    { ...honest, theta: honest.theta.map((value, j) => (j === 1 ? value + 1e-12 : value)) },
    'another-question',
  );
  await assertRefused(begun, honest, 'program-over');
});

test('a step that is skipped, or asked again with another question, is refused; the next honest one is answered', async () => {
  const begun = await dialogue({}, 2);
  await assertRefused(begun, begun.question({ step: begun.step + 1 }), 'step-out-of-order');
  await assertRefused(begun, begun.question({ step: begun.step - 1 }), 'step-out-of-order');
  await assertRefused(begun, begun.question({ step: 0 }), 'step-out-of-order');
  await begun.honest(1);
});

test('two questions for one step: the one that came first counts, whether or not the agent was killed before it answered', async () => {
  for (const killed of [false, true]) {
    const begun = await dialogue();
    const [honest, other] = [begun.task(begun.question()), begun.task(begun.question({ theta: [0] }))];
    if (killed) {
      // It logs what it received, and dies before it answers.
      const computing = Promise.withResolvers<void>();
      begun.restart(() => {
        computing.resolve();
        return new Promise(() => undefined);
      });
      void begun.agent.answerAll([honest]);
      await computing.promise;
      begun.restart();
    }
    const released = await begun.agent.answerAll(killed ? [other, honest] : [honest, other]);
    const byTask = new Map(
      released.map(({ task, message }) => [task, SiteMessage.decode(message.body).payload]),
    );
    assert.equal(byTask.get(toHex(sha256(honest.body)))!.$case, 'objectiveValue');
    assert.deepEqual(byTask.get(toHex(sha256(other.body))), HONEST);
    begun.take(byTask.get(toHex(sha256(honest.body)))!);
    begun.restart();
    await begun.honest(1);
  }
});

const IMPLAUSIBLE: Readonly<Record<string, (entry: Entry) => Entry>> = {
  'a scale of 0': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, scale: entry.scaling.scale.with(2, 0) },
  }),
  'a start out of bounds': (entry) => ({ ...entry, start: entry.start.with(1, 100) }),
  'a deviation that is no number': (entry) => ({ ...entry, sd: entry.sd.with(0, Number.NaN) }),
};
for (const [what, change] of Object.entries(IMPLAUSIBLE)) {
  test(`an entry with ${what} is refused`, async () => {
    const begun = await dialogue({}, 0);
    const crafted = change(begun.entry);
    await assertRefused(begun, begun.question({}, crafted), 'entry-implausible');
  });
}

test('a question of an objective or order that this version does not know is refused', async () => {
  const begun = await dialogue();
  await assertRefused(begun, begun.question({ order: 3 }), 'another-question');
  await assertRefused(begun, begun.question({ objective: 'OBJECTIVE_UNSPECIFIED' }), 'another-question');
});

test('sums that are missing, too short or out of range are refused', async () => {
  const begun = await dialogue();
  await assertRefused(begun, begun.question({ sum: [] }), 'sum-missing');
  await assertRefused(begun, begun.question({ sum: Array.from(begun.sum.slice(1)) }), 'sum-missing');
  await assertRefused(begun, begun.question({ sum: Array.from(begun.sum.with(0, 1e300)) }), 'sum-missing');
  await begun.honest(1);
});

test('more questions than the policy allows are refused', async () => {
  const begun = await dialogue({ policy: { ...DEFAULT_POLICY, evaluations: 2 } }, 2);
  await assertRefused(begun, begun.question(), '', {
    $case: 'refusal',
    value: refusal(Rule.RULE_EVALUATIONS, 2),
  });
});

test('no question before the site entered, and none of an analysis that is not the plan’s', async () => {
  const begun = await dialogue({}, 0);
  const question = begun.question();
  const stranger = new Dialogue();
  assert.deepEqual(await stranger.send(stranger.task(question)), {
    $case: 'refusal',
    value: refusal(Rule.RULE_AGREEMENT, 0),
  });
  const task = taskOf(
    { $case: 'objectiveQuestion', value: question },
    { analysis: 'other', round: 3, planDigest: sha256(BINOMIAL) },
  );
  assert.equal((await begun.send(task)).$case, 'refusal');
});

test('an altered sum, and the question that follows from it, is answered; the logs of both sides show it', async () => {
  const begun = new Dialogue();
  await begun.enter();
  const central = openLog(join(begun.folder, 'central'));
  /** As the coordinator logs: what it asked, and what the two sites (of the same records) answered. */
  const play = async (altered?: (sum: Float64Array) => Float64Array): Promise<void> => {
    const task = begun.task(begun.question());
    const [released] = await begun.agent.answerAll([task]);
    const bytes = SignedMessage.encode(released!.message).finish();
    for (const peer of ['A', 'B'])
      central.append({ kind: 'received', peer, task: released!.task, type: 'objectiveValue' }, bytes);
    begun.take(SiteMessage.decode(released!.message.body).payload!, altered);
  };
  await play();
  await play();
  assert.deepEqual(falseSums(begun.log, central), []);
  await play((sum) => sum.map((value, j) => (j === 2 ? value * 3 + 1 : value)));
  await play();
  await play();
  assert.deepEqual(reasons(begun), []);
  assert.deepEqual(falseSums(begun.log, central), [4]);
  central.close();
});

/** The steps at which a site was told a sum that is not the sum of the answers to the step before. */
function falseSums(local: MessageLog, central: MessageLog): number[] {
  const messageOf = (log: MessageLog, entry: EntryWithBody): Uint8Array =>
    SignedMessage.decode(log.body(entry)).body;
  const asked = local.entries.filter(hasBody).flatMap((entry) => {
    const { kind, type, task } = entry;
    if (kind !== 'received' || type !== 'objectiveQuestion') return [];
    const { payload } = CoordinatorMessage.decode(messageOf(local, entry));
    return payload?.$case === 'objectiveQuestion' ? [{ task: task!, question: payload.value }] : [];
  });
  return asked.flatMap(({ question }, i) => {
    const before = asked[i - 1];
    if (before === undefined) return [];
    const answers = central.entriesOf(before.task).flatMap((entry) => {
      if (entry.kind !== 'received' || !hasBody(entry)) return [];
      const { payload } = SiteMessage.decode(messageOf(central, entry));
      return payload?.$case === 'objectiveValue' ? [Float64Array.from(payload.value.values)] : [];
    });
    const sum = [...ringSum(answers)];
    return sum.every((value, j) => value === question.sum[j]) ? [] : [question.step];
  });
}

test('under a policy that keeps per-trial estimates, an entry has none, and a gaussian one is refused', async () => {
  const policy = { ...DEFAULT_POLICY, per_trial_estimates: false };
  const begun = new Dialogue({ policy });
  const entered = await begun.enter();
  assert.ok(entered.$case === 'oneStageEntry');
  const { estimable, estimates, vcov, counts } = entered.value;
  assert.deepEqual([estimable, estimates, vcov, counts?.events], [[], [], [], []]);
  await begun.honest(3);

  const refused = { $case: 'refusal', value: refusal(Rule.RULE_PER_TRIAL_ESTIMATES, 0) };
  const alone = new Dialogue({ policy });
  await alone.enter();
  const entry = { ...alone.entry, studies: 1 };
  alone.begin(entry);
  assert.deepEqual(await alone.send(alone.task(alone.question({}, entry))), refused);

  const gaussian = new Dialogue({ policy, plan: GAUSSIAN });
  assert.deepEqual(await gaussian.enter(), refused);
  // Asked none the less, as if it had entered.
  const open = new Dialogue({ plan: GAUSSIAN });
  assert.equal((await open.enter()).$case, 'oneStageEntry');
  assert.deepEqual(await gaussian.send(gaussian.task(open.question())), HONEST);
  assert.equal(numbersSent(gaussian), 0);
});

test('records that were changed since the site entered are a problem, before and after a restart; the fit is not answered', async () => {
  const pools = [new WorkerPool(1), new WorkerPool(1)];
  const [first, second] = pools as [WorkerPool, WorkerPool];
  const begun = await dialogue({ ask: (question) => first.ask(question) });
  const before = numbersSent(begun);
  writeFileSync(begun.file, records(3));
  // Other threads, as after a pause or a restart: they read the records again.
  begun.restart((question) => second.ask(question));
  const changed = { $case: 'dataProblem', value: { problem: Problem.PROBLEM_RECORDS_CHANGED } };
  const task = begun.task(begun.question());
  assert.deepEqual(await begun.send(task), changed);
  begun.restart((question) => second.ask(question));
  assert.deepEqual(await begun.send(task), changed);
  assert.equal(numbersSent(begun), before);
  await Promise.all(pools.map((pool) => pool.close()));
});
