/** What is kept of a log while others are read: digests and places of its messages, and what it saw of the others' logs. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { hashKey } from './bundle.ts';
import { COORDINATOR, type Party } from './keys.ts';
import { isMessage, type LoggedMessage, type Owner } from './logged-message.ts';

/** One message in one log. */
export interface Mention {
  readonly n: number;
  /** SHA-256 of the signed message, a character each byte; null where its bytes cannot be seen. */
  readonly digest: string | null;
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
  /** As `hashKey` makes it. */
  readonly root: string;
  /** Entry that holds the message; null for a note beside the log. */
  readonly n: number | null;
}

/** Two histories of a peer's log that this one's owner was shown, and whether its administrator has acknowledged them. */
export interface KnownDivergence {
  readonly n: number;
  /** Origin of the log that diverged. */
  readonly log: string;
  readonly kind: string;
  readonly evidence: string;
  /** Of the checkpoint that was kept before, and of the one that was shown then. */
  readonly kept: number;
  readonly shown: number;
  acknowledged: boolean;
}

/** A reply of a site that the coordinator has logged as not used. */
export interface UnusedReply {
  /** SHA-256 of the signed message, hex; null where nothing shows that it is the site's. */
  readonly digest: string | null;
}

interface SeenLog {
  /** Null where no message shows it, and of the coordinator, which has one. */
  readonly key: Uint8Array | null;
  /** By size: what was seen first. */
  readonly sightings: Map<number, Sighting>;
}

export class LogIndex {
  /** By name (SHA-256 of the body, hex). */
  readonly tasks = new Map<string, TaskIndex>();
  /** The key that the log's owner signed its last message with; null where none can be seen. */
  key: Uint8Array | null = null;
  /** Logs that were seen, by party: of a site one for each key, the newest last. */
  readonly #seen = new Map<Party, SeenLog[]>();
  readonly divergences: KnownDivergence[] = [];
  /** The last round of each run that was begun; endless where it has a result: nothing of those before was under way any more. */
  readonly rounds = new Map<string, number>();
  readonly #owner: Owner;
  readonly #texts = new Map<string, string>();

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** Every entry in its turn. Returns the sighting that contradicts its message: another root of the same size. */
  take(entry: LogEntry, message: LoggedMessage | null, unused: UnusedReply | null): Sighting | null {
    const { run, kind } = entry;
    if (run !== undefined && (kind === 'result' || (kind === 'sent' && entry.round !== undefined)))
      this.rounds.set(run, Math.max(this.rounds.get(run) ?? 0, kind === 'result' ? Infinity : entry.round!));
    if (entry.kind === 'decision') this.#takeDivergence(entry);
    if (entry.task === undefined) return null;
    if (unused !== null)
      (this.#task(entry.task, entry).unused ??= []).push({
        n: entry.n,
        digest: unused.digest,
        time: Date.parse(entry.time),
      });
    else if (isMessage(entry)) this.#takeMention(entry, message);
    else if (entry.kind === 'decision' && entry.detail?.['decision'] === 'unreachable')
      this.#task(entry.task, entry).givenUp = entry.n;
    if (message === null) return null;
    const { checkpoint, study } = message.header;
    const { key } = message.signed;
    if (entry.kind === 'sent' && (this.key === null || !sameBytes(this.key, key)))
      this.key = Uint8Array.from(key);
    if (entry.kind !== 'received') return null;
    if (message.what === 'reply') this.#meet(study, key);
    if (checkpoint === undefined) return null;
    return this.see(message.what === 'task' ? COORDINATOR : study, {
      size: checkpoint.size,
      root: hashKey(checkpoint.root),
      n: entry.n,
    });
  }

  /** Notes what is known of a party's log, its newest. Returns what contradicts it. */
  see(party: Party, sighting: Sighting): Sighting | null {
    const { sightings } = this.#seen.get(party)?.at(-1) ?? this.#meet(party, null);
    const known = sightings.get(sighting.size);
    if (known !== undefined) return known.root === sighting.root ? null : known;
    sightings.set(sighting.size, sighting);
    return null;
  }

  /** What was seen of the log that a party signed with this key; where that is not known, of its newest. */
  sightingsOf(party: Party, key: Uint8Array | null): Iterable<Sighting> {
    const logs = this.#seen.get(party) ?? [];
    const log = logs.findLast((seen) => key === null || seen.key === null || sameBytes(seen.key, key));
    return log?.sightings.values() ?? [];
  }

  /** A site that joined anew has begun another log. */
  #meet(party: Party, key: Uint8Array | null): SeenLog {
    const logs = this.#seen.get(party) ?? [];
    this.#seen.set(party, logs);
    const isIts = (log: SeenLog): boolean => key !== null && log.key !== null && sameBytes(log.key, key);
    const last = logs.at(-1);
    if (last !== undefined && isIts(last)) return last;
    const at = logs.findIndex(isIts);
    const [met = { key: key === null ? null : Uint8Array.from(key), sightings: new Map() }] =
      at < 0 ? [] : logs.splice(at, 1);
    logs.push(met);
    return met;
  }

  #takeMention(entry: LogEntry, message: LoggedMessage | null): void {
    const task = this.#task(entry.task ?? '', entry);
    // Of a message that is about another task nothing is known here: that the entry names this one is its owner's word.
    const digest = message !== null && message.task === entry.task ? message.digest : null;
    const mention = { n: entry.n, digest, time: Date.parse(entry.time) };
    const isTask = (entry.kind === 'sent') === (this.#owner.party === COORDINATOR);
    if (isTask) task.asked ??= mention;
    else task.answer ??= mention;
  }

  #task(name: string, { peer, run = '', analysis = '', round = 0 }: LogEntry): TaskIndex {
    const known = this.tasks.get(name);
    if (known !== undefined) return known;
    const made: TaskIndex = {
      study: this.#one(this.#owner.party === COORDINATOR ? (peer ?? '') : this.#owner.party),
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

  #takeDivergence({ n, type, peer = '', detail = {} }: LogEntry): void {
    const evidence = `${detail['evidence']}`;
    if (type === 'divergence')
      this.divergences.push({
        n,
        log: `${detail['log']}`,
        kind: `${detail['divergence']}`,
        evidence,
        kept: Number(detail['kept_size']),
        shown: Number(detail['size']),
        acknowledged: false,
      });
    if (type !== 'acknowledgement') return;
    for (const divergence of this.divergences) {
      if (divergence.evidence !== evidence) continue;
      divergence.acknowledged = true;
      const isPeers = divergence.log === (peer === COORDINATOR ? COORDINATOR_ORIGIN : siteOrigin(peer));
      if (isPeers) this.#forgo(peer, divergence.n);
    }
  }

  /** What was seen of a history that was given up binds no longer: what is seen of the one that goes on takes its place. */
  #forgo(party: Party, before: number): void {
    const { sightings = new Map<number, Sighting>() } = this.#seen.get(party)?.at(-1) ?? {};
    for (const [size, { n }] of sightings) if (n !== null && n < before) sightings.delete(size);
  }

  /** A text that many entries repeat, kept once. */
  #one(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}
