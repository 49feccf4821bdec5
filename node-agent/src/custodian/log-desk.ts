/** The custodian's desk over a site's log and state. */
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/message-log.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';

import { approvalFor, approvalsAfter, type Approval } from '../agreement/approvals.ts';
import { askedBy } from '../agreement/asked.ts';
import { statementIn } from '../agreement/decisions.ts';
import type { Agreement } from '../agreement/document.ts';
import { explainPlan } from '../agreement/explain.ts';
import { signerOf } from '../agreement/runs.ts';
import {
  putStatement,
  readStatement,
  signStatement,
  statementDigest,
  waitingStatements,
  type StatementBody,
} from '../agreement/statements.ts';
import type { HeldAnswers } from '../egress/held.ts';
import {
  isApprovable,
  type CustodianDesk,
  type CustodianKey,
  type Decision,
  type LeftMessage,
  type OfferedPlan,
  type PreviewedRelease,
  type Standing,
  type StandingApproval,
  type WaitingRelease,
} from './desk.ts';
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

interface Offer {
  readonly entry: LogEntry;
  readonly header: Header;
  readonly plan: string;
  readonly signer: string | null;
  readonly sites: readonly string[];
  readonly minimum: number;
}

type WithBody = LogEntry & { readonly body: string };

export class LogDesk implements CustodianDesk {
  readonly #options: DeskOptions;
  /** By commitment of the body: what was logged does not change. */
  readonly #tasks = new Map<string, CoordinatorMessage>();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  plans(): readonly OfferedPlan[] {
    const agreement = this.#options.agreement();
    const offers = this.#offers();
    const closed = this.#closed();
    return offers
      .map((offer, i): OfferedPlan => {
        const digest = toHex(offer.header.planDigest);
        const written = parsePlan(offer.plan, 'the plan');
        const asked = askedBy(written);
        // Of the same name, or of another with some of the same questions.
        const before = offers.slice(0, i).filter(({ plan }) => plan !== offer.plan);
        const earlier =
          before.findLast(({ plan }) => parsePlan(plan, 'the plan').id === written.id) ??
          before.findLast(({ plan }) =>
            askedBy(parsePlan(plan, 'the plan')).some((question) => asked.includes(question)),
          );
        const { sites, minimum, signer } = offer;
        return {
          run: toHex(offer.header.run),
          digest,
          received: offer.entry.time,
          ...this.#standing(offer, closed),
          explanation: explainPlan(offer.plan, {
            sites,
            minimum,
            asker: signer,
            agreement,
            earlier: earlier?.plan ?? null,
          }),
          text: offer.plan,
        };
      })
      .toReversed();
  }

  releases(): readonly WaitingRelease[] {
    const entries = this.#options.log.entries();
    const answered = new Set(entries.filter(({ kind }) => kind === 'sent').map(({ task }) => task));
    const closed = this.#closed();
    const held = entries.filter(
      (entry) =>
        entry.kind === 'decision' && entry.detail?.['held'] !== undefined && !answered.has(entry.task),
    );
    return held.flatMap(({ task = '', run = '', analysis = '', round = 0 }): WaitingRelease[] => {
      const payload = this.#options.held.get(task);
      const question = this.#taskOf(task);
      if (payload === null || question?.header === undefined || closed.has(run)) return [];
      const planDigest = toHex(question.header.planDigest);
      return [
        {
          task,
          run,
          planDigest,
          analysis,
          round,
          asked: askedFor(question),
          terms: this.#termsOf(question),
          payload,
        },
      ];
    });
  }

  left(from: number, count: number): { readonly messages: readonly LeftMessage[]; readonly total: number } {
    const sent = this.#options.log
      .entries()
      .filter((entry): entry is WithBody => entry.kind === 'sent' && entry.body !== undefined)
      .toReversed();
    const messages = sent.slice(from, from + count).flatMap((entry): LeftMessage[] => {
      const { n, time, run = '', analysis = '', round = 0, type = '', task = '' } = entry;
      const signed = decode(SignedMessage, this.#options.log.body(entry), 'a logged message');
      const { header, payload } = decode(SiteMessage, signed.body, 'a logged message');
      if (header === undefined || payload === undefined) return [];
      const question = this.#taskOf(task);
      const terms = question === null ? [] : this.#termsOf(question);
      return [{ n, time, run, analysis, round, type, task, header, terms, payload }];
    });
    return { messages, total: sent.length };
  }

  async preview(digest: string): Promise<readonly PreviewedRelease[]> {
    const offer = this.#offers().findLast(({ header }) => toHex(header.planDigest) === digest);
    if (offer === undefined) throw unknown(digest);
    return this.#options.preview(offer.plan, this.#options.agreement());
  }

  async standingApproval({
    run,
    digest,
  }: Pick<OfferedPlan, 'run' | 'digest'>): Promise<StandingApproval | null> {
    const { sites, minimum } = this.#offerOf(run, digest);
    const signed = [
      ...this.#options.log.entries().map(statementIn),
      ...waitingStatements(this.#options.state).map((waiting) => waiting.signed),
    ];
    const approvals = signed.reduce<readonly Approval[]>((before, word) => {
      const statement = word === null ? null : readStatement(word);
      return word === null || statement === null ? before : approvalsAfter(before, word, statement);
    }, []);
    const asked = { run, plan: digest, roster: { sites, minimum }, agreement: this.#options.agreement() };
    return approvalFor(approvals, { ...asked, data: await this.#options.snapshot() }) ?? null;
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
    const signed = signStatement(await this.#body(decision, agreement), study, custodian, now());
    putStatement(state, signed);
    return statementDigest(signed);
  }

  async #body(decision: Decision, agreement: Agreement): Promise<StatementBody> {
    if (decision.kind === 'release' || decision.kind === 'withhold') {
      const payload = this.#options.held.digest(decision.task);
      if (payload === null) throw unknown(decision.task);
      return { ...decision, payload };
    }
    const offer = this.#offerOf(decision.run, decision.plan);
    if (decision.kind === 'refuse') return decision;
    if (!isApprovable(this.#standing(offer, this.#closed()))) throw unknown(decision.plan);
    const data = await this.#options.snapshot();
    if (data === '') {
      throw new ConcordatError(
        'data/unreadable',
        'the records cannot be read, so that no approval can be of them',
        {
          remedy: '`concordat agent doctor` says what is wrong',
        },
      );
    }
    const { sites, minimum } = offer;
    return { ...decision, sites, minimum, data, agreement: agreement.digest };
  }

  #offerOf(run: string, plan: string): Offer {
    const offer = this.#offers().findLast(
      ({ header }) => toHex(header.run) === run && toHex(header.planDigest) === plan,
    );
    if (offer === undefined) throw unknown(plan);
    return offer;
  }

  /** Every offer that was taken in, in the log's order; of a run the last one. */
  #offers(): readonly Offer[] {
    const found = this.#options.log.entries().flatMap((entry): Offer[] => {
      if (entry.kind !== 'received' || entry.type !== 'planOffer' || entry.task === undefined) return [];
      const { header, payload } = this.#taskOf(entry.task) ?? {};
      if (header === undefined || payload?.$case !== 'planOffer') return [];
      const { plan, roster } = payload.value;
      try {
        parsePlan(plan, 'the plan');
      } catch {
        // Refused by the agent, whatever a custodian would say.
        return [];
      }
      const sites = (roster?.sites ?? []).map(({ study }) => study);
      const [signer] = signerOf(payload.value);
      return [{ entry, header, plan, signer, sites, minimum: roster?.minimumStudies ?? 0 }];
    });
    return [...new Map(found.map((offer) => [toHex(offer.header.run), offer])).values()];
  }

  #standing({ entry, header }: Offer, closed: ReadonlySet<string>): Standing {
    const run = toHex(header.run);
    const ofRun = this.#options.log.entries().filter((logged) => logged.run === run);
    const accepted = ofRun.find(({ kind }) => kind === 'approved');
    // The coordinator goes on without a site that refuses its offer, and tells it no more of the run.
    const refusal = ofRun.find(
      ({ kind, type, task }) => kind === 'sent' && type === 'refusal' && task === entry.task,
    );
    const open = !closed.has(run) && refusal === undefined;
    const said = ofRun.findLast((logged) => statementIn(logged) !== null);
    const signed = said === undefined ? null : statementIn(said);
    const word = signed === null ? null : readStatement(signed);
    if (word?.kind === 'refuse') return { decision: 'refused', decidedBy: word.custodian, open };
    if (accepted !== undefined) {
      const { custodian, mode } = accepted.detail ?? {};
      return { decision: 'approved', decidedBy: word?.custodian ?? `${custodian ?? mode}`, open };
    }
    if (refusal === undefined) return { decision: null, decidedBy: null, open };
    return word !== null && said!.n > refusal.n
      ? { decision: 'approved', decidedBy: word.custodian, open }
      : { decision: 'refused', decidedBy: 'agreement', open };
  }

  #closed(): ReadonlySet<string> {
    const entries = this.#options.log.entries();
    return new Set(
      entries.flatMap(({ kind, type, run }) =>
        (kind === 'sent' && type === 'runLeft') || (kind === 'received' && type === 'runClosed')
          ? (run ?? [])
          : [],
      ),
    );
  }

  #taskOf(task: string): CoordinatorMessage | null {
    const known = this.#tasks.get(task);
    if (known !== undefined) return known;
    const entry = this.#options.log
      .entries()
      .find(
        (logged): logged is WithBody =>
          logged.kind === 'received' && logged.task === task && logged.body !== undefined,
      );
    if (entry === undefined) return null;
    const signed = decode(SignedMessage, this.#options.log.body(entry), 'a logged message');
    const message = decode(CoordinatorMessage, signed.body, 'a logged task');
    this.#tasks.set(task, message);
    return message;
  }

  /** Names of the parameters of the analysis that a task is about; none for a task about the whole plan. */
  #termsOf({ header, payload }: CoordinatorMessage): readonly string[] {
    const run = header === undefined ? '' : toHex(header.run);
    const offer = this.#offers().find((offered) => toHex(offered.header.run) === run);
    if (offer === undefined || payload === undefined || !('agreedLevels' in payload.value)) return [];
    return termsIn(
      expandPlan(parsePlan(offer.plan, 'the plan'), agreedLevels(payload.value)),
      header?.analysis ?? '',
    );
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

function unknown(what: string): ConcordatError {
  return new ConcordatError('approval/unknown', 'nothing of that digest waits here', {
    place: what,
    remedy: '`concordat agent plans` lists what waits',
  });
}
