import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import type { Analysis } from '../plan/types.ts';
import { entryModifierMeans } from './modifier-means.ts';

function analysis(model: string, modifier: string): Analysis {
  const text = `plan: 1
id: p
treatment: {variable: t, control: 0, active: 1}
outcome: {kind: binary, variable: y, event: 1}
${modifier.includes('factor') ? 'levels: {g: [a, b, c]}\n' : ''}analyses:
  - {id: one, approach: one-stage, model: ${model}, effect_modifier: ${modifier}}
`;
  return expandPlan(parsePlan(text, 'plan.yaml')).analyses[0]!;
}

const NO_COUNTS = {
  participants: [],
  events: [],
  notInPopulation: 0,
  otherTreatment: 0,
  missingTreatment: 0,
  missingOutcome: 0,
  missingCovariate: 0,
};

/** Moments of a study's columns, by term; 0 elsewhere. Two in five are treated. */
function moments(
  planned: Analysis,
  of: Readonly<Record<string, readonly [number, number]>>,
): Parameters<typeof entryModifierMeans>[1] {
  return {
    counts: { ...NO_COUNTS, participants: [60, 40] },
    means: planned.columns.map(({ term }) => of[term]?.[0] ?? 0),
    deviations: planned.columns.map(({ term }) => of[term]?.[1] ?? 0),
  };
}

test('the mean of a modifier is found again in the across-trial column', () => {
  const planned = analysis('{family: binomial}', '{variable: age}');
  const found = entryModifierMeans(
    planned,
    moments(planned, { treatment: [0.5, 0.5], age: [0, 9], 'treatment:age.across': [30, 30] }),
    false,
  );
  assert.deepEqual(found, [{ term: 'age', mean: 60, sd: 9 }]);
});

test('beside a centred treatment, the arm’s share of the participants gives the mean', () => {
  const model = '{family: binomial, treatment_effect: random}';
  const factor = analysis(model, '{variable: g, form: factor}');
  const found = entryModifierMeans(
    factor,
    moments(factor, {
      treatment: [0, 0.5],
      'treatment:factor(g)b.across': [0.1, 0.1],
      'treatment:factor(g)c.across': [0.2, 0.25],
    }),
    false,
  );
  assert.deepEqual(
    found?.map(({ mean }) => mean),
    [0.25, 0.5],
  );
  const linear = analysis(model, '{variable: age}');
  const centred = moments(linear, { treatment: [0, 0.5], age: [0, 9], 'treatment:age.across': [24, 30] });
  assert.deepEqual(entryModifierMeans(linear, centred, false), [{ term: 'age', mean: 60, sd: 9 }]);
  // Rows of several participants: the arm's share of the rows is not known.
  assert.equal(entryModifierMeans(linear, centred, true), null);
  const adjusted = analysis('{family: binomial, treatment_effect: random, adjust: [age]}', '{variable: age}');
  assert.deepEqual(entryModifierMeans(adjusted, moments(adjusted, { age: [-3, 9] }), false), [
    { term: 'age', mean: -3, sd: 9 },
  ]);
});

test('without a modifier, and in a study of one arm, nothing is known', () => {
  const planned = analysis('{family: binomial}', '{variable: age}');
  assert.equal(entryModifierMeans(planned, moments(planned, { age: [0, 9] }), false), null);
  assert.equal(entryModifierMeans({ ...planned, effectModifier: null }, moments(planned, {}), false), null);
});
