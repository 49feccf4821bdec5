import type { Cell, DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { leverage } from '@concordat/shared/disclosure/leverage.ts';
import type { Response } from '@concordat/shared/models/types.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { covariateVariables, outcomeVariables, variableOf } from './analysis-set.ts';
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
  readonly response: Response;
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
    parameters: parameterTerms(plan, analysis).length,
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
  const modifiers = new Set(
    analysis.columns.flatMap(({ product }) =>
      product.some(({ kind }) => kind === 'treatment')
        ? product.flatMap((basis) => variableOf(basis) ?? [])
        : [],
    ),
  );
  const arms: Levels | null = set.arm === null ? null : { index: set.arm, size: armCount };
  const by = arms === null ? [] : [arms];
  const byOutcome = outcomeCells(set);
  const cells: Cell[] = [];
  if (arms !== null)
    cells.push({ what: 'level', variable: plan.treatment!.variable, count: smallest(by, null, set) });
  if (byOutcome !== null) {
    const variable = plan.treatment?.variable ?? outcomeVariables(plan.outcome)[0]!;
    cells.push({ what: 'level x outcome', variable, count: byOutcome(by) });
  }
  cells.push(...intervalCells(plan, analysis, set, Math.max(1, armCount)));
  for (const variable of covariateVariables(analysis)) {
    const levels = levelsOf(variable, plan, table, set);
    if (levels === null) continue;
    cells.push({ what: 'level', variable, count: smallest([levels], null, set) });
    if (arms !== null)
      cells.push({ what: 'level x arm', variable, count: smallest([levels, arms], null, set) });
    if (byOutcome === null) continue;
    cells.push({ what: 'level x outcome', variable, count: byOutcome([levels]) });
    if (arms !== null && modifiers.has(variable)) {
      cells.push({ what: 'level x arm x outcome', variable, count: byOutcome([levels, arms]) });
    }
  }
  return cells;
}

/**
 * Counts a classification's smallest cell once more by what the outcome makes of it: events, an ordinal outcome's levels,
 * the visits of a repeated one. Null: a measurement, or sums of events, which are no cells of people.
 */
function outcomeCells(set: Evidence): ((by: readonly Levels[]) => number) | null {
  const { response, events } = set;
  switch (response.kind) {
    case 'ordinal': {
      const levels: Levels = { index: response.level, size: response.levels };
      return (by) => smallest([...by, levels], null, set);
    }
    case 'repeated': {
      const visits: Levels = { index: response.visit, size: response.visits };
      // A row is a participant at a visit.
      return (by) => smallest([...by, visits], null, { ...set, weights: null });
    }
    case 'binary':
    case 'time-to-event':
      return (by) => smallest(by, events, set);
    default:
      return null;
  }
}

/**
 * Where a hazard, or an effect on it, has its own value in each interval of time: who has an event in one, and who is only
 * at risk in it, by arm.
 */
function intervalCells(
  plan: ExpandedPlan,
  { model }: Analysis,
  { response, arm, rows }: Evidence,
  armCount: number,
): Cell[] {
  if (response.kind !== 'time-to-event') return [];
  const variable = outcomeVariables(plan.outcome)[0]!;
  const { time, event, entry } = response;
  return [model.cuts, model.grid, model.timeVarying?.cuts ?? []].flatMap((ends): Cell[] => {
    if (ends.length === 0) return [];
    const counts: number[] = [];
    for (let a = 0; a < armCount; a++) {
      const having = new Float64Array(ends.length + 1);
      const change = new Float64Array(ends.length + 2);
      for (let i = 0; i < rows.length; i++) {
        if (arm !== null && arm[i] !== a) continue;
        const last = intervalOf(ends, time[i]!);
        change[entry === null ? 0 : intervalAfter(ends, entry[i]!)]!++;
        change[last + 1]!--;
        having[last]! += event[i]!;
      }
      let atRisk = 0;
      having.forEach((events, k) => {
        atRisk += change[k]!;
        counts.push(events, atRisk - events);
      });
    }
    return [{ what: 'interval x arm x outcome', variable, count: smallestCount(counts) }];
  });
}

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
  return smallestCount([...without, ...having]);
}

/** The smallest that is not 0; 0 where all are. A participant of several rows is a sum of parts of one. */
function smallestCount(counts: readonly number[]): number {
  const some = counts.map((count) => Math.round(count * 1e6) / 1e6).filter((count) => count > 0);
  return some.length === 0 ? 0 : some.reduce((a, b) => Math.min(a, b));
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
