/** A log for other software: entries with the values that were logged with them, as CSV, JSON or a JSON object a line. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { longRows, type LongRow } from './long-form.ts';
import { RunNames } from './run-names.ts';

export const EXPORT_FORMATS = ['csv', 'json', 'ndjson'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const COLUMNS = [
  'n',
  'time',
  'kind',
  'peer',
  'run',
  'analysis',
  'round',
  'type',
  'task',
  'body',
  'state',
  'field',
  'term',
  'value',
] as const;

/** The file, piece by piece: of an entry with no value, one row. */
export function* exported(entries: Iterable<AuditedEntry>, format: ExportFormat): Generator<string> {
  const names = new RunNames();
  if (format === 'csv') yield `${COLUMNS.join(',')}\r\n`;
  if (format === 'json') yield '[';
  let first = true;
  for (const { entry, body } of entries) {
    const values = body instanceof Uint8Array ? longRows(entry, body, names) : [];
    const state = body instanceof Uint8Array ? 'there' : body;
    if (format === 'csv') {
      yield csvRows(entry, state, values);
      continue;
    }
    const { at: _at, ...told } = entry;
    const text = JSON.stringify({ ...told, state, values });
    yield format === 'ndjson' ? `${text}\n` : `${first ? '\n' : ',\n'}${text}`;
    first = false;
  }
  if (format === 'json') yield '\n]\n';
}

type Cell = LongRow['value'] | null | undefined;

function csvRows(entry: LogEntry, state: string | null, values: readonly LongRow[]): string {
  const { n, time, kind, peer, run, analysis, round, type, task, body } = entry;
  const own: readonly Cell[] = [n, time, kind, peer, run, analysis, round, type, task, body, state];
  const rows = values.length === 0 ? [{ field: null, term: null, value: null }] : values;
  return rows
    .map(({ field, term, value }) => `${[...own, field, term, value].map(csvCell).join(',')}\r\n`)
    .join('');
}

/** What a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** RFC 4180; text that would be a formula stands behind an apostrophe. Numbers are as they are. */
function csvCell(cell: Cell): string {
  if (cell === null || cell === undefined) return '';
  if (typeof cell !== 'string') return String(cell);
  const text = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
