/** A site's log, read beside the agent that writes it. */
import * as fs from 'node:fs';
import { join } from 'node:path';

import { readBody, type LogEntry } from '@concordat/shared/log/message-log.ts';

export interface LogView {
  entries(): readonly LogEntry[];
  /** The exact bytes logged with an entry. */
  body(entry: LogEntry & { readonly body: string }): Uint8Array;
}

/** Lines that are not whole yet are left out; what was read stays read, since a log only grows. */
export function openLogView(directory: string): LogView {
  const file = join(directory, 'entries.jsonl');
  const entries: LogEntry[] = [];
  let read = 0;
  return {
    entries: () => {
      const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      if (size > read) {
        const handle = fs.openSync(file, 'r');
        const bytes = Buffer.alloc(size - read);
        fs.readSync(handle, bytes, 0, bytes.length, read);
        fs.closeSync(handle);
        const whole = bytes.lastIndexOf(0x0a) + 1;
        const lines = bytes.subarray(0, whole).toString('utf8').split('\n').slice(0, -1);
        entries.push(...lines.map((line) => JSON.parse(line) as LogEntry));
        read += whole;
      }
      return entries;
    },
    body: ({ body, pack }) => readBody(fs, directory, { body, pack }),
  };
}
