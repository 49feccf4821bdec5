/** What the agent made of a custodian's statement. */
import { setTimeout as delay } from 'node:timers/promises';
import { statementDigest } from '@concordat/shared/agreement/statements.ts';
import type { LogEntry } from '@concordat/shared/log/message-log.ts';

import { statementIn } from '../agreement/decisions.ts';

/** Milliseconds that a running agent is given to take a statement. */
const PATIENCE = 5_000;

/** Null once the agent has taken the statement (SHA-256, hex); what it found against it; `not yet` where it did not look in time. */
export async function taken(entries: () => readonly LogEntry[], statement: string): Promise<string | null> {
  for (let waited = 0; waited < PATIENCE; waited += 100) {
    for (const entry of entries()) {
      if (entry.kind === 'refused' && entry.detail?.['statement'] === statement)
        return `${entry.detail['fault']}`;
      const signed = statementIn(entry);
      if (signed !== null && statementDigest(signed) === statement) return null;
    }
    await delay(100);
  }
  return 'not yet';
}
