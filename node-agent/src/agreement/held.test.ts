/** Answers that a custodian sees before they leave. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { HeldAnswers } from '../egress/held.ts';
import { estimate, kinds, offer, question, Site, sound } from './hospital.ts';

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
