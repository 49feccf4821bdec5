import type { Cell, DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { leverage } from '@concordat/shared/disclosure/leverage.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { covariateVariables, variableOf } from './analysis-set.ts';
import { distinctLevels } from './response.ts';
import type { Table } from './table.ts';

/** A variable with at most this many values is judged as a factor, whatever the plan calls it. */
const FACTOR_LIKE = 12;

interface Evidence {
  readonly rows: Int32Array;
  readonly arm: Int32Array | null;
  /** Participants of each row; null: one. */
  readonly weights: Float64Array | null;
  /** Events of each row; null for a continuous outcome. */
  readonly events: Float64Array | null;
  readonly columns: readonly Float64Array[];
  /** Level of each row for the factors of the design. */
  readonly factors: ReadonlyMap<string, Int32Array>;
}

interface Levels {
  readonly index: Int32Array;
  readonly size: number;
}

/** What the disclosure rules need to know about an analysis set. Stays at the site. */
export function disclosureFacts(
  plan: ExpandedPlan,
  analysis: Analysis,
  table: Table,
  set: Evidence,
): DisclosureFacts {
  const { rows, arm, weights, events } = set;
  const n = rows.length;
  const armCount = plan.treatment === null ? 0 : 1 + plan.treatment.active.length;
  const participants = Math.round(sum(weights ?? new Float64Array(n).fill(1)));
  const eventTotal = events === null ? null : sum(events);
  const binary = plan.outcome.kind === 'binary' || plan.outcome.kind === 'binary-grouped';
  // Of repeated measures a row is one visit's, and each visit has columns of its own.
  const { maximum, rank } = leverage(set.columns, n, plan.outcome.kind === 'repeated' ? null : weights);
  return {
    participants,
    perArm: arm === null ? [] : sumByArm(weights, arm, armCount, n).map(Math.round),
    parameters: set.columns.length,
    events: eventTotal !== null && binary ? Math.min(eventTotal, participants - eventTotal) : eventTotal,
    cells: allCells(plan, analysis, table, set, armCount),
    leverage: maximum,
    rank,
  };
}

/** Sums of `values` (null: ones) over the rows of each arm; one sum where there are no arms. */
export function sumByArm(
  values: Float64Array | null,
  arm: Int32Array | null,
  arms: number,
  n: number,
): number[] {
  const sums = new Array<number>(arms).fill(0);
  for (let i = 0; i < n; i++) sums[arm === null ? 0 : arm[i]!]! += values === null ? 1 : values[i]!;
  return sums;
}

function allCells(
  plan: ExpandedPlan,
  analysis: Analysis,
  table: Table,
  set: Evidence,
  armCount: number,
): Cell[] {
  // Counts are sums of events, not people: only an outcome that a participant has or has not makes cells of people.
  const outcome = plan.outcome.kind === 'count' ? null : set.events;
  const modifiers = new Set(
    analysis.columns.flatMap(({ product }) =>
      product.some(({ kind }) => kind === 'treatment')
        ? product.flatMap((basis) => variableOf(basis) ?? [])
        : [],
    ),
  );
  const arms: Levels | null = set.arm === null ? null : { index: set.arm, size: armCount };
  const cells: Cell[] = [];
  if (arms !== null) {
    const variable = plan.treatment!.variable;
    cells.push({ what: 'level', variable, count: smallest([arms], null, set) });
    if (outcome !== null)
      cells.push({ what: 'level x outcome', variable, count: smallest([arms], outcome, set) });
  }
  for (const variable of covariateVariables(analysis)) {
    const levels = levelsOf(variable, plan, table, set);
    if (levels === null) continue;
    cells.push({ what: 'level', variable, count: smallest([levels], null, set) });
    if (arms !== null)
      cells.push({ what: 'level x arm', variable, count: smallest([levels, arms], null, set) });
    if (outcome === null) continue;
    cells.push({ what: 'level x outcome', variable, count: smallest([levels], outcome, set) });
    if (arms !== null && modifiers.has(variable)) {
      cells.push({ what: 'level x arm x outcome', variable, count: smallest([levels, arms], outcome, set) });
    }
  }
  return cells;
}

function levelsOf(variable: string, plan: ExpandedPlan, table: Table, set: Evidence): Levels | null {
  const index = set.factors.get(variable);
  if (index !== undefined) return { index, size: plan.levels[variable]!.length };
  return distinctLevels(
    variable,
    table,
    set.rows,
    plan.levels[variable] === undefined ? FACTOR_LIKE : Infinity,
  );
}

/** The smallest non-empty cell of a cross-classification of participants (0: all are empty), by outcome where given. */
function smallest(by: readonly Levels[], outcome: Float64Array | null, set: Evidence): number {
  const size = by.reduce((product, levels) => product * levels.size, 1);
  const without = new Float64Array(size);
  const having = new Float64Array(size);
  for (let i = 0; i < set.rows.length; i++) {
    let cell = 0;
    for (const levels of by) cell = cell * levels.size + levels.index[i]!;
    const events = outcome === null ? 0 : outcome[i]!;
    having[cell]! += events;
    without[cell]! += (set.weights === null ? 1 : set.weights[i]!) - events;
  }
  let least = Infinity;
  for (const counts of [without, having])
    // A participant of several rows is a sum of parts of one.
    for (const count of counts.map((c) => Math.round(c * 1e6) / 1e6)) if (count > 0 && count < least) least = count;
  return least === Infinity ? 0 : least;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
