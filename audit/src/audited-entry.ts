/** One entry of a log under audit, after its place in the tree and its body were checked. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';

export interface AuditedEntry {
  readonly entry: LogEntry;
  /** SHA-256 of the entry's bytes under RFC 6962. */
  readonly leaf: Uint8Array;
  /**
   * The exact bytes that were logged; `erased` where the log says that they were, `withheld` where the auditor was given the
   * entries without bodies, `unusable` where they are not those of the commitment (which is a finding already). Null where the entry has none.
   */
  readonly body: Uint8Array | 'erased' | 'withheld' | 'unusable' | null;
}
