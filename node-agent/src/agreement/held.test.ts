/** Answers that a custodian sees before they leave. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatementBody } from '@concordat/shared/agreement/statements.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { HeldAnswers } from '../egress/held.ts';
import { estimate, kinds, offer, party, person, question, Site, sound, vera } from './hospital.ts';

test('each-release: an answer is held exactly as it would leave, through a restart, until it is released', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  const asked = question(1);
  const task = toHex(sha256(asked.body));
  assert.deepEqual(await hospital.send(asked), []);
  const held = new HeldAnswers(hospital.state);
  assert.deepEqual(held.get(task, held.digest(task)!), sound.payload);
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

const asked = question(1);
const task = toHex(sha256(asked.body));

/** A site whose answer to `asked` is held. */
async function holding(): Promise<Site> {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  assert.deepEqual(await hospital.send(asked), []);
  return hospital;
}

const heldEntries = ({ log }: Site) => log.entries.filter(({ detail }) => detail?.['held'] !== undefined);

/** Of the answer that is held now. */
const release = ({ state }: Site, kind: 'release' | 'withhold' = 'release'): StatementBody => ({
  kind,
  task,
  payload: new HeldAnswers(state).digest(task)!,
  note: '',
});

test('killed between the file and the log: the answer is computed again, and held as the log has it', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  new HeldAnswers(hospital.state).put(task, { $case: 'stageOneEstimate', value: { ...estimate, rounds: 9 } });
  hospital.restart();
  await hospital.say(release(hospital));
  assert.deepEqual(hospital.faults(), ['not-waiting']);
  assert.deepEqual(await hospital.send(asked), []);
  assert.equal(heldEntries(hospital).length, 1);
  assert.deepEqual(await hospital.say(release(hospital)), [sound.payload]);
});

test('rules that became stricter while an answer was held: it is computed again, and refused where they refuse it', async () => {
  const hospital = await holding();
  const participants = { minimum: 500, per_arm: 5 };
  hospital.agreement = {
    ...hospital.agreement!,
    policy: { ...DEFAULT_POLICY, participants },
    digest: '1'.repeat(64),
  };
  assert.deepEqual(kinds(await hospital.say(release(hospital))), ['RULE_PARTICIPANTS']);
});

test('the same answer under stricter rules leaves by the release that was given of it', async () => {
  const hospital = await holding();
  const participants = { minimum: 101, per_arm: 5 };
  hospital.agreement = {
    ...hospital.agreement!,
    policy: { ...DEFAULT_POLICY, participants },
    digest: '1'.repeat(64),
  };
  assert.deepEqual(await hospital.say(release(hospital)), [sound.payload]);
  assert.equal(heldEntries(hospital).length, 2);
});

test('another answer under stricter rules needs a release of its own', async () => {
  const hospital = await holding();
  const body = release(hospital);
  const participants = { minimum: 101, per_arm: 5 };
  hospital.agreement = {
    ...hospital.agreement!,
    policy: { ...DEFAULT_POLICY, participants },
    digest: '1'.repeat(64),
  };
  hospital.draft = { ...sound, payload: { $case: 'stageOneEstimate', value: { ...estimate, rounds: 9 } } };
  assert.deepEqual(await hospital.say(body), []);
  assert.deepEqual(await hospital.say(release(hospital)), [hospital.draft.payload]);
});

test('a release counts only while its custodian is one', async () => {
  const hospital = await holding();
  const carl = person('Carl');
  const { agreement } = hospital;
  const both = { ...agreement!, custodians: [party(vera), party(carl)], digest: '1'.repeat(64) };
  hospital.agreement = both;
  // The coordinator has not asked again since the restart, so that the release is taken and nothing leaves yet.
  hospital.restart();
  assert.deepEqual(await hospital.say(release(hospital), carl), []);
  assert.deepEqual(hospital.faults(), []);
  hospital.agreement = { ...agreement!, digest: '2'.repeat(64) };
  assert.deepEqual(await hospital.send(asked), []);
  hospital.agreement = both;
  assert.deepEqual(await hospital.send(asked), [sound.payload]);
});

test('an answer that was exchanged on the disk after its release does not leave', async () => {
  const hospital = await holding();
  hospital.restart();
  await hospital.say(release(hospital));
  new HeldAnswers(hospital.state).put(task, {
    $case: 'stageOneEstimate',
    value: { ...estimate, estimates: [9, 9] },
  });
  // Computed again it is what was released.
  assert.deepEqual(await hospital.send(asked), [sound.payload]);
});
