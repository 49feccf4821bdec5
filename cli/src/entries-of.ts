/** One log, read from its first entry to its last, with a bar while that takes long. */
import type { AuditedEntry } from '@concordat/audit/audited-entry.ts';
import { readWhole } from '@concordat/audit/log-source.ts';
import { openLog } from '@concordat/audit/open-log.ts';
import { auditLog } from '@concordat/audit/read-log.ts';
import { readCheckpoint } from '@concordat/shared/log/note.ts';

import { entryBar } from './progress.ts';

export interface LogReading {
  /** Can be gone through once. */
  readonly entries: Iterable<AuditedEntry>;
  /** Says on standard error what was found about the log itself: 4 where something was. */
  readonly status: () => 0 | 4;
}

export function entriesOf(path: string): LogReading {
  const source = openLog(path);
  const note = readWhole(source, 'checkpoint', 1 << 16);
  const size = readCheckpoint(Buffer.from(note ?? []).toString('utf8'))?.size ?? 0;
  let findings = 0;
  const report = { find: () => void findings++, note: () => undefined };
  return {
    entries: each(),
    status: () => {
      if (findings === 0) return 0;
      const many = findings === 1 ? 'one finding' : `${findings} findings`;
      console.error(`${path}: ${many} about the log itself; \`concordat audit verify\` names them`);
      return 4;
    },
  };

  function* each(): Generator<AuditedEntry> {
    const bar = entryBar(size);
    try {
      for (const entry of auditLog(source, new Map(), report)) {
        bar.step();
        yield entry;
      }
    } finally {
      bar.end();
      source.close();
    }
  }
}
