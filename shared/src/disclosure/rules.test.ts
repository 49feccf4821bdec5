import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DisclosureFacts } from './facts.ts';
import { DEFAULT_POLICY, OPEN_POLICY } from './policy.ts';
import { checkBudget, checkDifferencing, checkRelease, checkSelection } from './rules.ts';

const SOUND: DisclosureFacts = {
  participants: 100,
  effective: 100,
  perArm: [50, 50],
  parameters: 4,
  events: 20,
  eventFree: null,
  grouped: false,
  cells: [
    { what: 'level', variable: 'sex', count: 5 },
    { what: 'level x arm', variable: 'sex', count: 0 },
  ],
  shares: [{ what: 'time at risk', variable: 'days', share: 0.49 }],
  leverage: 0.49,
  rank: { deficient: true, nearDeficient: false },
};

test('a sound analysis set passes, at the thresholds themselves', () => {
  assert.deepEqual(checkRelease(SOUND, DEFAULT_POLICY), []);
  const edge = { ...SOUND, participants: 20, perArm: [15, 5], parameters: 2, events: 10 };
  assert.deepEqual(checkRelease(edge, DEFAULT_POLICY), []);
});

for (const [code, change, threshold, observed] of [
  ['RULE_PARTICIPANTS', { participants: 19, parameters: 1 }, 20, 19],
  ['RULE_PARTICIPANTS_PER_ARM', { perArm: [50, 4, 46] }, 5, 4],
  ['RULE_PARAMETERS_PER_PARTICIPANT', { parameters: 11, events: null }, 0.1, 0.11],
  ['RULE_EVENTS_PER_PARAMETER', { events: 19 }, 5, 4.75],
  [
    'RULE_SMALLEST_CELL',
    { cells: [...SOUND.cells, { what: 'level x outcome', variable: 'sex', count: 4 }] },
    5,
    4,
  ],
  ['RULE_PARTICIPANTS', { effective: 19.5, parameters: 1 }, 20, 19.5],
  ['RULE_PARAMETERS_PER_PARTICIPANT', { effective: 39 }, 0.1, 4 / 39],
  ['RULE_LEVERAGE', { leverage: 0.5 }, 0.5, 0.5],
  ['RULE_LEVERAGE', { leverage: Number.NaN }, 0.5, Number.NaN],
  [
    'RULE_DOMINANCE',
    { shares: [...SOUND.shares, { what: 'counts', variable: 'visits', share: 0.5 }] },
    0.5,
    0.5,
  ],
  [
    'RULE_DOMINANCE',
    { shares: [{ what: 'counts', variable: 'visits', share: Number.NaN }, ...SOUND.shares] },
    0.5,
    Number.NaN,
  ],
  ['RULE_RANK', { rank: { deficient: false, nearDeficient: true } }, 0, 1],
] as const) {
  test(`${code} at ${observed}: refused, and not where the rule is off`, () => {
    const facts: DisclosureFacts = { ...SOUND, ...change };
    const refusals = checkRelease(facts, DEFAULT_POLICY);
    assert.deepEqual(
      refusals.map(({ rule: _, of: __, ...rest }) => rest),
      [{ code, threshold, observed }],
    );
    assert.deepEqual(checkRelease(facts, OPEN_POLICY), []);
  });
}

test('an arm that the trial does not have is not a small one', () => {
  assert.deepEqual(checkRelease({ ...SOUND, perArm: [50, 0, 51] }, DEFAULT_POLICY), []);
});

test('without a treatment there are no arms to be small; every failed rule is listed', () => {
  assert.deepEqual(checkRelease({ ...SOUND, perArm: [] }, DEFAULT_POLICY), []);
  const empty = { ...SOUND, participants: 0, perArm: [0, 0], events: 0, leverage: 0, cells: [] };
  assert.deepEqual(
    checkRelease(empty, DEFAULT_POLICY).map(({ code }) => code),
    ['RULE_PARTICIPANTS', 'RULE_PARAMETERS_PER_PARTICIPANT', 'RULE_EVENTS_PER_PARAMETER'],
  );
});

test('budget and differencing: at, above and below their thresholds', () => {
  const budget = (asked: number) => checkBudget(asked, DEFAULT_POLICY).map(({ code }) => code);
  assert.deepEqual([budget(600), budget(601)], [[], ['RULE_BUDGET']]);
  const apart = (...counts: number[]) =>
    checkDifferencing(counts, DEFAULT_POLICY).map(({ code, observed }) => [code, observed]);
  assert.deepEqual(apart(), []);
  assert.deepEqual(apart(0, 10, 400), []);
  assert.deepEqual(apart(10, 9, 0), [['RULE_DIFFERENCING', 9]]);
  assert.deepEqual(apart(0, 1), [['RULE_DIFFERENCING', 1]]);
  assert.deepEqual(
    [
      ...checkBudget(1e6, OPEN_POLICY),
      ...checkDifferencing([1], OPEN_POLICY),
      ...checkSelection(1, OPEN_POLICY),
    ],
    [],
  );
});
