import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Diagnosis, Problem, Rule, type StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import type { TwoStageResult } from '../plan/result-types.ts';
import type { Tau2Method } from '../plan/types.ts';
import { refusal } from '../wire/refusals.ts';
import fc from 'fast-check';
import { failureReason, missing, refusalReason, type SiteAnswer } from './answers.ts';
import { analysisResult, type StudyAnswer } from './results.ts';
import { AGREED, estimate, PLAN, STUDIES } from './testing.ts';

const plan = expandPlan(parsePlan(PLAN, 'plan'), { centre: AGREED });
const [effect, adjusted] = [plan.analyses[0]!, plan.analyses[1]!];
const answer = (value: StageOneEstimate): SiteAnswer => ({
  kind: 'reply',
  payload: { $case: 'stageOneEstimate', value },
});
const answers = (p: number, over: Readonly<Record<string, Partial<StageOneEstimate>>> = {}): StudyAnswer[] =>
  STUDIES.map((study) => ({ study, answer: answer({ ...estimate(study, p), ...over[study] }) }));
const twoStage = (result: unknown): TwoStageResult => result as TwoStageResult;

test('a study’s numbers stand in the result as they came, its terms by name, its counts by arm', () => {
  const result = twoStage(analysisResult(plan, effect, answers(2)));
  assert.equal(result.status, 'done');
  const { weight, ...study } = result.studies[1]!;
  assert.ok(weight! > 0);
  assert.deepEqual(study, {
    study: 'B',
    status: 'included',
    participants: { control: 51, active: 52, left_out: 5 },
    left_out_by_reason: {
      missing_treatment: 0,
      missing_outcome: 2,
      missing_covariate: 3,
      not_in_population: 1,
      other_treatment: 0,
    },
    estimates: [
      { term: '(intercept)', estimate: 0.2, se: Math.sqrt(0.02) },
      { term: 'treatment', estimate: 1.2, se: Math.sqrt(0.02) },
    ],
    vcov: [
      [0.02, 0],
      [0, 0.02],
    ],
    log_likelihood: { null: -60, fitted: -50 },
    warnings: [],
  });
});

test('a term that a study cannot estimate moves the others to their own names, with a warning', () => {
  const p = adjusted.columns.length;
  assert.equal(p, 5);
  const estimable = [true, true, false, true, true];
  const result = twoStage(
    analysisResult(plan, adjusted, answers(p, { B: { ...estimate('B', 4), estimable } })),
  );
  const study = result.studies[1]!;
  assert.deepEqual(
    study.estimates?.map(({ term }) => term),
    adjusted.columns.filter((_, i) => i !== 2).map(({ term }) => term),
  );
  assert.deepEqual(
    study.warnings?.map(({ code, term }) => [code, term]),
    [['term-not-estimable', adjusted.columns[2]!.term]],
  );
});

test('a study without the pooled term is excluded, and counts for no minimum', () => {
  const estimable = [true, false];
  const result = twoStage(
    analysisResult(
      plan,
      effect,
      answers(2, { A: { ...estimate('A', 1), estimable }, B: { ...estimate('B', 1), estimable } }),
    ),
  );
  assert.deepEqual(
    result.studies.map(({ status, reason }) => [status, reason?.code]),
    [
      ['excluded', 'not-estimable'],
      ['excluded', 'not-estimable'],
      ['included', undefined],
    ],
  );
  assert.equal(result.status, 'failed');
});

test('the order of the answers is that of the roster, so the result does not depend on who was first', () => {
  const once = JSON.stringify(analysisResult(plan, effect, answers(2)));
  assert.equal(JSON.stringify(analysisResult(plan, effect, answers(2))), once);
});

test('whatever finite numbers a site sends, the run ends: with finite numbers, or with the analysis failed', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(1e308, -1e308, 1e-320, 1e200),
  );
  const variance = number.map(Math.abs).filter((v) => v > 0);
  const method = fc.constantFrom<Tau2Method>('REML', 'DL', 'PM', 'ML', 'EB', 'SJ', 'HE', 'HS', 'FE');
  fc.assert(
    fc.property(number, variance, method, (value, v, tau2) => {
      const analysis = { ...effect, pool: { ...effect.pool, tau2 } };
      const lie = { estimates: [0, value], vcov: [1, 0, v] };
      const result = twoStage(analysisResult(plan, analysis, answers(2, { B: lie })));
      assert.ok(result.status === 'done' || result.reason?.code === 'not-computed');
      JSON.stringify(result, (key, x: unknown) => {
        assert.ok(typeof x !== 'number' || Number.isFinite(x), key);
        return x;
      });
      assert.equal(result.studies.length, 3);
    }),
    { numRuns: 300 },
  );
});

test('every rule, problem and diagnosis of the wire has words, also one that a later version adds', () => {
  for (const rule of Object.values(Rule)) {
    const { code, message } = refusalReason(refusal(rule, 7));
    assert.ok(code.length > 0 && message.length > 0 && !message.includes('{}'));
  }
  for (const problem of Object.values(Problem)) {
    const { reason } = missing({ kind: 'reply', payload: { $case: 'dataProblem', value: { problem } } });
    assert.ok(reason.message.length > 0);
  }
  for (const diagnosis of Object.values(Diagnosis)) {
    const { message } = failureReason({ diagnosis, terms: [1, 9], counts: undefined }, ['a', 'b']);
    assert.ok(message.endsWith('(b)'));
  }
});
