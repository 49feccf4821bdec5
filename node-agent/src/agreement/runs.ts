/**
 * The runs that this site was asked to take part in: which offers it accepts, which wait for a custodian, and on what terms the
 * questions of an accepted run are answered. Its memory is the log.
 */
import type { PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { Objection, Problem, Rule, type PlanAccepted } from '@concordat/proto/concordat/v1/site.ts';
import {
  approvalFor,
  isCustodian,
  isShrunk,
  sameRoster,
  type Approval,
  type Earlier,
  type Roster,
} from '@concordat/shared/agreement/approvals.ts';
import { askedBy, askedIn } from '@concordat/shared/agreement/asked.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { faultOf, rosterOf, signerOf } from '@concordat/shared/agreement/offers.ts';
import { faultsOfPlan, isExpired } from '@concordat/shared/agreement/permits.ts';
import type { ObjectionName, Signer, Statement } from '@concordat/shared/agreement/statements.ts';
import { matchesTemplate } from '@concordat/shared/agreement/templates.ts';
import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { tightestPolicy } from '@concordat/shared/disclosure/tightest.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Terms } from '../egress/gate.ts';
import type { Draft } from '../fit/draft.ts';
import { Decisions, type StatementFault } from './decisions.ts';
import type { AgreementSource } from './in-force.ts';
import { LoggedOffers } from './offers.ts';
import type { Template } from './template-files.ts';

export interface RunsOptions {
  readonly study: string;
  readonly identity: SigningIdentity;
  /** The coordinator's public signing key, pinned. */
  readonly coordinatorKey: Uint8Array;
  readonly agreement: AgreementSource;
  /** The agreement's templates, by the path that it writes. */
  readonly template: (path: string) => Template | null;
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
  readonly plan: WrittenPlan;
  readonly planDigest: Uint8Array;
  readonly rosterDigest: Uint8Array;
  /** Seal of the records that were approved. */
  readonly data: string;
  /** In force when the run was accepted. */
  readonly agreement: Agreement;
  /** The custodian by whose approval it was; null where it was by the agreement itself. */
  readonly approver: Pick<Signer, 'custodian' | 'key'> | null;
}

/** By whose leave a plan runs. */
type Leave =
  | { readonly mode: 'automatic' }
  | { readonly mode: 'template'; readonly template: Template }
  | { readonly mode: 'custodian'; readonly approval: Approval };

export const refusalDraft = (rule: Rule, threshold = 0, objection?: Objection): Draft => ({
  payload: {
    $case: 'refusal',
    value: refusal(rule, threshold, objection === undefined ? {} : { objection }),
  },
  evidence: { kind: 'none' },
});
export const DRAFT_DISAGREED: Draft = refusalDraft(Rule.RULE_AGREEMENT);
export const DRAFT_CHANGED: Draft = {
  payload: { $case: 'dataProblem', value: { problem: Problem.PROBLEM_RECORDS_CHANGED } },
  evidence: { kind: 'none' },
};

const DRAFT_UNREADABLE: Draft = {
  payload: { $case: 'dataProblem', value: { problem: Problem.PROBLEM_SOURCE_UNREADABLE } },
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
  readonly #offers: LoggedOffers;
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
    this.#offers = new LoggedOffers(options.log, options.coordinatorKey);
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

  /**
   * The custodian's word on the answer (SHA-256, hex) that is held for a task (hex); null while there is none. A release is of that
   * answer alone, and from who may still give it.
   */
  releaseOf(task: string, payload: string | null): 'release' | 'withhold' | null {
    const said = this.#decisions.releaseOf(task);
    if (said?.kind !== 'release') return said?.kind ?? null;
    const agreement = this.#options.agreement.current();
    return said.payload === payload && agreement !== null && isCustodian(agreement, said) ? 'release' : null;
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

    // Asked again, a run stays as it was accepted: under the agreement of then, and of the records of then.
    const accepted = this.#accepted.get(run);
    if (accepted !== undefined) return acceptance(accepted.agreement);

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
    // What cannot be read cannot be compared later with what is answered from.
    if (data === '') return this.#refuse(run, 'records-unreadable', DRAFT_UNREADABLE);
    return this.#accept(offer, plan, header, task, agreement, data, leave);
  }

  /**
   * On what terms a question of a run is answered now: under the agreement that it was accepted for and the one in force, whichever is
   * stricter. A draft where it is not; null where it has to wait, as where nobody who allowed the run may do so any more.
   */
  async termsOf(run: string): Promise<Terms | Draft | null> {
    const accepted = this.#accepted.get(run);
    if (accepted === undefined || this.#closed.has(run)) return DRAFT_DISAGREED;
    const { agreement: source, now } = this.#options;
    const current = source.current();
    if (current === null) return null;
    const before = accepted.agreement;
    const no =
      this.#objection(run) ??
      (isExpired(current, now())
        ? refusalDraft(Rule.RULE_EXPIRED)
        : current.digest === before.digest
          ? null
          : this.#notAllowed(run, accepted.plan, current, this.#signerOf(run), now()));
    if (no !== null) return no;
    if (!this.#isAllowed(run, accepted, current)) return null;
    if (await this.isChanged(run)) return DRAFT_CHANGED;
    return {
      policy: tightestPolicy(before.policy, current.policy),
      tellCounts: before.tellCounts && current.tellCounts,
      hold: before.approval === 'each-release' || current.approval === 'each-release',
    };
  }

  /** Whether the records are no longer those that the run was accepted for. */
  async isChanged(run: string): Promise<boolean> {
    const accepted = this.#accepted.get(run);
    return accepted !== undefined && (await this.#options.snapshot()) !== accepted.data;
  }

  /** Whether who allowed a run, or what, would be asked for leave now too. */
  #isAllowed(run: string, { plan, approver }: AcceptedRun, current: Agreement): boolean {
    const own = this.#decisions.approvals.filter((given) => given.run === run);
    if ([...own, ...(approver === null ? [] : [approver])].some((party) => isCustodian(current, party)))
      return true;
    return approver === null && this.#leaveOf(plan, current) !== null;
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
  ): Leave | 'roster-shrunk' | 'no-template-matches' | null {
    const asked = askedBy(plan);
    const shrunk = isShrunk({ run, asked, ...roster }, this.#earlier);
    const wanted = { run, plan: digest, roster, shrunk, data, agreement };
    const approval = approvalFor(this.#decisions.approvals, wanted);
    if (approval !== undefined) return { mode: 'custodian', approval };
    const leave = this.#leaveOf(plan, agreement);
    if (leave !== null && !shrunk && !this.#isRefused(digest, asked)) return leave;
    if (agreement.custodians.length > 0) return null;
    return shrunk ? 'roster-shrunk' : 'no-template-matches';
  }

  /** What the agreement itself allows, without asking anybody; null where it does not allow the plan so. */
  #leaveOf(plan: WrittenPlan, { approval, templates }: Agreement): Leave | null {
    if (approval === 'automatic') return { mode: 'automatic' };
    if (approval !== 'matching-template') return null;
    const template = templates
      .map((path) => this.#options.template(path))
      .find((candidate) => candidate !== null && matchesTemplate(plan, candidate.plan));
    return template === undefined || template === null ? null : { mode: 'template', template };
  }

  /** Whether a custodian said no to the plan, or to one with some of its questions, and none has approved that one since. */
  #isRefused(digest: string, asked: readonly string[]): boolean {
    return this.#decisions.refusedPlans.some(
      (no) =>
        no.plan === digest ||
        this.#offers
          .all(no.run)
          .filter(({ header }) => toHex(header.planDigest) === no.plan)
          .some(({ offer }) => askedIn(offer.plan).some((question) => asked.includes(question))),
    );
  }

  #accept(
    offer: PlanOffer,
    plan: WrittenPlan,
    header: Header,
    task: string,
    agreement: Agreement,
    data: string,
    leave: Leave,
  ): Draft {
    const run = toHex(header.run);
    const { planDigest, rosterDigest } = header;
    const approver = leave.mode === 'custodian' ? leave.approval : null;
    this.#waiting.delete(run);
    this.#accepted.set(run, { plan, planDigest, rosterDigest, data, agreement, approver });
    this.#earlier.push({ run, asked: askedBy(plan), ...rosterOf(offer) });
    this.#options.log.append({
      kind: 'approved',
      run,
      task,
      detail: {
        plan: toHex(planDigest),
        policy: toHex(policyDigestOf(agreement)),
        agreement: agreement.digest,
        data,
        mode: leave.mode,
        ...(leave.mode === 'template' ? { template: leave.template.digest } : {}),
        ...(leave.mode === 'custodian'
          ? { statement: leave.approval.digest, custodian: leave.approval.custodian }
          : {}),
      },
    });
    return acceptance(agreement);
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
        return this.#isOffered(statement) ? null : 'not-waiting';
      case 'approve': {
        const { run } = statement;
        const offered = this.#offers.current(run);
        // After a refusal too, which it replaces.
        const open = this.#waiting.has(run) || this.#decisions.refusalOf(run) !== null;
        if (!open || offered === null || !this.#isOffered(statement)) return 'not-waiting';
        if (!sameRoster(statement, rosterOf(offered.offer))) return 'roster-differs';
        if (statement.agreement !== agreement.digest) return 'agreement-changed';
        return statement.data !== '' && statement.data === (await snapshot()) ? null : 'data-changed';
      }
    }
  }

  #refuse(run: string, offer: string, draft: Draft): Draft {
    this.#options.log.append({ kind: 'refused', peer: 'coordinator', run, detail: { offer } });
    return draft;
  }

  #isOffered({ run, plan }: { readonly run: string; readonly plan: string }): boolean {
    const offered = this.#offers.current(run);
    return offered !== null && toHex(offered.header.planDigest) === plan;
  }

  /** Of an accepted run, whose offer's signature was checked. */
  #signerOf(run: string): string | null {
    const accepted = this.#offers.accepted(run);
    return accepted === null ? null : signerOf(accepted.offer)[0];
  }

  /** Plans accepted before a restart, from the log: the offers that a first acceptance names, not others of their runs. */
  #recall(): void {
    const { log, agreement: source } = this.#options;
    for (const { kind, type, run } of log.entries) {
      if (kind === 'sent' && type === 'runLeft' && run !== undefined) this.#closed.add(run);
    }
    for (const { kind, task, detail } of log.entries) {
      const found = kind !== 'approved' || task === undefined ? null : this.#offers.of(task);
      if (found === null) continue;
      const { offer, header } = found;
      const run = toHex(header.run);
      if (this.#earlier.some((other) => other.run === run)) continue;
      const plan = parsePlan(offer.plan, 'the plan');
      this.#earlier.push({ run, asked: askedBy(plan), ...rosterOf(offer) });
      const agreement = source.of(`${detail?.['agreement']}`);
      if (this.#closed.has(run) || agreement === null) continue;
      const { planDigest, rosterDigest } = header;
      const data = `${detail?.['data'] ?? ''}`;
      const approver = this.#decisions.signerOf(`${detail?.['statement']}`);
      this.#accepted.set(run, { plan, planDigest, rosterDigest, data, agreement, approver });
    }
    const answered = new Set(log.entries.filter(({ kind }) => kind === 'sent').map(({ task }) => task));
    for (const { kind, type, task } of log.entries) {
      if (kind !== 'received' || type !== 'planOffer' || task === undefined || answered.has(task)) continue;
      const found = this.#offers.of(task);
      const run = found === null ? '' : toHex(found.header.run);
      if (found === null || this.#closed.has(run) || this.#accepted.has(run)) continue;
      this.#waiting.add(run);
    }
  }
}

function acceptance(agreement: Agreement): Draft {
  const value: PlanAccepted = {
    policyDigest: policyDigestOf(agreement),
    openPolicy: isOpenPolicy(agreement.policy),
  };
  return { payload: { $case: 'planAccepted', value }, evidence: { kind: 'none' } };
}

const policyDigestOf = ({ policy }: Agreement): Uint8Array => sha256(JSON.stringify(policy));
