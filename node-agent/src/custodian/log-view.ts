/** What a reader needs of a site's log. */
import type { EntryWithBody, LogEntry } from '@concordat/shared/log/entry.ts';

export interface LogView {
  entries(): readonly LogEntry[];
  /** The exact bytes logged with an entry. */
  body(entry: EntryWithBody): Uint8Array;
}
