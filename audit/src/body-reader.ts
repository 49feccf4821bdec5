/** The bodies of one bundle, read record by record beside its entries: each is where its entry says, and reaches to where the next begins. */
import { hash } from 'node:crypto';

import { readHead, RECORD_HEAD, SALT_LENGTH } from '@concordat/shared/log/bodies.ts';
import type { EntryWithBody } from '@concordat/shared/log/entry.ts';
import { TILE_WIDTH } from '@concordat/shared/log/tiles.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { firstDifference } from './bundle.ts';
import type { Faults } from './faults.ts';
import type { FindingKind } from './finding.ts';
import type { LogSource } from './log-source.ts';

/** Read at once, so that a log of small bodies is not one call a body. */
const WINDOW = 1 << 18;
/** Longer than anything that is logged. */
const BODY_LIMIT = 64 * 1024 * 1024;

/** In a record, behind the commitment. */
const LENGTH_AT = 32;
const LENGTH = 'the length of the body was changed';
const COMMITMENT = 'the commitment before the body was changed';

type Body = Exclude<AuditedEntry['body'], null>;

export class BodyReader {
  readonly #source: LogSource;
  readonly #path: string;
  readonly #size: number;
  /** Place in the log of the bundle's first entry. */
  readonly #first: number;
  readonly #entries: readonly EntryWithBody[];
  readonly #faults: Faults;
  readonly #window: Uint8Array;
  #windowAt = 0;
  #windowLength = 0;
  /** Where records are by their commitments, once one was not where its entry says. */
  #places: ReadonlyMap<string, number> | null = null;
  /** Nothing behind what was read is to be looked at any more. */
  #ended = false;
  #lost = false;

  /** `window` is written over: the readers of one log share it. */
  constructor(
    source: LogSource,
    path: string,
    first: number,
    entries: readonly EntryWithBody[],
    window: Uint8Array,
    faults: Faults,
  ) {
    this.#source = source;
    this.#path = path;
    this.#size = source.files.get(path) ?? 0;
    this.#first = first;
    this.#entries = entries;
    this.#window = window;
    this.#faults = faults;
  }

  /** As large as is of use for these files. */
  static window(source: LogSource, paths: Iterable<string>): Uint8Array {
    let largest = RECORD_HEAD;
    for (const path of paths) largest = Math.max(largest, source.files.get(path) ?? 0);
    return new Uint8Array(Math.min(WINDOW, largest));
  }

  /** The body of the i-th entry that has one. */
  read(i: number): Body {
    const entry = this.#entries[i]!;
    if (i === 0 && entry.at > 0) this.#gap(0, entry);
    return this.#places === null ? this.#inPlace(entry, this.#entries[i + 1]) : this.#elsewhere(entry);
  }

  /** What is behind the last record: `growing` where a process may have died before it wrote the entry. */
  end(growing: boolean): void {
    if (this.#ended || this.#lost || this.#places !== null) return;
    const last = this.#entries.at(-1);
    const head = last === undefined ? null : this.#bytes(last.at, RECORD_HEAD);
    const end = last === undefined || head === null ? 0 : last.at + RECORD_HEAD + readHead(head).length;
    if (end >= this.#size) return;
    const next = this.#bytes(end, Math.min(RECORD_HEAD, this.#size - end));
    const again = next?.length === RECORD_HEAD ? readHead(next).commitment : '';
    if (growing && next !== null && !isZero(next) && !this.#entries.some(({ body }) => body === again))
      this.#faults.note(
        { file: this.#path, byte: end },
        'a body without an entry: a process died before it logged it, and nothing was sent',
      );
    else if (next !== null && isZero(next) && last !== undefined)
      this.#fault(last, 'mutation', last.at + LENGTH_AT, LENGTH);
    else
      this.#faults.suspectBundle(
        this.#first,
        'insertion',
        { file: this.#path, byte: end },
        `${this.#size - end} bytes stand behind the last body`,
      );
  }

  #inPlace(entry: EntryWithBody, next: EntryWithBody | undefined): Body {
    const { at } = entry;
    const head = this.#bytes(at, RECORD_HEAD);
    if (head === null) return this.#short(entry);
    const { commitment, length } = readHead(head);
    const named = commitment === entry.body;
    const from = at + RECORD_HEAD;
    const told = from + length;
    const due = next?.at ?? Math.min(told, this.#size);
    const stored = this.#bytes(from, due - from);
    if (stored === null && due > this.#size) return this.#short(entry);
    if (stored !== null && hexOf(stored) === entry.body) {
      if (!named) this.#fault(entry, 'mutation', at + differing(commitment, entry.body), COMMITMENT);
      else if (told !== due) this.#fault(entry, 'mutation', at + LENGTH_AT, LENGTH);
      return stored.slice(SALT_LENGTH);
    }
    const other = !named && this.#entries.some(({ body }) => body === commitment);
    if (!other && stored !== null && stored.length >= SALT_LENGTH && isZero(stored)) {
      if (next === undefined && told > this.#size) return this.#short(entry);
      if (!named) this.#fault(entry, 'mutation', at + differing(commitment, entry.body), COMMITMENT);
      else if (told !== due) this.#fault(entry, 'mutation', at + LENGTH_AT, LENGTH);
      return 'erased';
    }
    if (named && next === undefined && told > this.#size) return this.#short(entry);
    if (named && next === undefined && told < this.#size) {
      const whole = this.#bytes(from, this.#size - from);
      if (whole !== null && hexOf(whole) === entry.body) {
        this.#fault(entry, 'mutation', at + LENGTH_AT, LENGTH);
        this.#ended = true;
        return whole.slice(SALT_LENGTH);
      }
    }
    if (named && told === due) {
      this.#fault(entry, 'mutation', from, `the body was changed, or its salt: bytes ${from} to ${due - 1}`);
      return 'unusable';
    }
    if (named && next !== undefined && told < due) {
      const alone = this.#bytes(from, length);
      if (alone !== null && hexOf(alone) === entry.body) {
        const body = alone.slice(SALT_LENGTH);
        this.#gap(told, next);
        return body;
      }
    }
    return this.#misplaced(entry);
  }

  /** The record is not what belongs there: either it alone was changed, or what is in the file is not in order. */
  #misplaced(entry: EntryWithBody): Body {
    if (this.#lost) return 'unusable';
    const { commitments, at, end } = this.#walk();
    const due = new Map(this.#entries.map(({ body }, i) => [body, i]));
    const difference = firstDifference(
      commitments.map((commitment) => due.get(commitment) ?? null),
      due.size,
    );
    if (end !== this.#size || difference?.kind === 'mutation') {
      // Where lengths do not lead from one record to the next, the entries still do.
      this.#lost = true;
      this.#disorder(entry, 'mutation', entry.at, 'from here on bodies are not where their entries say');
      return 'unusable';
    }
    const place = difference === null ? undefined : at[difference.at];
    const about = difference === null ? entry : (this.#entries[difference.at] ?? entry);
    if (difference === null)
      this.#fault(entry, 'mutation', entry.at, 'the entry names another place than its body has');
    else
      this.#disorder(about, difference.kind, place ?? this.#size, `among the bodies: ${difference.message}`);
    this.#places = new Map(commitments.map((commitment, i) => [commitment, at[i]!]));
    return this.#elsewhere(entry);
  }

  /** The records as their own lengths lead from one to the next. */
  #walk(): { readonly commitments: readonly string[]; readonly at: readonly number[]; readonly end: number } {
    const commitments: string[] = [];
    const at: number[] = [];
    let end = 0;
    while (end < this.#size && at.length <= 2 * TILE_WIDTH) {
      const head = this.#bytes(end, RECORD_HEAD);
      if (head === null) break;
      const { commitment, length } = readHead(head);
      commitments.push(commitment);
      at.push(end);
      end += RECORD_HEAD + length;
    }
    return { commitments, at, end };
  }

  #elsewhere(entry: EntryWithBody): Body {
    const at = this.#places?.get(entry.body);
    const head = at === undefined ? null : this.#bytes(at, RECORD_HEAD);
    if (at === undefined || head === null) return 'unusable';
    const stored = this.#bytes(at + RECORD_HEAD, readHead(head).length);
    if (stored === null) return 'unusable';
    if (hexOf(stored) === entry.body) return stored.slice(SALT_LENGTH);
    if (isZero(stored)) return 'erased';
    this.#fault(entry, 'mutation', at + RECORD_HEAD, 'the body was changed');
    return 'unusable';
  }

  #short(entry: EntryWithBody): Body {
    if (!this.#ended) this.#fault(entry, 'truncation', this.#size, 'the bodies end before this one is whole');
    this.#ended = true;
    return 'unusable';
  }

  #gap(from: number, next: EntryWithBody): void {
    this.#disorder(next, 'insertion', from, 'bytes that belong to no entry stand before the body');
  }

  /** What may come of an entry that is missing, or not what it was. */
  #disorder({ n }: EntryWithBody, kind: FindingKind, byte: number, message: string): void {
    this.#faults.suspectBundle(n, kind, { file: this.#path, entry: n, byte }, message);
  }

  #fault({ n }: EntryWithBody, kind: FindingKind, byte: number, message: string): void {
    this.#faults.suspect(n, kind, { file: this.#path, byte }, message);
  }

  /** Until the next call; null where there are not as many. */
  #bytes(at: number, length: number): Uint8Array | null {
    if (length < 0 || length > BODY_LIMIT || at + length > this.#size) return null;
    if (length > this.#window.length) {
      const bytes = new Uint8Array(length);
      return this.#source.read(this.#path, at, bytes) === length ? bytes : null;
    }
    if (at < this.#windowAt || at + length > this.#windowAt + this.#windowLength) {
      this.#windowAt = at;
      this.#windowLength = this.#source.read(this.#path, at, this.#window);
      if (this.#windowLength < length) return null;
    }
    return this.#window.subarray(at - this.#windowAt, at - this.#windowAt + length);
  }
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const hexOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');

/** The first byte of a record's commitment that is not its entry's, both in hex. */
function differing(commitment: string, due: string): number {
  let byte = 0;
  while (commitment.slice(2 * byte, 2 * byte + 2) === due.slice(2 * byte, 2 * byte + 2)) byte++;
  return byte;
}
