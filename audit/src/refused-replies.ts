/**
 * Replies that the coordinator logs as not used. Each must be a reply that its site has signed to that question; one that could not be
 * used must have a fault, and one that came too late a question that was given up.
 */
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { assertReleasable } from '@concordat/shared/wire/releasable.ts';
import { verifyMessage } from '@concordat/shared/wire/signing.ts';

import { hashKey } from './bundle.ts';
import type { AuditedEntry } from './audited-entry.ts';
import type { Finding, FindingKind, Report } from './finding.ts';
import { COORDINATOR, named, type PartyKeys } from './keys.ts';
import type { LogIndex, UnusedReply } from './log-index.ts';
import { placeOf, type LoggedReply, type Owner } from './logged-message.ts';
import type { MessageCheck } from './message-check.ts';
import type { Tally } from './tally.ts';

type Reply = Pick<LoggedReply, 'header' | 'payload'>;
type Entry = AuditedEntry['entry'];

/** A sound answer that was not used, to a question that nobody had given up so far. */
interface Late {
  readonly task: string;
  readonly finding: Finding;
}

export class RefusedReplies {
  readonly #owner: Owner;
  readonly #keys: PartyKeys;
  readonly #messages: MessageCheck;
  readonly #index: LogIndex;
  readonly #report: Report;
  readonly #tally: Tally;
  readonly #late: Late[] = [];
  /** Tasks (hex) to which an answer came that could not be used. */
  readonly #unusable = new Set<string>();

  constructor(
    owner: Owner,
    log: { readonly keys: PartyKeys; readonly messages: MessageCheck; readonly index: LogIndex },
    report: Report,
    tally: Tally,
  ) {
    this.#owner = owner;
    this.#keys = log.keys;
    this.#messages = log.messages;
    this.#index = log.index;
    this.#report = report;
    this.#tally = tally;
  }

  /** Every entry in its turn. Returns what it shows that a site sent; null where that is nothing. */
  take({ entry, body }: AuditedEntry): UnusedReply | null {
    const { kind, task, peer = '' } = entry;
    if (this.#owner.party !== COORDINATOR || kind !== 'refused' || task === undefined) return null;
    const asked = this.#index.tasks.get(task);
    const own = asked === undefined || asked.study === peer;
    if (body === null) {
      this.#find(entry, 'malformed', 'a reply was refused, and the log was never given what it says');
      return null;
    }
    if (!(body instanceof Uint8Array)) {
      if (isVerdict(entry))
        this.#note(entry, 'a reply was refused; whether rightly cannot be judged, since it cannot be seen');
      return own ? { digest: null } : null;
    }
    const reply = this.#read(entry, body);
    if (reply === null) return null;
    const digest = hashKey(sha256(body));
    // A site may answer what another one was asked: that says nothing of the other.
    if (!own) return null;
    if (reply === 'unknown') return { digest: null };
    if (asked?.answer != null) this.#checkConflict(entry, digest, asked.answer.digest);
    else this.#checkUnused(entry, reply);
    return { digest };
  }

  finish(): void {
    for (const { task, finding } of this.#late) {
      const asked = this.#index.tasks.get(task);
      // As long as a run came no further it may be resumed, and asks again.
      const open = asked !== undefined && asked.answer === null && asked.givenUp === null;
      if (open && (this.#index.rounds.get(asked.run) ?? 0) > asked.round)
        this.#tally.find(`late ${finding.place.study}`, finding);
    }
  }

  /** The reply, where the site has signed it to that question; `unknown` where nobody knows its key. */
  #read(entry: Entry, body: Uint8Array): Reply | 'unknown' | null {
    const { peer = '', task = '' } = entry;
    try {
      const signed = decode(SignedMessage, body, 'the reply');
      const key = this.#keyOf(peer, task);
      if (key === null) return 'unknown';
      verifyMessage(signed, this.#keys.knows(peer, signed.key) ? signed.key : key, peer);
      const { header, payload } = decode(SiteMessage, signed.body, 'the reply');
      if (header !== undefined && payload !== undefined && toHex(header.inReplyTo) === task)
        return { header, payload };
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
    }
    this.#find(
      entry,
      'malformed',
      `what is logged here as a reply that was not used is none that ${named(peer)} has signed to this question`,
    );
    return null;
  }

  #keyOf(study: string, task: string): Uint8Array | null {
    const open = this.#messages.open(task);
    const offered = open === null ? null : this.#messages.offer(toHex(open.header.run));
    const site = offered?.sites?.sites.find((listed) => listed.study === study);
    return site?.key ?? this.#keys.of(study);
  }

  /** Another answer than the one that counted, kept as evidence: proof that the site has signed two. */
  #checkConflict(entry: Entry, digest: string, counted: string | null): void {
    const { peer = '', detail } = entry;
    if (counted === digest)
      return this.#find(entry, 'malformed', 'the answer that counts is logged here as one that was not used');
    if (detail?.['code'] !== 'conflict') return;
    const place = placeOf(this.#owner, entry);
    const message = `${named(peer)} has signed two answers to one question`;
    if (counted === null)
      return this.#note(entry, `the coordinator says that ${message}; the one that counts cannot be seen`);
    // A site whose log was restored from a backup is asked again what it has forgotten.
    const known = this.#index.divergences.some(
      (divergence) => divergence.acknowledged && divergence.log === siteOrigin(peer),
    );
    if (known) this.#report.note({ place, message: `${message} (acknowledged)` });
    else this.#tally.find(`conflict ${peer}`, { kind: 'fork', place, message });
  }

  #checkUnused(entry: Entry, reply: Reply): void {
    const { peer = '', task = '', detail } = entry;
    const sound = this.#isSound(reply, task);
    const code = `${detail?.['code']}`;
    if (isVerdict(entry)) {
      this.#unusable.add(task);
      if (sound)
        this.#find(
          entry,
          'omission',
          `a sound answer of ${named(peer)} was left out: it is logged as one that could not be used (${code}), and it has the form that its question gives it`,
        );
    } else if (sound && !this.#unusable.has(task))
      this.#late.push({
        task,
        finding: {
          kind: 'omission',
          place: placeOf(this.#owner, entry),
          message: `a sound answer of ${named(peer)} was left out: it is logged as not used (${code}), the log does not say that the question was given up, and the run went on`,
        },
      });
  }

  /** Whether an answer has the form that its question gives it; false where the question or its plan cannot be seen. */
  #isSound({ header, payload }: Reply, task: string): boolean {
    const open = this.#messages.open(task);
    const plan = open === null ? null : this.#messages.planOf(open);
    if (open === null || plan === null) return false;
    try {
      assertReleasable('SiteMessage', { header, payload });
    } catch (error) {
      if (error instanceof ConcordatError) return false;
      throw error;
    }
    return this.#messages.faultOf({ header, payload }, open, plan) === null;
  }

  #find(entry: Entry, kind: FindingKind, message: string): void {
    this.#tally.find(`refused ${entry.peer} ${message}`, {
      kind,
      place: placeOf(this.#owner, entry),
      message,
    });
  }

  #note(entry: Entry, message: string): void {
    this.#report.note({ place: placeOf(this.#owner, entry), message });
  }
}

/** Whether the entry says that the answer could not be used: then the run goes on as if that was so. */
const isVerdict = ({ detail }: Entry): boolean => `${detail?.['code']}`.includes('/');
