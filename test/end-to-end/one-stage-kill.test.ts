/** One-stage fits, with both sides killed at every write: the same result bit for bit, and logs that agree. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RunOutcome } from '@concordat/shared/runs/program.ts';
import { entriesOf } from './federation.ts';
import { InProcess, Life } from './in-process.ts';
import { assertLogsAgree } from './logs.ts';
import { BINARY_PLAN, CONTINUOUS_PLAN, SURVIVAL_PLAN, writeOneStageTrials } from './trials.ts';

const STUDIES = ['A', 'B', 'C'];
const data = writeOneStageTrials(STUDIES);
const analysesOf = ({ analyses }: RunOutcome): string => JSON.stringify(analyses);

function assertSound(federation: InProcess): void {
  assertLogsAgree(
    federation.log('coordinator'),
    Object.fromEntries(STUDIES.map((study) => [study, federation.log(study)])),
  );
  for (const kind of ['sent', 'received']) {
    const places = entriesOf(federation.log('coordinator'))
      .filter((entry) => entry.kind === kind)
      .map(({ peer, round, analysis }) => JSON.stringify([peer, round, analysis]));
    assert.equal(new Set(places).size, places.length, `two contents: ${kind}`);
  }
}

/** A commit has five writes and deaths: a stride that is no multiple of five comes to each of them, in one round or another. */
const STRIDE = 7;
const PLANS = { binomial: BINARY_PLAN, gaussian: CONTINUOUS_PLAN, cox: SURVIVAL_PLAN };
const undisturbed = new Map<
  string,
  { readonly analyses: string; readonly writes: Readonly<Record<string, number>> }
>();

async function playUndisturbed(plan: string): Promise<NonNullable<ReturnType<(typeof undisturbed)['get']>>> {
  const known = undisturbed.get(plan);
  if (known !== undefined) return known;
  const whole = new InProcess({ plan, data });
  const outcome = await whole.play();
  for (const analysis of Object.values(outcome.analyses))
    assert.equal(analysis.status, 'done', JSON.stringify(analysis));
  assertSound(whole);
  const writes = Object.fromEntries(
    Object.entries(whole.begun).map(([name, [life]]) => [name, life!.writes]),
  );
  const played = { analyses: analysesOf(outcome), writes };
  undisturbed.set(plan, played);
  return played;
}

for (const [name, plan] of Object.entries(PLANS)) {
  for (const victim of ['coordinator', 'B']) {
    test(`${name}: ${victim} is killed, at writes all through the run, torn and whole`, async () => {
      const { analyses, writes } = await playUndisturbed(plan);
      let deaths = 0;
      for (let n = 1 + (victim === 'B' ? 3 : 0); n <= writes[victim]!; n += STRIDE) {
        const federation = new InProcess({ plan, data }, { [victim]: [new Life(n, n % 2 === 0)] });
        assert.equal(analysesOf(await federation.play()), analyses, `write ${n}`);
        deaths += federation.begun[victim]!.length - 1;
        assertSound(federation);
      }
      assert.ok(deaths >= 5, `${deaths} deaths`);
    });
  }
}

test('everyone is killed, again and again', async () => {
  const { analyses } = await playUndisturbed(BINARY_PLAN);
  const lives = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.boolean()), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(fc.tuple(lives, lives, lives, lives), async (all) => {
      const plan = ['coordinator', ...STUDIES].map((who, i) => [
        who,
        all[i]!.map(([n, torn]) => new Life(n, torn)),
      ]);
      const federation = new InProcess(
        { plan: BINARY_PLAN, data },
        Object.fromEntries(plan) as Record<string, Life[]>,
      );
      assert.equal(analysesOf(await federation.play()), analyses);
      assertSound(federation);
    }),
    { numRuns: 8, seed: 20260101 },
  );
});
