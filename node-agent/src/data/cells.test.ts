import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease } from '@concordat/shared/disclosure/rules.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import fc from 'fast-check';
import { buildAnalysisSet } from './design.ts';
import type { Column, Table } from './table.ts';

type Columns = Readonly<Record<string, readonly number[]>>;

function tableOf(columns: Columns): Table {
  const rows = Object.values(columns)[0]!.length;
  return {
    rows,
    columns: new Map(
      Object.entries(columns).map(([name, values]): [string, Column] => [
        name,
        { kind: 'numeric', values: Float64Array.from(values) },
      ]),
    ),
    available: Object.keys(columns),
  };
}

const TREATMENT = 'treatment: {variable: treat, control: 0, active: 1}\n';
function factsOf(rest: string, columns: Columns) {
  const plan = expandPlan(parsePlan(`plan: 1\nid: p\n${rest}`, 'plan'));
  return buildAnalysisSet(plan, plan.analyses[0]!, tableOf(columns)).facts;
}
const analysis = (model: string, more = ''): string =>
  `analyses: [{id: a, approach: two-stage, model: {${model}}${more}}]`;

const N = 400;
const index = Array.from({ length: N }, (_, i) => i);
const base = {
  treat: index.map((i) => i % 2),
  y: index.map((i) => Math.sin(i)),
  b: index.map((i) => (i % 5 < 2 ? 1 : 0)),
  a: index.map((i) => (i % 4 < 2 ? 1 : 0)),
  age: index.map((i) => 40 + ((i * 7) % 41) + i / 1000),
};
const cellOf = (facts: ReturnType<typeof factsOf>, what: string, variable: string) =>
  facts.cells.find((cell) => cell.what === what && cell.variable === variable)?.count;

test('two factors’ main effects imply their cross-table, and by arm where the weights differ by cell', () => {
  // Both are common; three have both.
  const other = index.map((i) => (base.a[i] === 0 && i % 3 === 0 ? 1 : 0));
  [0, 4, 8].forEach((i) => (other[i] = 1));
  const columns = { ...base, other };
  const linear = factsOf(
    `${TREATMENT}outcome: {kind: continuous, variable: y}\n${analysis('family: gaussian, adjust: [a, other]')}`,
    columns,
  );
  assert.equal(cellOf(linear, 'level x level', 'a x other'), 3);
  assert.equal(cellOf(linear, 'level x level x arm', 'a x other'), undefined);
  const logistic = factsOf(
    `${TREATMENT}outcome: {kind: binary, variable: b}\n${analysis('family: binomial, adjust: [a, other]')}`,
    columns,
  );
  assert.equal(cellOf(logistic, 'level x level x arm', 'a x other'), 3);
  assert.deepEqual(
    checkRelease(linear, DEFAULT_POLICY).map(({ code, of }) => [code, of]),
    [['RULE_SMALLEST_CELL', 'a x other (level x level)']],
  );
});

test('of a variable that is linear in a Gaussian model only few values are cells; of a logistic one, twelve', () => {
  const rare = index.map((i) => (i === 0 ? 7 : i % 6));
  const of = (outcome: string, family: string) =>
    cellOf(
      factsOf(`${TREATMENT}outcome: ${outcome}\n${analysis(`family: ${family}, adjust: [rare]`)}`, {
        ...base,
        rare,
      }),
      'level',
      'rare',
    );
  assert.equal(of('{kind: continuous, variable: y}', 'gaussian'), undefined);
  assert.equal(of('{kind: binary, variable: b}', 'binomial'), 1);
});

test('knots at the edge of a variable select the few beyond them', () => {
  const of = (knots: string) =>
    cellOf(
      factsOf(
        `${TREATMENT}outcome: {kind: continuous, variable: y}\n${analysis(`family: gaussian, adjust: ["rcs(age, ${knots})"]`)}`,
        base,
      ),
      'between knots x arm',
      'age',
    )!;
  const beyond = (arm: number) => index.filter((i) => base.age[i]! > 80 && base.treat[i] === arm).length;
  assert.equal(of('[80, 80.1, 80.2]'), Math.min(beyond(0), beyond(1)));
  assert.ok(of('[45, 60, 75]') > 100);
});

test('a population that leaves out one person by their values is a cell, in each of its parts', () => {
  const of = (population: string) =>
    factsOf(
      `population: '${population}'\n${TREATMENT}outcome: {kind: continuous, variable: y}\n${analysis('family: gaussian')}`,
      { ...base, id: index, x: index.map((i) => (i < 3 ? Number.NaN : i)) },
    );
  const smallest = (population: string) =>
    Math.min(...of(population).cells.flatMap(({ what, count }) => (what === 'population' ? [count] : [])));
  assert.equal(smallest('id != 17'), 1);
  assert.equal(smallest('not (id == 17 and b == 1)'), 1);
  // Whether or not the person has it: the part about them is one.
  assert.equal(smallest('not (id == 15 and b == 1)'), 1);
  assert.equal(smallest('not (id >= 17 and id < 18 and b == 1)'), 1);
  assert.equal(smallest('id >= 10'), 10);
  assert.equal(smallest('not missing(x)'), Infinity);
  assert.ok(checkRelease(of('id != 17'), DEFAULT_POLICY).some(({ code }) => code === 'RULE_SMALLEST_CELL'));
  assert.deepEqual(checkRelease(of('not missing(x)'), DEFAULT_POLICY), []);
});

test('who was not followed to an event is no cell, but is counted for the gate', () => {
  const facts = factsOf(
    `${TREATMENT}outcome: {kind: time-to-event, time: t, event: e}\n${analysis('family: cox')}`,
    { ...base, t: index.map((i) => 1 + i / 10), e: index.map((i) => (i === 7 || i === 8 ? 0 : 1)) },
  );
  assert.equal(facts.eventFree, 1);
  assert.deepEqual(checkRelease(facts, DEFAULT_POLICY), []);
});

test('an offset that leaves the information to few, and strata in which nobody is compared, are few participants', () => {
  const heavy = factsOf(
    `${TREATMENT}outcome: {kind: count, variable: b}\n${analysis('family: poisson, offset: o')}`,
    { ...base, o: index.map((i) => (i < 3 ? 50 : i / 1000)) },
  );
  assert.ok(heavy.effective < 4, `${heavy.effective}`);
  const split = factsOf(
    `${TREATMENT}outcome: {kind: time-to-event, time: t, event: e}\n${analysis('family: cox, strata: [s]')}`,
    {
      ...base,
      t: index.map((i) => 1 + i),
      e: index.map(() => 1),
      s: index.map((i) => (i < 10 ? 0 : i)),
    },
  );
  assert.deepEqual([split.effective, split.events], [10, 9]);
  for (const facts of [heavy, split])
    assert.ok(checkRelease(facts, DEFAULT_POLICY).some(({ code }) => code === 'RULE_PARTICIPANTS'));
});

test('rows that a plan calls groups are refused unless the policy says that they are', () => {
  const facts = factsOf(
    `${TREATMENT}outcome: {kind: binary, events: b, trials: age}\n${analysis('family: binomial')}`,
    { ...base, age: base.age.map(Math.floor) },
  );
  const codes = (grouped_rows: boolean) =>
    checkRelease(facts, { ...DEFAULT_POLICY, grouped_rows }).map(({ rule }) => rule);
  assert.deepEqual(codes(false), ['grouped rows']);
  assert.deepEqual(codes(true), []);
});

test('property: the order of rows does not matter to any rule', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...index.keys()], { minLength: N, maxLength: N }),
      fc.constantFrom('gaussian', 'binomial'),
      (order, family) => {
        const outcome =
          family === 'gaussian' ? '{kind: continuous, variable: y}' : '{kind: binary, variable: b}';
        const plan = `${TREATMENT}outcome: ${outcome}\n${analysis(`family: ${family}, adjust: [a, age]`)}`;
        const shuffled = Object.fromEntries(
          Object.entries(base).map(([name, values]) => [name, order.map((i) => values[i]!)]),
        );
        const [one, two] = [factsOf(plan, base), factsOf(plan, shuffled)];
        assert.deepEqual(two.cells, one.cells);
        assert.deepEqual(
          [two.participants, two.effective, two.events, two.perArm],
          [one.participants, one.effective, one.events, one.perArm],
        );
        assert.ok(Math.abs(two.leverage - one.leverage) < 1e-10);
      },
    ),
    { numRuns: 10 },
  );
});

test('property: more people in cells that are large enough never turn what may leave into what may not', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: N - 1 }), { maxLength: 60 }), (more) => {
      const plan = `${TREATMENT}outcome: {kind: binary, variable: b}\n${analysis('family: binomial, adjust: [a]')}`;
      const grown = Object.fromEntries(
        Object.entries(base).map(([name, values]) => [name, [...values, ...more.map((i) => values[i]!)]]),
      );
      assert.deepEqual(checkRelease(factsOf(plan, base), DEFAULT_POLICY), []);
      assert.deepEqual(checkRelease(factsOf(plan, grown), DEFAULT_POLICY), []);
    }),
    { numRuns: 20 },
  );
});
