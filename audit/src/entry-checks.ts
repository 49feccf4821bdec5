/** What the entries of a log say of themselves and of each other, one by one. */
import { readRanges, type LogEntry } from '@concordat/shared/log/entry.ts';

import type { PeerNote } from './checkpoints.ts';
import type { Faults } from './faults.ts';

/** Clocks are set back by less. */
const CLOCK_TOLERANCE = 5 * 60 * 1000;

type Range = readonly [first: number, last: number];

/** A cosignature, and the first entry behind what it covers that says it is older. */
export interface Watch {
  readonly note: PeerNote;
  /** As the note says, whether or not its signature is good. */
  readonly seconds: number;
  earlier: { readonly n: number; readonly time: string } | null;
}

const TIME_AT = 4;

export function watchesOf(notes: readonly PeerNote[]): Watch[] {
  return notes.flatMap((note) => {
    const blob = note.read.signatures.find(({ name }) => name === note.peer)?.blob;
    return blob === undefined || blob.length < TIME_AT + 8
      ? []
      : [{ note, seconds: Number(Buffer.from(blob).readBigUInt64BE(TIME_AT)), earlier: null }];
  });
}

export class EntryChecks {
  readonly #faults: Faults;
  readonly #watches: readonly Watch[];
  #time = -Infinity;
  /** Where the log says that bodies were erased, and where it does. */
  readonly #said: Range[] = [];
  readonly #zeros: [first: number, last: number][] = [];
  /** Bodies that are there, from one that is erased to the next. */
  readonly #kept: [first: number, last: number][] = [];
  #lastErased = true;

  constructor(faults: Faults, watches: readonly Watch[]) {
    this.#faults = faults;
    this.#watches = watches;
  }

  check(entry: LogEntry, file: string): void {
    const { n, time } = entry;
    const at = Date.parse(time);
    if (Number.isNaN(at)) this.#faults.suspect(n, 'malformed', { file }, 'the time of the entry is none');
    else {
      if (at < this.#time - CLOCK_TOLERANCE)
        this.#faults.suspect(
          n,
          'backdating',
          { file },
          `the entry says ${time}, and one before it ${new Date(this.#time).toISOString()}`,
        );
      // The latest so far: many small steps back would else come to any length.
      this.#time = Math.max(this.#time, at);
      for (const watch of this.#watches)
        if (
          watch.earlier === null &&
          n >= watch.note.read.size &&
          at < 1000 * watch.seconds - CLOCK_TOLERANCE
        )
          watch.earlier = { n, time };
    }
    if (entry.kind === 'erased') this.#erased(entry, file);
  }

  /** What became of the body of entry n. */
  body(n: number, erased: boolean): void {
    const before = this.#kept.at(-1);
    if (erased) extend(this.#zeros, n);
    else if (this.#lastErased || before === undefined) this.#kept.push([n, n]);
    else before[1] = n;
    this.#lastErased = erased;
  }

  get erased(): readonly Range[] {
    return this.#zeros;
  }

  /** Holds what is erased against what the log says of it. */
  end(bodiesOf: (n: number) => string): void {
    const said = merged(this.#said);
    for (const [first, last] of without(this.#zeros, said))
      this.#faults.suspect(
        first,
        'omission',
        { file: bodiesOf(first) },
        first === last
          ? 'the body was erased, and the log does not say so'
          : `the bodies of entries ${first} to ${last} were erased, and the log does not say so`,
      );
    const still = without(this.#kept, without(this.#kept, said))[0];
    if (still !== undefined)
      this.#faults.note(
        { entry: still[0], file: bodiesOf(still[0]) },
        'the log says that the body was erased, and it is still there: a process died, and finishes when it is started again',
      );
  }

  #erased({ n, detail }: LogEntry, file: string): void {
    const ranges = readRanges(`${detail?.['entries']}`);
    if (ranges === null || ranges.some(([first, last]) => first > last || last >= n))
      this.#faults.suspect(
        n,
        'malformed',
        { file },
        'what the entry names as erased are no entries before it',
      );
    else this.#said.push(...ranges);
  }
}

function extend(ranges: [first: number, last: number][], n: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last[1] === n - 1) last[1] = n;
  else ranges.push([n, n]);
}

function merged(ranges: readonly Range[]): readonly Range[] {
  const result: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

/** The parts of `ranges` that are in none of `others`; both in order, without overlaps. */
function without(ranges: readonly Range[], others: readonly Range[]): readonly Range[] {
  const rest: Range[] = [];
  let k = 0;
  for (const [first, last] of ranges) {
    let from = first;
    while (k < others.length && others[k]![1] < from) k++;
    for (let j = k; j < others.length && others[j]![0] <= last; j++) {
      if (others[j]![0] > from) rest.push([from, others[j]![0] - 1]);
      from = Math.max(from, others[j]![1] + 1);
    }
    if (from <= last) rest.push([from, last]);
  }
  return rest;
}
