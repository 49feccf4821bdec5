/**
 * Messages as such: signed by whom they should be, of the form that their plan gives them, and about the run, plan and roster that
 * they say. What a log's owner sent stands under the log's own signed checkpoint, so that only its key and lengths are looked at;
 * what it received carries a signature, which is verified.
 */
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { checkHeader } from '@concordat/shared/runs/reply-checks.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { checkPayload } from '@concordat/shared/wire/lengths.ts';
import { verifyMessage } from '@concordat/shared/wire/signing.ts';

import type { Report } from './finding.ts';
import { COORDINATOR, fingerprint, named, type PartyKeys } from './keys.ts';
import type { LoggedMessage, LoggedReply, LoggedTask, Owner } from './logged-message.ts';
import { analysisOf, type Offered, type Plans } from './plans.ts';
import { Tally } from './tally.ts';

/** What a task asks for, as long as its answer may come: no numbers. */
export interface OpenTask {
  readonly header: LoggedTask['header'];
  readonly payload: LoggedTask['payload'];
}

const SIGNATURE_LENGTH = 64;

export class MessageCheck {
  readonly #owner: Owner;
  readonly #keys: PartyKeys;
  readonly #plans: Plans;
  readonly #report: Report;
  readonly #tally: Tally;
  /** Tasks (hex) that have no answer yet. */
  readonly #open = new Map<string, OpenTask>();
  /** By run (hex): its first offer. */
  readonly #offers = new Map<string, Offered>();

  constructor(owner: Owner, keys: PartyKeys, plans: Plans, report: Report) {
    this.#owner = owner;
    this.#keys = keys;
    this.#plans = plans;
    this.#report = report;
    this.#tally = new Tally(report);
  }

  offer(run: string): Offered | null {
    return this.#offers.get(run) ?? null;
  }

  /** A task (hex) that was met, and has no answer yet. */
  open(task: string): OpenTask | null {
    return this.#open.get(task) ?? null;
  }

  /** The plan that a task is of, as its levels make it; null where it cannot be seen, or is none. */
  planOf({ header, payload }: OpenTask): ExpandedPlan | null {
    const offered = this.#offers.get(toHex(header.run));
    return offered === undefined ? null : this.#plans.expanded(offered.plan, payload);
  }

  /** The task that a reply answers, which is not looked for a second time. Null where it was not met. */
  take(message: LoggedMessage): OpenTask | null {
    if (message.what === 'task') {
      if (message.payload.$case === 'planOffer') this.#takeOffer(message, message.payload.value);
      this.#checkSignature(message);
      this.#checkRun(message);
      const { header, payload } = message;
      // Of a question about parameters only its length counts: where many wait, their numbers would be most of the memory.
      this.#open.set(message.task, { header, payload: withoutNumbers(payload) });
      return null;
    }
    this.#checkSignature(message);
    const task = this.#open.get(message.task) ?? null;
    this.#open.delete(message.task);
    if (task !== null) this.#checkReply(message, task);
    return task;
  }

  finish(): void {
    this.#tally.finish();
  }

  #checkSignature(message: LoggedMessage): void {
    const { signed, header, place, entry } = message;
    const sender = message.what === 'task' ? COORDINATOR : header.study;
    this.#keys.learn(sender, signed.key, place, this.#report);
    const key = this.#keys.of(sender);
    if (key === null) return;
    if (this.#keys.hasTwo(sender)) this.#checkRostered(message);
    if (entry.kind === 'sent') {
      // Its key is compared above.
      if (signed.signature.length === SIGNATURE_LENGTH) return;
      this.#report.find({
        kind: 'signature',
        place: { ...place, field: 'signature' },
        message: `a message of ${named(sender)} has no signature`,
      });
      return;
    }
    try {
      // Where the key is another one, that is told already: the signature is looked at by the key that the message names.
      verifyMessage(signed, signed.key, sender);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      this.#report.find({
        kind: 'signature',
        place: { ...place, field: 'signature' },
        message: `${named(sender)} has not signed this message: ${error.message}`,
      });
    }
  }

  /** Of a site with two keys, each is good in the runs whose roster names it. */
  #checkRostered({ signed, header, place, entry }: LoggedMessage): void {
    const { sites = [] } = this.#offers.get(entry.run ?? '')?.sites ?? {};
    const rostered = sites.find(({ study }) => study === header.study)?.key;
    if (rostered === undefined || sameBytes(rostered, signed.key)) return;
    this.#tally.find(`other key ${header.study}`, {
      kind: 'signature',
      place,
      message: `${named(header.study)} has another key here (${fingerprint(signed.key)}) than in the roster of the run (${fingerprint(rostered)})`,
    });
  }

  #takeOffer(message: LoggedTask, offer: Parameters<Plans['offered']>[1]): void {
    const { header, place } = message;
    const offered = this.#plans.offered(message, offer);
    if (!this.#offers.has(offered.run)) this.#offers.set(offered.run, offered);
    const faults = [
      sameBytes(sha256(offer.plan), header.planDigest)
        ? null
        : 'the plan is not that of the digest in its header',
      offer.roster === undefined
        ? 'there is no roster'
        : sameBytes(sha256(Roster.encode(offer.roster).finish()), header.rosterDigest)
          ? null
          : 'the roster is not that of the digest in its header',
    ].filter((fault) => fault !== null);
    for (const fault of faults)
      this.#report.find({ kind: 'schema', place, message: `an offer of a plan: ${fault}` });
    for (const { study, key } of offer.roster?.sites ?? []) {
      if (study === this.#owner.party || this.#owner.party === COORDINATOR)
        this.#keys.learnRostered(study, key, { ...place, field: 'roster' }, this.#report);
    }
  }

  /** A run is of one plan and one roster. */
  #checkRun({ header, place, entry }: LoggedTask): void {
    const offered = this.#offers.get(entry.run ?? '');
    if (offered === undefined) {
      this.#tally.find(`no offer ${entry.run}`, {
        kind: 'omission',
        place,
        message: 'a question of a run whose plan was never offered: the log does not hold the offer',
      });
      return;
    }
    const samePlan = sameBytes(header.planDigest, Buffer.from(offered.plan.digest, 'hex'));
    if (samePlan && sameBytes(header.rosterDigest, offered.rosterDigest)) return;
    this.#tally.find(`other plan ${entry.run}`, {
      kind: 'schema',
      place,
      message: `a question names another ${samePlan ? 'roster' : 'plan'} than the offer of its run`,
    });
  }

  #checkReply(reply: LoggedReply, task: OpenTask): void {
    const fault = this.faultOf(reply, task, this.planOf(task));
    if (fault === null) return;
    this.#report.find({
      kind: 'schema',
      place: { ...reply.place, field: fault.place ?? 'header' },
      message: `not an answer to what was asked: ${fault.message}`,
    });
  }

  /** Why a reply is no answer to a task, as far as a plan is known; null where it is one. */
  faultOf(
    { header, payload }: Pick<LoggedReply, 'header' | 'payload'>,
    task: OpenTask,
    plan: ExpandedPlan | null,
  ): ConcordatError | null {
    try {
      checkHeader(header, task.header);
      if (plan === null) return null;
      const { $case, value } = task.payload;
      checkPayload(
        payload,
        plan,
        analysisOf(plan, header.analysis),
        $case === 'factorLevelsQuestion' ? value.variables : [],
        $case === 'objectiveQuestion' ? value.length : 0,
      );
      return null;
    } catch (error) {
      if (error instanceof ConcordatError) return error;
      throw error;
    }
  }
}

function withoutNumbers(payload: LoggedTask['payload']): LoggedTask['payload'] {
  switch (payload.$case) {
    case 'planOffer':
      return { $case: payload.$case, value: { ...payload.value, plan: '', roster: undefined } };
    case 'objectiveQuestion':
      return { $case: payload.$case, value: { ...payload.value, theta: [], sum: [], entry: undefined } };
    default:
      return payload;
  }
}
