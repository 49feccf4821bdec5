/** A thousand honest runs whose processes are killed at any moment, torn in the middle of a write too, and started again: nothing is found. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { audited, told } from '../audit/logs.ts';
import { Life } from '../end-to-end/in-process.ts';
import { BINARY_PLAN, CONTINUOUS_PLAN, SURVIVAL_PLAN } from '../end-to-end/trials.ts';
import { PARTIES, play } from './played.ts';

const PLANS = { binomial: BINARY_PLAN, gaussian: CONTINUOUS_PLAN, cox: SURVIVAL_PLAN };
const RUNS = 1000;
/** Bodies, entries and checkpoints that a process writes before it may die. */
const LONGEST_LIFE = 60;

let state = 20_260_101;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const below = (n: number): number => Math.floor(random() * n);

/** Up to three lives that end early; the last one is long. */
const lives = (): Life[] =>
  Array.from({ length: below(4) }, () => new Life(1 + below(LONGEST_LIFE), below(2) === 0));

const names = Object.keys(PLANS) as (keyof typeof PLANS)[];
const deaths = { count: 0 };
for (const [i, name] of names.entries()) {
  const runs = Math.floor((RUNS + i) / names.length);
  test(`${runs} runs of ${name}`, async () => {
    for (let n = 0; n < runs; n++) {
      const short = Object.fromEntries(PARTIES.map((party) => [party, lives()]));
      const { federation, logs, keys, plan, result } = await play(PLANS[name], short);
      deaths.count += Object.values(federation.begun).reduce((sum, lived) => sum + lived.length - 1, 0);
      const verdict = audited(logs, {
        keys,
        plan: { name: 'plan.yaml', text: plan },
        result: { name: 'result.json', text: result },
      });
      assert.deepEqual(told(verdict), [], `run ${n}`);
      assert.deepEqual(
        verdict.runs.map(({ reproduced }) => reproduced),
        [true],
      );
      rmSync(federation.folder, { recursive: true });
    }
  });
}

test('in which processes died', () => {
  assert.ok(deaths.count > RUNS, `${deaths.count} deaths`);
});
