import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leverage } from '@concordat/shared/disclosure/leverage.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { crossedBy, linked, type CrossedSet } from './crossed.ts';
import { buildAnalysisSet } from './design.ts';
import type { Table } from './table.ts';
import { factsTogether, type Together } from './together.ts';

const N = 60;
const OUTCOMES = {
  y: '{kind: continuous, variable: y}',
  z: '{kind: continuous, variable: z}',
  grouped: '{kind: binary, events: e, trials: w}',
  time: '{kind: time-to-event, time: t, event: e}',
  other: '{kind: time-to-event, time: t, event: f}',
  'all-but-one': '{kind: time-to-event, time: t, event: o}',
  censored: '{kind: time-to-event, time: t, event: c}',
  binary: '{kind: binary, variable: e, event: 1}',
  entering: '{kind: time-to-event, time: t, event: e, entry: n}',
  entered: '{kind: time-to-event, time: t, event: e, entry: m}',
  years: '{kind: time-to-event, time: years, event: e}',
  near: '{kind: continuous, variable: near}',
  x: '{kind: continuous, variable: x}',
  count: '{kind: count, variable: w}',
  visits: '{kind: repeated, variable: y, subject: s, visit: v, visits: [1, 2]}',
};

function planOf(model: string, outcome: keyof typeof OUTCOMES, population = 'id > 0'): ExpandedPlan {
  return expandPlan(
    parsePlan(
      `plan: 1
id: t
population: '${population}'
treatment: {variable: arm, control: 0, active: 1}
outcome: ${OUTCOMES[outcome]}
analyses: [{id: a, approach: two-stage, model: {${model}}}]
`,
      'plan',
    ),
  );
}

const id = Array.from({ length: N }, (_, i) => i + 1);
const COLUMNS: Readonly<Record<string, readonly number[]>> = {
  id,
  arm: id.map((i) => i % 2),
  x: id.map((i) => Math.sin(i)),
  // Another value of the first participant's, and of nobody else's.
  near: id.map((i) => Math.sin(i) + (i === 1 ? 1e-7 : 0)),
  y: id.map((i) => Math.cos(7 * i)),
  z: id.map((i) => Math.cos(5 * i)),
  w: id.map((i) => 10 + (i % 3)),
  e: id.map((i) => i % 2),
  t: id.map((i) => Math.ceil(i / 4)),
  years: id.map((i) => Math.ceil(i / 4) / 10),
  f: id.map((i) => (i === 7 ? 0 : i % 2)),
  o: id.map((i) => (i === 9 ? 0 : 1)),
  c: id.map((i) => (i === 7 ? 1 : 1 - (i % 2))),
  n: id.map((i) => (i % 5) / 100),
  m: id.map((i) => (i % 5) / 100 + (i === 11 ? 1e-3 : 0)),
  g: id.map((i) => i % 4),
  h: id.map((i) => (i === 5 ? 0 : i % 4)),
  s: id.map((i) => Math.ceil(i / 2)),
  v: id.map((i) => 1 + (i % 2)),
};
const table: Table = {
  rows: N,
  columns: new Map(
    Object.entries(COLUMNS).map(([name, values]) => [
      name,
      { kind: 'numeric', values: Float64Array.from(values) },
    ]),
  ),
  available: Object.keys(COLUMNS),
};

function bitsOf(rows: Int32Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(N / 32));
  for (const row of rows) words[row >>> 5]! |= 1 << (row & 31);
  return words;
}

/** Facts about the last plan's analysis beside those of the plans before it. */
function together(...plans: readonly ExpandedPlan[]): Together {
  const sets = plans.map((plan, i): CrossedSet => {
    const { rows } = buildAnalysisSet(plan, plan.analyses[0]!, table);
    return { id: `${i}`, crossed: crossedBy(plan, plan.analyses[0]!), rows: bitsOf(rows) };
  });
  const last = plans.at(-1)!;
  const { evidence } = buildAnalysisSet(last, last.analyses[0]!, table);
  return factsTogether(last, sets.at(-1)!, evidence, sets.slice(0, -1), table);
}

const column = (name: string): Float64Array => Float64Array.from(COLUMNS[name]!);
const close = (actual: number | undefined, expected: number): void =>
  assert.ok(Math.abs(actual! - expected) < 1e-10, `${actual} is not ${expected}`);

test('two models of one set are one design', () => {
  const { leverageTogether } = together(
    planOf('family: gaussian, adjust: [x]', 'y'),
    planOf('family: gaussian, adjust: [id]', 'y'),
  );
  close(leverageTogether, leverage([column('arm'), column('x'), column('id'), column('y')], N, null).maximum);
});

test('of grouped rows and repeated measures it is one participant’s', () => {
  const grouped = together(
    planOf('family: binomial, adjust: [x]', 'grouped'),
    planOf('family: binomial, adjust: [id]', 'grouped'),
  );
  const columns = [column('arm'), column('x'), column('id')];
  close(grouped.leverageTogether, leverage([...columns, column('e'), column('w')], N, column('w')).maximum);
  const repeated = together(
    planOf('family: gaussian, adjust: [x]', 'visits'),
    planOf('family: gaussian, adjust: [id]', 'visits'),
  );
  const subject = Int32Array.from(COLUMNS['s']!, (s) => s - 1);
  const visit = Float64Array.from(COLUMNS['v']!, (v) => v - 1);
  const alone = leverage([...columns, visit], N, null, subject).maximum;
  assert.ok(repeated.leverageTogether! >= alone - 1e-10);
});

test('columns that are nearly the same single out those for whom they differ', () => {
  const { leverageTogether } = together(
    planOf('family: gaussian, adjust: [x]', 'y'),
    planOf('family: gaussian, adjust: [near]', 'y'),
  );
  close(leverageTogether, 1);
});

test('the same columns of two sets are a design of those in one of them', () => {
  const model = 'family: gaussian, adjust: [x]';
  const ten = together(planOf(model, 'y'), planOf(model, 'y', 'id > 10'));
  const first = (name: string): Float64Array => column(name).slice(0, 10);
  close(ten.leverageTogether, leverage([first('arm'), first('x'), first('y')], 10, null).maximum);
  close(together(planOf(model, 'y'), planOf(model, 'y', 'id > 1')).leverageTogether, 1);
});

test('what adds no column is as it is alone', () => {
  const plan = planOf('family: gaussian, adjust: [x, id]', 'y');
  assert.deepEqual(together(plan, plan), { cells: [] });
  assert.deepEqual(together(planOf('family: gaussian, adjust: [x]', 'y'), plan), { cells: [] });
  assert.deepEqual(together(plan), { cells: [] });
});

test('intervals between any two times are counted, of one analysis or of several', () => {
  const at = (...cuts: readonly number[]) =>
    planOf(`family: piecewise-exponential, cuts: [${cuts.join(', ')}]`, 'time');
  const counts = (...plans: readonly ExpandedPlan[]) => together(...plans).cells.map(({ count }) => count);
  assert.deepEqual(counts(at(7)), [0]);
  // Four a day, two of an arm, whose odd ones have the event.
  assert.deepEqual(counts(at(7), at(8)), [2]);
  assert.deepEqual(counts(at(7), at(7, 8)), [2]);
  const years = planOf('family: piecewise-exponential, cuts: [0.8]', 'years');
  assert.deepEqual(counts(at(7), years), [2]);
});

test('a variable whose values differ for one from another’s singles them out, in whatever part of a model it is', () => {
  const pairs: readonly (readonly [ExpandedPlan, ExpandedPlan])[] = [
    [planOf('family: gaussian, adjust: [y]', 'x'), planOf('family: gaussian, adjust: [y]', 'near')],
    [planOf('family: poisson, offset: x', 'count'), planOf('family: poisson, offset: near', 'count')],
    [planOf('family: cox, strata: [g]', 'time'), planOf('family: cox, strata: [h]', 'time')],
    [planOf('family: cox', 'time'), planOf('family: cox', 'other')],
    [planOf('family: cox', 'time'), planOf('family: cox', 'censored')],
    [planOf('family: cox', 'other'), planOf('family: binomial', 'binary')],
    [planOf('family: binomial', 'binary'), planOf('family: cox', 'other')],
    [planOf('family: cox', 'entering'), planOf('family: cox', 'entered')],
  ];
  // All but what the set itself and the event leave of one participant.
  for (const pair of pairs) assert.ok(together(...pair).leverageTogether! > 0.9);
});

test('of analyses that have the arms alone in common no column singles out one, and all are fewer than half the participants', () => {
  const beside = (outcome: keyof typeof OUTCOMES) =>
    together(planOf('family: gaussian', 'x', 'id > 1'), planOf('family: gaussian', outcome))
      .leverageTogether!;
  assert.ok(beside('y') < 0.3);
  assert.ok(beside('near') > 0.9);
  const some = ['id <= 10', 'id > 50'].map((population) =>
    together(planOf('family: gaussian, adjust: [x]', 'y'), planOf('family: gaussian', 'z', population)),
  );
  // Of ten participants: this set, the arms, both outcomes and a covariate.
  for (const { leverageTogether } of some) assert.ok(leverageTogether! >= 0.5);
});

test('that few had no event is held against nothing', () => {
  const { leverageTogether } = together(
    planOf('family: gaussian', 'y'),
    planOf('family: cox', 'all-but-one'),
  );
  assert.ok(leverageTogether! < 0.5);
  const { leverageTogether: after } = together(
    planOf('family: cox', 'all-but-one'),
    planOf('family: gaussian', 'y'),
  );
  assert.ok(after! < 0.5);
});

test('what was read as a number and cannot be any more is refused', () => {
  const plan = planOf('family: gaussian', 'y');
  const { evidence } = buildAnalysisSet(plan, plan.analyses[0]!, table);
  const rows = bitsOf(evidence.rows);
  const crossed = crossedBy(plan, plan.analyses[0]!);
  const earlier = { id: 'a', crossed: { ...crossed, columns: [[{ variable: 'gone' }]] }, rows };
  const facts = (unreadable: readonly string[]) =>
    factsTogether(plan, { id: 'b', crossed, rows }, evidence, [earlier], table, new Set(unreadable));
  assert.equal(facts(['gone']).leverageTogether, 1);
  // A column that the records never had in this form was not told of them.
  assert.ok(facts([]).leverageTogether! < 0.5);
});

test('a variable in common links, as outcome or covariate; arms in common do not', () => {
  const crossed = (model: string, outcome: keyof typeof OUTCOMES) => {
    const plan = planOf(model, outcome);
    return crossedBy(plan, plan.analyses[0]!);
  };
  const unadjusted = crossed('family: gaussian', 'y');
  assert.ok(linked(unadjusted, crossed('family: gaussian, adjust: [x]', 'y')));
  assert.ok(linked(unadjusted, crossed('family: gaussian, adjust: [y]', 'z')));
  assert.ok(
    linked(crossed('family: gaussian, adjust: [x]', 'y'), crossed('family: gaussian, adjust: [x]', 'z')),
  );
  assert.ok(!linked(unadjusted, crossed('family: gaussian, adjust: [x]', 'z')));
  // A participant and a visit are no measurement.
  assert.ok(!linked(crossed('family: gaussian', 'visits'), crossed('family: gaussian', 'z')));
});
