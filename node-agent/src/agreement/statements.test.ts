/** Statements that wait while the agent is down: whose word is the last. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signStatement, type StatementBody } from '@concordat/shared/agreement/statements.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { HeldAnswers } from '../egress/held.ts';
import { STUDY } from '../testing.ts';
import { kinds, offer, question, refusal, Site, vera } from './hospital.ts';
import { putStatement, waitingStatements } from './statement-files.ts';

const MORNING = new Date('2026-01-01T08:00:00Z');
const put = ({ state }: Site, body: StatementBody, time: Date): void =>
  putStatement(state, signStatement(body, STUDY, vera, time));

/** Files are named by digest: with enough notes, the no comes before the yes by name for some. */
const TIMES = Array.from({ length: 12 }, (_, n) => n);

test('a refusal that was signed after an approval is the last word, whatever their files are called', async () => {
  for (const n of TIMES) {
    const hospital = new Site();
    await hospital.send(offer(1));
    put(hospital, hospital.approval({ note: `${n}` }), MORNING);
    put(hospital, refusal(1), new Date(MORNING.getTime() + n));
    assert.deepEqual(kinds(await hospital.afterStatements()), ['RULE_CUSTODIAN'], `${n}`);
  }
});

test('withheld after it was released: it does not leave, whatever their files are called', async () => {
  for (const n of TIMES) {
    const hospital = new Site({ approval: 'each-release' });
    await hospital.send(offer(1));
    await hospital.say(hospital.approval());
    const asked = question(1);
    await hospital.send(asked);
    const task = toHex(sha256(asked.body));
    const payload = new HeldAnswers(hospital.state).digest(task)!;
    put(hospital, { kind: 'release', task, payload, note: `${n}` }, MORNING);
    put(hospital, { kind: 'withhold', task, payload, note: '' }, new Date(MORNING.getTime() + n));
    assert.deepEqual(kinds(await hospital.afterStatements()), ['RULE_CUSTODIAN'], `${n}`);
  }
});

test('a yes that comes after a later no counts for nothing, also of another run of the plan', async () => {
  const hospital = new Site();
  await hospital.send(offer(1), offer(2));
  put(hospital, refusal(1), new Date(MORNING.getTime() + 1));
  await hospital.afterStatements();
  hospital.restart();
  await hospital.send(offer(2));
  for (const run of ['01', '02']) {
    put(hospital, hospital.approval({ run: run.repeat(16) }), MORNING);
    assert.deepEqual(await hospital.afterStatements(), []);
  }
  assert.deepEqual(hospital.faults(), ['overtaken', 'overtaken']);
});

test('what is no statement is looked at first, and stops none that is', () => {
  const { state } = new Site();
  const signed = signStatement(refusal(1), STUDY, vera, MORNING);
  putStatement(state, signed);
  putStatement(state, { ...signed, text: signed.text.replace(MORNING.toISOString(), 'tomorrow') });
  assert.deepEqual(
    waitingStatements(state).map(({ statement }) => statement?.kind ?? null),
    [null, 'refuse'],
  );
});
