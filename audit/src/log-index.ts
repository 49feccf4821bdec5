/** What is kept of a log while others are read: digests and places of its messages, and what it saw of the others' logs. */
import { toHex } from '@concordat/shared/wire/digest.ts';

import type { LoggedMessage } from './logged-message.ts';

/** One message in one log. */
export interface Mention {
  readonly n: number;
  /** SHA-256 of the signed message, hex. */
  readonly digest: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A task and what became of it, as one log has it. */
export interface TaskIndex {
  readonly study: string;
  readonly run: string;
  readonly analysis: string;
  readonly round: number;
  /** The task itself; null where only its answer is there. */
  asked: Mention | null;
  /** The answer that counts. */
  answer: Mention | null;
  /** Others that were logged as not used (at the coordinator). */
  unused: Mention[] | null;
  /** Entry that says that no answer is waited for any more. */
  givenUp: number | null;
}

/** The other side's log, as a message or a witnessed note tells of it. */
export interface Sighting {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** Entry that holds the message; null for a note beside the log. */
  readonly n: number | null;
}

export class LogIndex {
  /** By name (SHA-256 of the body, hex). */
  readonly tasks = new Map<string, TaskIndex>();
  /** By party, then size: what was seen first. */
  readonly sightings = new Map<string, Map<number, Sighting>>();
  readonly #texts = new Map<string, string>();
  /** Runs whose closing was sent or received. */
  readonly closed = new Set<string>();

  /** The task under that name, made where it is new. */
  task(name: string, of: { study: string; run: string; analysis: string; round: number }): TaskIndex {
    const known = this.tasks.get(name);
    if (known !== undefined) return known;
    const { study, run, analysis, round } = of;
    const made: TaskIndex = {
      study: this.#one(study),
      run: this.#one(run),
      analysis: this.#one(analysis),
      round,
      asked: null,
      answer: null,
      unused: null,
      givenUp: null,
    };
    this.tasks.set(name, made);
    return made;
  }

  /** Notes what a message says of its sender's log. Returns the sighting that contradicts it: another root of the same size. */
  see(party: string, sighting: Sighting): Sighting | null {
    const seen = this.sightings.get(party) ?? new Map<number, Sighting>();
    this.sightings.set(party, seen);
    const known = seen.get(sighting.size);
    if (known !== undefined) return known.root === sighting.root ? null : known;
    seen.set(sighting.size, sighting);
    return null;
  }

  /** A text that many entries repeat, kept once. */
  #one(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}

export const mentionOf = ({ entry, digest }: LoggedMessage): Mention => ({
  n: entry.n,
  digest,
  time: Date.parse(entry.time),
});

export const sightingOf = ({ header, entry }: LoggedMessage): Sighting | null =>
  header.checkpoint === undefined
    ? null
    : { size: header.checkpoint.size, root: toHex(header.checkpoint.root), n: entry.n };
