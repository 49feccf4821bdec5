/**
 * The agent: dials out, takes tasks, answers them through the gate. Its only memory is its log: killed at
 * any moment it starts again, is asked again what it had not answered, and gives the same bytes for what
 * it had.
 */
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { checkEvaluations } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import type { PeerLog } from '@concordat/shared/log/peer-log.ts';
import { divergenceCode } from '@concordat/shared/log/witness.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { fromHex, sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';
import { verifyMessage } from '@concordat/shared/wire/signing.ts';

import type { Fits } from './agreement/fits.ts';
import {
  DRAFT_CHANGED,
  DRAFT_DISAGREED,
  refusalDraft,
  Runs,
  type AcceptedRun,
  type RunsOptions,
} from './agreement/runs.ts';
import type { ExchangeAnswer, ExchangeClient, ExchangeFailure } from './egress/client.ts';
import { Gate, type Released, type Task, type Terms } from './egress/gate.ts';
import { HeldAnswers } from './egress/held.ts';
import type { Ledger } from './egress/ledger.ts';
import { askBeside } from './fit/beside.ts';
import type { Draft, StudyAnswer, StudySource } from './fit/draft.ts';
import type { WorkerPool } from './fit/pool.ts';
import type { Logger } from './logger.ts';

export interface AgentOptions extends Omit<RunsOptions, 'held'> {
  readonly source: StudySource;
  readonly client: Pick<ExchangeClient, 'exchange' | 'interrupt' | 'close'>;
  /** The coordinator's log, and what the coordinator keeps of this site's. */
  readonly witness: Pick<PeerLog, 'halted' | 'offer' | 'take' | 'close'>;
  readonly ledger?: Ledger | undefined;
  readonly logger: Logger;
  readonly workers: Pick<WorkerPool, 'ask'>;
}

/** How the agent stands with the coordinator. */
export interface Connection {
  readonly connected: boolean;
  /** RFC 3339: since when it is connected, or is not. Null before the first attempt ended. */
  readonly since: string | null;
  /** Of the last attempt; null where it succeeded. */
  readonly failure: { readonly time: string; readonly code: ExchangeFailure } | null;
}

interface Received {
  readonly signed: SignedMessage;
  readonly message: CoordinatorMessage;
  readonly task: Task;
}

/** A question about records, and the terms that its run is under. */
interface Question extends Received {
  readonly task: Task & { readonly terms: Terms };
}

const DRAFT_LEFT: Draft = { payload: { $case: 'runLeft', value: {} }, evidence: { kind: 'none' } };
const DRAFT_DISHONEST: Draft = refusalDraft(Rule.RULE_HONEST_QUESTION);
const DRAFT_WITHHELD: Draft = refusalDraft(Rule.RULE_CUSTODIAN);

/** Tasks that wait are named with every exchange. Of more than these the coordinator asks again. */
const MOST_WAITING = 256;

/** Exchanges that begin at another checkpoint than the coordinator keeps, one after the other: the second knows which it is. */
const MOST_UNPROVEN = 3;

/**
 * Wait before the n-th try to reach the coordinator again, milliseconds: full jitter, at most 30 s. An outage of hours then
 * costs four tries a minute, and is over for the agent within half a minute of its end.
 */
export function backOff(n: number, random: number): number {
  return Math.round(random * Math.min(30_000, 100 * 2 ** n));
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #gate: Gate;
  readonly #runs: Runs;
  #fits: Promise<Fits> | null = null;
  /** Tasks that wait for the custodian, by digest (hex). */
  readonly #waiting = new Map<string, { readonly signed: SignedMessage; readonly run: string }>();
  #expanded: { readonly key: string; readonly plan: ExpandedPlan } | null = null;
  #connection: Connection = { connected: false, since: null, failure: null };
  #stopped = false;
  /** A statement may have come since the last look. */
  #decided = false;
  /** Ends the pause between two tries. */
  #wake = (): void => undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    const held = new HeldAnswers(options.state);
    this.#gate = new Gate({ ...options, held });
    this.#runs = new Runs({ ...options, held: (task) => this.#gate.held(task) });
  }

  get connected(): boolean {
    return this.#connection.connected;
  }

  get connection(): Connection {
    return this.#connection;
  }

  stop(): void {
    this.#stopped = true;
    this.#options.client.close();
  }

  /** A custodian's statement or an acknowledgement may have come: it is looked at now, and not when the held exchange or a pause ends. */
  decided(): void {
    this.#decided = true;
    this.#wake();
    this.#options.client.interrupt();
  }

  /** Runs until stopped, then closes its log. Throws only what no retry can mend (no common protocol version). */
  async run(sleep: (milliseconds: number) => Promise<void>, random: () => number): Promise<void> {
    try {
      await this.#serve(sleep, random);
    } finally {
      this.#options.witness.close();
      this.#options.log.append({ kind: 'stop' });
      this.#options.log.close();
    }
  }

  async #serve(sleep: (milliseconds: number) => Promise<void>, random: () => number): Promise<void> {
    let replies: readonly Released[] = [];
    let failures = 0;
    /** Reasons of this outage that the log has already. */
    const told = new Set<string>();
    let asked = '';
    let repeats = 0;
    while (!this.#stopped) {
      this.#decided = false;
      // Nothing is answered to one whose log is not what it was, or for whom this one's is not.
      if (this.#options.witness.halted === null) replies = [...replies, ...(await this.answerDecided())];
      if (this.#stopped) return;
      // One that came meanwhile would wait as long as the exchange is held.
      if (this.#decided) continue;
      const answer = await this.#exchange(replies);
      if (this.#stopped) return;
      // The replies may have arrived or not: sent again, they are the same bytes.
      if (answer.status === 'interrupted') continue;
      if (answer.status === 'failed') {
        this.#lost(answer.failure);
        if (!told.has(answer.failure))
          this.#options.logger.warn({
            event: 'exchange failed',
            study: this.#options.study,
            code: answer.failure,
            ...(answer.detail === undefined ? {} : { detail: answer.detail }),
          });
        told.add(answer.failure);
        const woken = new Promise<void>((wake) => (this.#wake = wake));
        if (!this.#decided) await Promise.race([sleep(backOff(failures++, random())), woken]);
        continue;
      }
      if (!this.connected) {
        const event = failures > 0 ? 'connected again' : 'connected';
        this.#options.logger.info({ event, study: this.#options.study });
      }
      failures = 0;
      told.clear();
      if (!this.connected)
        this.#connection = { connected: true, since: this.#options.now().toISOString(), failure: null };
      // Asked again for what it answered, or could not take: neither side would ever pause.
      const tasks = answer.tasks.map(({ body }) => toHex(sha256(body))).join();
      repeats = tasks !== '' && tasks === asked ? repeats + 1 : 0;
      asked = tasks;
      if (repeats > 0) await sleep(backOff(repeats, random()));
      replies = await this.answerAll(answer.tasks);
    }
  }

  /** One exchange, used only where both sides' logs go on from what the other has seen of them. */
  async #exchange(replies: readonly Released[]): Promise<ExchangeAnswer> {
    const { client, witness } = this.#options;
    for (let n = 1; ; n++) {
      const offered = witness.offer();
      const sent = witness.halted === null ? replies : [];
      const answer = await client.exchange(sent, [...this.#waiting.keys()].map(fromHex), offered);
      if (answer.status !== 'ok' || this.#stopped) return answer;
      try {
        const standpoint = witness.take(answer.witness);
        // The halt is over, and nothing was sent under it: now it is.
        if (standpoint === 'together') return sent === replies ? answer : { status: 'interrupted' };
        if (standpoint !== 'unproven') return { status: 'failed', failure: divergenceCode(standpoint) };
        if (n === MOST_UNPROVEN) return { status: 'failed', failure: 'rejected' };
      } catch (error) {
        if (!(error instanceof ConcordatError) || !error.code.startsWith('wire/')) throw error;
        return { status: 'failed', failure: 'rejected', detail: error.message };
      }
    }
  }

  /** Answers what waited, once a custodian has decided something. */
  async answerDecided(): Promise<readonly Released[]> {
    if (!(await this.#runs.takeStatements())) return [];
    return this.answerAll([...this.#waiting.values()].map(({ signed }) => signed));
  }

  #lost(code: ExchangeFailure): void {
    const time = this.#options.now().toISOString();
    const since = this.connected ? time : (this.#connection.since ?? time);
    this.#connection = { connected: false, since, failure: { time, code } };
  }

  /**
   * Answers one exchange's tasks. A task that is not what it claims to be is logged and gets no answer; nor does one that waits for
   * the custodian, or whose answer `stop` interrupts: it is asked again when the agent is back.
   */
  async answerAll(tasks: readonly SignedMessage[]): Promise<readonly Released[]> {
    const released: Released[] = [];
    const questions: Received[] = [];
    for (const signed of tasks) {
      const received = this.#receive(signed);
      if (received === null) continue;
      this.#waiting.delete(toHex(received.task.digest));
      if (this.#gate.isErased(received.task.digest)) {
        this.#noteErased(received);
        continue;
      }
      const earlier = this.#gate.earlier(received.task.digest);
      if (earlier !== null) released.push(earlier);
      else if (asksRecords(received.message)) questions.push(received);
      else {
        const draft = await this.#draft(received);
        if (this.#stopped) return released;
        released.push(...this.#deliver(draft, received));
      }
    }
    // After the others of the exchange, which may have closed their run.
    const open: Question[] = [];
    for (const received of questions) {
      const ready = await this.#underTerms(received);
      if (this.#stopped) return released;
      if ('released' in ready) released.push(...ready.released);
      else open.push(ready);
    }
    const of = (...cases: string[]): Question[] =>
      open.filter(({ message }) => cases.includes(`${message.payload?.$case}`));
    for (const question of of('factorLevelsQuestion')) released.push(...(await this.#answerLevels(question)));
    for (const group of together(of('stageOneQuestion', 'entryQuestion')))
      released.push(...(await this.#answerStageOne(group)));
    const answers = of('objectiveQuestion').map((question) => this.#answerObjective(question));
    return [...released, ...(await Promise.all(answers)).flat()];
  }

  /** The question with the terms that it is answered under, or what is released in its place: nothing, where it waits. */
  async #underTerms(received: Received): Promise<Question | { readonly released: readonly Released[] }> {
    const terms = await this.#runs.termsOf(toHex(received.task.header.run));
    if (terms === null) return { released: this.#wait(received) };
    if ('payload' in terms) return { released: this.#deliver(terms, received) };
    const question = { ...received, task: { ...received.task, terms } };
    return terms.hold && this.#gate.holds(question.task)
      ? { released: this.#deliverHeld(question) }
      : question;
  }

  /** Through the gate; nothing where there is no draft yet, or the gate holds it and no custodian has let it go. */
  #deliver(draft: Draft | null, received: Received): readonly Released[] {
    if (draft === null) return this.#wait(received);
    const released = this.#gate.release(draft, received.task);
    return released === null ? this.#deliverHeld(received) : [released];
  }

  /** What a custodian has decided about the answer that is held. */
  #deliverHeld(received: Received): readonly Released[] {
    const digest = toHex(received.task.digest);
    switch (this.#runs.releaseOf(digest, this.#gate.held(digest))) {
      case 'release':
        return [this.#gate.releaseHeld(received.task) ?? []].flat();
      case 'withhold':
        return this.#deliver(DRAFT_WITHHELD, received);
      case null:
        return this.#wait(received);
    }
  }

  #wait({ signed, task }: Received): readonly [] {
    const digest = toHex(task.digest);
    const run = toHex(task.header.run);
    if (!this.#waiting.has(digest)) {
      const { study, logger } = this.#options;
      logger.info({ event: 'waits for the custodian', study, run, analysis: task.header.analysis });
    }
    if (this.#waiting.size < MOST_WAITING) this.#waiting.set(digest, { signed, run });
    return [];
  }

  /** Asked again for an answer whose term is over. */
  #noteErased({ task }: Received): void {
    const { log } = this.#options;
    const digest = toHex(task.digest);
    const code = 'log/erased' satisfies ErrorCode;
    if (log.entriesOf(digest).some(({ kind, detail }) => kind === 'refused' && detail?.['code'] === code))
      return;
    const { run, analysis, round } = task.header;
    log.append({
      kind: 'refused',
      peer: 'coordinator',
      run: toHex(run),
      analysis,
      round,
      task: digest,
      detail: { code },
    });
  }

  #receive(signed: SignedMessage): Received | null {
    const { study, coordinatorKey, log, logger } = this.#options;
    try {
      verifyMessage(signed, coordinatorKey, 'the coordinator');
      const message = decode(CoordinatorMessage, signed.body, 'a task');
      const { header, payload } = message;
      if (header?.study !== study || payload === undefined || header.run.length !== 16) {
        throw new ConcordatError('wire/identity', 'a task is addressed to another site or incomplete');
      }
      const digest = sha256(signed.body);
      const run = toHex(header.run);
      if (!log.entriesOf(toHex(digest)).some(({ kind }) => kind === 'received')) {
        log.append(
          {
            kind: 'received',
            peer: 'coordinator',
            run,
            analysis: header.analysis,
            round: header.round,
            type: payload.$case,
            task: toHex(digest),
          },
          encode(SignedMessage, signed, 'a task'),
        );
      }
      logger.info({
        event: 'task',
        study,
        run,
        analysis: header.analysis,
        round: header.round,
        type: payload.$case,
      });
      return this.#place(signed, message, digest);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      log.append({ kind: 'refused', peer: 'coordinator', detail: { code: error.code } });
      logger.warn({ event: 'task not taken', study, code: error.code });
      return null;
    }
  }

  /** Finds the plan that a task runs under, and the analysis it names. */
  #place(signed: SignedMessage, message: CoordinatorMessage, digest: Uint8Array): Received {
    const { header, payload } = message;
    if (header === undefined) throw new ConcordatError('wire/malformed', 'a task without a header');
    const accepted = this.#runs.accepted(toHex(header.run));
    if (
      accepted !== null &&
      !(
        sameBytes(accepted.planDigest, header.planDigest) &&
        sameBytes(accepted.rosterDigest, header.rosterDigest)
      )
    ) {
      throw new ConcordatError(
        'wire/identity',
        'a task names another plan or roster than the one accepted for its run',
        {
          remedy: 'a changed plan or roster is a new run',
        },
      );
    }
    const base = { header, digest, plan: null, analysis: null, askedVariables: [], ask: null, terms: null };
    if (payload?.$case === 'factorLevelsQuestion') {
      return {
        signed,
        message,
        task: { ...base, askedVariables: payload.value.variables, plan: this.#planOf(accepted, {}) },
      };
    }
    if (
      payload?.$case === 'stageOneQuestion' ||
      payload?.$case === 'entryQuestion' ||
      payload?.$case === 'objectiveQuestion'
    ) {
      const plan = this.#planOf(accepted, agreedLevels(payload.value));
      const analysis = plan?.analyses.find(({ id }) => id === header.analysis) ?? null;
      return { signed, message, task: { ...base, plan, analysis } };
    }
    return { signed, message, task: base };
  }

  /** The tasks of a round bring the same levels, so the last expansion is kept. */
  #planOf(
    accepted: AcceptedRun | null,
    levels: Readonly<Record<string, readonly Code[]>>,
  ): ExpandedPlan | null {
    if (accepted === null) return null;
    const key = JSON.stringify([toHex(accepted.planDigest), levels]);
    const plan = this.#expanded?.key === key ? this.#expanded.plan : expandPlan(accepted.plan, levels);
    this.#expanded = { key, plan };
    return plan;
  }

  /** Null where a custodian has to decide first. */
  async #draft({ message, task }: Received): Promise<Draft | null> {
    switch (message.payload?.$case) {
      case 'planOffer':
        return this.#runs.consider(message.payload.value, task.header, toHex(task.digest));
      case 'runClosed':
        this.#close(toHex(task.header.run));
        return DRAFT_LEFT;
      default:
        return DRAFT_DISAGREED;
    }
  }

  /** What waited under the run is not named to the coordinator any more, nor answered after a decision. */
  #close(run: string): void {
    this.#runs.close(run);
    for (const [digest, waiting] of this.#waiting) if (waiting.run === run) this.#waiting.delete(digest);
  }

  async #answerLevels(question: Question): Promise<readonly Released[]> {
    const { workers, source } = this.#options;
    const { plan, askedVariables: variables } = question.task;
    // What the plan does not leave open is not looked for: that there is no such column would be told.
    if (plan === null || !variables.every((variable) => plan.undeclared.includes(variable)))
      return this.#deliver(DRAFT_DISAGREED, question);
    const answer = workers.ask({ kind: 'levels', source, plan, variables });
    const [draft] = await this.#drafts(question, answer);
    return this.#stopped ? [] : this.#deliver(draft ?? DRAFT_DISAGREED, question);
  }

  /** All analyses that are asked together are answered from one reading of the records. */
  async #answerStageOne(group: readonly Question[]): Promise<readonly Released[]> {
    const { workers, source, ledger } = this.#options;
    const first = group[0];
    if (first === undefined) return [];
    const { plan, terms } = first.task;
    if (plan === null) return group.flatMap((question) => this.#deliver(DRAFT_DISAGREED, question));
    const analyses = group.map(({ task }) => task.header.analysis);
    const released: Released[] = [];
    const oneStage = ({ task }: Question): boolean => task.analysis?.approach === 'one-stage';
    const fits = group.some(oneStage) ? await this.#oneStageFits() : null;
    await askBeside(
      workers,
      ledger,
      { source, plan, analyses, policy: terms.policy },
      (answer) => this.#drafts(first, answer),
      (draft, i) => {
        const question = group[i]!;
        const same = fits !== null && oneStage(question) ? fits.sameSet(question.task, draft) : draft;
        released.push(...this.#deliver(same, question));
      },
    );
    return released;
  }

  /** A question about parameters: answered where this site's own replay of the fit asks it next. */
  async #answerObjective(received: Question): Promise<readonly Released[]> {
    const { workers, source } = this.#options;
    const { message, task } = received;
    const { plan, analysis, terms } = task;
    if (message.payload?.$case !== 'objectiveQuestion' || plan === null || analysis === null)
      return this.#deliver(DRAFT_DISAGREED, received);
    const question = message.payload.value;
    const [refused] = checkEvaluations(question.step, terms.policy);
    if (refused !== undefined)
      return this.#deliver(refusalDraft(Rule[refused.code], refused.threshold), received);
    const fits = await this.#oneStageFits();
    const honest = fits.check(task, plan, analysis, question);
    if (typeof honest === 'string') {
      this.#options.log.append({
        kind: 'refused',
        peer: 'coordinator',
        run: toHex(task.header.run),
        analysis: analysis.id,
        round: task.header.round,
        task: toHex(task.digest),
        detail: { question: honest },
      });
      return this.#deliver(DRAFT_DISHONEST, received);
    }
    const { ask, scaling } = honest;
    const answer = workers.ask({
      kind: 'objective',
      source,
      plan,
      analysis: analysis.id,
      scaling,
      ask,
    });
    const [draft = DRAFT_DISAGREED] = await this.#drafts(received, answer);
    if (this.#stopped) return [];
    return this.#deliver(fits.sameSet(task, draft), { ...received, task: { ...task, ask } });
  }

  /** Answers from the records; where they were changed while they were read, that is said in place of each. */
  async #drafts({ task }: Question, answer: Promise<StudyAnswer>): Promise<readonly Draft[]> {
    const { drafts, problems } = await answer;
    if (this.#stopped) return [];
    this.#tell(problems);
    return (await this.#runs.isChanged(toHex(task.header.run))) ? drafts.map(() => DRAFT_CHANGED) : drafts;
  }

  /** Loaded where a fit is asked about: an agent that waits stays smaller. */
  #oneStageFits(): Promise<Fits> {
    const { log, identity } = this.#options;
    this.#fits ??= import('./agreement/fits.ts').then(({ Fits: Opened }) => new Opened(log, identity));
    return this.#fits;
  }

  #tell(problems: readonly string[]): void {
    for (const detail of problems)
      this.#options.logger.error({
        event: 'records do not fit the plan',
        study: this.#options.study,
        detail,
      });
  }
}

/** Answered from records, under the terms of an accepted run. */
function asksRecords({ payload }: CoordinatorMessage): boolean {
  switch (payload?.$case) {
    case 'factorLevelsQuestion':
    case 'stageOneQuestion':
    case 'entryQuestion':
    case 'objectiveQuestion':
      return true;
    default:
      return false;
  }
}

/** Those that one reading of the records answers: of one run and one set of levels. */
function together(questions: readonly Question[]): readonly (readonly Question[])[] {
  const ofPlan = [...Map.groupBy(questions, ({ task }) => task.plan).values()];
  return ofPlan.flatMap((group) => [...Map.groupBy(group, ({ task }) => toHex(task.header.run)).values()]);
}
