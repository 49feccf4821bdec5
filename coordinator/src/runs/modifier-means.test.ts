import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Analysis } from '@concordat/shared/plan/types.ts';
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

/** Moments of a study's columns, by term; 0 elsewhere. */
function moments(
  planned: Analysis,
  of: Readonly<Record<string, readonly [number, number]>>,
): Parameters<typeof entryModifierMeans>[1] {
  return {
    means: planned.columns.map(({ term }) => of[term]?.[0] ?? 0),
    deviations: planned.columns.map(({ term }) => of[term]?.[1] ?? 0),
  };
}

test('the mean of a modifier is found again in the across-trial column', () => {
  const planned = analysis('{family: binomial}', '{variable: age}');
  const found = entryModifierMeans(
    planned,
    moments(planned, { treatment: [0.5, 0.5], age: [0, 9], 'treatment:age.across': [30, 30] }),
  );
  assert.deepEqual(found, [{ term: 'age', mean: 60, sd: 9 }]);
});

test('beside a centred treatment, a level’s share is a ratio of standard deviations and a number’s mean is lost', () => {
  const model = '{family: binomial, treatment_effect: random}';
  const factor = analysis(model, '{variable: g, form: factor}');
  const found = entryModifierMeans(
    factor,
    moments(factor, {
      treatment: [0, 0.5],
      'treatment:factor(g)b.across': [0, 0.1],
      'treatment:factor(g)c.across': [0, 0.25],
    }),
  );
  assert.deepEqual(
    found?.map(({ mean }) => mean),
    [0.2, 0.5],
  );
  const linear = analysis(model, '{variable: age}');
  const lost = moments(linear, { treatment: [0, 0.5], age: [0, 9], 'treatment:age.across': [0, 30] });
  assert.equal(entryModifierMeans(linear, lost), null);
  const adjusted = analysis('{family: binomial, treatment_effect: random, adjust: [age]}', '{variable: age}');
  assert.deepEqual(entryModifierMeans(adjusted, moments(adjusted, { age: [-3, 9] })), [
    { term: 'age', mean: -3, sd: 9 },
  ]);
});

test('without a modifier, and in a study of one arm, nothing is known', () => {
  const planned = analysis('{family: binomial}', '{variable: age}');
  assert.equal(entryModifierMeans(planned, moments(planned, { age: [0, 9] })), null);
  assert.equal(entryModifierMeans({ ...planned, effectModifier: null }, moments(planned, {})), null);
});
