import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Diagnosis } from '@concordat/proto/concordat/v1/site.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Table } from '../data/table.ts';
import { draftEntry, openAnalysis } from './one-stage.ts';

function draft(model: string, columns: Readonly<Record<string, readonly number[]>>, ownEstimates = true) {
  const outcome = model.includes('gaussian')
    ? '{kind: continuous, variable: y}'
    : '{kind: binary, variable: y}';
  const plan = expandPlan(
    parsePlan(
      `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\nanalyses:\n  - {id: t, approach: one-stage, model: {${model}}}\n`,
      'plan',
    ),
  );
  const table: Table = {
    rows: columns['y']!.length,
    columns: new Map(
      Object.entries(columns).map(([name, values]) => [
        name,
        { kind: 'numeric', values: Float64Array.from(values) },
      ]),
    ),
    available: Object.keys(columns),
  };
  const opened = openAnalysis({ data: 'memory', map: null }, plan, plan.analyses[0]!, {
    table,
    snapshot: null,
  });
  return draftEntry(plan, opened, ownEstimates).payload;
}

const treat = [0, 1, 0, 1, 0, 1, 0, 1];
const y = [0, 1, 1, 1, 0, 0, 0, 1];

test('an entry holds the columns’ moments and, where the site’s policy lets it, the study’s own fit', () => {
  const told = draft('family: binomial', { treat, y });
  assert.ok(told.$case === 'oneStageEntry');
  assert.deepEqual(told.value.means, [1, 0.5]);
  assert.deepEqual(told.value.deviations, [0, 0.5]);
  assert.deepEqual(told.value.estimable, [true, true]);
  assert.ok(Math.abs(told.value.estimates[1]! - Math.log(9)) < 1e-9);
  assert.equal(told.value.diagnosis, Diagnosis.DIAGNOSIS_UNSPECIFIED);
  const kept = draft('family: binomial', { treat, y }, false);
  assert.ok(kept.$case === 'oneStageEntry');
  assert.deepEqual([kept.value.estimable, kept.value.estimates, kept.value.vcov], [[], [], []]);
});

test('a study whose own intercept would be infinite is left out with the reason, and takes part beside random ones', () => {
  const none = { treat, y: y.map(() => 0) };
  const excluded = draft('family: binomial', none);
  assert.ok(excluded.$case === 'stageOneFailure');
  assert.equal(excluded.value.diagnosis, Diagnosis.DIAGNOSIS_NO_EVENTS);
  assert.equal(draft('family: binomial, intercept: random', none).$case, 'oneStageEntry');
});

test('what ails the study’s own fit is told, and stops nothing', () => {
  const entry = draft('family: binomial', {
    treat,
    y: treat.map((arm, i) => (arm === 0 || i === 1 ? 0 : 1)),
  });
  assert.ok(entry.$case === 'oneStageEntry');
  assert.equal(entry.value.diagnosis, Diagnosis.DIAGNOSIS_NO_EVENTS_IN_ARM);
});

test('an empty study, and one participant beside residual variances of each study’s own', () => {
  const empty = draft('family: gaussian', { treat: [], y: [] });
  assert.ok(
    empty.$case === 'stageOneFailure' && empty.value.diagnosis === Diagnosis.DIAGNOSIS_NO_PARTICIPANTS,
  );
  const one = draft('family: gaussian, intercept: random, residual: stratified', { treat: [0], y: [3] });
  assert.ok(
    one.$case === 'stageOneFailure' && one.value.diagnosis === Diagnosis.DIAGNOSIS_TOO_FEW_PARTICIPANTS,
  );
  assert.equal(draft('family: gaussian, intercept: random', { treat: [0], y: [3] }).$case, 'oneStageEntry');
});
