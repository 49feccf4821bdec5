import { createHash } from 'node:crypto';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { armNames, modifierColumns } from '@concordat/shared/plan/design.ts';
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import type { StudyData } from '@concordat/shared/models/types.ts';
import type { Analysis, Basis, Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { selectRows, type AnalysisRows, type LeftOut } from './analysis-set.ts';
import { disclosureFacts, sumByArm, type EvidenceSource } from './evidence.ts';
import { buildResponse, distinctLevels, gather } from './response.ts';
import { columnOf, matchCodes, numericValues, type Table } from './table.ts';

/** One study's records as an analysis sees them, and the facts about them. */
export interface AnalysisSet {
  readonly data: StudyData;
  /** Columns whose role is the treatment effect, by index. */
  readonly treatmentTerms: readonly number[];
  /** Names of the entries of `participants` and `events`: `control`, `active` or the active arms' codes; `total` without a treatment. */
  readonly arms: readonly string[];
  /** Participants of each arm; a grouped row counts its trials. */
  readonly participants: readonly number[];
  /** Events of each arm; null for a continuous outcome. */
  readonly events: readonly number[] | null;
  readonly leftOut: LeftOut;
  /** Mean of each of the effect modifier's own columns; empty where there is none. */
  readonly modifierMeans: readonly number[];
  /** What the facts are of. */
  readonly evidence: EvidenceSource;
  readonly facts: DisclosureFacts;
  /** Table rows of the set. */
  readonly rows: Int32Array;
  /** 1 for each table row in the plan's population. */
  readonly within: Uint8Array;
}

interface Rows {
  readonly plan: ExpandedPlan;
  readonly table: Table;
  readonly rows: Int32Array;
  readonly arm: Int32Array | null;
  readonly weights: Float64Array | null;
  /** Visit of each row of a repeated outcome; null elsewhere. */
  readonly visit: Int32Array | null;
  /** Level of each row among the plan's levels of a factor, made once a factor. */
  readonly factors: Map<string, Int32Array>;
}

/**
 * The complete rows of one analysis as response and design matrix. A column is the product of its bases; centring
 * subtracts the mean over this analysis set (over participants, where rows are grouped).
 *
 * Throws `data/missing-column`, `data/not-numeric` and `data/impossible-code`, naming variables and rows, never values.
 */
export function buildAnalysisSet(plan: ExpandedPlan, analysis: Analysis, table: Table): AnalysisSet {
  const { rows, arm, leftOut, within } = inOrder(plan, table, selectRows(plan, analysis, table));
  const outcome = buildResponse(plan.outcome, analysis, table, rows);
  const { weights, events } = outcome;
  const visit = outcome.response.kind === 'repeated' ? outcome.response.visit : null;
  const set: Rows = { plan, table, rows, arm, weights, visit, factors: new Map() };
  const columns = analysis.columns.map(({ product }) => productColumn(product, set, true));
  const modifiers = modifierColumns(analysis);
  const arms = armNames(plan);
  const participants = sumByArm(weights, arm, arms.length, rows.length);
  const offset = sumOffsets(outcome.logExposure, analysis.offset, table, rows);
  const evidence: EvidenceSource = {
    rows,
    arm,
    weights,
    events,
    response: outcome.response,
    columns,
    factors: set.factors,
    offset,
    logExposure: outcome.logExposure,
    otherTreatment: leftOut.other_treatment,
  };
  return {
    data: {
      n: rows.length,
      columns,
      terms: analysis.columns.map(({ term }) => term),
      response: outcome.response,
      offset,
      treatmentMeans:
        rows.length === 0
          ? []
          : analysis.columns.flatMap(({ role, product }) =>
              role === 'treatment' ? [mean(productColumn(product, set, false), weights)] : [],
            ),
    },
    treatmentTerms: analysis.columns.flatMap(({ role }, j) => (role === 'treatment' ? [j] : [])),
    arms,
    participants: participants.map(Math.round),
    events: events === null ? null : sumByArm(events, arm, arms.length, rows.length),
    leftOut,
    rows,
    within,
    modifierMeans:
      rows.length === 0
        ? []
        : modifiers.map(({ product }) => mean(productColumn(product, set, false), weights)),
    evidence,
    facts: disclosureFacts(plan, analysis, table, evidence),
  };
}

/** SHA-256 (hex) of what an analysis set holds: the same records give the same one. */
export function setDigest({ data }: AnalysisSet): string {
  const hash = createHash('sha256');
  const parts: unknown[] = [...data.columns, ...Object.values(data.response), data.offset];
  for (const part of parts) {
    if (part instanceof Float64Array || part instanceof Int32Array) hash.update(part);
  }
  return hash.digest('hex');
}

/** Of a repeated outcome a participant's rows together, in the order of the visits. */
function inOrder(plan: ExpandedPlan, table: Table, selected: AnalysisRows): AnalysisRows {
  const { outcome } = plan;
  if (outcome.kind !== 'repeated') return selected;
  const subject = distinctLevels(outcome.subject, table, selected.rows, Infinity)!.index;
  const visit = matchCodes(columnOf(table, outcome.visit), outcome.visits);
  const order = Array.from(selected.rows.keys()).toSorted(
    (a, b) => subject[a]! - subject[b]! || visit[selected.rows[a]!]! - visit[selected.rows[b]!]!,
  );
  const { arm } = selected;
  return {
    ...selected,
    rows: Int32Array.from(order, (i) => selected.rows[i]!),
    arm: arm === null ? null : Int32Array.from(order, (i) => arm[i]!),
  };
}

function productColumn(product: readonly Basis[], set: Rows, centring: boolean): Float64Array {
  const out = new Float64Array(set.rows.length).fill(1);
  for (const basis of product) {
    if (basis.kind === 'intercept') continue;
    const values = basisColumn(basis, set);
    const centred = 'centred' in basis && (basis.centred ?? false);
    const centre = centring && centred ? mean(values, set.weights) : 0;
    for (let i = 0; i < out.length; i++) out[i]! *= values[i]! - centre;
  }
  return out;
}

function basisColumn(basis: Exclude<Basis, { kind: 'intercept' }>, set: Rows): Float64Array {
  const { plan, table, rows, arm } = set;
  switch (basis.kind) {
    case 'treatment': {
      const index = 1 + (plan.treatment?.active.indexOf(basis.arm) ?? -1);
      return arm === null ? new Float64Array(rows.length) : indicator(arm, index);
    }
    case 'visit':
      return indicator(set.visit ?? new Int32Array(rows.length).fill(-1), visitOf(plan, basis.visit));
    case 'study-mean': {
      const { of } = basis;
      const average = of.kind === 'intercept' ? 1 : mean(basisColumn(of, set), set.weights);
      return new Float64Array(rows.length).fill(average);
    }
    case 'linear':
      return gather(numericValues(table, basis.variable), rows);
    case 'level': {
      const index = (plan.levels[basis.variable] ?? []).indexOf(basis.level);
      return indicator(factorOf(basis.variable, set), index);
    }
    case 'rcs':
      return gather(numericValues(table, basis.variable), rows).map((x) =>
        rcsBasis(x, basis.knots, basis.index),
      );
  }
}

function visitOf(plan: ExpandedPlan, visit: Code): number {
  return plan.outcome.kind === 'repeated' ? plan.outcome.visits.indexOf(visit) : -1;
}

/** 1 where a row has this level. */
function indicator(levels: Int32Array, level: number): Float64Array {
  const out = new Float64Array(levels.length);
  for (let i = 0; i < out.length; i++) out[i] = levels[i] === level ? 1 : 0;
  return out;
}

/** Each row's level among the plan's; a code that the plan does not know is an error, not another reference level. */
function factorOf(variable: string, set: Rows): Int32Array {
  const known = set.factors.get(variable);
  if (known !== undefined) return known;
  const all = matchCodes(columnOf(set.table, variable), set.plan.levels[variable] ?? []);
  const levels = set.rows.map((row) => all[row]!);
  const unknown = levels.reduce((count, level) => count + (level < 0 ? 1 : 0), 0);
  if (unknown > 0) {
    throw new ConcordatError(
      'data/impossible-code',
      `column "${variable}" holds codes that are not among the plan’s levels in ${unknown} row${unknown === 1 ? '' : 's'}`,
      {
        place: `column "${variable}", row ${set.rows[levels.findIndex((level) => level < 0)]! + 1}`,
        remedy: 'recode the column in a harmonisation map, or declare the level in the plan',
      },
    );
  }
  set.factors.set(variable, levels);
  return levels;
}

/**
 * Weighted mean; 0 for an empty set, which has no column to centre. Summed as differences from the first value, so that
 * a constant column centres to exact zeros.
 */
function mean(values: Float64Array, weights: Float64Array | null): number {
  const origin = values[0] ?? 0;
  let [sum, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const w = weights === null ? 1 : weights[i]!;
    sum += w * (values[i]! - origin);
    total += w;
  }
  return total === 0 ? 0 : origin + sum / total;
}

function sumOffsets(
  logExposure: Float64Array | null,
  variable: string | null,
  table: Table,
  rows: Int32Array,
): Float64Array | null {
  if (variable === null) return logExposure;
  const offset = gather(numericValues(table, variable), rows);
  return logExposure === null ? offset : offset.map((value, i) => value + logExposure[i]!);
}
