/**
 * The messages behind a log's entries, in one file a bundle of entries: for each body its commitment (32 bytes), the length of
 * what follows (4 bytes, big-endian) and salt ‖ body. The commitment is the SHA-256 of salt ‖ body, so that the entry alone tells
 * nothing of the body. A body is erased by writing zeros over salt ‖ body: the commitment, and with it the log, stays as it is.
 */
import type * as fs from 'node:fs';
import { join } from 'node:path';

import { ConcordatError } from '../errors.ts';
import { sha256, toHex } from '../wire/digest.ts';
import type { EntryWithBody } from './entry.ts';
import { bodiesPath, TILE_WIDTH } from './tiles.ts';

export const SALT_LENGTH = 16;
const COMMITMENT_LENGTH = 32;
export const RECORD_HEAD = COMMITMENT_LENGTH + 4;

export interface BodyRecord {
  /** Hex. */
  readonly commitment: string;
  readonly bytes: Uint8Array;
}

export function bodyRecord(salt: Uint8Array, body: Uint8Array): BodyRecord {
  const bytes = Buffer.alloc(RECORD_HEAD + salt.length + body.length);
  bytes.set(salt, RECORD_HEAD);
  bytes.set(body, RECORD_HEAD + salt.length);
  const commitment = sha256(bytes.subarray(RECORD_HEAD));
  bytes.set(commitment, 0);
  bytes.writeUInt32BE(salt.length + body.length, COMMITMENT_LENGTH);
  return { commitment: toHex(commitment), bytes };
}

/** What a record's head says: the commitment (hex), and how many bytes of salt ‖ body follow. */
export function readHead(head: Uint8Array): { readonly commitment: string; readonly length: number } {
  return {
    commitment: toHex(head.subarray(0, COMMITMENT_LENGTH)),
    length: new DataView(head.buffer, head.byteOffset).getUint32(COMMITMENT_LENGTH),
  };
}

export const isErased = (stored: Uint8Array): boolean => stored.every((byte) => byte === 0);

type BodyFiles = Pick<typeof fs, 'openSync' | 'readSync' | 'closeSync'>;

/**
 * The exact bytes of a logged body, from a log's folder. Throws `log/erased` where they were erased, and `log/corrupt` where they are
 * not those of the commitment.
 */
export function readBody(files: BodyFiles, directory: string, entry: EntryWithBody): Uint8Array {
  const place = bodiesPath(Math.floor(entry.n / TILE_WIDTH));
  const stored = readRecord(files, join(directory, place), entry);
  if (stored !== null && toHex(sha256(stored)) === entry.body) return stored.subarray(SALT_LENGTH);
  if (stored !== null && isErased(stored))
    throw new ConcordatError('log/erased', 'a logged body was erased', { place: `entry ${entry.n}` });
  throw new ConcordatError('log/corrupt', 'a logged body does not match its commitment', {
    place: `${place}, entry ${entry.n}`,
    remedy: 'the log was changed on disk: restore it from a backup and tell the other side',
  });
}

/** Salt ‖ body; null where there is no record under the entry's commitment. */
function readRecord(files: BodyFiles, path: string, { body, at }: EntryWithBody): Uint8Array | null {
  let file: number;
  try {
    file = files.openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    const head = new Uint8Array(RECORD_HEAD);
    if (files.readSync(file, head, 0, RECORD_HEAD, at) < RECORD_HEAD) return null;
    const { commitment, length } = readHead(head);
    if (commitment !== body || length > RECORD_LIMIT) return null;
    const stored = new Uint8Array(length);
    return files.readSync(file, stored, 0, length, at + RECORD_HEAD) < length ? null : stored;
  } finally {
    files.closeSync(file);
  }
}

/** Longer than anything that is logged: what a changed length may make a reader set aside. */
const RECORD_LIMIT = 64 * 1024 * 1024;
