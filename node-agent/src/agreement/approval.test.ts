/** A custodian's word: what waits for it, what it binds, and what it does not. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { signStatement, statementDigest } from '@concordat/shared/agreement/statements.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { PLAN, STUDY, taskOf } from '../testing.ts';
import { DATA, kinds, offer, person, question, refusal, RUN, Site, vera } from './hospital.ts';
import { putStatement, waitingStatements } from './statement-files.ts';

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
    hospital.log.entries.filter(
      ({ type, detail }) => type === 'statement' && detail?.['statement'] === statementDigest(statement),
    ).length,
    1,
  );
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
