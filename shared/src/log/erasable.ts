/** Which bodies of a log may be erased when a term is over: messages that carry numbers, of runs that are over. What was agreed, offered and decided stays. */
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
  /** Hex; empty for replies of which nobody can say what run they are of. */
  readonly run: string;
  /** RFC 3339: when it was closed; null where it never was. */
  readonly closed: string | null;
  /** Of its last entry. */
  readonly last: string;
  readonly entries: readonly EntryWithBody[];
}

/**
 * Runs that were closed before `before` (RFC 3339, or the beginning of one), or of which nothing was logged since. `ends`: whether an entry closes its run; one that
 * nobody closed is left alone where it is `open` still. Bodies that are erased already are left out.
 */
export function erasableRuns(
  entries: readonly LogEntry[],
  before: string,
  ends: (entry: LogEntry) => boolean,
  open: (run: string) => boolean = () => false,
): readonly ErasableRun[] {
  const runs = new Map<string, { closed: string | null; last: string; entries: EntryWithBody[] }>();
  const erased = new Set(entries.flatMap(erasedIn));
  for (const entry of entries) {
    const { run = '', time } = entry;
    const numbers = hasBody(entry) && holdsNumbers(entry) && !erased.has(entry.n);
    if (run === '' && !numbers) continue;
    const known = runs.get(run) ?? { closed: null, last: time, entries: [] };
    runs.set(run, known);
    if (ends(entry)) known.closed = time;
    known.last = time;
    if (numbers) known.entries.push(entry);
  }
  return [...runs]
    .filter(([run, { closed, last }]) => (closed ?? last) < before && !open(run))
    .map(([run, found]) => ({ run, ...found }));
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
  return runs.map(({ run, closed, last, entries }) => {
    const types = Map.groupBy(entries, ({ type }) => type ?? 'replies that were not used');
    const counts = [...types].map(([type, { length }]) => `${length} ${type}`).join(', ');
    const end = closed === null ? `never closed, last heard of ${last}` : `closed ${closed}`;
    return `${run === '' ? 'of no run that is known' : `run ${run}`}, ${end}: ${counts === '' ? 'nothing is left of it' : counts}`;
  });
}
