/** A log that an auditor was given: whose it is, as its messages or else its checkpoint say. */
import { readCheckpoint } from '@concordat/shared/log/note.ts';

import type { GivenLog } from './audited-log.ts';
import { COORDINATOR, originOf, partyOf, type Party } from './keys.ts';
import { isMessage, readMessage } from './logged-message.ts';
import type { LogSource } from './log-source.ts';
import { readWhole } from './log-source.ts';
import { auditLog } from './read-log.ts';

/** Longer than any note. */
const NOTE_LIMIT = 1 << 16;
const silent = { find: () => undefined, note: () => undefined };

export interface OpenedLog extends GivenLog {
  /** Entries that its checkpoint counts, 0 where there is none that can be read: how much there is to do. */
  readonly size: number;
}

/** Null where nothing says whose log it is. */
export function givenLog(source: LogSource): OpenedLog | null {
  const note = readWhole(source, 'checkpoint', NOTE_LIMIT);
  const checkpoint = note === null ? null : readCheckpoint(Buffer.from(note).toString('utf8'));
  // A changed checkpoint is a finding about a log, and does not make it another's.
  const party = partyOfMessages(source) ?? (checkpoint === null ? null : partyOf(checkpoint.origin));
  if (party === null) return null;
  return {
    owner: { party, origin: originOf(party) },
    size: checkpoint?.size ?? 0,
    read: (keys, report) => auditLog(source, keys, report),
  };
}

/** By the first entry about a message. A site that never sent any is known by its checkpoint alone. */
function partyOfMessages(source: LogSource): Party | null {
  for (const { entry, leaf, body } of auditLog(source, new Map(), silent)) {
    if (!isMessage(entry)) continue;
    const { peer } = entry;
    if (peer !== COORDINATOR) return peer === undefined ? null : COORDINATOR;
    const owner = { party: '', origin: '' };
    const message = readMessage({ entry, leaf, body }, owner, silent);
    return message?.header.study ?? null;
  }
  return null;
}
