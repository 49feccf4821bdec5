/**
 * What a log holds, as tables that a person can read: pure, the same on a page and in a terminal.
 *
 * Numbers of a message are shown in full, as the shortest decimal that gives the same 64-bit number; where a table shows
 * something computed from them (a standard error), its heading says so.
 */
import type { Header, Level } from '@concordat/proto/concordat/v1/header.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

/** Null: the place is empty, because nothing is sent for it. */
export type Cell = string | number | null;

export interface PayloadTable {
  readonly caption: string;
  /** What the table is, for readers who know no statistics. */
  readonly sentence: string;
  readonly columns: readonly string[];
  /** The first cell names its row. */
  readonly rows: readonly (readonly Cell[])[];
}

export interface PayloadReading {
  /** What kind of message it is. */
  readonly title: string;
  readonly sentence: string;
  readonly tables: readonly PayloadTable[];
}

/** How many numbers of the message its tables hold; digests, codes and what is computed are none. */
export function numbersIn({ tables }: PayloadReading): number {
  return tables.reduce(
    (sum, { rows }) => sum + rows.flat().filter((cell) => typeof cell === 'number').length,
    0,
  );
}

/** What stands around every message. Only the fields that are given. */
export function headerTable(header: Partial<Header>): PayloadTable {
  const { study, run, analysis, round, planDigest, rosterDigest, attempt, inReplyTo, checkpoint } = header;
  const rows: readonly (readonly [string, Cell | undefined])[] = [
    ['Study', study],
    ['Run', hex(run)],
    ['Analysis', analysis === '' ? '(the whole plan)' : analysis],
    ['Round', round],
    ['Plan file, SHA-256', hex(planDigest)],
    ['Roster, SHA-256', hex(rosterDigest)],
    ['Attempt', attempt],
    ['Question that it answers, SHA-256', hex(inReplyTo)],
    ["This site's log: entries", checkpoint?.size],
    ["This site's log: root", hex(checkpoint?.root)],
  ];
  return {
    caption: 'Envelope',
    sentence: 'What binds the message to its place: no number of the records is in it.',
    columns: ['Field', 'Value'],
    rows: rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  };
}

/** For a terminal, with aligned columns. */
export function readingLines({ title, sentence, tables }: PayloadReading): string[] {
  return [printable(title), printable(sentence), ...tables.flatMap((table) => ['', ...tableLines(table)])];
}

export function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : toHex(bytes);
}

/** Quoted where it is text: the code "1" is not the number 1, and control characters stay visible. */
export function levelCell({ code }: Level): Cell {
  if (code === undefined) return '?';
  return code.$case === 'number' ? code.value : JSON.stringify(code.value);
}

function tableLines({ caption, sentence, columns, rows }: PayloadTable): string[] {
  const cells = [columns, ...rows].map((row) => row.map(printable));
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const numeric = columns.map((_, at) => rows.some((row) => typeof row[at] === 'number'));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (numeric[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join('  ')
      .trimEnd();
  return [printable(caption), printable(sentence), ...cells.map((row) => `  ${line(row)}`)];
}

// eslint-disable-next-line no-control-regex
const STEERS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** Names come from a plan, which someone else wrote: nothing of them may steer the terminal. */
export function printable(cell: Cell): string {
  return cell === null ? '' : String(cell).replaceAll(STEERS, '\ufffd');
}
