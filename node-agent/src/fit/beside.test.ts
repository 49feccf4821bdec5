import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { PLAN } from '../testing.ts';
import { NOTHING_ANSWERED, type Crossed } from '../data/crossed.ts';
import { askBeside } from './beside.ts';
import type { Draft, StudyQuestion } from './draft.ts';

const CROSSED: Crossed = { variables: ['y'], treatment: null, time: null, columns: [[]], times: [] };

test('what comes after an answer that did not leave is asked again without it', async () => {
  const asked: (readonly string[])[] = [];
  const left = new Set<string>();
  const workers = {
    ask: (question: StudyQuestion) => {
      assert.ok(question.kind === 'stage-one');
      asked.push(question.analyses);
      const drafts = question.analyses.map((_, i): Draft => {
        // Each beside those before it in the question, and those that left.
        const against = [...left, ...question.analyses.slice(0, i)];
        const crossing = { crossed: CROSSED, against };
        return {
          payload: { $case: 'runLeft', value: {} },
          evidence: { kind: 'analysis-set', facts: {} as never, set: '', crossing },
        };
      });
      return Promise.resolve({ drafts, problems: [] });
    },
  };
  const delivered: [number, readonly string[]][] = [];
  const analyses = ['a', 'refused', 'b', 'c'];
  await askBeside(
    workers,
    { answered: () => NOTHING_ANSWERED, has: (id) => left.has(id) },
    {
      source: { data: '', map: null },
      plan: expandPlan(parsePlan(PLAN, 'the plan')),
      analyses,
      policy: DEFAULT_POLICY,
    },
    async (answer) => (await answer).drafts,
    ({ evidence }, i) => {
      assert.ok(evidence.kind === 'analysis-set');
      delivered.push([i, evidence.crossing!.against]);
      if (analyses[i] !== 'refused') left.add(analyses[i]!);
    },
  );
  assert.deepEqual(asked, [analyses, ['b', 'c']]);
  assert.deepEqual(delivered, [
    [0, []],
    [1, ['a']],
    [2, ['a']],
    [3, ['a', 'b']],
  ]);
});
