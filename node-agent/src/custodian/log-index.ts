/**
 * What the custodian's desk needs of a site's log, in memory: each entry is looked at once, as the log grows, so that what is shown
 * costs the same after many offers as after few.
 */
import { CoordinatorMessage, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { approvalsAfter, type Approval } from '@concordat/shared/agreement/approvals.ts';
import { askedBy } from '@concordat/shared/agreement/asked.ts';
import { rosterOf, signerOf } from '@concordat/shared/agreement/offers.ts';
import { readStatement, subjectsOf, type Statement } from '@concordat/shared/agreement/statements.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { erasedIn } from '@concordat/shared/log/erasable.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

import { statementIn } from '../agreement/decisions.ts';
import type { LogView } from './log-view.ts';

export interface Offer {
  /** Of its entry in the log. */
  readonly n: number;
  readonly time: string;
  /** SHA-256 of the offer, hex. */
  readonly task: string;
  readonly run: string;
  /** SHA-256 of the plan, hex. */
  readonly digest: string;
  readonly plan: string;
  readonly written: WrittenPlan;
  /** Digests of its analyses. */
  readonly asked: readonly string[];
  readonly signer: string | null;
  readonly sites: readonly string[];
  readonly minimum: number;
  /** Text of the last other plan before it of the same name, or else with some of the same questions; null where there was none. */
  readonly earlier: string | null;
}

/** What happened under a run. */
interface RunState {
  closed: boolean;
  /** Its first acceptance. */
  accepted: LogEntry | null;
  /** By task. */
  readonly refusals: Map<string, LogEntry>;
  /** A custodian's last word, with the place of its entry. */
  word: { readonly n: number; readonly statement: Statement } | null;
}

export class LogIndex {
  readonly #log: LogView;
  #read = 0;
  /** The last offer of each run, in the order of the runs; of one that was accepted, with that plan. */
  readonly #offers = new Map<string, Offer>();
  readonly #runs = new Map<string, RunState>();
  /** Received tasks. */
  readonly #tasks = new Map<string, EntryWithBody>();
  readonly #messages = new Map<string, CoordinatorMessage>();
  #sent: EntryWithBody[] = [];
  readonly #erased = new Set<number>();
  readonly #answered = new Set<string>();
  /** The last answer that was held, by task. */
  readonly #held = new Map<string, LogEntry>();
  readonly #named = new LastOther();
  readonly #asking = new LastOther();
  #approvals: readonly Approval[] = [];
  /** By run, plan and task. */
  readonly #words = new Map<string, Statement>();
  /** What runs were accepted with. */
  readonly #accepted: Offer[] = [];

  constructor(log: LogView) {
    this.#log = log;
  }

  /** Takes in what was logged since the last look. */
  update(): this {
    const entries = this.#log.entries();
    for (; this.#read < entries.length; this.#read++) this.#take(entries[this.#read]!);
    return this;
  }

  /** The last offer of each run, in the order of the runs. */
  get offers(): readonly Offer[] {
    return [...this.#offers.values()];
  }

  offer(run: string): Offer | null {
    return this.#offers.get(run) ?? null;
  }

  run(run: string): Readonly<RunState> {
    return this.#runs.get(run) ?? { closed: false, accepted: null, refusals: new Map(), word: null };
  }

  /** Messages that left, in the log's order, without those that were erased. */
  get sent(): readonly EntryWithBody[] {
    return this.#sent;
  }

  /** Answers that are held and were not answered otherwise since. */
  get held(): readonly LogEntry[] {
    return [...this.#held.values()].filter(({ task = '' }) => !this.#answered.has(task));
  }

  /** Approvals that stand, as the agent has taken them. */
  get approvals(): readonly Approval[] {
    return this.#approvals;
  }

  /** The custodians' last word about a run, a plan or a task. */
  word(subject: string): Statement | null {
    return this.#words.get(subject) ?? null;
  }

  /** The offers that were accepted, also of runs that are over. */
  get accepted(): readonly Offer[] {
    return this.#accepted;
  }

  /** What the coordinator sent as a task (hex); null where none is logged, or it was erased. */
  message(task: string): CoordinatorMessage | null {
    const known = this.#messages.get(task);
    if (known !== undefined) return known;
    const entry = this.#tasks.get(task);
    if (entry === undefined || this.#erased.has(entry.n)) return null;
    const signed = decode(SignedMessage, this.#log.body(entry), 'a logged message');
    const message = decode(CoordinatorMessage, signed.body, 'a logged task');
    this.#messages.set(task, message);
    return message;
  }

  #take(entry: LogEntry): void {
    const { kind, type, task, run } = entry;
    switch (kind) {
      case 'received':
        if (task !== undefined && hasBody(entry) && !this.#tasks.has(task)) this.#tasks.set(task, entry);
        if (type === 'planOffer') this.#takeOffer(entry);
        if (type === 'runClosed') this.#state(run).closed = true;
        return;
      case 'sent':
        if (task !== undefined) this.#answered.add(task);
        if (hasBody(entry)) this.#sent.push(entry);
        if (type === 'runLeft') this.#state(run).closed = true;
        if (type === 'refusal' && task !== undefined && !this.#state(run).refusals.has(task))
          this.#state(run).refusals.set(task, entry);
        return;
      case 'approved':
        this.#takeAcceptance(entry);
        return;
      case 'decision':
        if (entry.detail?.['held'] !== undefined && task !== undefined) this.#held.set(task, entry);
        this.#takeStatement(entry);
        return;
      case 'erased':
        for (const n of erasedIn(entry)) this.#erased.add(n);
        this.#sent = this.#sent.filter(({ n }) => !this.#erased.has(n));
        return;
      default:
        return;
    }
  }

  #state(run = ''): RunState {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    const fresh: RunState = { closed: false, accepted: null, refusals: new Map(), word: null };
    this.#runs.set(run, fresh);
    return fresh;
  }

  #takeAcceptance(entry: LogEntry): void {
    const state = this.#state(entry.run);
    const offer = this.#offers.get(entry.run ?? '');
    if (state.accepted === null && offer !== undefined) this.#accepted.push(offer);
    state.accepted ??= entry;
  }

  #takeStatement(entry: LogEntry): void {
    const signed = statementIn(entry, (logged) => this.#log.body(logged));
    const statement = signed === null ? null : readStatement(signed);
    if (signed === null || statement === null) return;
    this.#approvals = approvalsAfter(this.#approvals, signed, statement);
    for (const subject of subjectsOf(statement)) this.#words.set(subject, statement);
    if ('run' in statement) this.#state(statement.run).word = { n: entry.n, statement };
  }

  #takeOffer({ n, time, task }: LogEntry): void {
    const { header, payload } = (task === undefined ? null : this.message(task)) ?? {};
    if (task === undefined || header === undefined || payload?.$case !== 'planOffer') return;
    const { plan, ...content } = contentOf(payload.value);
    let written: WrittenPlan;
    let asked: readonly string[];
    try {
      written = parsePlan(plan, 'the plan');
      asked = askedBy(written);
    } catch {
      // Refused by the agent, whatever a custodian would say.
      return;
    }
    const [run, digest] = [toHex(header.run), toHex(header.planDigest)];
    // Another plan under a run that was accepted is not taken by the agent.
    if (this.#state(run).accepted !== null && this.#offers.get(run)?.digest !== digest) return;
    const earlier = this.#named.before([written.id], plan) ?? this.#asking.before(asked, plan);
    this.#named.note([written.id], plan, n);
    this.#asking.note(asked, plan, n);
    this.#offers.set(run, { n, time, task, run, digest, plan, ...content, written, asked, earlier });
  }
}

/** What an offer says, and by whose signature. */
export function contentOf(offer: PlanOffer): Pick<Offer, 'plan' | 'signer' | 'sites' | 'minimum'> {
  const [signer] = signerOf(offer);
  return { plan: offer.plan, signer, ...rosterOf(offer) };
}

/** Of plans by key, the last one that is not a given one. */
class LastOther {
  readonly #last = new Map<string, { plan: string; n: number; other: { plan: string; n: number } | null }>();

  note(keys: readonly string[], plan: string, n: number): void {
    for (const key of keys) {
      const last = this.#last.get(key);
      const other = last?.plan === plan ? last.other : (last ?? null);
      this.#last.set(key, { plan, n, other: other === null ? null : { plan: other.plan, n: other.n } });
    }
  }

  before(keys: readonly string[], plan: string): string | null {
    const found = keys.flatMap((key) => {
      const last = this.#last.get(key);
      return (last?.plan === plan ? last.other : last) ?? [];
    });
    return found.toSorted((a, b) => b.n - a.n)[0]?.plan ?? null;
  }
}
