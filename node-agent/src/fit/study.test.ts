import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NOTHING_ANSWERED } from '../data/crossed.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { answer } from './study.ts';

const folder = mkdtempSync(join(tmpdir(), 'study-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, 'A.csv');
const rows = Array.from({ length: 60 }, (_, i) => `${i},${i % 2},${i % 7},${i === 41 ? 9 : i % 3}`);
writeFileSync(data, `id,arm,y,status\n${rows.join('\n')}\n`);

const planOf = (population: string) =>
  expandPlan(
    parsePlan(
      `plan: 1
id: selector
population: ${population}
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
levels: {status: [0, 1, 2]}
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian, adjust: [factor(status)]}}
`,
      'plan',
    ),
  );

test('a problem among the rows that a plan selects comes with how many they are, for the gate to judge', async () => {
  const ask = (population: string) =>
    answer({
      kind: 'stage-one',
      source: { data, map: null },
      plan: planOf(population),
      analyses: ['effect'],
      policy: DEFAULT_POLICY,
      answered: NOTHING_ANSWERED,
    });
  for (const [population, participants, smallest] of [
    ['id == 41', 1, 1],
    ['id >= 30', 30, 30],
  ] as const) {
    const { drafts, problems } = await ask(population);
    assert.deepEqual(drafts, [
      {
        payload: { $case: 'dataProblem', value: { problem: 'PROBLEM_IMPOSSIBLE_CODE' } },
        evidence: {
          kind: 'selected-rows',
          participants,
          cells: [{ what: 'population', variable: 'id', count: smallest }],
          members: null,
        },
      },
    ]);
    assert.equal(problems.length, 1);
  }
  const { drafts } = await ask('weight > 1');
  assert.deepEqual(drafts, [
    {
      payload: { $case: 'dataProblem', value: { problem: 'PROBLEM_MISSING_COLUMN' } },
      evidence: { kind: 'none' },
    },
  ]);
});
