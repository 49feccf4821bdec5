import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { ReadOptions } from './database.ts';
import { withSource } from './read.ts';

/** A file's rows as the ledger of what was answered knows them: told apart, and found again in a changed file, without what they hold. */
export interface Snapshot {
  /** SHA-256 (hex) of the keys. */
  readonly id: string;
  /** Two words a row: the first 8 bytes of HMAC-SHA-256 (RFC 2104) of the row's whole content. */
  readonly keys: Uint32Array;
}

/** Files change rarely: a worker keeps the keys of the one it read last, for as long as the file system says that it is the same. */
let last: { readonly file: string; readonly secret: string; readonly snapshot: Snapshot } | null = null;

export async function snapshotOf(
  path: string,
  secret: Uint8Array,
  options: ReadOptions = {},
): Promise<Snapshot> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  const file = [path, dev, ino, size, mtimeNs, ctimeNs].join(' ');
  const hex = Buffer.from(secret).toString('hex');
  if (last?.file === file && last.secret === hex) return last.snapshot;
  const keys = await withSource(path, options, (source) => source.rowKeys(secret));
  const snapshot = { id: createHash('sha256').update(keys).digest('hex'), keys };
  last = { file, secret: hex, snapshot };
  return snapshot;
}
