/** Everything that left, and what was decided about it, in the log's order and as tables. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { describeEntry, entryTable } from './describe.ts';
import { RunNames } from './run-names.ts';
import { printable, readingLines, type PayloadReading } from './tables.ts';

/** Which entries are shown; a field that is left out is no filter. */
export interface Selection {
  readonly run?: string | undefined;
  readonly analysis?: string | undefined;
  readonly round?: number | undefined;
  readonly type?: string | undefined;
  readonly entry?: number | undefined;
  /** Messages that were sent, and nothing that was decided about them. */
  readonly sent?: boolean | undefined;
}

export interface ShownEntry {
  readonly entry: LogEntry;
  /** Name that the run's plan gives itself. */
  readonly plan: string | null;
  /** `there`: it was read. */
  readonly body: 'there' | Exclude<AuditedEntry['body'], Uint8Array | null> | null;
  readonly reading: PayloadReading;
}

/** Bounded memory: an entry is forgotten once it is shown; of a run, its plan is kept. */
export function* shown(entries: Iterable<AuditedEntry>, selection: Selection): Generator<ShownEntry> {
  const names = new RunNames();
  for (const { entry, body } of entries) {
    const chosen = isChosen(entry, selection);
    // Questions that are not shown name what answers hold.
    if (!chosen && (entry.type === undefined || !(body instanceof Uint8Array))) continue;
    const reading = describeEntry(entry, body, names);
    if (!chosen) continue;
    yield {
      entry,
      plan: names.plan(entry.run),
      body: body instanceof Uint8Array ? 'there' : body,
      reading,
    };
    if (entry.n === selection.entry) return;
  }
}

function isChosen(entry: LogEntry, { sent, ...filters }: Selection): boolean {
  const { run, analysis, round, type, entry: n } = filters;
  if (n !== undefined && entry.n !== n) return false;
  if (run !== undefined && entry.run?.startsWith(run) !== true) return false;
  if (analysis !== undefined && entry.analysis !== analysis) return false;
  if (round !== undefined && entry.round !== round) return false;
  if (type !== undefined && entry.type !== type) return false;
  if (sent === true) return entry.kind === 'sent';
  return Object.values(filters).some((filter) => filter !== undefined) || isDecided(entry);
}

/** What left, and what stood in its way or let it go. */
function isDecided({ kind, type, detail }: LogEntry): boolean {
  if (kind === 'sent' || kind === 'refused' || kind === 'approved') return true;
  return kind === 'decision' && (type === 'statement' || detail?.['held'] !== undefined);
}

/** For a terminal: a heading where plan, analysis or round change, then each entry. */
export function* shownLines(entries: Iterable<ShownEntry>): Generator<string> {
  let group = '';
  for (const { entry, plan, reading } of entries) {
    const next = groupOf(entry, plan);
    if (next !== group) yield* ['', printable(next), '='.repeat(Math.min(printable(next).length, 100))];
    group = next;
    yield* [
      '',
      `entry ${entry.n}, ${printable(entry.time)}${entry.peer === undefined ? '' : `, ${entry.kind === 'sent' ? 'to' : 'from'} ${printable(entry.peer)}`}`,
    ];
    for (const line of readingLines(withDetail(entry, reading))) yield `  ${line}`.trimEnd();
  }
}

function groupOf({ run, analysis, round }: LogEntry, plan: string | null): string {
  if (run === undefined) return 'Of no run';
  const parts = [
    `${plan === null ? 'Run' : `Plan ${plan}, run`} ${run}`,
    analysis === undefined ? '' : analysis === '' ? 'the whole plan' : `analysis ${analysis}`,
    round === undefined ? '' : `round ${round}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** What an entry without tables says is in its metadata. */
function withDetail(entry: LogEntry, reading: PayloadReading): PayloadReading {
  return reading.tables.length > 0 ? reading : { ...reading, tables: [entryTable(entry)] };
}
