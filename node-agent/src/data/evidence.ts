import type { DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { leverage } from '@concordat/shared/disclosure/leverage.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { allCells, type CellSource } from './cells.ts';
import { smallestCount } from './classification.ts';
import { divisionCells } from './division.ts';
import { effectiveParticipants, informative, largestShares, total } from './information.ts';
import type { Table } from './table.ts';

/** What the facts are of. */
export interface EvidenceSource extends CellSource {
  readonly columns: readonly Float64Array[];
  readonly offset: Float64Array | null;
  readonly logExposure: Float64Array | null;
  /** Rows of another arm than the plan's. */
  readonly otherTreatment: number;
}

/** What the disclosure rules need to know about an analysis set. Stays at the site. */
export function disclosureFacts(
  plan: ExpandedPlan,
  analysis: Analysis,
  table: Table,
  set: EvidenceSource,
): DisclosureFacts {
  const { rows, arm, weights, response } = set;
  const n = rows.length;
  const armCount = plan.treatment === null ? 0 : 1 + plan.treatment.active.length;
  const participants = Math.round(weights === null ? n : total(weights));
  // Of repeated measures a row is one visit's, and a participant has several.
  const { maximum, rank } =
    response.kind === 'repeated'
      ? leverage(set.columns, n, null, response.subject)
      : leverage(set.columns, n, weights);
  const source = { ...set, n };
  return {
    participants,
    effective: Math.min(participants, effectiveParticipants(analysis, source)),
    perArm: arm === null ? [] : sumByArm(weights, arm, armCount, n).map(Math.round),
    parameters: parameterTerms(plan, analysis).length,
    events: informative(source),
    eventFree: eventFree(set, armCount),
    grouped: plan.outcome.kind === 'binary-grouped',
    cells: [...divisionCells(plan, table, set.otherTreatment), ...allCells(plan, analysis, table, set)],
    shares: n === 0 ? [] : largestShares(plan.outcome, source),
    leverage: maximum,
    rank,
  };
}

function eventFree({ response, arm, rows }: EvidenceSource, arms: number): number | null {
  if (response.kind !== 'time-to-event') return null;
  const without = response.event.map((event) => 1 - event);
  return smallestCount(sumByArm(without, arm, Math.max(1, arms), rows.length));
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
