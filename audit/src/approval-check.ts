/**
 * What left a site, held against what allowed it: the agreement that was in force, and the approval that the plan ran under. The same
 * functions decide here as in the agent.
 */
import { approvalFor, isCustodian, isShrunk, type Earlier } from '@concordat/shared/agreement/approvals.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { isExpired, faultsOfPlan } from '@concordat/shared/agreement/permits.ts';
import type { Signer } from '@concordat/shared/agreement/statements.ts';
import { matchesTemplate } from '@concordat/shared/agreement/templates.ts';
import { Problem, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { tightestPolicy } from '@concordat/shared/disclosure/tightest.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { AuditedEntry } from './audited-entry.ts';
import type { FindingKind, Report } from './finding.ts';
import { policyDigestOf, InForce } from './in-force.ts';
import { placeOf, type LoggedMessage, type LoggedReply, type Owner } from './logged-message.ts';
import type { OpenTask } from './message-check.ts';
import type { Offered, Plans, ReadPlan } from './plans.ts';
import type { Terms } from './policy-check.ts';
import type { Tally } from './tally.ts';

interface Accepted {
  readonly offered: Offered;
  /** In force when the run was accepted; null where its text cannot be seen. */
  readonly agreement: Agreement | null;
  readonly policy: string;
  readonly data: string;
  /** The custodian by whose approval it was; null where it was by the agreement itself. */
  readonly approver: Signer | null;
}

/** By whose leave a plan runs, where it is nobody's. */
interface Leave {
  readonly mode: 'automatic' | 'template';
  /** Digest. */
  readonly template?: string;
}

/** An answer that was under way when its agreement ended leaves after that. */
const UNDER_WAY = 60 * 60_000;

export class ApprovalCheck {
  readonly #owner: Owner;
  readonly #report: Report;
  readonly #tally: Tally;
  readonly #inForce: InForce;
  readonly #plans: Plans;
  /** By task (hex). */
  readonly #offers = new Map<string, Offered>();
  readonly #accepted = new Map<string, Accepted>();
  readonly #earlier = new Map<string, Earlier>();
  /** By digests of plan and templates: which of those allows it. */
  readonly #matching = new Map<string, Leave | null>();
  readonly #left = new Set<string>();
  readonly #policies = new Map<string, Terms>();
  /** Answers that nobody can say of whether they were allowed. */
  unjudged = 0;
  /** Tasks (hex) that are offers which were withheld or erased, and the runs that were approved by them. */
  readonly #hiddenOffers = new Set<string>();
  readonly #unseen = new Set<string>();

  constructor(owner: Owner, plans: Plans, report: Report, tally: Tally) {
    this.#owner = owner;
    this.#plans = plans;
    this.#report = report;
    this.#tally = tally;
    this.#inForce = new InForce(owner, plans, report);
  }

  /** Every entry in its turn. */
  take(audited: AuditedEntry): void {
    const { entry, body } = audited;
    this.#inForce.take(audited);
    if (entry.kind === 'received' && entry.type === 'planOffer' && (body === 'withheld' || body === 'erased'))
      this.#hiddenOffers.add(entry.task ?? '');
    if (entry.kind === 'approved') this.#accept(entry);
  }

  offer(message: LoggedMessage): void {
    if (message.what === 'task' && message.payload.$case === 'planOffer')
      this.#offers.set(message.task, this.#plans.offered(message, message.payload.value));
  }

  /** An answer, and what it answers where that is known. Returns what it left under; null where it told nothing of records, or that cannot be said. */
  sent(reply: LoggedReply, task: OpenTask | null): Terms | null {
    const { payload, entry } = reply;
    const run = entry.run ?? '';
    const accepted = this.#accepted.get(run);
    if (accepted === undefined && this.#unseen.has(run)) {
      this.unjudged++;
      return null;
    }
    switch (payload.$case) {
      case 'runLeft':
        this.#left.add(run);
        return null;
      case 'planAccepted': {
        if (accepted === undefined) {
          this.#find(
            reply,
            'accepted',
            'approval',
            'the site accepts a plan that its log does not have as approved',
          );
          return null;
        }
        if (toHex(payload.value.policyDigest) !== accepted.policy)
          this.#find(
            reply,
            'policy',
            'policy',
            'the policy that the site says it enforces is not that of the agreement in force',
          );
        else if (
          accepted.agreement !== null &&
          payload.value.openPolicy !== isOpenPolicy(accepted.agreement.policy)
        )
          this.#find(reply, 'open', 'policy', 'the site says wrongly whether every threshold is off');
        return null;
      }
      case 'refusal':
        if (tellsRecords(reply, task)) break;
        return accepted === undefined ? null : this.#terms(accepted);
      default:
        if (!tellsRecords(reply, task)) return null;
    }
    if (accepted === undefined) {
      this.#find(reply, 'none', 'approval', 'an answer about records under a run that was not approved');
      return null;
    }
    this.#checkAnswer(reply, accepted);
    return this.#terms(accepted);
  }

  #checkAnswer(reply: LoggedReply, accepted: Accepted): void {
    const { header, entry } = reply;
    const run = entry.run ?? '';
    const { offered } = accepted;
    if (this.#left.has(run))
      this.#find(reply, 'left', 'approval', 'an answer after the site had left the run');
    const samePlan = toHex(header.planDigest) === offered.plan.digest;
    if (!samePlan || !sameBytes(header.rosterDigest, offered.rosterDigest))
      this.#find(
        reply,
        'other',
        'approval',
        `an answer under another ${samePlan ? 'roster' : 'plan'} than the one approved for its run`,
      );
    const { agreement: current } = this.#inForce;
    const before = accepted.agreement;
    if (this.#inForce.hidden || current === null || before === null) {
      this.unjudged++;
      return;
    }
    const no = this.#inForce.refusalOf(run);
    if (no !== null)
      this.#find(
        reply,
        'refused',
        'approval',
        `an answer although the custodian ${no.custodian} had said no to the run`,
      );
    this.#checkExpiry(reply, current);
    if (current.digest !== before.digest && offered.plan.written !== null)
      for (const { rule, what } of faultsOfPlan(offered.plan.written, current, offered.signer))
        this.#find(reply, rule, 'approval', `an answer that the agreement in force does not allow: ${what}`);
    if (!this.#isAllowed(run, accepted, current))
      this.#find(
        reply,
        'leave',
        'approval',
        'an answer when nobody who had allowed the run was among those who may',
      );
    if (before.approval === 'each-release' || current.approval === 'each-release')
      this.#checkRelease(reply, current);
  }

  #checkExpiry(reply: LoggedReply, agreement: Agreement): void {
    const time = Date.parse(reply.entry.time);
    if (!isExpired(agreement, new Date(time))) return;
    const message = `an answer left when the agreement had ended (${agreement.until})`;
    if (!isExpired(agreement, new Date(time - UNDER_WAY)))
      this.#report.note({
        place: reply.place,
        message: `${message}, by less than an hour: it may have been under way`,
      });
    else this.#find(reply, 'expired', 'expired', message);
  }

  /** Whether who allowed a run, or what, could still do so. */
  #isAllowed(run: string, { offered, approver }: Accepted, current: Agreement): boolean {
    const given = this.#inForce.approvals.filter((approval) => approval.run === run);
    if ([...given, ...(approver === null ? [] : [approver])].some((party) => isCustodian(current, party)))
      return true;
    return approver === null && this.#leaveOf(offered.plan, current) !== null;
  }

  /** A custodian who sees each answer has let exactly this one go. What was refused is not held. */
  #checkRelease(reply: LoggedReply, current: Agreement): void {
    const { payload, task } = reply;
    if (payload.$case === 'refusal') return;
    if (payload.$case === 'dataProblem' && SAID_WITHOUT_RELEASE.has(payload.value.problem)) return;
    const said = this.#inForce.releaseOf(task);
    const digest = toHex(sha256(SiteMessage.encode({ header: undefined, payload }).finish()));
    const fault =
      said === null
        ? 'no custodian has let it go'
        : said.kind === 'withhold'
          ? `the custodian ${said.custodian} withheld it`
          : said.payload !== digest
            ? `the custodian ${said.custodian} let another answer go`
            : isCustodian(current, said)
              ? null
              : `${said.custodian}, who let it go, is no custodian any more`;
    if (fault !== null)
      this.#find(reply, 'release', 'approval', `an answer that a custodian has to see first: ${fault}`);
  }

  #accept(entry: LogEntry): void {
    const place = placeOf(this.#owner, entry);
    const run = entry.run ?? '';
    const find = (kind: FindingKind, message: string): void =>
      this.#tally.find(`accept ${run} ${message}`, { kind, place, message });
    const offered = this.#offers.get(entry.task ?? '');
    if (offered === undefined && this.#hiddenOffers.has(entry.task ?? '')) return void this.#unseen.add(run);
    if (offered === undefined)
      return find('approval', 'a run was approved whose offer the log does not hold before');
    if (this.#accepted.has(run)) return;
    const detail = (name: string): string => `${entry.detail?.[name] ?? ''}`;
    const { agreement } = this.#inForce;
    const approver = this.#inForce.signerOf(detail('statement'));
    const data = detail('data');
    if (offered.run !== run) find('approval', 'a run was approved by the offer of another one');
    if (detail('plan') !== offered.plan.digest)
      find('approval', 'what was approved is not the plan that was offered');
    const shown = !this.#inForce.hidden && agreement !== null;
    this.#accepted.set(run, {
      offered,
      agreement: shown ? agreement : null,
      policy: detail('policy'),
      data,
      approver,
    });
    if (this.#inForce.hidden) return;
    if (agreement === null)
      return find('approval', 'a run was approved under an agreement that the log does not hold');
    if (detail('agreement') !== agreement.digest)
      find('approval', 'a run was approved under another agreement than the one in force');
    if (detail('policy') !== policyDigestOf(agreement))
      find('policy', 'the policy that the approval names is not that of the agreement in force');
    if (isExpired(agreement, new Date(entry.time)))
      find('expired', `a run was approved when the agreement had ended (${agreement.until})`);
    const { written } = offered.plan;
    if (written === null) return find('approval', 'what was approved is no plan');
    if (!offered.signed)
      find('approval', 'the plan that was approved is not signed with the key that it names');
    for (const { what } of faultsOfPlan(written, agreement, offered.signer))
      find('approval', `the agreement does not allow the plan that was approved: ${what}`);
    if (this.#inForce.refusalOf(run) !== null)
      find('approval', 'a run was approved to which a custodian had said no');
    this.#checkLeave(entry, offered, agreement, find);
    // The same again, under another run, adds nothing to what a later one is held against.
    const earlier = JSON.stringify([offered.plan.asked, offered.roster]);
    if (!this.#earlier.has(earlier))
      this.#earlier.set(earlier, { run, asked: offered.plan.asked, ...offered.roster });
  }

  #checkLeave(
    entry: LogEntry,
    { plan, roster }: Offered,
    agreement: Agreement,
    find: (kind: FindingKind, message: string) => void,
  ): void {
    const run = entry.run ?? '';
    const { mode, data, statement, template } = entry.detail ?? {};
    const shrunk = isShrunk({ run, asked: plan.asked, ...roster }, [...this.#earlier.values()]);
    if (mode === 'custodian') {
      const wanted = { run, plan: plan.digest, roster, shrunk, data: `${data}`, agreement };
      const approval = approvalFor(this.#inForce.approvals, wanted);
      if (approval?.digest !== statement)
        find(
          'approval',
          approval === undefined
            ? 'no custodian of the agreement has signed an approval of this plan, with this roster, of these records, under this agreement'
            : 'the run names another statement than the approval that the log holds for it',
        );
      return;
    }
    const leave = this.#leaveOf(plan, agreement);
    if (leave === null || leave.mode !== mode)
      return find(
        'approval',
        mode === 'template'
          ? 'the plan was approved by a template, and none that the agreement names allows it'
          : `the agreement does not let a plan run without a custodian (it was approved as \`${mode}\`)`,
      );
    if (leave.mode === 'template' && leave.template !== template)
      find('approval', 'the run names another template than the one that allows it');
    if (shrunk)
      find(
        'approval',
        'questions that were answered with more sites were approved again with fewer, without a custodian',
      );
    if (this.#isRefused(plan.digest, plan.asked))
      find('approval', 'a plan with questions that a custodian had refused was approved without a custodian');
    if (leave.mode === 'automatic')
      this.#report.note({
        place: placeOf(this.#owner, entry),
        message: 'approved without anybody being asked (`approval: automatic`), as `concordat local` does',
      });
  }

  /** What the agreement itself allows, without asking anybody. */
  #leaveOf(plan: ReadPlan, agreement: Agreement): Leave | null {
    if (agreement.approval === 'automatic') return { mode: 'automatic' };
    if (agreement.approval !== 'matching-template') return null;
    const templates = this.#inForce.templatesOf(agreement);
    const key = [plan.digest, ...templates.map(({ digest }) => digest)].join(' ');
    const known = this.#matching.get(key);
    if (known !== undefined) return known;
    const { written } = plan;
    const found = templates.find(
      (template) =>
        written !== null && template.written !== null && matchesTemplate(written, template.written),
    );
    const leave: Leave | null = found === undefined ? null : { mode: 'template', template: found.digest };
    this.#matching.set(key, leave);
    return leave;
  }

  #isRefused(digest: string, asked: readonly string[]): boolean {
    return this.#inForce.refusedPlans.some(
      (no) =>
        no.plan === digest ||
        [...this.#offers.values()].some(
          ({ run, plan }) =>
            run === no.run &&
            plan.digest === no.plan &&
            plan.asked.some((question) => asked.includes(question)),
        ),
    );
  }

  /** Of the agreement then and now the stricter. */
  #terms({ agreement: before, data }: Accepted): Terms | null {
    const { agreement: current, hidden } = this.#inForce;
    if (hidden || before === null || current === null) return null;
    const key = `${before.digest} ${current.digest} ${data}`;
    const known = this.#policies.get(key);
    if (known !== undefined) return known;
    const terms = {
      policy: tightestPolicy(before.policy, current.policy),
      tellCounts: before.tellCounts && current.tellCounts,
      data,
    };
    this.#policies.set(key, terms);
    return terms;
  }

  #find({ entry, place }: LoggedReply, cause: string, kind: FindingKind, message: string): void {
    this.#tally.find(`${cause} ${entry.run}`, { kind, place, message });
  }
}

/** Said of records without an answer about them being held: that they changed, or that the agent failed. */
const SAID_WITHOUT_RELEASE: ReadonlySet<Problem> = new Set([
  Problem.PROBLEM_RECORDS_CHANGED,
  Problem.PROBLEM_INTERNAL,
]);

/** Whether an answer tells something of records. A refusal does where it tells a count. To an offer a site may say that it cannot read them. */
function tellsRecords({ payload }: LoggedReply, task: OpenTask | null): boolean {
  switch (payload.$case) {
    case 'refusal':
      return payload.value.observed !== undefined;
    case 'planAccepted':
    case 'runLeft':
      return false;
    case 'dataProblem':
      return (
        payload.value.problem !== Problem.PROBLEM_INTERNAL &&
        task !== null &&
        task.payload.$case !== 'planOffer'
      );
    default:
      return true;
  }
}
