import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { crossedBy, crossedId, NOTHING_ANSWERED, type Answered } from '../data/crossed.ts';
import type { AnalysisSet } from '../data/design.ts';
import { membersOf, type Members } from '../data/members.ts';
import type { Table } from '../data/read.ts';
import { snapshotOf, type Snapshot } from '../data/snapshot.ts';
import { factsTogether } from '../data/together.ts';
import type { AnalysisSetEvidence, StudySource } from './draft.ts';

/** A table, and which rows of which file it holds; null where no ledger is kept. */
export interface Records {
  readonly table: Table;
  readonly snapshot: Snapshot | null;
  /** Variables of earlier answers that cannot be read. */
  readonly unreadable?: ReadonlySet<string>;
}

/** Throws `data/unreadable` where the file changes while it is read: the ledger must not take one for the other. */
export async function readRecords(source: StudySource, load: () => Promise<Table>): Promise<Records> {
  const secret = source.secret ?? null;
  if (secret === null) return { table: await load(), snapshot: null };
  const before = await snapshotOf(source.data, secret).catch(() => null);
  // What is wrong with the file, reading says best.
  const table = await load();
  const after = await snapshotOf(source.data, secret);
  if (before?.id !== after.id || table.rows !== after.keys.length / 2)
    throw new ConcordatError('data/unreadable', 'the file changed while it was read', {
      place: source.data,
      remedy: 'write the new file under another name first, then rename it',
    });
  return { table, snapshot: after };
}

/** Null where no ledger is kept. */
export function membersOfSet(
  { secret = null }: StudySource,
  plan: ExpandedPlan,
  { table, snapshot }: Records,
  { within, rows }: { readonly within: Uint8Array; readonly rows: AnalysisSet['rows'] | null },
): Members | null {
  return secret === null || snapshot === null ? null : membersOf(snapshot, secret, plan, table, within, rows);
}

/** Evidence about an analysis set, beside the earlier answers. */
export function evidenceOf(
  source: StudySource,
  plan: ExpandedPlan,
  analysis: Analysis,
  records: Records,
  set: AnalysisSet,
  { snapshot, sets }: Answered = NOTHING_ANSWERED,
): AnalysisSetEvidence {
  const members = membersOfSet(source, plan, records, set);
  if (members?.analysis == null) return { kind: 'analysis-set', facts: set.facts, set: '', members };
  const crossed = crossedBy(plan, analysis);
  // Rows of another state of the file are not these.
  const same = snapshot === members.snapshot ? sets : [];
  const own = { id: crossedId(crossed, members), crossed, rows: members.analysis };
  const { table, unreadable } = records;
  const { cells, ...beside } = factsTogether(plan, own, set.evidence, same, table, unreadable);
  return {
    kind: 'analysis-set',
    facts: { ...set.facts, ...beside, cells: [...set.facts.cells, ...cells] },
    set: '',
    members,
    crossing: { crossed, against: same.map(({ id }) => id) },
  };
}
