/** A custodian's word: what waits for it, what it binds, and what it does not. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Rule, SiteMessage, type StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer, signPlan } from '@concordat/shared/wire/offers.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { Agent } from '../agent.ts';
import type { CustodianKey, ObjectionName } from '../custodian/desk.ts';
import { HeldAnswers } from '../egress/held.ts';
import type { Draft, Payload, StudyAnswer, StudyQuestion } from '../fit/draft.ts';
import { AGREEMENT, newFolder, openLog, PLAN, site, situation, STUDY, taskOf } from '../testing.ts';
import type { Agreement } from './document.ts';
import { putStatement, signStatement, waitingStatements, type StatementBody } from './statements.ts';

function person(name: string): CustodianKey {
  const identity = signingIdentity(generateSigningKey(), name);
  return {
    name,
    publicKey: toHex(identity.publicKey),
    sign: (statement) => signBytes(identity, 'concordat.v1 statement\n', statement),
  };
}
const vera = person('Vera');
const party = ({ name, publicKey }: CustodianKey) => ({ name, key: publicKey });
const DATA = toHex(sha256('records'));
const RUN = (n: number): Uint8Array => new Uint8Array(16).fill(n);
const planDigest = toHex(sha256(PLAN));

const estimate: StageOneEstimate = {
  counts: {
    participants: [50, 51],
    events: [],
    notInPopulation: 0,
    otherTreatment: 0,
    missingTreatment: 0,
    missingOutcome: 0,
    missingCovariate: 0,
  },
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
const sound: Draft = {
  payload: { $case: 'stageOneEstimate', value: estimate },
  evidence: {
    kind: 'analysis-set',
    facts: {
      participants: 101,
      perArm: [50, 51],
      parameters: 2,
      effective: 101,
      events: null,
      eventFree: null,
      grouped: false,
      shares: [],
      cells: [],
      leverage: 0.02,
      rank: { deficient: false, nearDeficient: false },
    },
    set: '',
  },
};

/** A site with its state and log, restarted at will; the agreement, the records and the time are a test's to change. */
class Site {
  readonly state = newFolder();
  readonly folder = newFolder();
  log: MessageLog = openLog(this.folder);
  agreement: Agreement | null;
  data = DATA;
  now = new Date('2026-01-01T00:00:00Z');
  template = PLAN;
  draft = sound;
  agent: Agent;
  readonly #known = new Map<string, Agreement>();

  constructor(over: Partial<Agreement> = {}) {
    this.agreement = { ...AGREEMENT, approval: 'each-plan', custodians: [party(vera)], ...over };
    this.agent = this.#start();
  }

  #start(): Agent {
    return new Agent({
      ...situation(),
      agreement: {
        current: () => {
          if (this.agreement !== null) this.#known.set(this.agreement.digest, this.agreement);
          return this.agreement;
        },
        of: (digest) => this.#known.get(digest) ?? null,
      },
      snapshot: () => Promise.resolve(this.data),
      template: () => parsePlan(this.template, 'template'),
      state: this.state,
      now: () => this.now,
      client: {
        exchange: () => Promise.reject(new Error('no network')),
        interrupt: () => undefined,
        close: () => undefined,
      },
      log: this.log,
      workers: {
        ask: (asked: StudyQuestion): Promise<StudyAnswer> =>
          Promise.resolve({
            drafts: (asked.kind === 'stage-one' ? asked.analyses : ['']).map(() => this.draft),
            problems: [],
          }),
      },
    });
  }

  restart(): void {
    this.log.close();
    this.log = openLog(this.folder);
    this.agent = this.#start();
  }

  async send(...tasks: SignedMessage[]): Promise<readonly Payload[]> {
    return (await this.agent.answerAll(tasks)).map(
      ({ message }) => SiteMessage.decode(message.body).payload!,
    );
  }

  /** Hands over a statement; resolves to what the agent then answers. */
  async say(body: StatementBody, by: CustodianKey = vera, study = STUDY): Promise<readonly Payload[]> {
    putStatement(this.state, signStatement(body, study, by, this.now));
    return this.afterStatements();
  }

  async afterStatements(): Promise<readonly Payload[]> {
    return (await this.agent.answerDecided()).map(({ message }) => SiteMessage.decode(message.body).payload!);
  }

  approval(over: Partial<Extract<StatementBody, { kind: 'approve' }>> = {}): StatementBody {
    return {
      kind: 'approve',
      run: toHex(RUN(1)),
      plan: planDigest,
      sites: [STUDY],
      minimum: 1,
      data: this.data,
      agreement: this.agreement?.digest ?? '',
      note: '',
      ...over,
    };
  }

  faults(): readonly unknown[] {
    return this.log.entries.flatMap(({ kind, detail }) =>
      kind === 'refused' ? (detail?.['fault'] ?? []) : [],
    );
  }
}

interface Offered {
  readonly plan?: string;
  readonly sites?: readonly string[];
  readonly minimum?: number;
  readonly signedBy?: ReturnType<typeof signingIdentity>;
}

function offer(
  run: number,
  { plan = PLAN, sites = [STUDY], minimum = 1, signedBy }: Offered = {},
): SignedMessage {
  const roster: Roster = {
    sites: sites.map((study) => ({ study, key: study === STUDY ? site.publicKey : new Uint8Array(32) })),
    minimumStudies: minimum,
    masked: false,
  };
  return taskOf(
    {
      $case: 'planOffer',
      value: planOffer(plan, roster, signedBy === undefined ? null : signPlan(plan, signedBy)),
    },
    { run: RUN(run), planDigest: sha256(plan), rosterDigest: sha256(Roster.encode(roster).finish()) },
  );
}

function question(run: number, round = 2): SignedMessage {
  const roster = Roster.encode({
    sites: [{ study: STUDY, key: site.publicKey }],
    minimumStudies: 1,
    masked: false,
  }).finish();
  return taskOf(
    { $case: 'stageOneQuestion', value: { agreedLevels: [{ variable: 'centre', levels: [] }] } },
    { run: RUN(run), analysis: 'effect', round, rosterDigest: sha256(roster) },
  );
}

const kinds = (payloads: readonly Payload[]): string[] =>
  payloads.map((payload) => (payload.$case === 'refusal' ? payload.value.rule : payload.$case));

test('a plan waits until the custodian approves it; the log holds their words, and the run its terms after a restart', async () => {
  const hospital = new Site();
  assert.deepEqual(await hospital.send(offer(1)), []);
  assert.deepEqual(kinds(await hospital.send(question(1))), [Rule.RULE_AGREEMENT]);
  assert.deepEqual(kinds(await hospital.say(hospital.approval({ note: 'as discussed' }))), ['planAccepted']);
  const approved = hospital.log.entries.find(({ kind }) => kind === 'approved');
  assert.deepEqual([approved?.detail?.['mode'], approved?.detail?.['custodian']], ['custodian', 'Vera']);
  assert.deepEqual(readdirSync(join(hospital.state, 'decisions')), []);
  hospital.restart();
  assert.deepEqual(kinds(await hospital.send(question(1, 3))), ['stageOneEstimate']);
});

test('killed after the offer, or after the statement was logged: nothing is asked twice and nothing is lost', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  hospital.restart();
  const statement = signStatement(hospital.approval(), STUDY, vera, hospital.now);
  putStatement(hospital.state, statement);
  const [file] = waitingStatements(hospital.state);
  const kept = { name: file!.file, text: JSON.stringify(statement) };
  // The coordinator sends the offer again; until then there is nothing to answer.
  assert.deepEqual(await hospital.afterStatements(), []);
  writeFileSync(kept.name, kept.text);
  hospital.restart();
  assert.deepEqual(await hospital.afterStatements(), []);
  assert.ok(!existsSync(kept.name));
  assert.deepEqual(kinds(await hospital.send(offer(1))), ['planAccepted']);
  assert.equal(
    hospital.log.entries.filter(({ detail }) => detail?.['statement'] === statement.text).length,
    1,
  );
});

const refusal = (run: number, objection: ObjectionName = 'data-not-ready'): StatementBody => ({
  kind: 'refuse',
  run: toHex(RUN(run)),
  plan: planDigest,
  objection,
  note: 'ask the board',
});

test('refused: the coordinator is told the objection and not the note; under way, the custodian takes the site out', async () => {
  const no = refusal(1, 'purpose');
  const hospital = new Site();
  await hospital.send(offer(1));
  const [told] = await hospital.say(no);
  assert.ok(told?.$case === 'refusal');
  assert.deepEqual([told.value.rule, told.value.objection], ['RULE_CUSTODIAN', 'OBJECTION_PURPOSE']);

  const running = new Site();
  await running.send(offer(1));
  await running.say(running.approval());
  assert.deepEqual(kinds(await running.send(question(1))), ['stageOneEstimate']);
  await running.say(no);
  assert.deepEqual(kinds(await running.send(question(1, 3))), ['RULE_CUSTODIAN']);
  running.restart();
  assert.deepEqual(kinds(await running.send(question(1, 4))), ['RULE_CUSTODIAN']);
  // The approval is taken back: another run of the plan is asked about.
  assert.deepEqual(await running.send(offer(2)), []);
});

test('an approval after a refusal replaces it: a run that the site left goes on without it, the next is answered', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(refusal(1));
  hospital.restart();
  assert.deepEqual(await hospital.say(hospital.approval()), []);
  assert.deepEqual(hospital.faults(), []);
  assert.deepEqual(kinds(await hospital.send(offer(1), offer(2))), ['RULE_CUSTODIAN', 'planAccepted']);

  const running = new Site();
  await running.send(offer(1));
  await running.say(running.approval());
  await running.say(refusal(1));
  await running.say(running.approval({ note: 'after all' }));
  assert.deepEqual(kinds(await running.send(question(1))), ['stageOneEstimate']);
  await running.say(running.approval({ note: 'once more' }));
  assert.deepEqual(running.faults(), ['not-waiting']);
});

test('an approval is taken back after its run is over too: the next run of the plan is asked about', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  await hospital.send(taskOf({ $case: 'runClosed', value: {} }, { run: RUN(1) }));
  await hospital.say(refusal(1));
  assert.deepEqual(hospital.faults(), []);
  assert.deepEqual(await hospital.send(offer(2)), []);
});

const faults: Readonly<Record<string, (hospital: Site) => Promise<unknown>>> = {
  'not-custodian': (hospital) => hospital.say(hospital.approval(), person('Vera')),
  'another-study': (hospital) => hospital.say(hospital.approval(), vera, 'B'),
  'not-waiting': (hospital) => hospital.say(hospital.approval({ plan: toHex(sha256('another plan')) })),
  'roster-differs': (hospital) => hospital.say(hospital.approval({ sites: [STUDY, 'B'], minimum: 2 })),
  'agreement-changed': (hospital) =>
    hospital.say(hospital.approval({ agreement: toHex(sha256('an older one')) })),
  'data-changed': (hospital) => {
    const body = hospital.approval();
    hospital.data = toHex(sha256('other records'));
    return hospital.say(body);
  },
  malformed: (hospital) => {
    const { text, signature } = signStatement(hospital.approval(), STUDY, vera, hospital.now);
    putStatement(hospital.state, { text: text.replace('"note":""', '"note":"!"'), signature });
    return hospital.afterStatements();
  },
};
for (const [fault, attempt] of Object.entries(faults)) {
  test(`a statement counts for nothing: ${fault}`, async () => {
    const hospital = new Site();
    await hospital.send(offer(1));
    assert.deepEqual(await attempt(hospital), []);
    assert.deepEqual(hospital.faults(), [fault]);
    assert.deepEqual(readdirSync(join(hospital.state, 'decisions')), []);
  });
}

test('an approval holds for later runs of the plan, but for no smaller roster, no other records, no other agreement', async () => {
  const both = { sites: [STUDY, 'B'], minimum: 2 };
  const hospital = new Site();
  await hospital.send(offer(1, both));
  await hospital.say(hospital.approval(both));
  assert.deepEqual(kinds(await hospital.send(offer(2, both))), ['planAccepted']);
  assert.deepEqual(kinds(await hospital.send(offer(3, { sites: [STUDY, 'B', 'C'], minimum: 3 }))), [
    'planAccepted',
  ]);
  assert.deepEqual(await hospital.send(offer(4)), []);
  assert.deepEqual(await hospital.send(offer(5, { ...both, minimum: 1 })), []);
  hospital.data = toHex(sha256('other records'));
  assert.deepEqual(await hospital.send(offer(6, both)), []);
  hospital.data = DATA;
  hospital.agreement = { ...hospital.agreement!, digest: '1'.repeat(64) };
  assert.deepEqual(await hospital.send(offer(7, both)), []);
  hospital.restart();
  assert.deepEqual(await hospital.send(offer(8, { sites: [STUDY, 'C'], minimum: 2 })), []);
});

test('records that change after the approval are not the ones approved', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  hospital.data = toHex(sha256('other records'));
  const [told] = await hospital.send(question(1));
  assert.deepEqual(told, { $case: 'dataProblem', value: { problem: 'PROBLEM_RECORDS_CHANGED' } });
});

test('a plan that a template covers needs nobody; another waits, or is refused where there is nobody to ask', async () => {
  const other = PLAN.replace('adjust: [factor(centre)]', 'adjust: [age]');
  const approval = 'matching-template' as const;
  const asked = new Site({ approval, templates: ['template.yaml'] });
  assert.deepEqual(kinds(await asked.send(offer(1))), ['planAccepted']);
  assert.deepEqual(await asked.send(offer(2, { plan: other, sites: [STUDY, 'B'] })), []);
  const alone = new Site({ approval, templates: ['template.yaml'], custodians: [] });
  const both = { sites: [STUDY, 'B'] };
  assert.deepEqual(kinds(await alone.send(offer(1, both), offer(2, { plan: other, ...both }))), [
    'planAccepted',
    'RULE_AGREEMENT',
  ]);
  // The same questions with a site fewer, whatever the plan is called.
  const renamed = PLAN.replace('id: tiny', 'id: other');
  assert.deepEqual(kinds(await alone.send(offer(3), offer(4, { plan: renamed }))), [
    'RULE_ROSTER',
    'RULE_ROSTER',
  ]);
});

test('who may ask: a plan that no named statistician signed is refused, and so is a false signature', async () => {
  const [ada, eve] = ['ada', 'eve'].map((name) => signingIdentity(generateSigningKey(), name));
  const hospital = new Site({
    statisticians: [{ name: 'Ada', key: toHex(ada!.publicKey) }],
    approval: 'automatic',
  });
  assert.deepEqual(
    kinds(await hospital.send(offer(1), offer(2, { signedBy: eve! }), offer(3, { signedBy: ada! }))),
    ['RULE_ASKER', 'RULE_ASKER', 'planAccepted'],
  );
});

test('an agreement that expires or narrows stops a run that is under way; one that widens changes nothing for it', async () => {
  const strict = { ...DEFAULT_POLICY, participants: { minimum: 200, per_arm: 5 } };
  const hospital = new Site({ approval: 'automatic', until: '2026-01-01', policy: strict });
  await hospital.send(offer(1));
  assert.deepEqual(kinds(await hospital.send(question(1))), ['RULE_PARTICIPANTS']);
  hospital.agreement = {
    ...hospital.agreement!,
    policy: DEFAULT_POLICY,
    digest: '1'.repeat(64),
    until: '2026-01-02',
  };
  assert.deepEqual(kinds(await hospital.send(question(1, 3))), ['RULE_PARTICIPANTS']);
  hospital.agreement = { ...hospital.agreement, variables: ['arm'], digest: '2'.repeat(64) };
  assert.deepEqual(kinds(await hospital.send(question(1, 4))), ['RULE_VARIABLE']);
  hospital.agreement = { ...hospital.agreement, variables: 'all', digest: '3'.repeat(64) };
  hospital.now = new Date('2026-01-03T00:00:00Z');
  assert.deepEqual(kinds(await hospital.send(question(1, 5))), ['RULE_EXPIRED']);
  hospital.restart();
  assert.deepEqual(
    kinds(await hospital.send(question(1, 6), offer(2))),
    ['RULE_EXPIRED', 'RULE_EXPIRED'].toReversed(),
  );
});

test('while the agreement is not usable nothing is answered, and nothing lost', async () => {
  const hospital = new Site({ approval: 'automatic' });
  const { agreement } = hospital;
  await hospital.send(offer(1));
  hospital.agreement = null;
  assert.deepEqual(await hospital.send(question(1)), []);
  hospital.agreement = agreement;
  assert.deepEqual(kinds(await hospital.send(question(1))), ['stageOneEstimate']);
});

test('each-release: an answer is held exactly as it would leave, through a restart, until it is released', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  const asked = question(1);
  const task = toHex(sha256(asked.body));
  assert.deepEqual(await hospital.send(asked), []);
  const held = new HeldAnswers(hospital.state);
  assert.deepEqual(held.get(task), sound.payload);
  hospital.restart();
  assert.deepEqual(await hospital.send(asked), []);
  const body = { kind: 'release', task, payload: held.digest(task)!, note: '' } as const;
  await hospital.say({ ...body, payload: toHex(sha256('another payload')) });
  assert.deepEqual(hospital.faults(), ['payload-differs']);
  assert.deepEqual(await hospital.say(body), [sound.payload]);
  // Asked again: the same bytes, whatever the records would give now.
  hospital.draft = { ...sound, payload: { $case: 'stageOneEstimate', value: { ...estimate, rounds: 9 } } };
  assert.deepEqual(await hospital.send(asked), [sound.payload]);
});

test('each-release: what is withheld is refused in the custodian’s name', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  const asked = question(1);
  const task = toHex(sha256(asked.body));
  await hospital.send(asked);
  const payload = new HeldAnswers(hospital.state).digest(task)!;
  assert.deepEqual(kinds(await hospital.say({ kind: 'withhold', task, payload, note: 'too few' })), [
    'RULE_CUSTODIAN',
  ]);
});
