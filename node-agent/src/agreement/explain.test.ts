import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agreementOf, KEY } from '@concordat/shared/agreement/testing.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { NOTHING_ANSWERED } from '../data/crossed.ts';

import { answer } from '../fit/study.ts';
import { explainPlan, planExplanationLines, type PlanContext } from './explain.ts';

const folder = mkdtempSync(join(tmpdir(), 'explain-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const ALL = { variables: 'all', outcomes: 'all', families: 'all' };
const context = (
  over: Readonly<Record<string, unknown>> = {},
  more: Partial<PlanContext> = {},
): PlanContext => ({
  sites: ['A', 'B', 'C'],
  minimum: 2,
  asker: null,
  agreement: agreementOf({ ...ALL, ...over }),
  earlier: null,
  ...more,
});

const HEAD = `plan: 1
id: pressure
title: Pressure
`;
const PLAN = `${HEAD}population: age >= 18 and not missing(sex) and (site in (1, 2) or not (centre == "x"))
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: time-to-event, time: days, event: died}
analyses:
  - {id: main, approach: two-stage, model: {family: cox, adjust: [age, factor(sex)], strata: [centre]}}
`;

test('a plan is told in words: who, whom, with what, and all that would leave', () => {
  assert.deepEqual(planExplanationLines(explainPlan(PLAN, context())), [
    'Pressure (pressure)',
    '  asked by: the coordinator; no statistician has signed the plan',
    '  sites: 3 sites (A, B and C), of which at least 2 must take part',
    '  outcome: time (`days`) until the event (`died`)',
    '  population: participants of whom age is at least 18 and sex is known and (site is one of 1 or 2 or not (centre is "x")) (in the plan: age >= 18 and not missing(sex) and (site in (1, 2) or not centre == "x"))',
    '',
    'Variables that it reads:',
    '  arm: treatment',
    '  days: outcome: time of event or censoring',
    '  died: outcome: event',
    '  age: selects the population; covariate in main',
    '  sex: selects the population; covariate (factor) in main',
    '  site: selects the population',
    '  centre: selects the population; stratum of the baseline hazard in main',
    '',
    'Before the analyses, there would leave:',
    '  the codes found in `sex`, of at least 5 participants each, at most 50; counts do not leave',
    '',
    'Analysis main: two-stage Cox model (hazard ratio): effect of `arm` (1 against 0), adjusted for `age` and `sex` (factor); baseline hazards by `centre`. It is fitted here to this trial alone; the coordinator pools the trials’ estimates.',
    '  terms: treatment, age, factor(sex)(to be agreed)',
    '  there would leave:',
    '    once: 3 estimates and their covariance matrix (6 numbers), of the terms above',
    '    the number of participants and of events in each of 2 arms, and 5 counts of participants left out, by reason',
    '    the log-likelihood with and without the model’s terms, and the residual variance, 0 where there is none (3 numbers)',
    '    at most 21 numbers in all; besides, which terms could be estimated or had to be rescaled, and how many steps the fit took',
    '    where the model cannot be fitted: a code for the reason, the terms concerned and the counts',
    '    counted with two levels of `sex`; each further level adds a parameter',
  ]);
});

/** Numbers in a payload; marks, codes and indices are none. */
function numbersIn(value: unknown): number {
  if (typeof value === 'number') return 1;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value)
    .filter(([key]) => !['rounds', 'badlyScaled', 'diagnosis'].includes(key))
    .reduce((sum, [, part]) => sum + numbersIn(part), 0);
}

const data = join(folder, 'A.csv');
const rows = Array.from({ length: 80 }, (_, i) =>
  [i % 2, (i * 7) % 11, 40 + ((i * 13) % 30), (i >> 1) % 2, ((i * 5) % 23) + 1, (i * 3) % 7 < 3 ? 1 : 0].join(
    ',',
  ),
);
writeFileSync(data, `arm,y,age,sex,days,died\n${rows.join('\n')}\n`);

const OUTCOMES = {
  continuous: '{kind: continuous, variable: y}',
  binary: '{kind: binary, variable: died}',
  survival: '{kind: time-to-event, time: days, event: died}',
};
const planOf = (outcome: keyof typeof OUTCOMES, analysis: string): string =>
  `${HEAD}treatment: {variable: arm, control: 0, active: 1}
outcome: ${OUTCOMES[outcome]}
levels: {sex: [0, 1]}
analyses:
  - {id: a, ${analysis}, effect_modifier: {variable: sex, form: factor}}
`;

for (const [outcome, model] of [
  ['continuous', 'family: gaussian, adjust: [age]'],
  ['binary', 'family: binomial'],
  ['survival', 'family: cox, adjust: [age]'],
] as const) {
  const drafted = async (approach: string, ownEstimates = true) => {
    const text = planOf(outcome, `approach: ${approach}, model: {${model}}`);
    const { drafts, problems } = await answer({
      kind: 'stage-one',
      source: { data, map: null },
      plan: expandPlan(parsePlan(text, 'plan')),
      analyses: ['a'],
      policy: { ...DEFAULT_POLICY, per_trial_estimates: ownEstimates },
      answered: NOTHING_ANSWERED,
    });
    assert.deepEqual(problems, []);
    return { payload: drafts[0]!.payload, leaves: explainPlan(text, context()).analyses[0]!.leaves };
  };

  test(`as many numbers are told as leave in two stages: ${model}`, async () => {
    const { payload, leaves } = await drafted('two-stage');
    assert.equal(payload.$case, 'stageOneEstimate');
    assert.ok(leaves.some((line) => line.startsWith(`at most ${numbersIn(payload.value)} numbers in all`)));
  });

  test(`as many numbers are told as leave at the start of one stage: ${model}`, async () => {
    const { payload, leaves } = await drafted('one-stage');
    assert.ok(payload.$case === 'oneStageEntry');
    const { means, deviations, estimates, vcov, counts } = payload.value;
    assert.ok(leaves[0]!.includes(`(${means.length + deviations.length} numbers)`), leaves[0]);
    // The study's mean of the modifier is constant here: what goes across trials no trial estimates by itself.
    const [, p, triangle] = /at most (\d+) estimates and their covariance matrix \((\d+) numbers\)/.exec(
      leaves[1]!,
    )!;
    assert.equal(Number(p), estimates.length + 1);
    assert.equal(Number(triangle), vcov.length + estimates.length + 1);
    assert.equal(leaves[2]!.includes('of events'), counts!.events.length > 0);
  });
}

const RANDOM = 'treatment_effect: random';
for (const [outcome, model, numbers, rounds] of [
  // 1 + m + m(m+1)/2 of m parameters: treatment, modifier, within and across; intercepts are the studies' own.
  ['binary', 'family: binomial', 15, 'usually 3 to 8 rounds, at most 60'],
  ['binary', `family: binomial, ${RANDOM}`, 21, 'usually 5 to 15 rounds, at most 60'],
  ['survival', 'family: cox, adjust: [age]', 21, 'usually 3 to 8 rounds, at most 60'],
  ['binary', 'family: binomial, penalty: firth', 15, 'usually 5 to 15 rounds, at most 60'],
  ['continuous', 'family: gaussian', 23, 'one round'],
] as const) {
  test(`a round of one stage is counted: ${model}`, () => {
    const text = planOf(outcome, `approach: one-stage, model: {${model}}`);
    const [analysis] = explainPlan(text, context()).analyses;
    const told = analysis!.leaves.find((line) => line.startsWith('then '))!;
    assert.match(told, new RegExp(`^then (each round|once) ${numbers} numbers`), told);
    assert.ok(analysis!.leaves.includes(rounds), analysis!.leaves.join('\n'));
  });
}

test('what the agreement keeps is not told to leave', () => {
  const kept = (outcome: keyof typeof OUTCOMES, analysis: string, disclosure: object) =>
    explainPlan(planOf(outcome, analysis), context({ disclosure })).analyses[0]!.leaves;
  const noTrial = { per_trial_estimates: false };
  assert.match(
    kept('binary', 'approach: two-stage, model: {family: binomial}', noTrial).join(),
    /^a refusal alone/,
  );
  assert.match(
    kept('continuous', 'approach: one-stage, model: {family: gaussian}', noTrial).join(),
    /^a refusal alone/,
  );
  const sums = kept('binary', 'approach: one-stage, model: {family: binomial}', noTrial);
  assert.ok(!sums.some((line) => line.includes('own fit') || line.includes('of events')));
  assert.match(sums.at(-1)!, /nothing of this trial’s own parameters/);
  const frailty =
    'approach: one-stage, model: {family: cox, baseline: shared, frailty: gamma, grid: [5, 10, 30]}';
  assert.match(kept('survival', frailty, {}).join(), /^a refusal alone.*shared_baseline/);
  assert.match(
    kept('survival', frailty, { shared_baseline: true }).join('\n'),
    /^then each round \d+ numbers/m,
  );
  const open = explainPlan(PLAN, context({ disclosure: { levels: { release: false } } })).levels;
  assert.match(open.join(), /^a refusal alone for `sex`/);
});

test('the asker is named as the agreement names the key', () => {
  const asked = (asker: string | null) =>
    explainPlan(PLAN, context({ statisticians: [{ name: 'S. Tatistician', key: KEY }] }, { asker })).asker;
  assert.equal(asked(KEY), 'S. Tatistician');
  assert.match(asked('cd'.repeat(32)), /cdcd.* does not name/);
  assert.match(asked(null), /no statistician/);
});

test('an earlier plan is compared by what it asks', () => {
  const differences = (earlier: string): readonly string[] =>
    explainPlan(PLAN, context({}, { earlier })).differences;
  assert.deepEqual(differences(PLAN.replace('age >= 18 and', ' 18 <= age and').concat('# a comment\n')), []);
  assert.deepEqual(differences('no plan'), []);
  const earlier = PLAN.replace(/^population.*\n/m, '')
    .replace('adjust: [age, factor(sex)], strata: [centre]', 'ties: breslow, adjust: [age, bmi]')
    .replace('active: 1', 'active: 2')
    .concat('  - {id: crude, approach: two-stage, model: {family: cox}}\n');
  assert.deepEqual(
    differences(earlier).map((line) => line.replace(/ participants .*/, ' …')),
    [
      'new variable `sex` (selects the population; covariate (factor) in main)',
      'new variable `site` (selects the population)',
      'new variable `centre` (selects the population; stratum of the baseline hazard in main)',
      '`bmi` is no longer used',
      'the population was everyone; it is now …',
      '`treatment.active` was 2; it is now 1',
      'analysis `main`: `model.ties` is no longer named; it was breslow',
      'analysis `main`: `model.adjust` was ["age","bmi"]; it is now ["age","factor(sex)"]',
      'analysis `main`: `model.strata` is now ["centre"]; it was not named',
      'the analysis `crude` is no longer asked',
    ],
  );
});

test('an analysis that this version does not compute sends nothing, and says so', () => {
  const text = planOf('binary', 'approach: two-stage, model: {family: binomial, link: probit}');
  assert.match(
    explainPlan(text, context()).analyses[0]!.leaves.join(),
    /^nothing: this version does not compute/,
  );
});

test('the faults are the agreement’s, in words', () => {
  const { faults } = explainPlan(PLAN, context({ families: ['gaussian'] }));
  assert.deepEqual(faults, ["the family `cox` (main) is not among the agreement's `families`"]);
});

test('no text of a plan can steer the terminal, add a line or turn the writing round', () => {
  const title = 'Harmless\\e[2J\\r\\n  asked by: Ada\\u202Etxet';
  const text = PLAN.replace('title: Pressure', `title: "${title}"`);
  assert.ok(parsePlan(text, 'plan').title!.includes('\u001b'));
  const lines = planExplanationLines(explainPlan(text, context({}, { sites: ['A\nB'] })));
  assert.equal(lines[0], 'Harmless\uFFFD[2J\uFFFD\uFFFD  asked by: Ada\uFFFDtxet (pressure)');
  assert.ok(lines.every((line) => !/[\p{Cc}\p{Cf}]/u.test(line)));
});
