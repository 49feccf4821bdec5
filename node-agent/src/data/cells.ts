import type { Cell } from '@concordat/shared/disclosure/facts.ts';
import type { Response } from '@concordat/shared/models/types.ts';
import type { Analysis, Basis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { covariateVariables, outcomeVariables, variableOf } from './analysis-set.ts';
import { Classification, smallestCount, type Levels } from './classification.ts';
import { distinctLevels, gather } from './response.ts';
import { numericValues, type Table } from './table.ts';

/** A variable with at most this many values is judged as a factor, whatever the plan calls it. */
const FACTOR_LIKE = 12;
/**
 * The same where it is linear in a Gaussian model: of it X'X holds its number, sum and sum of squares, the same ones
 * whatever else is asked, from which the counts of 3 values follow; more, with some room for what whole numbers add.
 */
const FACTOR_LIKE_MOMENTS = 4;

/** A Hessian of these weighs people by their fitted means, that is by cell, and so tells the cells of each pair of columns by arm. */
const WEIGHTED_BY_CELL: readonly Analysis['family'][] = [
  'binomial',
  'poisson',
  'negative-binomial',
  'ordinal',
];

export interface CellSource {
  readonly rows: Int32Array;
  readonly arm: Int32Array | null;
  /** Participants of each row; null: one. */
  readonly weights: Float64Array | null;
  /** Events of each row; null for a continuous outcome. */
  readonly events: Float64Array | null;
  readonly response: Response;
  /** Level of each row for the factors of the design. */
  readonly factors: ReadonlyMap<string, Int32Array>;
}

/** Names of margins that are no covariate's; a variable's name never begins with a space. */
const [ARM, OUTCOME] = [' arm', ' outcome'];

/**
 * The smallest cell of every table that the answers of an analysis imply.
 *
 * X'X, or a Hessian, holds a sum for every pair of columns. Columns that tell all levels of their variables apart (a factor's
 * indicators; one column of a variable with two values; k − 1 of one with k) make that sum the number of people in
 * each cell of the variables' cross-table, so every union of two columns' variables is a table. The score holds a sum of outcomes
 * for every column, so every column's variables by the outcome are tables too. A variable with few values whose columns do
 * not tell all apart is counted by itself, by arm, and by outcome: of it the sums are moments, and few values have few.
 */
export function allCells(plan: ExpandedPlan, analysis: Analysis, table: Table, set: CellSource): Cell[] {
  const armCount = plan.treatment === null ? 0 : 1 + plan.treatment.active.length;
  const margins = new Map<string, Levels>();
  if (set.arm !== null) margins.set(ARM, { index: set.arm, size: armCount });
  for (const variable of covariateVariables(analysis)) {
    const levels = levelsOf(variable, plan, analysis, table, set);
    if (levels !== null) margins.set(variable, levels);
  }
  const count = counterOf(set, margins);
  const nameOf = (name: string): string => (name === ARM ? plan.treatment!.variable : name);
  const cell = (names: readonly string[], byOutcome: boolean): Cell => ({
    what: [
      ...names.filter((name) => name !== ARM || names.length === 1).map(() => 'level'),
      ...(names.includes(ARM) && names.length > 1 ? ['arm'] : []),
      ...(byOutcome ? ['outcome'] : []),
    ].join(' x '),
    variable:
      names.length === 0
        ? outcomeVariables(plan.outcome)[0]!
        : names
            .filter((name) => name !== ARM || names.length === 1)
            .map(nameOf)
            .join(' x '),
    count: count.smallest(names, byOutcome),
  });
  const { tables, byOutcome } = impliedTables(analysis, margins);
  return [
    ...tables.map((names) => cell(names, false)),
    ...(count.hasOutcome ? [...byOutcome, ...(set.arm === null ? [[]] : [])] : []).map((names) =>
      cell(names, true),
    ),
    ...intervalCells(plan, analysis, set),
    ...supportCells(analysis, table, set, armCount),
  ];
}

interface Tables {
  readonly tables: readonly (readonly string[])[];
  readonly byOutcome: readonly (readonly string[])[];
}

function impliedTables(analysis: Analysis, margins: ReadonlyMap<string, Levels>): Tables {
  const order = [...margins.keys()];
  const distinct = (sets: readonly (readonly string[])[]): string[][] => [
    ...new Map(
      sets
        .filter((set) => set.length > 0)
        .map((set) => {
          const names = order.filter((name) => set.includes(name));
          return [names.join('\0'), names] as const;
        }),
    ).values(),
  ];
  const bases = basesOf(analysis);
  const told = (name: string): boolean =>
    name === ARM || (bases.get(name)?.size ?? 0) >= margins.get(name)!.size - 1;
  const ofColumns = distinct(
    analysis.columns.map(({ product }) =>
      product.flatMap((basis) => marginOf(basis) ?? []).filter((name) => margins.has(name)),
    ),
  );
  const apart = ofColumns.filter((set) => set.every(told));
  const pairs = apart.flatMap((a) => apart.map((b) => [...a, ...b]));
  const arm = margins.has(ARM) ? [ARM] : [];
  const byArm = WEIGHTED_BY_CELL.includes(analysis.family) ? pairs.map((names) => [...names, ...arm]) : [];
  const single = order.flatMap((name) => [[name], [name, ...arm]]);
  return {
    tables: distinct([...single, ...ofColumns, ...pairs, ...byArm]),
    byOutcome: distinct([...order.map((name) => [name]), ...ofColumns]),
  };
}

/** The margin that a basis divides participants by. */
const marginOf = (basis: Basis): string | null => (basis.kind === 'treatment' ? ARM : variableOf(basis));

/** Each variable's different functions that are in columns. */
function basesOf({ columns }: Analysis): Map<string, Set<string>> {
  const bases = new Map<string, Set<string>>();
  for (const basis of columns.flatMap(({ product }) => product)) {
    const variable = variableOf(basis);
    if (variable === null || basis.kind === 'study-mean') continue;
    const key = basis.kind === 'level' ? `${basis.level}` : basis.kind === 'rcs' ? `rcs ${basis.index}` : '';
    bases.set(variable, (bases.get(variable) ?? new Set()).add(key));
  }
  return bases;
}

/**
 * Levels of a factor, or of a variable with few values. A spline's p columns have (p + 1)(p + 2)/2 moments, from which as many
 * counts follow.
 */
function levelsOf(
  variable: string,
  plan: ExpandedPlan,
  analysis: Analysis,
  table: Table,
  set: CellSource,
): Levels | null {
  const index = set.factors.get(variable);
  if (index !== undefined) return { index, size: plan.levels[variable]!.length };
  if (plan.levels[variable] !== undefined) return distinctLevels(variable, table, set.rows, Infinity);
  const p = basesOf(analysis).get(variable)?.size ?? 0;
  const limit =
    analysis.family === 'gaussian' && p === 1
      ? FACTOR_LIKE_MOMENTS
      : Math.max(FACTOR_LIKE, ((p + 1) * (p + 2)) / 2);
  return distinctLevels(variable, table, set.rows, limit);
}

interface Counter {
  readonly hasOutcome: boolean;
  readonly smallest: (names: readonly string[], byOutcome: boolean) => number;
}

/**
 * By outcome: events and others, an ordinal outcome's levels, the visits of a repeated one. A measurement, or sums of events,
 * are no cells of people.
 */
function counterOf({ rows, weights, events, response }: CellSource, margins: Map<string, Levels>): Counter {
  const n = rows.length;
  const people = weights;
  switch (response.kind) {
    case 'ordinal': {
      const outcome: Levels = { index: response.level, size: response.levels };
      const whole = new Classification(new Map([...margins, [OUTCOME, outcome]]), n, people, null);
      return {
        hasOutcome: true,
        smallest: (names, by) => whole.smallest(by ? [...names, OUTCOME] : names, 'all'),
      };
    }
    case 'repeated': {
      const visits: Levels = { index: response.visit, size: response.visits };
      const participants = new Classification(margins, n, people, null);
      // A row is a participant at a visit.
      const atVisits = new Classification(new Map([...margins, [OUTCOME, visits]]), n, null, null);
      return {
        hasOutcome: true,
        smallest: (names, by) =>
          by ? atVisits.smallest([...names, OUTCOME], 'all') : participants.smallest(names, 'all'),
      };
    }
    default: {
      // Who was not followed to an event has no other outcome, and no part in a score: see `eventFree` of the facts.
      const outcome = response.kind === 'time-to-event' ? 'events' : 'by event';
      const counted = response.kind === 'binary' || response.kind === 'time-to-event';
      const whole = new Classification(margins, n, people, counted ? events : null);
      return { hasOutcome: counted, smallest: (names, by) => whole.smallest(names, by ? outcome : 'all') };
    }
  }
}

/**
 * Where a hazard, or an effect on it, has its own value in each interval of time: who has an event in one, and who is only
 * at risk in it, by arm.
 */
function intervalCells(plan: ExpandedPlan, { model }: Analysis, source: CellSource): Cell[] {
  return [model.cuts, model.grid, model.timeVarying?.cuts ?? []].flatMap((ends) =>
    intervalCell(plan, ends, source, 'all'),
  );
}

/**
 * Participants with an event, and only at risk, in each interval, by arm; or in those between two of the ends, where sums until each of them
 * also tell of all who leave there.
 */
export function intervalCell(
  plan: ExpandedPlan,
  ends: readonly number[],
  { response, arm, rows }: CellSource,
  which: 'all' | 'between',
): Cell[] {
  if (response.kind !== 'time-to-event' || ends.length === 0) return [];
  const { time, event, entry } = response;
  const counts: number[] = [];
  for (let a = 0; a < armsOf(plan); a++) {
    const having = new Float64Array(ends.length + 1);
    const leaving = new Float64Array(ends.length + 1);
    const change = new Float64Array(ends.length + 2);
    for (let i = 0; i < rows.length; i++) {
      if (arm !== null && arm[i] !== a) continue;
      const last = intervalOf(ends, time[i]!);
      change[entry === null ? 0 : intervalAfter(ends, entry[i]!)]!++;
      change[last + 1]!--;
      having[last]! += event[i]!;
      leaving[last]!++;
    }
    let atRisk = 0;
    having.forEach((events, k) => {
      atRisk += change[k]!;
      if (which === 'all') counts.push(events, atRisk - events);
      else if (k > 0 && k < ends.length) counts.push(events, leaving[k]!, atRisk - events);
    });
  }
  const variable = outcomeVariables(plan.outcome)[0]!;
  return [{ what: 'interval x arm x outcome', variable, count: smallestCount(counts) }];
}

/** One where the plan names no treatment. */
const armsOf = ({ treatment }: ExpandedPlan): number => 1 + (treatment?.active.length ?? 0);

/** The interval (end before, end] that a time lies in. */
function intervalOf(ends: readonly number[], time: number): number {
  const k = ends.findIndex((end) => time <= end);
  return k < 0 ? ends.length : k;
}

/** The interval in which a participant who enters at `time` is first at risk. */
function intervalAfter(ends: readonly number[], time: number): number {
  const k = ends.findIndex((end) => time < end);
  return k < 0 ? ends.length : k;
}

/**
 * Where a spline's columns, or combinations of them, are other than 0: with knots at the edge of a variable, its columns are
 * indicators of the few beyond them. Combinations of a restricted cubic spline's columns vanish below the third last knot,
 * above the third knot, or outside five successive knots, and nowhere within less.
 */
function supportCells(analysis: Analysis, table: Table, set: CellSource, armCount: number): Cell[] {
  const splines = new Map<string, readonly number[]>();
  for (const basis of analysis.columns.flatMap(({ product }) => product))
    if (basis.kind === 'rcs' && basis.index > 0)
      splines.set(`${basis.variable} ${basis.knots.join()}`, basis.knots);
  return [...splines].map(([key, knots]): Cell => {
    const variable = key.slice(0, key.indexOf(' '));
    const x = gather(numericValues(table, variable), set.rows);
    const supports = supportsOf(knots);
    const counts = supports.map(([from, to]) => {
      const byArm = new Float64Array(Math.max(1, armCount));
      for (let i = 0; i < x.length; i++) {
        if (x[i]! > from && x[i]! < to)
          byArm[set.arm === null ? 0 : set.arm[i]!]! += set.weights === null ? 1 : set.weights[i]!;
      }
      return smallestCount([...byArm]);
    });
    return { what: 'between knots x arm', variable, count: smallestCount(counts) };
  });
}

function supportsOf(knots: readonly number[]): (readonly [number, number])[] {
  const k = knots.length;
  const inner = knots.slice(0, Math.max(0, k - 4)).map((from, j) => [from, knots[j + 4]!] as const);
  return [[knots[k - 3]!, Infinity], [-Infinity, knots[2]!], ...inner];
}
