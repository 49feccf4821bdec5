/** The signed notes of a log, once every log was read: whose key no message of the one tells, the others may. */
import type { LogEnd } from './audited-log.ts';
import { hashKey } from './bundle.ts';
import type { Report } from './finding.ts';
import { partyOf, type PartyKeys } from './keys.ts';
import type { LogIndex } from './log-index.ts';
import type { Owner } from './logged-message.ts';

export interface NotedLog {
  readonly owner: Owner;
  readonly index: LogIndex;
  readonly end: Pick<LogEnd, 'witness' | 'unchecked'>;
}

/** Checks what signatures can be checked now. A peer's checkpoint whose signature nobody has checked shows nothing of the peer's log. */
export function takeNotes({ owner, index, end }: NotedLog, keys: PartyKeys, report: Report): void {
  const doubtful = new Set<string>();
  for (const { file, signer, isOf } of end.unchecked) {
    const party = partyOf(signer);
    const key = party === null ? null : keys.of(party);
    if (key !== null && isOf(key)) continue;
    doubtful.add(`${file} ${signer}`);
    const place = { log: owner.origin, file };
    if (key === null)
      report.note({
        place,
        message: `no key of ${signer} was given or found in the messages: its signature was not checked`,
      });
    else
      report.find({ kind: 'signature', place, message: `the note does not have the signature of ${signer}` });
  }
  for (const { file, read } of end.witness) {
    const party = partyOf(read.origin);
    if (party !== null && !doubtful.has(`${file} ${read.origin}`))
      index.see(party, { size: read.size, root: hashKey(read.root), n: null });
  }
}
