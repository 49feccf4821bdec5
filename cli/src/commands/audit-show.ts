import { shown, shownLines, type Selection, type ShownEntry } from '@concordat/audit/show.ts';

import { entriesOf } from '../entries-of.ts';
import { writeOut } from '../write-out.ts';

export async function auditShow(
  log: string,
  { json, ...selection }: Selection & { readonly json?: boolean },
): Promise<0 | 4> {
  const { entries, status } = entriesOf(log);
  const chosen = shown(entries, selection);
  await writeOut(json === true ? jsonLines(chosen) : textLines(chosen));
  return status();
}

function* textLines(entries: Iterable<ShownEntry>): Generator<string> {
  let some = false;
  for (const line of shownLines(entries)) {
    some = true;
    yield `${line}\n`;
  }
  if (!some) yield 'The log holds nothing of that kind.\n';
}

function* jsonLines(entries: Iterable<ShownEntry>): Generator<string> {
  for (const { entry, plan, body, reading } of entries)
    yield `${JSON.stringify({ entry, plan, body, ...reading })}\n`;
}
