/**
 * The runs that this site was asked to take part in: which offers it accepts, which wait for a custodian, and on what terms the
 * questions of an accepted run are answered. Its memory is the log.
 */
import { CoordinatorMessage, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Objection, Problem, Rule, type PlanAccepted } from '@concordat/proto/concordat/v1/site.ts';
import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { tightestPolicy } from '@concordat/shared/disclosure/tightest.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { isPlanSigned } from '@concordat/shared/wire/offers.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Terms } from '../egress/gate.ts';
import type { Draft } from '../fit/draft.ts';
import { faultOf } from './agreement.ts';
import { approvalFor, isCustodian, isSmaller, sameRoster, type Approval, type Roster } from './approvals.ts';
import { askedBy } from './asked.ts';
import { Decisions, type StatementFault } from './decisions.ts';
import type { Agreement } from './document.ts';
import type { AgreementSource } from './in-force.ts';
import { faultsOfPlan, isExpired } from './permits.ts';
import type { ObjectionName } from '../custodian/desk.ts';
import type { Statement } from './statements.ts';
import { matchesTemplate } from './templates.ts';

export interface RunsOptions {
  readonly study: string;
  readonly identity: SigningIdentity;
  /** The coordinator's public signing key, pinned. */
  readonly coordinatorKey: Uint8Array;
  readonly agreement: AgreementSource;
  /** Plans of the agreement's templates, by the path that it writes. */
  readonly template: (path: string) => WrittenPlan | null;
  /** Seal of the records as they are now; empty where they cannot be read. */
  readonly snapshot: () => Promise<string>;
  /** Payload (SHA-256, hex) that is held for the custodian in answer to a task (hex); null where none is. */
  readonly held: (task: string) => string | null;
  readonly log: MessageLog;
  readonly state: string;
  readonly now: () => Date;
}

/** What runs is this plan with this roster, or nothing. */
export interface AcceptedRun {
  readonly plan: string;
  readonly planDigest: Uint8Array;
  readonly rosterDigest: Uint8Array;
  /** Seal of the records that were approved; empty where they could not be read then. */
  readonly data: string;
  /** In force when the run was accepted. */
  readonly agreement: Agreement;
}

/** What was accepted under a run once, also one that is over. */
interface Earlier extends Roster {
  readonly run: string;
  /** Digests of its analyses. */
  readonly asked: readonly string[];
}

type Mode = 'automatic' | 'template' | 'custodian';

export const refusalDraft = (rule: Rule, threshold = 0, objection?: Objection): Draft => ({
  payload: {
    $case: 'refusal',
    value: refusal(rule, threshold, objection === undefined ? {} : { objection }),
  },
  evidence: { kind: 'none' },
});
export const DRAFT_DISAGREED: Draft = refusalDraft(Rule.RULE_AGREEMENT);
const DRAFT_CHANGED: Draft = {
  payload: { $case: 'dataProblem', value: { problem: Problem.PROBLEM_RECORDS_CHANGED } },
  evidence: { kind: 'none' },
};

const OBJECTION: Readonly<Record<ObjectionName, Objection>> = {
  purpose: Objection.OBJECTION_PURPOSE,
  population: Objection.OBJECTION_POPULATION,
  variables: Objection.OBJECTION_VARIABLES,
  outcome: Objection.OBJECTION_OUTCOME,
  method: Objection.OBJECTION_METHOD,
  disclosure: Objection.OBJECTION_DISCLOSURE,
  'data-not-ready': Objection.OBJECTION_DATA_NOT_READY,
  other: Objection.OBJECTION_OTHER,
};

export class Runs {
  readonly #options: RunsOptions;
  readonly #decisions: Decisions;
  /** By run (hex). */
  readonly #accepted = new Map<string, AcceptedRun>();
  /** Runs that are over: nothing is answered, and nothing accepted, under them again. */
  readonly #closed = new Set<string>();
  readonly #earlier: Earlier[] = [];
  /** Runs whose offer waits for a custodian. */
  readonly #waiting = new Set<string>();

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#decisions = new Decisions(options.log, options.state, options.study);
    this.#recall();
  }

  isClosed(run: string): boolean {
    return this.#closed.has(run);
  }

  close(run: string): void {
    this.#accepted.delete(run);
    this.#waiting.delete(run);
    this.#closed.add(run);
  }

  accepted(run: string): AcceptedRun | null {
    return this.#accepted.get(run) ?? null;
  }

  /** Custodians' statements into the log; true where one was taken, so that what waited is to be looked at again. */
  takeStatements(): Promise<boolean> {
    return this.#decisions.take((statement) => this.#faultOf(statement));
  }

  /** The custodian's word on an answer that is held: `release`, `withhold`, or null while there is none. */
  releaseOf(task: string): 'release' | 'withhold' | null {
    return this.#decisions.releaseOf(task)?.kind ?? null;
  }

  /** Whether this site takes part: the answer to the offer, or null where a custodian has to decide first. */
  async consider(offer: PlanOffer, header: Header, task: string): Promise<Draft | null> {
    const { study, identity, agreement: source, now } = this.#options;
    const run = toHex(header.run);
    const fault = this.#closed.has(run)
      ? 'run-closed'
      : faultOf(offer, {
          study,
          key: identity.publicKey,
          planDigest: header.planDigest,
          rosterDigest: header.rosterDigest,
        });
    if (fault !== null) return this.#refuse(run, fault, DRAFT_DISAGREED);
    let plan: WrittenPlan;
    try {
      plan = parsePlan(offer.plan, 'the plan');
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      return this.#refuse(run, error.code, DRAFT_DISAGREED);
    }
    const agreement = source.current();
    if (agreement === null) return null;
    const [signer, signed] = signerOf(offer);
    if (!signed) return this.#refuse(run, 'plan-signature', refusalDraft(Rule.RULE_ASKER));
    const no = this.#objection(run) ?? this.#notAllowed(run, plan, agreement, signer, now());
    if (no !== null) {
      this.#waiting.delete(run);
      return no;
    }

    const planDigest = toHex(header.planDigest);
    const roster = rosterOf(offer);
    const data = await this.#options.snapshot();
    const leave = this.#leaveFor(run, plan, planDigest, roster, agreement, data);
    if (leave === null) {
      this.#waiting.add(run);
      return null;
    }
    // Without a custodian there is nobody who could allow it.
    if (leave === 'roster-shrunk') return this.#refuse(run, leave, refusalDraft(Rule.RULE_ROSTER));
    if (leave === 'no-template-matches') return this.#refuse(run, leave, DRAFT_DISAGREED);
    return this.#accept(offer, header, task, agreement, data, leave);
  }

  /**
   * On what terms a question of a run is answered now: under the agreement that it was accepted for and the one in force, whichever is
   * stricter. A draft where it is not; null where it has to wait.
   */
  async termsOf(run: string): Promise<Terms | Draft | null> {
    const accepted = this.#accepted.get(run);
    if (accepted === undefined || this.#closed.has(run)) return DRAFT_DISAGREED;
    const { agreement: source, now, snapshot } = this.#options;
    const current = source.current();
    if (current === null) return null;
    const before = accepted.agreement;
    const no =
      this.#objection(run) ??
      (isExpired(current, now())
        ? refusalDraft(Rule.RULE_EXPIRED)
        : current.digest === before.digest
          ? null
          : this.#notAllowed(run, parsePlan(accepted.plan, 'the plan'), current, this.#signerOf(run), now()));
    if (no !== null) return no;
    if (accepted.data !== '' && (await snapshot()) !== accepted.data) return DRAFT_CHANGED;
    return {
      policy: tightestPolicy(before.policy, current.policy),
      tellCounts: before.tellCounts && current.tellCounts,
      hold: before.approval === 'each-release' || current.approval === 'each-release',
    };
  }

  #objection(run: string): Draft | null {
    const no = this.#decisions.refusalOf(run);
    return no === null ? null : refusalDraft(Rule.RULE_CUSTODIAN, 0, OBJECTION[no.objection]);
  }

  #notAllowed(
    run: string,
    plan: WrittenPlan,
    agreement: Agreement,
    signer: string | null,
    now: Date,
  ): Draft | null {
    if (isExpired(agreement, now)) return this.#refuse(run, 'expired', refusalDraft(Rule.RULE_EXPIRED));
    const faults = faultsOfPlan(plan, agreement, signer);
    for (const { rule, what } of faults)
      this.#options.log.append({ kind: 'refused', peer: 'coordinator', run, detail: { rule, what } });
    const [first] = faults;
    return first === undefined ? null : refusalDraft(Rule[first.rule]);
  }

  /** By whose leave the plan may run, or why by nobody's; null where a custodian has to say. */
  #leaveFor(
    run: string,
    plan: WrittenPlan,
    digest: string,
    roster: Roster,
    agreement: Agreement,
    data: string,
  ):
    | { readonly mode: Mode; readonly approval: Approval | null }
    | 'roster-shrunk'
    | 'no-template-matches'
    | null {
    const approval = approvalFor(this.#decisions.approvals, { run, plan: digest, roster, data, agreement });
    if (approval !== undefined) return { mode: 'custodian', approval };
    const asked = askedBy(plan);
    const shrunk = this.#earlier.some(
      (other) =>
        other.run !== run &&
        isSmaller(roster, other) &&
        other.asked.some((question) => asked.includes(question)),
    );
    const matches =
      agreement.approval === 'automatic' ||
      (agreement.approval === 'matching-template' &&
        agreement.templates.some((path) => {
          const template = this.#options.template(path);
          return template !== null && matchesTemplate(plan, template);
        }));
    if (matches && !shrunk)
      return { mode: agreement.approval === 'automatic' ? 'automatic' : 'template', approval: null };
    if (agreement.custodians.length > 0) return null;
    return shrunk ? 'roster-shrunk' : 'no-template-matches';
  }

  #accept(
    offer: PlanOffer,
    header: Header,
    task: string,
    agreement: Agreement,
    data: string,
    { mode, approval }: { readonly mode: Mode; readonly approval: Approval | null },
  ): Draft {
    const run = toHex(header.run);
    const plan = toHex(header.planDigest);
    const policyDigest = sha256(JSON.stringify(agreement.policy));
    const { planDigest, rosterDigest } = header;
    this.#waiting.delete(run);
    this.#accepted.set(run, { plan: offer.plan, planDigest, rosterDigest, data, agreement });
    this.#earlier.push({ run, asked: askedBy(parsePlan(offer.plan, 'the plan')), ...rosterOf(offer) });
    this.#options.log.append({
      kind: 'approved',
      run,
      task,
      detail: {
        plan,
        policy: toHex(policyDigest),
        agreement: agreement.digest,
        data,
        mode,
        ...(approval === null ? {} : { statement: approval.digest, custodian: approval.custodian }),
      },
    });
    const value: PlanAccepted = { policyDigest, openPolicy: isOpenPolicy(agreement.policy) };
    return { payload: { $case: 'planAccepted', value }, evidence: { kind: 'none' } };
  }

  async #faultOf(statement: Statement): Promise<StatementFault | null> {
    const { agreement: source, snapshot, held } = this.#options;
    const agreement = source.current();
    if (agreement === null) return 'agreement-changed';
    if (!isCustodian(agreement, statement)) return 'not-custodian';
    switch (statement.kind) {
      case 'release':
      case 'withhold': {
        const payload = held(statement.task);
        if (payload === null) return 'not-waiting';
        return payload === statement.payload ? null : 'payload-differs';
      }
      case 'refuse':
        // Also of a run under way, which the site leaves so, and of one that is over, whose approval would hold for the next.
        return this.#offerOfRun(statement.run)?.plan === statement.plan ? null : 'not-waiting';
      case 'approve': {
        const { run } = statement;
        const offered = this.#offerOfRun(run);
        // After a refusal too, which it replaces.
        const open = this.#waiting.has(run) || this.#decisions.refusalOf(run) !== null;
        if (!open || offered?.plan !== statement.plan) return 'not-waiting';
        if (!sameRoster(statement, offered)) return 'roster-differs';
        if (statement.agreement !== agreement.digest) return 'agreement-changed';
        return statement.data !== '' && statement.data === (await snapshot()) ? null : 'data-changed';
      }
    }
  }

  #refuse(run: string, offer: string, draft: Draft): Draft {
    this.#options.log.append({ kind: 'refused', peer: 'coordinator', run, detail: { offer } });
    return draft;
  }

  /** Of an accepted run, whose offer's signature was checked. */
  #signerOf(run: string): string | null {
    const { log } = this.#options;
    const entry = log.entries.find((logged) => logged.kind === 'approved' && logged.run === run);
    const offer = entry?.task === undefined ? null : this.#offerOf(entry.task);
    return offer === null ? null : signerOf(offer.offer)[0];
  }

  /** What a run's last offer was about; null where none was logged. */
  #offerOfRun(run: string): (Roster & { readonly plan: string }) | null {
    const entry = this.#options.log.entries.findLast(
      (logged) => logged.kind === 'received' && logged.type === 'planOffer' && logged.run === run,
    );
    const found = entry?.task === undefined ? null : this.#offerOf(entry.task);
    return found === null ? null : { ...rosterOf(found.offer), plan: toHex(found.header.planDigest) };
  }

  /** The logged offer of a task (hex), if the pinned coordinator signed it. */
  #offerOf(task: string): { readonly offer: PlanOffer; readonly header: Header } | null {
    const { log, coordinatorKey } = this.#options;
    const body = log
      .entriesOf(task)
      .find(({ kind, type }) => kind === 'received' && type === 'planOffer')?.body;
    if (body === undefined) return null;
    const signed = decode(SignedMessage, log.body(body), 'a logged message');
    if (!sameBytes(signed.key, coordinatorKey)) return null;
    const { header, payload } = decode(CoordinatorMessage, signed.body, 'a logged task');
    return header === undefined || payload?.$case !== 'planOffer' ? null : { offer: payload.value, header };
  }

  /** Plans accepted before a restart, from the log: the offers that an acceptance names, not others of their runs. */
  #recall(): void {
    const { log, agreement: source } = this.#options;
    for (const { kind, type, run } of log.entries) {
      if (kind === 'sent' && type === 'runLeft' && run !== undefined) this.#closed.add(run);
    }
    for (const { kind, task, detail } of log.entries) {
      if (kind !== 'approved' || task === undefined) continue;
      const found = this.#offerOf(task);
      if (found === null) continue;
      const { offer, header } = found;
      const run = toHex(header.run);
      this.#earlier.push({ run, asked: askedBy(parsePlan(offer.plan, 'the plan')), ...rosterOf(offer) });
      const agreement = source.of(`${detail?.['agreement']}`);
      if (this.#closed.has(run) || agreement === null) continue;
      const { planDigest, rosterDigest } = header;
      const data = `${detail?.['data'] ?? ''}`;
      this.#accepted.set(run, { plan: offer.plan, planDigest, rosterDigest, data, agreement });
    }
    const answered = new Set(log.entries.filter(({ kind }) => kind === 'sent').map(({ task }) => task));
    for (const { kind, type, task } of log.entries) {
      if (kind !== 'received' || type !== 'planOffer' || task === undefined || answered.has(task)) continue;
      const found = this.#offerOf(task);
      const run = found === null ? '' : toHex(found.header.run);
      if (found === null || this.#closed.has(run) || this.#accepted.has(run)) continue;
      this.#waiting.add(run);
    }
  }
}

/** Public key (hex) that a plan is signed with, null for none; and whether the signature is that key's. */
export function signerOf(offer: PlanOffer): readonly [signer: string | null, sound: boolean] {
  const { plan, statistician, signature } = offer;
  if (statistician.length === 0 && signature.length === 0) return [null, true];
  return [toHex(statistician), isPlanSigned(plan, { key: statistician, signature })];
}

function rosterOf({ roster }: PlanOffer): Roster {
  return { sites: (roster?.sites ?? []).map(({ study }) => study), minimum: roster?.minimumStudies ?? 0 };
}
