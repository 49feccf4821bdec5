/** Which entries a search finds: over metadata alone, so that no body is read. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';

export const FILTERS = ['kind', 'type', 'run', 'analysis', 'peer', 'from', 'until', 'text'] as const;
export type Filter = Readonly<Record<(typeof FILTERS)[number], string>>;

/** What is longer, or there twice, is no search. */
const LONGEST = 200;

export function filterIn(query: unknown): Filter {
  const given = query as Readonly<Record<string, unknown>>;
  const of = (name: string): string => {
    const value = given[name];
    return typeof value === 'string' && value.length <= LONGEST ? value.trim() : '';
  };
  return Object.fromEntries(FILTERS.map((name) => [name, of(name)])) as Filter;
}

export const isEmpty = (filter: Filter): boolean => FILTERS.every((name) => filter[name] === '');

/** Newest first: those of one page, and how many there are. */
export function search(
  entries: readonly LogEntry[],
  filter: Filter,
  from: number,
  count: number,
): { readonly found: readonly LogEntry[]; readonly total: number } {
  if (isEmpty(filter)) {
    const end = Math.max(0, entries.length - from);
    return { found: entries.slice(Math.max(0, end - count), end).toReversed(), total: entries.length };
  }
  const fits = matcher(filter);
  const found: LogEntry[] = [];
  let total = 0;
  for (let n = entries.length - 1; n >= 0; n--) {
    const entry = entries[n]!;
    if (!fits(entry)) continue;
    if (total >= from && found.length < count) found.push(entry);
    total++;
  }
  return { found, total };
}

function matcher({
  kind,
  type,
  run,
  analysis,
  peer,
  from,
  until,
  text,
}: Filter): (entry: LogEntry) => boolean {
  const wanted = text.toLowerCase();
  return (entry) =>
    (kind === '' || entry.kind === kind) &&
    (type === '' || entry.type === type) &&
    (run === '' || entry.run?.startsWith(run) === true) &&
    (analysis === '' || entry.analysis === analysis) &&
    (peer === '' || entry.peer === peer) &&
    (from === '' || entry.time >= from) &&
    // Days are whole: what is written behind the last one is of that day.
    (until === '' || entry.time.slice(0, until.length) <= until) &&
    (wanted === '' || JSON.stringify(entry).toLowerCase().includes(wanted));
}
