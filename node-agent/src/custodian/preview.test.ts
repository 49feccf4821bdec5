/** What a custodian sees before a decision: the answers, and which would be refused for what was answered before. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { HeldAnswers } from '../egress/held.ts';
import { Ledger } from '../egress/ledger.ts';
import { answer } from '../fit/study.ts';
import { AGREEMENT, newFolder } from '../testing.ts';
import { previewPlan } from './preview.ts';

const N = 80;
const state = newFolder();
const data = join(newFolder(), 'trial.csv');
const rows = Array.from({ length: N }, (_, i) =>
  // One participant has no laboratory value.
  [i % 2, 50 + (i % 17), i === 3 ? '' : ((7 * i) % 23) / 2, 120 + ((11 * i) % 31)].join(','),
);
writeFileSync(data, `arm,age,lab,y\n${rows.join('\n')}\n`);

const planOf = (...models: readonly string[]): string => `plan: 1
id: previewed
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses:
${models.map((adjust, i) => `  - {id: a${i}, approach: two-stage, model: {family: gaussian, adjust: [${adjust}]}}`).join('\n')}
`;

const previewed = async (...models: readonly string[]) => {
  const releases = await previewPlan(
    planOf(...models),
    { ...AGREEMENT, policy: DEFAULT_POLICY },
    {
      study: 'ALDER',
      state,
      identity: signingIdentity(generateSigningKey(), 'ALDER'),
      held: new HeldAnswers(state),
      workers: { ask: answer },
      source: { data, map: null },
    },
  );
  return releases.map(({ payload, remarks }) => [payload.$case, remarks.join().replace(/:.*/, '')]);
};

test('an analysis that another of the plan stands in the way of is shown as refused', async () => {
  assert.deepEqual(await previewed('age', 'lab'), [
    ['stageOneEstimate', ''],
    ['refusal', 'differencing, the analysis set'],
  ]);
});

test('what was previewed is not answered: the ledger is as before, and its copy is gone', async () => {
  const { secret } = new Ledger(join(state, 'ledger'));
  assert.deepEqual(await previewed('age'), [['stageOneEstimate', '']]);
  assert.deepEqual(await previewed('lab'), [['stageOneEstimate', '']]);
  assert.deepEqual(readdirSync(state), ['ledger']);
  assert.deepEqual(readdirSync(join(state, 'ledger')), ['key']);
  assert.deepEqual(new Ledger(join(state, 'ledger')).secret, secret);
});
