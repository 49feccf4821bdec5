/** A bundle of entries as it lies in its file, and how it differs from what was logged. */
import { readEntry, type LogEntry } from '@concordat/shared/log/entry.ts';
import { TILE_WIDTH } from '@concordat/shared/log/tiles.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';

import type { FindingKind } from './finding.ts';

export interface Frame {
  /** Where its length stands in the file, two bytes before the entry. */
  readonly start: number;
  readonly end: number;
  /** Null where the bytes are no entry. */
  readonly entry: LogEntry | null;
  /** Hash of the bytes as a leaf. */
  readonly leaf: Uint8Array;
  /** The length is not that of the entry, which is found by how entries begin and end. */
  readonly lengthAltered: boolean;
}

export interface Bundle {
  readonly path: string;
  /** Place in the log of its first entry. */
  readonly first: number;
  readonly frames: readonly Frame[];
  /** Bytes that the frames take up, of those of the file. */
  readonly length: number;
  readonly size: number;
}

/** Largest size of a bundle: each entry behind its length of two bytes. */
export const BUNDLE_LIMIT = TILE_WIDTH * (2 + 0xffff);
/** More than there are in any bundle, so that a bundle with some added is still told from one that is no bundle at all. */
const FRAME_LIMIT = 2 * TILE_WIDTH;
const BEGINNING = Buffer.from('{"n":');

export function readBundle(path: string, first: number, file: Uint8Array): Bundle {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const frames: Frame[] = [];
  let start = 0;
  while (start + 2 <= bytes.length && frames.length < FRAME_LIMIT) {
    const told = start + 2 + bytes.readUInt16BE(start);
    let end = told;
    if (told > bytes.length || (told < bytes.length && !beginsAt(bytes, told + 2))) {
      // Either this length was changed, or the beginning of the next entry: what reads as an entry decides.
      const next = nextBeginning(bytes, start + 3);
      if (told > bytes.length || !isEntry(bytes, start + 2, told))
        if (isEntry(bytes, start + 2, next)) end = next;
      if (end > bytes.length) break;
    }
    frames.push(frame(bytes, start, end, end !== told));
    start = end;
  }
  return { path, first, frames, length: start, size: bytes.length };
}

function frame(bytes: Buffer, start: number, end: number, lengthAltered: boolean): Frame {
  const entry = readEntry(bytes.subarray(start + 2, end));
  // The mark of a leaf stands before what is hashed: for a moment in place of the length's second byte, which spares a copy of each entry.
  const kept = bytes[start + 1]!;
  bytes[start + 1] = 0;
  const leaf = sha256(bytes.subarray(start + 1, end));
  bytes[start + 1] = kept;
  return { start, end, entry, leaf, lengthAltered };
}

function beginsAt(bytes: Buffer, at: number): boolean {
  return BEGINNING.every((byte, i) => bytes[at + i] === byte);
}

/** Where the next entry's length stands, or the end of the bytes. */
function nextBeginning(bytes: Buffer, from: number): number {
  const window = bytes.subarray(0, from + 0xffff + BEGINNING.length);
  const found = window.indexOf(BEGINNING, from);
  return found < 0 ? Math.min(bytes.length, from + 0xffff) : Math.max(from, found - 2);
}

const isEntry = (bytes: Buffer, from: number, to: number): boolean =>
  to - from <= 0xffff && readEntry(bytes.subarray(from, to)) !== null;

export interface Difference {
  readonly kind: FindingKind;
  /** The first place that it concerns, counted from the first of the bundle. */
  readonly at: number;
  readonly message: string;
}

/**
 * How a sequence differs from 0 … count − 1, given for each of its members the number that it has, or null where it has none. Null where it
 * does not. The first difference stands for all that follow from it.
 */
export function firstDifference(places: readonly (number | null)[], count: number): Difference | null {
  const at = places.findIndex((place, i) => place !== i || i >= count);
  const present = new Set(places);
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !present.has(i)).length;
  const several = (n: number, one: string, more: string): string => (n === 1 ? one : `${n} ${more}`);
  if (at === -1) {
    if (missing === 0) return null;
    return {
      kind: 'truncation',
      at: places.length,
      message: `the end is missing: ${several(missing, 'one entry', 'entries')}`,
    };
  }
  const place = places[at]!;
  const later = places.includes(at, at + 1);
  if (at >= count || (place === null && later))
    return { kind: 'insertion', at, message: 'there is an entry that was not logged here' };
  // The next one is in its place again, or there is no next one that could be.
  const alone =
    places[at + 1] === at + 1 ||
    (at + 1 === places.length && at + 1 === count && place !== null && place > at);
  if (place === null || alone) {
    const changed = places.filter((other) => other === null).length;
    return {
      kind: 'mutation',
      at,
      message: `${several(alone ? 1 : changed, 'the entry is', 'entries from here on are')} not as logged`,
    };
  }
  if (place < at || places.includes(place, at + 1))
    return { kind: 'insertion', at, message: 'there is an entry a second time' };
  return later
    ? { kind: 'reorder', at, message: 'entries are not in the order in which they were logged' }
    : {
        kind: 'omission',
        at,
        message: `${several(missing, 'an entry is', 'entries are')} missing from here on`,
      };
}

/** The places that entries have by their hashes, among those of the leaves that were logged. */
export function placesByHash(frames: readonly Frame[], leaves: readonly Uint8Array[]): (number | null)[] {
  const known = new Map(leaves.map((leaf, i) => [hashKey(leaf), i] as const).toReversed());
  return frames.map(({ leaf }) => known.get(hashKey(leaf)) ?? null);
}

/** The places that entries say they have. */
export function placesByNumber({ frames, first }: Bundle): (number | null)[] {
  return frames.map(({ entry }) => (entry === null || entry.n < first ? null : entry.n - first));
}

/** A hash as a string of its bytes: half as long as in hex. */
export const hashKey = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('latin1');
