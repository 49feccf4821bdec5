import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NOTHING_ANSWERED } from '../data/crossed.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { pathToFileURL } from 'node:url';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { newFolder, PLAN as PLAN_TEXT } from '../testing.ts';
import type { StudyQuestion } from './draft.ts';
import { WorkerPool } from './pool.ts';

/** Ends, fails, hangs or answers, as its question's `data` says. */
const SCRIPT = `
import { parentPort } from 'node:worker_threads';
parentPort.on('message', ({ id, question }) => {
  if (question.source.data === 'exit') process.exit(7);
  if (question.source.data === 'throw') setTimeout(() => { throw new Error('a record: 73519.25'); });
  if (question.source.data === 'hang') for (;;);
  if (question.source.data === 'none') parentPort.postMessage({ id, value: null });
  if (question.source.data === 'answer') parentPort.postMessage({ id, value: { drafts: [], problems: ['answered'] } });
});`;
const file = join(newFolder(), 'worker.mjs');
writeFileSync(file, SCRIPT);
const PLAN = expandPlan(parsePlan(PLAN_TEXT, 'plan.yaml'));
const ask = (data: string, analyses: readonly string[] = ['a', 'b']): StudyQuestion => ({
  kind: 'stage-one',
  source: { data, map: null },
  plan: PLAN,
  analyses,
  policy: DEFAULT_POLICY,
  answered: NOTHING_ANSWERED,
});

const INTERNAL = {
  payload: { $case: 'dataProblem', value: { problem: 'PROBLEM_INTERNAL' } },
  evidence: { kind: 'none' },
};

for (const death of ['exit', 'throw', 'none']) {
  test(`a worker that ends by ${death} answers each analysis with an internal problem; the next finds another`, async () => {
    const pool = new WorkerPool(1, pathToFileURL(file));
    const [lost, next] = await Promise.all([pool.ask(ask(death)), pool.ask(ask('answer'))]);
    assert.deepEqual(lost, { drafts: [INTERNAL, INTERNAL], problems: ['a worker thread failed'] });
    assert.deepEqual(next.problems, ['answered']);
    await pool.close();
  });
}

test('a question about parameters goes to the thread that has the analysis of those records, whatever others are called', async () => {
  const script = join(newFolder(), 'threads.mjs');
  // Answers with the name of its thread.
  writeFileSync(
    script,
    `import { parentPort, threadId } from 'node:worker_threads';
parentPort.on('message', ({ id }) => setTimeout(() => parentPort.postMessage({ id, value: { drafts: [], problems: ['' + threadId] } }), 20));`,
  );
  const pool = new WorkerPool(2, pathToFileURL(script));
  const analysis = { ...PLAN.analyses[0]!, id: 'fit', approach: 'one-stage' as const };
  const plan = { ...PLAN, analyses: [analysis] };
  const studies = ['A', 'B'];
  const threads = async (questions: readonly StudyQuestion[]): Promise<(string | undefined)[]> =>
    (await Promise.all(questions.map((question) => pool.ask(question)))).map(({ problems }) => problems[0]);
  const entries = await threads(studies.map((data) => Object.assign(ask(data, ['fit']), { plan })));
  assert.equal(new Set(entries).size, 2);
  const scaling = { centre: new Float64Array(0), scale: new Float64Array(0), intercept: -1 };
  const question = {
    objective: 'log-likelihood',
    theta: new Float64Array(0),
    order: 2,
    length: 1,
    gather: 'sum',
  } as const;
  for (const order of [studies, studies.toReversed()]) {
    const asked = await threads(
      order.map((data) => ({
        kind: 'objective',
        source: { data, map: null },
        plan,
        analysis: 'fit',
        scaling,
        ask: question,
      })),
    );
    assert.deepEqual(
      asked,
      order.map((data) => entries[studies.indexOf(data)]),
    );
  }
  await pool.close();
});

test('close breaks off a fit that runs, answers what waits, and starts nothing more', async () => {
  const pool = new WorkerPool(1, pathToFileURL(file));
  const running = pool.ask(ask('hang', ['a']));
  const waiting = pool.ask(ask('answer', ['a', 'b', 'c']));
  await pool.close();
  assert.deepEqual((await running).drafts, [INTERNAL]);
  assert.deepEqual((await waiting).drafts, [INTERNAL, INTERNAL, INTERNAL]);
  assert.deepEqual((await pool.ask(ask('answer', ['a']))).drafts, [INTERNAL]);
});
