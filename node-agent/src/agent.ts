/**
 * The agent: dials out, takes tasks, answers them through the gate. Its only memory is its log: killed at
 * any moment it starts again, is asked again what it had not answered, and gives the same bytes for what
 * it had.
 */
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import {
  CoordinatorMessage,
  type FactorLevelsQuestion,
  type PlanOffer,
} from '@concordat/proto/concordat/v1/coordinator.ts';
import { Rule, type PlanAccepted } from '@concordat/proto/concordat/v1/site.ts';
import { checkEvaluations, type Refusal } from '@concordat/shared/disclosure/rules.ts';
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import { verifyMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { faultOf } from './agreement/agreement.ts';
import { Fits } from './agreement/fits.ts';
import type { ExchangeClient } from './egress/client.ts';
import { Gate, type Released, type Task } from './egress/gate.ts';
import type { Draft, StudySource } from './fit/draft.ts';
import type { WorkerPool } from './fit/pool.ts';
import type { Logger } from './logger.ts';

export interface AgentOptions {
  readonly study: string;
  readonly identity: SigningIdentity;
  /** The coordinator's public signing key, pinned. */
  readonly coordinatorKey: Uint8Array;
  readonly policy: Policy;
  readonly policyDigest: Uint8Array;
  /** Every threshold is off (`concordat local --policy open`). */
  readonly openPolicy: boolean;
  readonly source: StudySource;
  readonly client: Pick<ExchangeClient, 'exchange' | 'close'>;
  readonly log: MessageLog;
  readonly logger: Logger;
  readonly workers: Pick<WorkerPool, 'ask'>;
}

interface Received {
  readonly message: CoordinatorMessage;
  readonly task: Task;
}

/** What runs is this plan with this roster, or nothing. */
interface Accepted {
  readonly plan: string;
  readonly planDigest: Uint8Array;
  readonly rosterDigest: Uint8Array;
}

const DRAFT_LEFT: Draft = { payload: { $case: 'runLeft', value: {} }, evidence: { kind: 'none' } };
const DRAFT_DISHONEST: Draft = {
  payload: { $case: 'refusal', value: refusal(Rule.RULE_HONEST_QUESTION, 0) },
  evidence: { kind: 'none' },
};
const DRAFT_DISAGREED: Draft = {
  payload: { $case: 'refusal', value: refusal(Rule.RULE_AGREEMENT, 0) },
  evidence: { kind: 'none' },
};

/** Wait before the n-th try to reach the coordinator again, milliseconds: full jitter, at most 10 s. */
export function backOff(n: number, random: number): number {
  return Math.round(random * Math.min(10_000, 100 * 2 ** n));
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #gate: Gate;
  /** Run (hex) → what was accepted there. */
  readonly #accepted = new Map<string, Accepted>();
  /** Runs (hex) that are over: nothing is answered, and nothing accepted, under them again. */
  readonly #closed = new Set<string>();
  readonly #fits: Fits;
  #expanded: { readonly key: string; readonly plan: ExpandedPlan } | null = null;
  #connected = false;
  #stopped = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#gate = new Gate(options);
    this.#fits = new Fits(options.log, options.identity);
    this.#recall();
  }

  get connected(): boolean {
    return this.#connected;
  }

  stop(): void {
    this.#stopped = true;
    this.#options.client.close();
  }

  /** Runs until stopped, then closes its log. Throws only what no retry can mend (no common protocol version). */
  async run(sleep: (milliseconds: number) => Promise<void>, random: () => number): Promise<void> {
    try {
      await this.#serve(sleep, random);
    } finally {
      this.#options.log.append({ kind: 'stop' });
      this.#options.log.close();
    }
  }

  async #serve(sleep: (milliseconds: number) => Promise<void>, random: () => number): Promise<void> {
    let replies: readonly Released[] = [];
    let failures = 0;
    /** Why the last call failed; the same is not told again. */
    let failure = '';
    let asked = '';
    let repeats = 0;
    while (!this.#stopped) {
      const answer = await this.#options.client.exchange(replies);
      if (this.#stopped) return;
      if (answer.status === 'failed') {
        this.#connected = false;
        const code = answer.code ?? answer.failure;
        if (code !== failure)
          this.#options.logger.warn({ event: 'exchange failed', study: this.#options.study, code });
        failure = code;
        await sleep(backOff(failures++, random()));
        continue;
      }
      if (failures > 0) this.#options.logger.info({ event: 'connected again', study: this.#options.study });
      failures = 0;
      failure = '';
      this.#connected = true;
      // Asked again for what it answered, or could not take: neither side would ever pause.
      const tasks = answer.tasks.map(({ body }) => toHex(sha256(body))).join();
      repeats = tasks !== '' && tasks === asked ? repeats + 1 : 0;
      asked = tasks;
      if (repeats > 0) await sleep(backOff(repeats, random()));
      replies = await this.answerAll(answer.tasks);
    }
  }

  /**
   * Answers one exchange's tasks. A task that is not what it claims to be is logged and gets no answer; nor does one
   * whose answer `stop` interrupts: it is asked again when the agent is back.
   */
  async answerAll(tasks: readonly SignedMessage[]): Promise<readonly Released[]> {
    const released: Released[] = [];
    const questions: Received[] = [];
    const objectives: Received[] = [];
    for (const signed of tasks) {
      const received = this.#receive(signed);
      if (received === null) continue;
      const earlier = this.#gate.earlier(received.task.digest);
      if (earlier !== null) released.push(earlier);
      else if (asksForStudy(received.message)) questions.push(received);
      else if (received.message.payload?.$case === 'objectiveQuestion') objectives.push(received);
      else {
        const draft = await this.#draft(received);
        if (this.#stopped) return released;
        released.push(this.#gate.release(draft, received.task));
      }
    }
    // Others of the exchange may have closed their run.
    const over = ({ task }: Received): boolean => this.#closed.has(toHex(task.header.run));
    for (const { task } of [...questions, ...objectives].filter(over))
      released.push(this.#gate.release(DRAFT_DISAGREED, task));
    const open = questions.filter((received) => !over(received));
    for (const group of byPlan(open)) released.push(...(await this.#answerStageOne(group)));
    released.push(
      ...(
        await Promise.all(
          objectives.filter((received) => !over(received)).map((received) => this.#answerObjective(received)),
        )
      ).flat(),
    );
    return released;
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
      return this.#place(message, digest);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      log.append({ kind: 'refused', peer: 'coordinator', detail: { code: error.code } });
      logger.warn({ event: 'task not taken', study, code: error.code });
      return null;
    }
  }

  /** Finds the plan that a task runs under, and the analysis it names. */
  #place(message: CoordinatorMessage, digest: Uint8Array): Received {
    const { header, payload } = message;
    if (header === undefined) throw new ConcordatError('wire/malformed', 'a task without a header');
    const accepted = this.#accepted.get(toHex(header.run));
    if (
      accepted !== undefined &&
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
    const base = { header, digest, plan: null, analysis: null, askedVariables: [], ask: null };
    if (payload?.$case === 'factorLevelsQuestion') {
      return {
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
      return { message, task: { ...base, plan, analysis } };
    }
    return { message, task: base };
  }

  /** The tasks of a round bring the same levels, so the last expansion is kept. */
  #planOf(
    accepted: Accepted | undefined,
    levels: Readonly<Record<string, readonly Code[]>>,
  ): ExpandedPlan | null {
    if (accepted === undefined) return null;
    const key = JSON.stringify([toHex(accepted.planDigest), levels]);
    const plan =
      this.#expanded?.key === key
        ? this.#expanded.plan
        : expandPlan(parsePlan(accepted.plan, 'the plan'), levels);
    this.#expanded = { key, plan };
    return plan;
  }

  async #draft({ message, task }: Received): Promise<Draft> {
    switch (message.payload?.$case) {
      case 'planOffer':
        return this.#consider(message.payload.value, task);
      case 'factorLevelsQuestion':
        return task.plan === null ? DRAFT_DISAGREED : this.#levels(message.payload.value, task.plan);
      case 'runClosed':
        this.#accepted.delete(toHex(task.header.run));
        this.#closed.add(toHex(task.header.run));
        return DRAFT_LEFT;
      default:
        return DRAFT_DISAGREED;
    }
  }

  #consider(offer: PlanOffer, task: Task): Draft {
    const { study, identity, log, policyDigest, openPolicy } = this.#options;
    const { header } = task;
    const run = toHex(header.run);
    const fault = this.#closed.has(run)
      ? 'run-closed'
      : faultOf(offer, {
          study,
          key: identity.publicKey,
          planDigest: header.planDigest,
          rosterDigest: header.rosterDigest,
        });
    if (fault !== null) {
      log.append({ kind: 'refused', peer: 'coordinator', run, detail: { offer: fault } });
      return DRAFT_DISAGREED;
    }
    try {
      parsePlan(offer.plan, 'the plan');
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      log.append({ kind: 'refused', peer: 'coordinator', run, detail: { offer: error.code } });
      return DRAFT_DISAGREED;
    }
    this.#accepted.set(run, {
      plan: offer.plan,
      planDigest: header.planDigest,
      rosterDigest: header.rosterDigest,
    });
    log.append({
      kind: 'approved',
      run,
      task: toHex(task.digest),
      detail: { plan: toHex(header.planDigest), policy: toHex(policyDigest), mode: 'automatic' },
    });
    const value: PlanAccepted = { policyDigest, openPolicy };
    return { payload: { $case: 'planAccepted', value }, evidence: { kind: 'none' } };
  }

  async #levels(question: FactorLevelsQuestion, plan: ExpandedPlan): Promise<Draft> {
    const { workers, source } = this.#options;
    const { drafts, problems } = await workers.ask({
      kind: 'levels',
      source,
      plan,
      variables: question.variables,
    });
    if (!this.#stopped) this.#tell(problems);
    return drafts[0] ?? DRAFT_DISAGREED;
  }

  /** All analyses that are asked together are answered from one reading of the records. */
  async #answerStageOne(group: readonly Received[]): Promise<readonly Released[]> {
    const { workers, source, policy } = this.#options;
    const first = group[0];
    if (first === undefined) return [];
    const { plan } = first.task;
    if (plan === null) return group.map(({ task }) => this.#gate.release(DRAFT_DISAGREED, task));
    const { drafts, problems } = await workers.ask({
      kind: 'stage-one',
      source,
      plan,
      analyses: group.map(({ task }) => task.header.analysis),
      ownEstimates: policy.per_trial_estimates,
    });
    if (this.#stopped) return [];
    this.#tell(problems);
    return group.map(({ task }, i) => {
      const draft = drafts[i] ?? DRAFT_DISAGREED;
      const oneStage = task.analysis?.approach === 'one-stage';
      return this.#gate.release(oneStage ? this.#fits.sameSet(task, draft) : draft, task);
    });
  }

  /** A question about parameters: answered where this site's own replay of the fit asks it next. */
  async #answerObjective(received: Received): Promise<readonly Released[]> {
    const { workers, source, policy } = this.#options;
    const { message, task } = received;
    const { plan, analysis } = task;
    if (message.payload?.$case !== 'objectiveQuestion' || plan === null || analysis === null)
      return [this.#gate.release(DRAFT_DISAGREED, task)];
    const question = message.payload.value;
    const refusals = checkEvaluations(question.step, policy);
    if (refusals[0] !== undefined) return [this.#gate.release(refusalDraft(refusals[0]), task)];
    const honest = this.#fits.check(task, plan, analysis, question);
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
      return [this.#gate.release(DRAFT_DISHONEST, task)];
    }
    const { ask, scaling } = honest;
    const { drafts, problems } = await workers.ask({
      kind: 'objective',
      source,
      plan,
      analysis: analysis.id,
      scaling,
      ask,
    });
    if (this.#stopped) return [];
    this.#tell(problems);
    const draft = this.#fits.sameSet(task, drafts[0] ?? DRAFT_DISAGREED);
    return [this.#gate.release(draft, { ...task, ask })];
  }

  #tell(problems: readonly string[]): void {
    for (const detail of problems)
      this.#options.logger.error({
        event: 'records do not fit the plan',
        study: this.#options.study,
        detail,
      });
  }

  /** Plans accepted before a restart, from the log: the offers that an approval names, not others of their runs. */
  #recall(): void {
    const { log, coordinatorKey } = this.#options;
    const approved = new Set(log.entries.filter(({ kind }) => kind === 'approved').map(({ task }) => task));
    for (const { kind, type, run } of log.entries) {
      if (kind === 'sent' && type === 'runLeft' && run !== undefined) this.#closed.add(run);
    }
    for (const { kind, type, task, body } of log.entries) {
      if (kind !== 'received' || type !== 'planOffer' || body === undefined || !approved.has(task)) continue;
      const signed = decode(SignedMessage, log.body(body), 'a logged message');
      if (!sameBytes(signed.key, coordinatorKey)) continue;
      const { header, payload } = decode(CoordinatorMessage, signed.body, 'a logged task');
      if (header === undefined || payload?.$case !== 'planOffer' || this.#closed.has(toHex(header.run)))
        continue;
      const { planDigest, rosterDigest } = header;
      this.#accepted.set(toHex(header.run), { plan: payload.value.plan, planDigest, rosterDigest });
    }
  }
}

/** Answered from one reading of the records, with others of the same plan. */
function asksForStudy({ payload }: CoordinatorMessage): boolean {
  return payload?.$case === 'stageOneQuestion' || payload?.$case === 'entryQuestion';
}

function refusalDraft({ code, threshold }: Refusal): Draft {
  return {
    payload: { $case: 'refusal', value: refusal(Rule[code], threshold) },
    evidence: { kind: 'none' },
  };
}

/** One group for each run and set of levels: what one expansion of one plan answers. */
function byPlan(questions: readonly Received[]): readonly (readonly Received[])[] {
  return [...Map.groupBy(questions, ({ task }) => task.plan).values()];
}
