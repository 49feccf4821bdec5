/** A log as an audit reads it. */
import type { MerkleTree, TreeHead } from '@concordat/shared/log/merkle.ts';
import type { SignedCheckpoint } from '@concordat/shared/log/note.ts';

import type { UncheckedSignature } from './checkpoints.ts';
import type { AuditedEntry } from './audited-entry.ts';
import type { Report } from './finding.ts';
import type { Owner } from './logged-message.ts';

/** What a log is at its end. */
export interface LogEnd {
  /** Whose log its checkpoint says that it is; null where there is none that can be read. */
  readonly origin: string | null;
  /** Null where there is none that can be read. */
  readonly checkpoint: TreeHead | null;
  readonly tree: MerkleTree;
  /** Whether the entries are those of the checkpoint. */
  readonly proven: boolean;
  /** Peers' checkpoints that are kept beside the log. */
  readonly witness: readonly { readonly file: string; readonly read: SignedCheckpoint }[];
  /** Signatures that the log by itself could not be held against. */
  readonly unchecked: readonly UncheckedSignature[];
}

export interface GivenLog {
  readonly owner: Owner;
  /** Reads it from its beginning, `keys` by the origin that they sign for, and tells what is wrong with the log as such. */
  readonly read: (keys: ReadonlyMap<string, Uint8Array>, report: Report) => Generator<AuditedEntry, LogEnd>;
}
