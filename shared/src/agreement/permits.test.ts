import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlan } from '../plan/parse.ts';

import { daysLeft, faultsOfPlan, isExpired } from './permits.ts';
import { agreementOf, fullPlans, KEY } from './testing.ts';
import { variableUses } from './uses.ts';

const OTHER = 'cd'.repeat(32);

for (const { plan, variables } of fullPlans()) {
  test(`every place of a plan that can name a variable is read: ${plan.outcome.kind}`, () => {
    const used = new Set(variableUses(plan).map(({ variable }) => variable));
    const forgotten = [...variables].filter(([name]) => !used.has(name)).map(([, place]) => place);
    assert.deepEqual(forgotten, []);
  });

  test(`an agreement that lists nothing allows none of them: ${plan.outcome.kind}`, () => {
    const faults = faultsOfPlan(plan, agreementOf(), null);
    for (const [name] of variables)
      assert.ok(
        faults.some(({ what }) => what.startsWith(`\`${name}\``)),
        name,
      );
  });
}

const PLAN = parsePlan(
  `plan: 1
id: p
population: age >= 18
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: time-to-event, time: days, event: died}
analyses:
  - {id: crude, approach: two-stage, model: {family: cox}}
  - {id: adjusted, approach: two-stage, model: {family: cox, adjust: [age, factor(sex)]}}
  - {id: rmst, approach: two-stage, model: {family: rmst, tau: 100}}
`,
  'plan.yaml',
);
const ALLOWED = { variables: ['arm', 'age', 'sex'], outcomes: ['days', 'died'], families: ['cox', 'rmst'] };
const rules = (over: Readonly<Record<string, unknown>>, signer: string | null = null) =>
  faultsOfPlan(PLAN, agreementOf({ ...ALLOWED, ...over }), signer).map(({ rule, what }) => [rule, what]);

test('a plan within the lists is allowed, and so is any where the lists are `all`', () => {
  assert.deepEqual(rules({}), []);
  assert.deepEqual(rules({ variables: 'all', outcomes: 'all', families: 'all' }), []);
});

test('every variable outside is named once, with all its uses', () => {
  assert.deepEqual(rules({ variables: ['arm', 'sex'] }), [
    [
      'RULE_VARIABLE',
      "`age` (selects the population; covariate in adjusted) is not among the agreement's `variables`",
    ],
  ]);
});

test('an outcome must be among the outcomes; being a variable does not make it one, nor the other way round', () => {
  assert.deepEqual(
    rules({ outcomes: ['days'], variables: [...ALLOWED.variables, 'died'] }).map(([rule]) => rule),
    ['RULE_OUTCOME'],
  );
  const selecting = { ...PLAN, population: 'days > 10' };
  assert.deepEqual(
    faultsOfPlan(selecting, agreementOf(ALLOWED), null).map(({ rule }) => rule),
    ['RULE_VARIABLE'],
  );
});

test('a family outside is named with the analyses that ask for it', () => {
  assert.deepEqual(rules({ families: ['rmst'] }), [
    ['RULE_FAMILY', "the family `cox` (crude, adjusted) is not among the agreement's `families`"],
  ]);
});

test('where statisticians are named, only a plan signed by one of them is theirs; who asks is said first', () => {
  const statisticians = [{ name: 'S. Tatistician', key: KEY }];
  assert.deepEqual(rules({ statisticians }, KEY), []);
  assert.deepEqual(
    rules({ statisticians, families: [] }, OTHER).map(([rule]) => rule),
    ['RULE_ASKER', 'RULE_FAMILY', 'RULE_FAMILY'],
  );
  assert.match(rules({ statisticians }, null)[0]![1]!, /not signed/);
  assert.match(rules({ statisticians }, OTHER)[0]![1]!, new RegExp(OTHER));
  assert.deepEqual(rules({}, OTHER), []);
});

test('an agreement holds through its last day in UTC', () => {
  const agreement = { until: '2027-02-28' };
  assert.equal(isExpired(agreement, new Date('2027-02-28T23:59:59.999Z')), false);
  assert.equal(isExpired(agreement, new Date('2027-03-01T00:00:00Z')), true);
  assert.equal(isExpired({ until: 'no day' }, new Date('2020-01-01T00:00:00Z')), true);
  assert.equal(isExpired(agreement, new Date(NaN)), true);
  assert.deepEqual(
    ['2027-02-27T00:00:00Z', '2027-02-28T12:00:00Z', '2027-03-01T00:00:00Z'].map((now) =>
      daysLeft(agreement, new Date(now)),
    ),
    [2, 1, 0],
  );
});
