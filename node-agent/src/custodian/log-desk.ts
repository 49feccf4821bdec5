/** The custodian's desk over a site's log and state. */
import { isDeepStrictEqual } from 'node:util';

import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { approvalFor, approvalsAfter, isShrunk } from '@concordat/shared/agreement/approvals.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import {
  isOvertakenBy,
  signStatement,
  statementDigest,
  subjectsOf,
  type StatementBody,
  type CustodianKey,
} from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';

import { explainPlan, type PlanExplanation } from '../agreement/explain.ts';
import { putStatement, waitingStatements } from '../agreement/statement-files.ts';
import type { HeldAnswers } from '../egress/held.ts';
import {
  isApprovable,
  type CustodianDesk,
  type Decision,
  type LeftMessage,
  type OfferedPlan,
  type PreviewedRelease,
  type Standing,
  type StandingApproval,
  type WaitingRelease,
} from './desk.ts';
import { contentOf, LogIndex, type Offer } from './log-index.ts';
import type { LogView } from './log-view.ts';

export interface DeskOptions {
  readonly study: string;
  readonly log: LogView;
  readonly held: HeldAnswers;
  readonly state: string;
  /** The agreement in force. Throws `agreement/invalid`. */
  readonly agreement: () => Agreement;
  /** Seal of the records as they are now; empty where they cannot be read. */
  readonly snapshot: () => Promise<string>;
  /** What the site would send for a plan now. */
  readonly preview: (plan: string, agreement: Agreement) => Promise<readonly PreviewedRelease[]>;
  readonly now: () => Date;
}

export class LogDesk implements CustodianDesk {
  readonly #options: DeskOptions;
  readonly #index: LogIndex;
  /** By the entry of the offer: under which agreement it was explained, and how. */
  readonly #explained = new Map<
    number,
    { readonly agreement: string; readonly explanation: PlanExplanation }
  >();
  /** By task. */
  readonly #terms = new Map<string, readonly string[]>();

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#index = new LogIndex(options.log);
  }

  plans(): readonly OfferedPlan[] {
    const agreement = this.#options.agreement();
    const { offers } = this.#index.update();
    return offers.map((offer) => this.#told(offer, agreement)).toReversed();
  }

  plan(run: string, digest: string): OfferedPlan | null {
    const offer = this.#index.update().offer(run);
    return offer?.digest === digest ? this.#told(offer, this.#options.agreement()) : null;
  }

  #told(offer: Offer, agreement: Agreement): OfferedPlan {
    const { run, digest, task, time, plan } = offer;
    return {
      run,
      digest,
      offer: task,
      agreement: { name: agreement.name, digest: agreement.digest },
      received: time,
      ...this.#standing(offer),
      explanation: this.#explanation(offer, agreement),
      text: plan,
    };
  }

  #explanation(offer: Offer, agreement: Agreement): PlanExplanation {
    const known = this.#explained.get(offer.n);
    if (known?.agreement === agreement.digest) return known.explanation;
    const { plan, sites, minimum, signer, earlier } = offer;
    const explanation = explainPlan(plan, { sites, minimum, asker: signer, agreement, earlier });
    this.#explained.set(offer.n, { agreement: agreement.digest, explanation });
    return explanation;
  }

  releases(): readonly WaitingRelease[] {
    return this.#index.update().held.flatMap((entry): WaitingRelease[] => {
      const { task = '', run = '', analysis = '', round = 0 } = entry;
      const held = `${entry.detail?.['held']}`;
      const payload = this.#options.held.get(task, held);
      const question = this.#index.message(task);
      if (payload === null || question?.header === undefined || this.#index.run(run).closed) return [];
      return [
        {
          task,
          run,
          planDigest: toHex(question.header.planDigest),
          analysis,
          round,
          asked: askedFor(question),
          terms: this.#termsOf(task),
          payload,
          held,
        },
      ];
    });
  }

  left(from: number, count: number): { readonly messages: readonly LeftMessage[]; readonly total: number } {
    const { sent } = this.#index.update();
    const last = sent.length - from;
    const messages = sent
      .slice(Math.max(0, last - count), Math.max(0, last))
      .toReversed()
      .flatMap((entry): LeftMessage[] => {
        const { n, time, run = '', analysis = '', round = 0, type = '', task = '' } = entry;
        const signed = decode(SignedMessage, this.#options.log.body(entry), 'a logged message');
        const { header, payload } = decode(SiteMessage, signed.body, 'a logged message');
        if (header === undefined || payload === undefined) return [];
        return [{ n, time, run, analysis, round, type, task, header, terms: this.#termsOf(task), payload }];
      });
    return { messages, total: sent.length };
  }

  async preview(digest: string): Promise<readonly PreviewedRelease[]> {
    const offer = this.#index.update().offers.findLast((offered) => offered.digest === digest);
    if (offer === undefined) throw unknown(digest);
    return this.#options.preview(offer.plan, this.#options.agreement());
  }

  records(): Promise<string> {
    return this.#options.snapshot();
  }

  async standingApproval({
    run,
    digest,
  }: Pick<OfferedPlan, 'run' | 'digest'>): Promise<StandingApproval | null> {
    const offer = this.#offerOf(run, digest);
    const approvals = waitingStatements(this.#options.state).reduce(
      (before, { signed, statement }) =>
        signed === null || statement === null ? before : approvalsAfter(before, signed, statement),
      this.#index.approvals,
    );
    const shrunk = isShrunk(offer, this.#index.accepted);
    const asked = { run, plan: digest, roster: offer, shrunk, agreement: this.#options.agreement() };
    return approvalFor(approvals, { ...asked, data: await this.records() }) ?? null;
  }

  async decide(decision: Decision, custodian: CustodianKey): Promise<string> {
    const { study, state, now } = this.#options;
    const agreement = this.#options.agreement();
    if (
      !agreement.custodians.some(({ name, key }) => name === custodian.name && key === custodian.publicKey)
    ) {
      throw new ConcordatError(
        'approval/not-custodian',
        `${custodian.name} is no custodian of the agreement`,
        {
          place: agreement.name,
          remedy: `name the key ${custodian.publicKey} under \`custodians\` in the agreement`,
        },
      );
    }
    const body = await this.#body(decision, agreement);
    const time = now();
    this.#refuseOvertaken(decision, time.toISOString());
    const signed = signStatement(body, study, custodian, time);
    putStatement(state, signed);
    return statementDigest(signed);
  }

  /** The agent would drop a yes that is dated before a no: one that was signed while the clock was ahead stands until then. */
  #refuseOvertaken(decision: Decision, time: string): void {
    const index = this.#index.update();
    const subjects = subjectsOf(decision);
    const waiting = waitingStatements(this.#options.state).flatMap(({ statement }) => statement ?? []);
    const no = [
      ...subjects.flatMap((subject) => index.word(subject) ?? []),
      ...waiting.filter((statement) => subjectsOf(statement).some((subject) => subjects.includes(subject))),
    ].find((word) => isOvertakenBy({ kind: decision.kind, time }, word));
    if (no === undefined) return;
    const otherwise = 'task' in decision ? '' : ', or have the plan asked again under another title';
    throw new ConcordatError(
      'approval/unknown',
      `${no.custodian} said no at ${no.time}, which by this machine's clock (${time}) is still to come`,
      {
        place: 'task' in decision ? decision.task : decision.plan,
        remedy: `set the clock if it is behind; if it was ahead then, decide after that time${otherwise}`,
      },
    );
  }

  async #body(decision: Decision, agreement: Agreement): Promise<StatementBody> {
    if ('task' in decision) {
      const held = this.#options.held.digest(decision.task);
      if (held === null) throw unknown(decision.task);
      if (held !== decision.payload) throw changed(decision.task, ['the answer, which was computed again']);
      return decision;
    }
    const offer = this.#offerOf(decision.run, decision.plan);
    if (decision.kind === 'refuse') return decision;
    if (!isApprovable(this.#standing(offer))) throw unknown(decision.plan);
    const data = await this.records();
    if (data === '') {
      throw new ConcordatError(
        'data/unreadable',
        'the records cannot be read, so that no approval can be of them',
        {
          remedy: '`concordat agent doctor` says what is wrong',
        },
      );
    }
    const { shown, ...said } = decision;
    const { sites, minimum } = offer;
    const other = [
      ...(shown.offer === offer.task ? [] : [this.#differenceFrom(shown.offer, offer)]),
      ...(shown.agreement === agreement.digest ? [] : ['the agreement']),
      ...(shown.data === data ? [] : ['the records']),
    ];
    if (other.length > 0) throw changed(decision.plan, other);
    return { ...said, sites, minimum, data, agreement: agreement.digest };
  }

  /** In what an offer is not the one that was shown. */
  #differenceFrom(shown: string, offer: Offer): string {
    const payload = this.#index.message(shown)?.payload;
    if (payload?.$case !== 'planOffer') return 'the offer';
    const { sites, minimum, signer } = contentOf(payload.value);
    if (minimum !== offer.minimum || !isDeepStrictEqual(sites, offer.sites))
      return 'the sites, or how many of them must take part';
    return signer === offer.signer ? 'the offer, which was made again' : 'who asks';
  }

  #offerOf(run: string, plan: string): Offer {
    const offer = this.#index.update().offer(run);
    if (offer?.digest !== plan) throw unknown(plan);
    return offer;
  }

  #standing({ run, task }: Offer): Standing {
    const { closed, accepted, refusals, word } = this.#index.run(run);
    // The coordinator goes on without a site that refuses its offer, and tells it no more of the run.
    const refusal = refusals.get(task);
    const open = !closed && refusal === undefined;
    const by = word?.statement.custodian;
    if (by !== undefined && word?.statement.kind === 'refuse')
      return { decision: 'refused', decidedBy: by, open };
    if (accepted !== null) {
      const { custodian, mode } = accepted.detail ?? {};
      return { decision: 'approved', decidedBy: by ?? `${custodian ?? mode}`, open };
    }
    if (refusal === undefined) return { decision: null, decidedBy: null, open };
    return word !== null && word.n > refusal.n
      ? { decision: 'approved', decidedBy: word.statement.custodian, open }
      : { decision: 'refused', decidedBy: 'agreement', open };
  }

  /** Names of the parameters of the analysis that a task is about; none for a task about the whole plan. */
  #termsOf(task: string): readonly string[] {
    const known = this.#terms.get(task);
    if (known !== undefined) return known;
    const { header, payload } = this.#index.message(task) ?? {};
    const offer = header === undefined ? null : this.#index.offer(toHex(header.run));
    const terms =
      header === undefined || offer === null || payload === undefined || !('agreedLevels' in payload.value)
        ? []
        : termsIn(expandPlan(offer.written, agreedLevels(payload.value)), header.analysis);
    this.#terms.set(task, terms);
    return terms;
  }
}

export function termsIn(plan: ExpandedPlan, id: string): readonly string[] {
  const analysis = plan.analyses.find((candidate) => candidate.id === id);
  return analysis === undefined || analysis.unsupported !== null ? [] : parameterTerms(plan, analysis);
}

function askedFor({ payload }: CoordinatorMessage): string {
  switch (payload?.$case) {
    case 'factorLevelsQuestion':
      return `the levels of ${payload.value.variables.join(', ')}`;
    case 'stageOneQuestion':
      return "this trial's own estimates";
    case 'entryQuestion':
      return 'whether this trial takes part in the fit, and with what columns';
    case 'objectiveQuestion':
      return `this trial's part of a sum (question ${payload.value.step} of the fit)`;
    default:
      return 'a message of the run';
  }
}

function changed(what: string, other: readonly string[]): ConcordatError {
  return new ConcordatError('approval/changed', `changed since it was shown: ${other.join('; ')}`, {
    place: what,
    remedy: 'look at it as it is now, and decide again',
  });
}

function unknown(what: string): ConcordatError {
  return new ConcordatError('approval/unknown', 'nothing of that digest waits here', {
    place: what,
    remedy: '`concordat agent plans` lists what waits',
  });
}
