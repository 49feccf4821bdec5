/** Receipts: that one entry is in a log, to be kept and shown without the log. */
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, readEntry, type LogEntry } from '@concordat/shared/log/entry.ts';
import { isIncluded, leafHash, type MerkleTree } from '@concordat/shared/log/merkle.ts';
import { isSigned, readCheckpoint, type SignedCheckpoint } from '@concordat/shared/log/note.ts';
import { readProof, writeProof } from '@concordat/shared/log/proof.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { Snapshot } from './snapshot.ts';

export interface Receipt {
  /** C2SP tlog-proof. */
  readonly proof: string;
  /** The exact bytes of the entry, which is JSON. */
  readonly leaf: Uint8Array;
  /** Salt ‖ body: its SHA-256 is what the entry names. Null where the entry has none, or it was erased or withheld. */
  readonly body: Uint8Array | null;
}

/** Throws `usage/invalid` where the log has no such entry. */
export function receiptOf(snapshot: Snapshot, n: number): Receipt {
  const { size } = snapshot.checkpoint;
  if (n >= size)
    throw new ConcordatError('usage/invalid', `the log has ${size} entries, counted from 0`, {
      place: `--entry ${n}`,
    });
  const leaf = snapshot.leaf(n);
  return { proof: proofOf(snapshot, n), leaf, body: openable(snapshot, readEntry(leaf)) };
}

/** What a proof is made of: the tree, its signed checkpoint, and what peers have cosigned of it. */
export interface Provable {
  readonly tree: Pick<MerkleTree, 'size' | 'root' | 'inclusionProof'>;
  readonly note: string;
  /** By their paths in the log's folder. */
  readonly notes: ReadonlyMap<string, string>;
}

/** For an entry that the checkpoint counts. Against the largest checkpoint that the other side cosigned, if it does too: two sides have signed that. */
export function proofOf({ tree, note: own, notes }: Provable, n: number): string {
  const origin = readCheckpoint(own)?.origin;
  const cosigned = [...notes].flatMap(([path, note]) => {
    const read = path.startsWith('cosigned/') ? readCheckpoint(note) : null;
    if (read === null || read.origin !== origin || read.size <= n || read.size > tree.size) return [];
    return sameBytes(tree.root(read.size), read.root) ? [{ note, size: read.size }] : [];
  });
  const [best] = cosigned.toSorted((a, b) => b.size - a.size);
  const { note, size } = best ?? { note: own, size: tree.size };
  return writeProof({ index: n, hashes: tree.inclusionProof(n, size), note });
}

function openable(snapshot: Snapshot, entry: LogEntry | null): Uint8Array | null {
  if (entry === null || !hasBody(entry) || !snapshot.hasBodies) return null;
  const stored = snapshot.storedBody(entry);
  return toHex(sha256(stored)) === entry.body ? stored : null;
}

/** What a receipt proves, each in one answer. */
export interface ReceiptVerdict {
  readonly checkpoint: SignedCheckpoint;
  readonly index: number;
  /** Null where the leaf is none. */
  readonly entry: LogEntry | null;
  /** The log's key signed the checkpoint. */
  readonly signed: boolean;
  /** The entry is in the tree of the checkpoint. */
  readonly included: boolean;
  /** The body is the one that the entry commits to; null where none was given. */
  readonly opened: boolean | null;
  /** Names that stand by further signatures, which were not checked: their keys were not given. */
  readonly others: readonly string[];
}

/** Null where the text is no proof. */
export function checkReceipt(
  proof: string,
  leaf: Uint8Array,
  body: Uint8Array | null,
  key: Uint8Array,
): ReceiptVerdict | null {
  const read = readProof(proof);
  if (read === null) return null;
  const { checkpoint, index, hashes } = read;
  const entry = readEntry(leaf);
  return {
    checkpoint,
    index,
    entry,
    signed: isSigned(checkpoint, key),
    included: entry?.n === index && isIncluded(leafHash(leaf), index, checkpoint, hashes),
    opened: body === null ? null : toHex(sha256(body)) === entry?.body,
    others: checkpoint.signatures.map(({ name }) => name).filter((name) => name !== checkpoint.origin),
  };
}
