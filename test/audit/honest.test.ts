/** Logs that the real programs made, killed and undisturbed: nothing is found, and the run is reproduced. */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { test } from 'node:test';

import { InProcess, Life } from '../end-to-end/in-process.ts';
import { BINARY_PLAN, CONTINUOUS_PLAN, SURVIVAL_PLAN, writeOneStageTrials } from '../end-to-end/trials.ts';
import { audited, told } from './logs.ts';

const STUDIES = ['A', 'B', 'C'];
const data = writeOneStageTrials(STUDIES);
const PLANS = { binomial: BINARY_PLAN, gaussian: CONTINUOUS_PLAN, cox: SURVIVAL_PLAN };

const logsOf = (federation: InProcess): Record<string, string> =>
  Object.fromEntries(['coordinator', ...STUDIES].map((party) => [party, federation.log(party)]));

for (const [name, plan] of Object.entries(PLANS)) {
  test(`${name}: an honest federation has no findings`, async () => {
    const federation = new InProcess({ plan, data });
    await federation.play();
    const verdict = audited(logsOf(federation));
    assert.deepEqual(told(verdict), []);
  });
}

test('killed again and again: notes at most', async () => {
  for (let n = 5; n < 60; n += 11) {
    const lives = {
      coordinator: [new Life(n, true), new Life(n + 3)],
      B: [new Life(n + 1, true), new Life(9)],
    };
    const federation = new InProcess({ plan: BINARY_PLAN, data }, lives);
    await federation.play();
    const verdict = audited(logsOf(federation));
    assert.deepEqual(told(verdict), [], `${n}`);
  }
});

test('logs without what their messages say: nothing is found, and what is hidden is counted', async () => {
  const federation = new InProcess({ plan: BINARY_PLAN, data });
  await federation.play();
  const redacted = Object.fromEntries(
    Object.entries(logsOf(federation)).map(([party, folder]) => {
      cpSync(folder, `${folder}-redacted`, { recursive: true });
      rmSync(`${folder}-redacted/bodies`, { recursive: true });
      return [party, `${folder}-redacted`];
    }),
  );
  const keys = new Map(Object.keys(redacted).map((party) => [party, federation.identity(party).publicKey]));
  const verdict = audited(redacted, { keys });
  assert.deepEqual(told(verdict), []);
  assert.ok(verdict.logs.every(({ hidden }) => hidden > 0));
});
