/** What a run that was accepted stays bound to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { PLAN } from '../testing.ts';
import { DATA, kinds, offer, party, person, question, refusal, Site, vera } from './hospital.ts';

const matching = { approval: 'matching-template', templates: ['template.yaml'] } as const;
const OTHER_RECORDS = toHex(sha256('other records'));
const changed = [{ $case: 'dataProblem', value: { problem: 'PROBLEM_RECORDS_CHANGED' } }];

test('offered again, an accepted run keeps the agreement and the records that it was accepted for', async () => {
  const strict = { ...DEFAULT_POLICY, participants: { minimum: 200, per_arm: 5 } };
  const hospital = new Site({ ...matching, policy: strict });
  assert.deepEqual(kinds(await hospital.send(offer(1))), ['planAccepted']);
  const [first] = await hospital.send(offer(1));
  hospital.agreement = { ...hospital.agreement!, policy: DEFAULT_POLICY, digest: '1'.repeat(64) };
  assert.deepEqual(await hospital.send(offer(1, { attempt: 1 })), [first]);
  assert.deepEqual(kinds(await hospital.send(question(1))), ['RULE_PARTICIPANTS']);
  hospital.data = OTHER_RECORDS;
  assert.deepEqual(await hospital.send(offer(1, { attempt: 2 })), [first]);
  assert.deepEqual(await hospital.send(question(1, 3)), changed);
  hospital.restart();
  assert.deepEqual(await hospital.send(question(1, 4)), changed);
  hospital.data = DATA;
  assert.deepEqual(kinds(await hospital.send(question(1, 5))), ['RULE_PARTICIPANTS']);
  assert.equal(hospital.log.entries.filter(({ kind }) => kind === 'approved').length, 1);
});

test('a run whose custodian was taken out of the agreement waits, and goes on when they are named again', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  const { agreement } = hospital;
  hospital.agreement = { ...agreement!, custodians: [party(person('Carl'))], digest: '1'.repeat(64) };
  assert.deepEqual(await hospital.send(question(1)), []);
  hospital.restart();
  assert.deepEqual(await hospital.send(question(1)), []);
  hospital.agreement = { ...agreement!, custodians: [party(person('Carl')), party(vera)] };
  assert.deepEqual(kinds(await hospital.send(question(1))), ['stageOneEstimate']);
});

test('a run that a template let in waits where the agreement, or the template, would not let it in now', async () => {
  const hospital = new Site(matching);
  await hospital.send(offer(1));
  const { agreement } = hospital;
  hospital.agreement = { ...agreement!, approval: 'each-plan', templates: [], digest: '1'.repeat(64) };
  assert.deepEqual(await hospital.send(question(1)), []);
  hospital.agreement = agreement;
  hospital.template = PLAN.replace('variable: y', 'variable: z');
  assert.deepEqual(await hospital.send(question(1)), []);
  hospital.template = PLAN;
  assert.deepEqual(kinds(await hospital.send(question(1))), ['stageOneEstimate']);
});

test('nothing is accepted of records that cannot be read: there would be nothing to compare with later', async () => {
  const hospital = new Site(matching);
  hospital.data = '';
  assert.deepEqual(await hospital.send(offer(1)), [
    { $case: 'dataProblem', value: { problem: 'PROBLEM_SOURCE_UNREADABLE' } },
  ]);
  assert.deepEqual(kinds(await hospital.send(question(1))), ['RULE_AGREEMENT']);
});

test('records that change while an answer is computed: the answer is not told', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  hospital.meanwhile = () => (hospital.data = OTHER_RECORDS);
  assert.deepEqual(await hospital.send(question(1)), changed);
});

test('another plan that is offered under a run does not keep the custodian from stopping the one that runs', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  await hospital.send(offer(1, { plan: `${PLAN}title: another\n` }));
  await hospital.say(refusal(1));
  assert.deepEqual(hospital.faults(), []);
  assert.deepEqual(kinds(await hospital.send(question(1))), ['RULE_CUSTODIAN']);
});
