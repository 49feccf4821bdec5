import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Code } from '@concordat/shared/plan/types.ts';
import { buildAnalysisSet } from './design.ts';
import { loadTable } from './load.ts';
import { columnOfLabels, type Table } from './table.ts';

const FIXTURES = fileURLToPath(new URL('../../../test/fixtures/design/', import.meta.url));

/** A table from columns of codes; null is missing. */
function tableOf(columns: Record<string, readonly (Code | null)[]>): Table {
  const made = Object.entries(columns).map(([name, values]) => {
    const codes = Int32Array.from(values, (value, i) => (value === null ? -1 : i));
    return [
      name,
      columnOfLabels(
        codes,
        values.map((value) => value ?? 0),
      ),
    ] as const;
  });
  const rows = Object.values(columns)[0]!.length;
  return { rows, columns: new Map(made), available: Object.keys(columns) };
}

function setOf(plan: string, columns: Record<string, readonly (Code | null)[]>) {
  const expanded = expandPlan(parsePlan(`plan: 1\nid: p\n${plan}`, 'plan.yaml'));
  assert.equal(expanded.analyses[0]!.unsupported, null);
  return buildAnalysisSet(expanded, expanded.analyses[0]!, tableOf(columns));
}

const near = (actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-12) => {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) =>
    assert.ok(
      Math.abs(actual[i]! - value) <= tolerance * (1 + Math.abs(value)),
      `${i}: ${actual[i]} ≠ ${value}`,
    ),
  );
};

const BINARY = `
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: binary, variable: y}
analyses: [{id: a, approach: two-stage, model: {family: binomial`;

test('a trial with missing values, other arms and a population: rows, columns and facts as R has them', async () => {
  const expected = JSON.parse(readFileSync(`${FIXTURES}expected.json`, 'utf8'));
  const plan = expandPlan(
    parsePlan(
      `plan: 1
id: p
population: age >= 40
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
levels: {grade: [low, mid, high]}
analyses:
  - id: a
    approach: two-stage
    model: {family: gaussian, adjust: [factor(grade), center(sbp)]}
    effect_modifier: {variable: age, form: linear}
`,
      'plan.yaml',
    ),
  );
  const table = await loadTable(`${FIXTURES}trial.csv`, plan, null);
  assert.equal(table.columns.has('id'), false);
  const set = buildAnalysisSet(plan, plan.analyses[0]!, table);
  assert.deepEqual(set.leftOut, expected.left_out);
  assert.deepEqual([...set.participants], expected.participants);
  assert.deepEqual(set.arms, ['control', 'active']);
  assert.equal(set.events, null);
  assert.deepEqual(set.treatmentTerms, [1]);
  assert.equal(set.data.columns.length, expected.columns.length);
  set.data.columns.forEach((column, j) => near(column, expected.columns[j]));
  assert.ok(set.data.response.kind === 'continuous');
  near(set.data.response.y, expected.y);
  near(set.modifierMeans, [expected.modifier_mean]);
  near([set.facts.leverage], [expected.leverage], 1e-10);
  assert.deepEqual(
    set.facts.cells.filter(({ variable }) => variable === 'grade').map(({ what, count }) => [what, count]),
    [
      ['level', expected.grade],
      ['level x arm', expected.grade_by_arm],
    ],
  );
});

test('cells of a binary outcome: by level, arm and outcome, with the modifier’s three-way table', () => {
  const plan = `levels: {sex: [f, m]}${BINARY}, adjust: [bmi]}, effect_modifier: {variable: sex, form: factor}}]`;
  const { facts, events, participants } = setOf(plan, {
    treat: [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
    y: [1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0],
    sex: ['f', 'f', 'f', 'm', 'm', 'f', 'f', 'm', 'm', 'm', 'm'],
    bmi: [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30].map((x, i) => x + i / 100),
  });
  assert.deepEqual([participants, events, facts.events], [[5, 6], [2, 3], 5]);
  assert.deepEqual(
    facts.cells.map(({ what, variable, count }) => `${what} ${variable} ${count}`),
    [
      'level treat 5',
      'level bmi 1',
      'level x arm bmi 1',
      'level sex 5',
      'level x arm sex 2',
      'level x outcome treat 2',
      'level x outcome bmi 1',
      'level x outcome sex 1',
      'level x arm x outcome sex 1',
    ],
  );
  const refused = checkRelease(facts, DEFAULT_POLICY).map(({ code }) => code);
  assert.ok(refused.includes('RULE_PARTICIPANTS') && refused.includes('RULE_SMALLEST_CELL'));
});

test('a covariate of many values is no factor; an empty cell is no small one', () => {
  const n = 40;
  const index = Array.from({ length: n }, (_, i) => i);
  const { facts } = setOf(`${BINARY}, adjust: [age]}}]`, {
    treat: index.map((i) => i % 2),
    y: index.map((i) => (i % 2 === 0 ? 0 : i % 4 === 1 ? 1 : 0)),
    age: index,
  });
  assert.deepEqual(
    facts.cells.map(({ variable, count }) => [variable, count]),
    [
      ['treat', 20],
      ['treat', 10],
    ],
  );
  assert.deepEqual(checkRelease(facts, { ...DEFAULT_POLICY, events_per_parameter: 3 }), []);
});

test('several arms, codes as text or number, and a level that this study lacks', () => {
  const set = setOf(
    `levels: {g: [1, 2, 3]}
treatment: {variable: arm, control: "P", active: ["10", B]}
outcome: {kind: continuous, variable: y}
analyses: [{id: a, approach: two-stage, model: {family: gaussian, adjust: [factor(g)]}}]`,
    { arm: ['P', '10', 'B', 'X', 'P'], y: [1, 2, 3, 4, 5], g: ['1', '1.0', '2', '2', '2'] },
  );
  assert.deepEqual(
    set.data.columns.map((column) => [...column]),
    [
      [1, 1, 1, 1],
      [0, 1, 0, 0],
      [0, 0, 1, 0],
      [0, 0, 1, 1],
      [0, 0, 0, 0],
    ],
  );
  assert.deepEqual(
    [set.arms, set.participants, set.treatmentTerms],
    [
      ['control', '10', 'B'],
      [2, 1, 1],
      [1, 2],
    ],
  );
  assert.equal(set.leftOut.other_treatment, 1);
  assert.equal(set.facts.rank.deficient, false);
});

test('grouped rows count and centre by participants', () => {
  const set = setOf(
    `outcome: {kind: binary, events: e, trials: t}
analyses: [{id: a, approach: two-stage, model: {family: binomial, adjust: [center(x)]}, pool: {term: center(x)}}]`,
    { e: [1, 2, 0], t: [10, 20, 30], x: [0, 3, 6] },
  );
  assert.deepEqual([set.arms, set.participants, set.events], [['total'], [60], [3]]);
  near(set.data.columns[1]!, [-4, -1, 2]);
  assert.deepEqual([set.facts.participants, set.facts.events, set.facts.perArm], [60, 3, []]);
  near([set.facts.leverage], [1 / 60 + 16 / (10 * 16 + 20 + 30 * 4)]);
});

test('counts with exposure and an offset of their own', () => {
  const set = setOf(
    `treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: count, variable: y, exposure: years}
analyses: [{id: a, approach: two-stage, model: {family: poisson, offset: o}}]`,
    { treat: [0, 1, 1], y: [0, 2, 3], years: [1, 2, 4], o: [1, 1, null] },
  );
  near(set.data.offset!, [1, 1 + Math.log(2)]);
  assert.deepEqual([set.events, set.facts.events, set.leftOut.missing_covariate], [[0, 2], 1, 1]);
  // One participant has both events, and 2 of 3 parts of the exposure.
  assert.deepEqual(
    set.facts.shares.map(({ what, share }) => [what, Math.round(share * 1e6) / 1e6]),
    [
      ['counts', 1],
      ['exposure', 0.666667],
    ],
  );
});

test('time-to-event with entry and combinations of strata', () => {
  const set = setOf(
    `treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: t, event: d, entry: t0}
analyses: [{id: a, approach: two-stage, model: {family: cox, strata: [site, sex]}}]`,
    {
      treat: [0, 1, 0, 1, 1],
      t: [5, 6, 7, 8, 9],
      d: [1, 0, 1, 1, 0],
      t0: [0, 1, 2, 3, null],
      site: [1, 2, 1, 1, 1],
      sex: ['f', 'f', 'm', 'f', 'm'],
    },
  );
  assert.ok(set.data.response.kind === 'time-to-event');
  assert.deepEqual([...set.data.response.stratum!], [0, 1, 2, 0]);
  assert.deepEqual([...set.data.response.entry!], [0, 1, 2, 3]);
  assert.deepEqual(set.data.terms, ['treatment']);
  assert.deepEqual([set.participants, set.events, set.leftOut.missing_outcome], [[2, 2], [2, 1], 1]);
});

test('another event code, and logical text levels in the population', () => {
  const set = setOf(
    `population: not missing(grade) and grade in ("1", "2")
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: binary, variable: y, event: 2}
analyses: [{id: a, approach: two-stage, model: {family: binomial}}]`,
    { treat: [0, 1, 1, 0], y: [2, 1, 2, 2], grade: [1, 2, null, 3] },
  );
  assert.ok(set.data.response.kind === 'binary');
  assert.deepEqual([...set.data.response.events], [1, 0]);
  assert.equal(set.leftOut.not_in_population, 2);
});

test('impossible values name variable and row, never the value', () => {
  const fails = (
    outcome: string,
    family: string,
    columns: Record<string, readonly (Code | null)[]>,
    code: string,
    place: string,
  ) => {
    const plan = `treatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}
${family.includes('factor') ? 'levels: {g: [1, 2]}' : ''}
analyses: [{id: a, approach: two-stage, model: {family: ${family}}}]`;
    assert.throws(
      () => setOf(plan, { treat: [0, 1, 0, 1], ...columns }),
      (error) => {
        assert.ok(error instanceof ConcordatError);
        assert.deepEqual([error.code, error.place], [code, place]);
        assert.doesNotMatch(error.message, /7777/);
        return true;
      },
    );
  };
  const impossible = (
    outcome: string,
    family: string,
    columns: Record<string, readonly (Code | null)[]>,
    place: string,
  ) => fails(outcome, family, columns, 'data/impossible-code', place);
  const binary = '{kind: binary, variable: y}';
  const grouped = '{kind: binary, events: e, trials: t}';
  const survival = '{kind: time-to-event, time: t, event: d}';
  const text = { y: ['no', 'yes', 'no', 'no'] };
  fails(binary, 'binomial', text, 'data/not-numeric', 'column "y", row 1');
  fails('{kind: continuous, variable: y}', 'gaussian', text, 'data/not-numeric', 'column "y", row 1');
  fails(binary, 'binomial', { z: [0, 1, 0, 1] }, 'data/missing-column', 'column "y"');
  impossible(binary, 'binomial', { y: [0, 1, 0, 7777] }, 'column "y", row 4');
  impossible(grouped, 'binomial', { e: [1, 1, 1, 7777], t: [2, 2, 2, 2] }, 'column "e", row 4');
  impossible(grouped, 'binomial', { e: [1, 1, 0.5, 1], t: [2, 2, 2, 2] }, 'column "e", row 3');
  impossible(grouped, 'binomial', { e: [1, 0, 1, 1], t: [2, 0, 2, 2] }, 'column "t", row 2');
  impossible('{kind: count, variable: y}', 'poisson', { y: [1, -7777, 1, 1] }, 'column "y", row 2');
  impossible('{kind: count, variable: y}', 'poisson', { y: [1, 1.5, 1, 1] }, 'column "y", row 2');
  impossible(
    '{kind: count, variable: y, exposure: t}',
    'poisson',
    { y: [1, 1, 1, 1], t: [1, 1, 0, 1] },
    'column "t", row 3',
  );
  impossible(survival, 'cox', { t: [1, -7777, 1, 1], d: [1, 0, 1, 0] }, 'column "t", row 2');
  impossible(survival, 'cox', { t: [1, 2, 1, 1], d: [1, 2, 1, 0] }, 'column "d", row 2');
  impossible(survival, 'weibull', { t: [0, 2, 0, 1], d: [0, 1, 1, 0] }, 'column "t", row 3');
  const entered = { t: [1, 2, 3, 4], d: [1, 0, 1, 0], s: [0, 2, 0, 0] };
  impossible('{kind: time-to-event, time: t, event: d, entry: s}', 'cox', entered, 'column "s", row 2');
  const levels = { y: [1, 2, 3, 4], g: [1, 2, 7777, 7777] };
  impossible('{kind: continuous, variable: y}', 'gaussian, adjust: [factor(g)]', levels, 'column "g", row 3');
  fails(
    '{kind: continuous, variable: y}',
    'gaussian, adjust: [g]',
    { ...levels, g: [1, 2, 'x', 1] },
    'data/not-numeric',
    'column "g", row 3',
  );
});

test('nobody left is an empty set, not a failure', () => {
  const set = setOf(
    `population: y > 5${BINARY}, adjust: [center(x)]}, effect_modifier: {variable: z, form: linear}}]`,
    {
      treat: [0, 1],
      y: [0, 1],
      x: [1, 2],
      z: [1, 2],
    },
  );
  assert.equal(set.data.n, 0);
  assert.deepEqual([set.participants, set.modifierMeans, set.leftOut.not_in_population], [[0, 0], [], 2]);
  assert.equal(Number.isFinite(set.facts.leverage), true);
  assert.ok(checkRelease(set.facts, DEFAULT_POLICY).some(({ code }) => code === 'RULE_PARTICIPANTS'));
});

test('cells of an ordinal outcome: its levels by arm and by covariate; thresholds are parameters', () => {
  const { facts } = setOf(
    `levels: {sex: [f, m]}
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: ordinal, variable: y, levels: [1, 2, 3]}
analyses: [{id: a, approach: two-stage, model: {family: ordinal, adjust: [factor(sex)]}}]`,
    {
      treat: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
      y: [1, 1, 2, 2, 2, 3, 1, 1, 2, 2, 2, 3, 3],
      sex: ['f', 'm', 'f', 'f', 'm', 'f', 'f', 'f', 'f', 'f', 'm', 'f', 'f'],
    },
  );
  assert.equal(facts.parameters, 4);
  assert.deepEqual(
    facts.cells.map(({ what, variable, count }) => `${what} ${variable} ${count}`),
    ['level treat 6', 'level sex 3', 'level x arm sex 1', 'level x outcome treat 1', 'level x outcome sex 1'],
  );
  assert.ok(checkRelease(facts, DEFAULT_POLICY).some(({ code }) => code === 'RULE_SMALLEST_CELL'));
});

test('cells of a repeated outcome: participants at a visit, by arm', () => {
  const visits = (arm: number, first: number, ...counts: readonly number[]) =>
    counts.flatMap((count, v) =>
      Array.from({ length: count }, (_, s) => ({ arm, visit: v + 1, subject: first + s })),
    );
  const rows = [...visits(0, 0, 8, 8, 2), ...visits(1, 100, 9, 8, 7)];
  const { facts, participants } = setOf(
    `treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: repeated, variable: y, subject: id, visit: v, visits: [1, 2, 3]}
analyses: [{id: a, approach: one-stage, model: {family: gaussian}}]`,
    {
      treat: rows.map(({ arm }) => arm),
      y: rows.map((_, i) => i),
      id: rows.map(({ subject }) => subject),
      v: rows.map(({ visit }) => visit),
    },
  );
  assert.deepEqual(participants, [8, 9]);
  assert.deepEqual(
    facts.cells.map(({ what, count }) => [what, count]),
    [
      ['level', 8],
      ['level x outcome', 2],
    ],
  );
});

test('cells of a hazard by intervals: events, and participants at risk without one, by arm; log hazards are parameters', () => {
  const plan = (model: string) => `
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: t, event: d}
analyses: [{id: a, approach: one-stage, model: {${model}}}]`;
  const rows = {
    treat: [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
    t: [1, 2, 2, 3, 4, 5, 6, 1, 1, 2, 3, 4, 4],
    d: [1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1],
  };
  // (0, 2]: 3 events and 4 without in control, 2 and 4 in the other arm. (2, ∞): 3 and 1, then 3 and none.
  const { facts } = setOf(plan('family: piecewise-exponential, cuts: [2]'), rows);
  assert.equal(facts.parameters, 3);
  assert.deepEqual(facts.cells.at(-1), { what: 'interval x arm x outcome', variable: 't', count: 1 });
  const varying = setOf(plan('family: cox, time_varying: {transform: piecewise, cuts: [2]}'), rows);
  assert.equal(varying.facts.cells.at(-1)!.count, 1);
  assert.ok(setOf(plan('family: cox'), rows).facts.cells.every(({ what }) => !what.startsWith('interval')));
});

test('common participants: every analysis has those who are complete for all of the plan’s', () => {
  const columns = {
    treat: [0, 0, 1, 1, 0, 1],
    y: [1, 2, 3, 4, 5, null],
    a: [1, null, 2, 3, 4, 5],
    b: [1, 2, 3, null, 5, 6],
  };
  const rowsOf = (participants: string) => {
    const set = setOf(
      `participants: ${participants}
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses:
  - {id: a, approach: two-stage, model: {family: gaussian, adjust: [a]}}
  - {id: b, approach: two-stage, model: {family: gaussian, adjust: [b]}}`,
      columns,
    );
    return [[...set.rows], set.leftOut.missing_covariate, set.leftOut.missing_outcome];
  };
  assert.deepEqual(rowsOf('per-analysis'), [[0, 2, 3, 4], 1, 1]);
  assert.deepEqual(rowsOf('common'), [[0, 2, 4], 2, 1]);
});
