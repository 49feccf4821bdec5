/**
 * The order of one log, as its owner's own messages tell it: each says how many entries the log had, and which, when it was
 * made. Who moves, adds or takes away an entry afterwards has to sign other messages than those that were sent.
 */
import { RunningRoot } from '@concordat/shared/log/merkle.ts';
import { sameBytes, toHex } from '@concordat/shared/wire/digest.ts';

import type { AuditedEntry } from './audited-entry.ts';
import type { Place, Report } from './finding.ts';
import { COORDINATOR } from './keys.ts';
import { placeOf, type LoggedMessage, type Owner } from './logged-message.ts';

/** A sent message whose checkpoint is not of the log as it is before it. */
interface Deviation {
  readonly place: Place;
  /** Entries before it, or before the first of the messages that were made with it. */
  readonly before: number;
  /** What the message says of that. */
  readonly size: number;
}

export class OrderCheck {
  readonly #owner: Owner;
  readonly #report: Report;
  readonly #root = new RunningRoot();
  /** What a message sent now may say of the log: the entry that it begins at, with the root there. */
  #before: { readonly size: number; readonly root: Uint8Array } = { size: 0, root: this.#root.root() };
  readonly #deviations: Deviation[] = [];
  /** Sent messages after the first deviation that fit. */
  #fitting = 0;
  #otherPast: { readonly place: Place; count: number } | null = null;
  #batch: string | null = null;

  constructor(owner: Owner, report: Report) {
    this.#owner = owner;
    this.#report = report;
  }

  /** Every entry in its turn; `message` where it holds one. */
  take({ entry, leaf }: AuditedEntry, message: LoggedMessage | null): void {
    if (entry.kind !== 'sent') this.#batch = null;
    else if (message !== null) this.#sent(entry.n, message);
    this.#root.append(leaf);
  }

  #sent(n: number, { header, place }: LoggedMessage): void {
    const { checkpoint } = header;
    if (checkpoint === undefined) {
      this.#report.find({
        kind: 'schema',
        place: { ...place, field: 'header.checkpoint' },
        message: 'a message was sent that does not say what its sender’s log held before it',
      });
      return;
    }
    // The coordinator makes the tasks of a round together: they share the log's state before the first of them.
    const batch =
      this.#owner.party === COORDINATOR ? `${toHex(header.run)} ${header.round} ${checkpoint.size}` : null;
    if (batch === null || batch !== this.#batch) this.#before = { size: n, root: this.#root.root() };
    this.#batch = batch;
    if (checkpoint.size !== this.#before.size) {
      this.#deviations.push({ place, before: this.#before.size, size: checkpoint.size });
      return;
    }
    if (this.#deviations.length > 0) this.#fitting++;
    if (sameBytes(checkpoint.root, this.#before.root)) return;
    if (this.#otherPast === null) this.#otherPast = { place, count: 1 };
    else this.#otherPast.count++;
  }

  /** Where the entries are not those of the checkpoint (`proven`), what is wrong with them is told elsewhere. */
  finish(proven: boolean): void {
    if (!proven) return;
    const [first] = this.#deviations;
    if (first !== undefined) this.#findDeviation(first);
    // What is moved, added or taken away changes every root after it: one fault, one finding.
    else if (this.#otherPast !== null) {
      const { place, count } = this.#otherPast;
      this.#report.find({
        kind: 'mutation',
        place,
        message: `${count === 1 ? 'a message was' : `${count} messages from here on were`} sent when the entries before it were others than the log holds now: one of them was changed since`,
      });
    }
  }

  #findDeviation({ place, before, size }: Deviation): void {
    const shift = before - size;
    const kind =
      this.#fitting > 0 ||
      this.#deviations.some((other) => Math.sign(other.before - other.size) !== Math.sign(shift))
        ? 'reorder'
        : shift > 0
          ? 'insertion'
          : 'omission';
    const what = {
      reorder: 'entries do not stand in the order in which they were made',
      insertion: `${shift} more ${shift === 1 ? 'entry stands' : 'entries stand'} before it now`,
      omission: `${-shift} of them ${shift === -1 ? 'is' : 'are'} not there any more`,
    }[kind];
    const more = this.#deviations.length - 1;
    this.#report.find({
      kind,
      place,
      message: `the message at entry ${place.entry} says that the log had ${size} entries before it: ${what}${more > 0 ? ` (the same of ${more} later ${more === 1 ? 'message' : 'messages'})` : ''}`,
    });
  }
}

/** Answers and their tasks in one log: an answer comes after its task, and is the only one. */
export class AnswerOrder {
  readonly #owner: Owner;
  readonly #report: Report;
  /** Tasks (hex) without an answer. */
  readonly #tasks = new Set<string>();
  /** By task (hex): where it was answered first, and with which bytes. */
  readonly #answers = new Map<string, { readonly n: number; readonly digest: string }>();
  /** Answers before whose task was met. */
  readonly #early = new Map<string, LoggedMessage>();

  constructor(owner: Owner, report: Report) {
    this.#owner = owner;
    this.#report = report;
  }

  take(message: LoggedMessage): void {
    const { task, digest, place, entry } = message;
    if (message.what === 'task') {
      this.#tasks.add(task);
      const early = this.#early.get(task);
      if (early === undefined) return;
      this.#early.delete(task);
      this.#report.find({
        kind: 'reorder',
        place: early.place,
        message: `an answer stands before the question that it answers, which is entry ${entry.n}`,
      });
      return;
    }
    const first = this.#answers.get(task);
    if (first === undefined) {
      this.#answers.set(task, { n: entry.n, digest });
      // That it was met, its answer says as well from now on.
      if (!this.#tasks.delete(task)) this.#early.set(task, message);
      return;
    }
    this.#report.find(
      first.digest === digest
        ? {
            kind: 'insertion',
            place,
            message: `the same answer stands here a second time; it is entry ${first.n} too`,
          }
        : {
            kind: 'fork',
            place,
            message: `two answers to one question, both signed: another one is entry ${first.n}`,
          },
    );
  }

  /** A question that is there, and cannot be read: that is told elsewhere. */
  unread(task: string): void {
    this.#tasks.add(task);
    this.#early.delete(task);
  }

  finish(): void {
    for (const { place, entry } of this.#early.values())
      this.#report.find({
        kind: 'omission',
        place: { ...placeOf(this.#owner, entry), ...place },
        message: 'an answer without the question that it answers: the log does not hold it',
      });
  }
}
