/** Which bodies of a log may be erased when a term is over: messages that carry numbers, of runs that are closed. What was agreed, offered and decided stays. */
import { hasBody, readRanges, type EntryWithBody, type LogEntry } from './entry.ts';

/** Types of bodies with numbers of records, or of parameters that were fitted to them. */
const NUMBERS: ReadonlySet<string> = new Set([
  'factorLevels',
  'stageOneEstimate',
  'stageOneFailure',
  'oneStageEntry',
  'objectiveQuestion',
  'objectiveValue',
  'refusal',
  'refusals',
]);

/** What would be erased of one run. */
export interface ErasableRun {
  readonly run: string;
  /** RFC 3339. */
  readonly closed: string;
  readonly entries: readonly EntryWithBody[];
}

/**
 * `before`: RFC 3339, or the beginning of one; runs that were closed earlier. `ends`: whether an entry closes its run. Bodies that are erased
 * already are left out.
 */
export function erasableRuns(
  entries: readonly LogEntry[],
  before: string,
  ends: (entry: LogEntry) => boolean,
): readonly ErasableRun[] {
  const closed = new Map<string, string>();
  const erased = new Set<number>();
  for (const entry of entries) {
    if (entry.run !== undefined && ends(entry)) closed.set(entry.run, entry.time);
    for (const n of erasedIn(entry)) erased.add(n);
  }
  return [...closed]
    .filter(([, time]) => time < before)
    .map(([run, time]) => ({
      run,
      closed: time,
      entries: entries.filter(
        (entry): entry is EntryWithBody =>
          entry.run === run && hasBody(entry) && holdsNumbers(entry) && !erased.has(entry.n),
      ),
    }));
}

/** A reply that was not used has no type in the log, and may hold anything. */
function holdsNumbers({ kind, type }: LogEntry): boolean {
  return type === undefined ? kind === 'refused' : NUMBERS.has(type);
}

/** Places of the bodies that an entry says were erased. */
export function erasedIn({ kind, detail }: LogEntry): readonly number[] {
  if (kind !== 'erased') return [];
  return (readRanges(`${detail?.['entries']}`) ?? []).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
}

/** Erases them; returns how many. */
export function eraseRuns(
  log: { erase(chosen: (entry: EntryWithBody) => boolean, reason: string): number },
  runs: readonly ErasableRun[],
  reason: string,
): number {
  const chosen = new Set(runs.flatMap(({ entries }) => entries.map(({ n }) => n)));
  return log.erase(({ n }) => chosen.has(n), reason);
}

/** In words, a line a run. */
export function erasableLines(runs: readonly ErasableRun[]): readonly string[] {
  return runs.map(({ run, closed, entries }) => {
    const types = Map.groupBy(entries, ({ type }) => type ?? 'replies that were not used');
    const counts = [...types].map(([type, { length }]) => `${length} ${type}`).join(', ');
    return `run ${run}, closed ${closed}: ${counts === '' ? 'nothing is left of it' : counts}`;
  });
}
