/**
 * Sets of records as bitmaps over one universe, and by how many participants they differ. Two answers about sets A and B
 * give, by subtraction, an answer about A △ B; several, about what a combination of them leaves: all, the women and the men
 * leave those whose sex is missing.
 */
import { combinations, type Bitmap } from './combinations.ts';

export type { Bitmap };

/**
 * Participants in the symmetric difference of sets, of which there are `limit` or more where `limit` is returned.
 *
 * @param owner a number for the participant of each record, −1: the record is one; null: every record is one
 */
export function differenceOf(sets: readonly Bitmap[], owner: Int32Array | null, limit: number): number {
  const length = sets.reduce((longest, { length: words }) => Math.max(longest, words), 0);
  const owners = new Set<number>();
  let count = 0;
  for (let w = 0; w < length; w++) {
    let word = 0;
    for (const set of sets) word ^= set[w] ?? 0;
    if (word === 0) continue;
    if (owner === null) count += bitsOf(word);
    else {
      for (let bit = 0; bit < 32; bit++) {
        if ((word & (1 << bit)) === 0) continue;
        const record = 32 * w + bit;
        // Records without an owner are told from owners by their sign.
        owners.add((owner[record] ?? -1) < 0 ? -1 - record : owner[record]!);
      }
      count = owners.size;
    }
    if (count >= limit) return limit;
  }
  return count;
}

/**
 * The numbers of participants, as far as they are below `limit`, that a set shows when it is subtracted from each earlier one,
 * or combined with several of them. Empty where it is one of them: what is asked again tells nothing more.
 */
export function differences(
  next: Bitmap,
  earlier: readonly Bitmap[],
  owner: Int32Array | null,
  limit: number,
): readonly number[] {
  if (earlier.some((set) => differenceOf([next, set], null, 1) === 0)) return [];
  const apart = earlier
    .map((set) => differenceOf([next, set], owner, limit))
    .filter((count) => count < limit);
  return apart.length > 0 ? apart : combinations([...earlier, next], owner, limit);
}

function bitsOf(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Records of several versions of a file as one universe: a row of a later version is the record of an earlier one where it
 * has the same key, each once. Keys are two words a row.
 */
export class Universe {
  #size = 0;
  #keys: Uint32Array = new Uint32Array(0);
  /** Record numbers by the low bits of their keys, lowest first: heads, and each one's next; −1: none. */
  #table: { readonly heads: Int32Array; readonly next: Int32Array } | null = null;

  get size(): number {
    return this.#size;
  }

  /** The record of each row; null: row i is record i. */
  add(keys: Uint32Array): Uint32Array | null {
    const rows = keys.length / 2;
    if (this.#size === 0) {
      this.#size = rows;
      this.#keys = keys;
      return null;
    }
    const { heads, next } = (this.#table ??= this.#index());
    const mask = heads.length - 1;
    const taken = new Uint8Array(this.#size);
    const records = new Uint32Array(rows);
    const fresh: number[] = [];
    for (let row = 0; row < rows; row++) {
      const [a, b] = [keys[2 * row]!, keys[2 * row + 1]!];
      let record = heads[a & mask]!;
      while (
        record >= 0 &&
        (taken[record] === 1 || this.#keys[2 * record] !== a || this.#keys[2 * record + 1] !== b)
      )
        record = next[record]!;
      if (record < 0) {
        record = this.#size + fresh.length;
        fresh.push(row);
      } else taken[record] = 1;
      records[row] = record;
    }
    const grown = new Uint32Array(2 * (this.#size + fresh.length));
    grown.set(this.#keys);
    fresh.forEach((row, i) => grown.set(keys.subarray(2 * row, 2 * row + 2), 2 * (this.#size + i)));
    this.#keys = grown;
    this.#size += fresh.length;
    this.#table = null;
    return records;
  }

  #index(): { readonly heads: Int32Array; readonly next: Int32Array } {
    const heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * this.#size + 2))).fill(-1);
    const next = new Int32Array(this.#size);
    for (let record = this.#size - 1; record >= 0; record--) {
      const slot = this.#keys[2 * record]! & (heads.length - 1);
      next[record] = heads[slot]!;
      heads[slot] = record;
    }
    return { heads, next };
  }
}

/** A set of rows as one of records. */
export function asRecords(rows: Bitmap, records: Uint32Array | null, size: number): Bitmap {
  if (records === null) return rows;
  const out = new Uint32Array(Math.ceil(size / 32));
  for (let row = 0; row < records.length; row++) {
    if ((rows[row >>> 5]! & (1 << (row & 31))) !== 0) {
      const record = records[row]!;
      out[record >>> 5]! |= 1 << (record & 31);
    }
  }
  return out;
}

/** A set of records as one of rows. */
export function asRows(set: Bitmap, records: Uint32Array | null): Bitmap {
  if (records === null) return set;
  const out = new Uint32Array(Math.ceil(records.length / 32));
  for (let row = 0; row < records.length; row++) {
    const record = records[row]!;
    if (((set[record >>> 5] ?? 0) & (1 << (record & 31))) !== 0) out[row >>> 5]! |= 1 << (row & 31);
  }
  return out;
}
