/**
 * Drives a run's program from the journal: what the journal holds is replayed, what it lacks is asked of
 * the sites. Tasks are logged and journalled before they are sent, replies before they are used.
 */
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { checkPayload } from '@concordat/shared/wire/lengths.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';
import { assertReleasable } from '@concordat/shared/wire/releasable.ts';
import { signMessage, verifyMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Desk } from '../exchange/desk.ts';
import type { Journal, RunRecord } from '../store/journal.ts';
import type { SiteAnswer } from './answers.ts';
import { runProgram, type Round, type RoundAnswers, type RunOutcome, type RunTask } from './program.ts';

export interface EngineOptions {
  readonly journal: Journal;
  readonly log: MessageLog;
  readonly identity: SigningIdentity;
  /** Study → public signing key. */
  readonly keys: ReadonlyMap<string, Uint8Array>;
  readonly desk: Desk;
  readonly progress: (event: Progress) => void;
}

export type Progress =
  | {
      readonly event: 'round';
      readonly round: number;
      readonly name: Round['name'];
      readonly tasks: number;
      readonly answered: number;
    }
  | {
      readonly event: 'answer';
      readonly round: number;
      readonly study: string;
      readonly analysis: string;
      readonly type: string;
      readonly answered: number;
      readonly tasks: number;
    }
  | {
      readonly event: 'no answer';
      readonly round: number;
      readonly study: string;
      readonly analysis: string;
    };

/** Longest wait for the sites to close a run that has its result, milliseconds. */
const CLOSING_LIMIT = 15_000;

/** Longest delay that a timer of Node keeps, milliseconds (24.8 days); a plan may allow a round 30 days. */
const TIMER_LIMIT = 2 ** 31 - 1;

interface OpenTask {
  readonly study: string;
  readonly analysis: string;
  readonly digest: Uint8Array;
  readonly task: CoordinatorMessage;
}

export class RunEngine {
  readonly #options: EngineOptions;
  readonly #run: RunRecord;
  readonly #written: WrittenPlan;
  readonly #planDigest: Uint8Array;
  /** Unanswered tasks of the open round, by digest (hex). */
  readonly #open = new Map<string, OpenTask>();
  /** Milliseconds a round may take. */
  readonly #timeLimit: number;
  #roundSize = 0;
  #roundNumber = 0;
  #expanded: ExpandedPlan | null = null;
  #settled: () => void = () => undefined;

  constructor(options: EngineOptions, run: RunRecord) {
    this.#options = options;
    this.#run = run;
    this.#written = parsePlan(run.plan, 'the plan');
    this.#planDigest = sha256(run.plan);
    this.#timeLimit = expandPlan(this.#written).timeLimit * 1000;
  }

  async run(): Promise<RunOutcome> {
    const roster = Roster.decode(this.#run.roster);
    const program = runProgram({
      plan: this.#run.plan,
      studies: roster.sites.map(({ study }) => study),
      offer: { $case: 'planOffer', value: { plan: this.#run.plan, roster } },
    });
    let step = program.next();
    while (step.done !== true) step = program.next(await this.#play(step.value));
    return step.value;
  }

  /**
   * Takes a site's reply. Durable when it returns. A reply that is not signed by the site, or answers no
   * open question of this run, changes nothing but the log.
   */
  accept(study: string, reply: SignedMessage): void {
    const { log, journal, desk, keys } = this.#options;
    const key = keys.get(study);
    let task: OpenTask | undefined;
    try {
      if (key === undefined) throw new ConcordatError('wire/identity', 'no such site');
      verifyMessage(reply, key, study);
      const message = decode(SiteMessage, reply.body, 'a reply');
      const { header, payload } = message;
      if (header === undefined || payload === undefined)
        throw new ConcordatError('wire/malformed', 'a reply without header or payload');
      const digest = toHex(header.inReplyTo);
      const open = this.#open.get(digest);
      if (open?.study !== study) return this.#repeated(study, digest, reply);
      task = open;
      this.#checkHeader(header, task);
      assertReleasable('SiteMessage', message);
      this.#checkPayload(payload, task);
      const bytes = encode(SignedMessage, reply, 'a reply');
      log.append(
        {
          kind: 'received',
          peer: study,
          run: toHex(this.#run.id),
          analysis: task.analysis,
          round: this.#roundNumber,
          type: payload.$case,
          task: digest,
        },
        bytes,
      );
      journal.addReply(task.digest, bytes);
      this.#settle(digest, payload.$case);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      // Signed by the site and answering an open question, yet unusable: asking again would give the same bytes.
      const of = task === undefined ? {} : { task: toHex(task.digest) };
      const bytes = encode(SignedMessage, reply, 'a reply');
      log.append(
        { kind: 'refused', peer: study, run: toHex(this.#run.id), ...of, detail: { code: error.code } },
        bytes,
      );
      if (task === undefined) return;
      journal.decide([task.digest], error.code);
      this.#settle(toHex(task.digest), error.code);
    }
    desk.remove(study, toHex(task.digest));
  }

  async #play(round: Round): Promise<RoundAnswers> {
    const { desk, journal, progress } = this.#options;
    this.#roundNumber = round.round;
    this.#ensureTasks(round);
    this.#recover(round);
    const records = journal.tasks(this.#run.id, round.round);
    this.#roundSize = records.length;
    this.#expanded = null;
    for (const record of records) {
      if (record.reply !== null || record.decision !== null) continue;
      const message = decode(SignedMessage, record.message, 'a journalled task');
      const task = decode(CoordinatorMessage, message.body, 'a journalled task');
      this.#open.set(toHex(record.digest), {
        study: record.study,
        analysis: record.analysis,
        digest: record.digest,
        task,
      });
      desk.add(toHex(record.digest), { study: record.study, message });
    }
    progress({
      event: 'round',
      round: round.round,
      name: round.name,
      tasks: records.length,
      answered: records.length - this.#open.size,
    });
    desk.wake(new Set(records.map(({ study }) => study)));
    // From here, also after a crash: the sites had no one to answer to while the coordinator was down.
    await this.#wait(round.name === 'close' ? CLOSING_LIMIT : this.#timeLimit);
    return this.#answers(round);
  }

  /** The round's tasks, made, logged and journalled where they are not there yet. */
  #ensureTasks(round: Round): void {
    const { journal, log } = this.#options;
    const known = new Set(
      journal.tasks(this.#run.id, round.round).map(({ study, analysis }) => taskKey(study, analysis)),
    );
    const missing = round.tasks.filter(({ study, analysis }) => !known.has(taskKey(study, analysis)));
    const made = missing.map((task) => {
      const signed = this.#sign(task, round.round);
      const message = encode(SignedMessage, signed, 'a task');
      const digest = sha256(signed.body);
      log.append(
        {
          kind: 'sent',
          peer: task.study,
          run: toHex(this.#run.id),
          analysis: task.analysis,
          round: round.round,
          type: task.payload.$case,
          task: toHex(digest),
        },
        message,
      );
      return { round: round.round, study: task.study, analysis: task.analysis, digest, message };
    });
    if (made.length > 0) journal.addTasks(this.#run.id, made);
  }

  /** After a crash between log and journal: the reply that was logged is the answer, whatever the site sends again. */
  #recover({ round }: Round): void {
    const { journal, log } = this.#options;
    for (const { digest, reply, decision } of journal.tasks(this.#run.id, round)) {
      if (reply !== null || decision !== null) continue;
      const logged = log.entriesOf(toHex(digest)).find(({ kind }) => kind === 'received');
      if (logged?.body !== undefined) journal.addReply(digest, log.body(logged.body));
    }
  }

  #sign(task: RunTask, round: number): SignedMessage {
    const header = {
      study: task.study,
      run: this.#run.id,
      analysis: task.analysis,
      round,
      planDigest: this.#planDigest,
      rosterDigest: sha256(this.#run.roster),
      attempt: 0,
      inReplyTo: new Uint8Array(0),
      checkpoint: this.#options.log.checkpoint(),
    };
    return signMessage(
      this.#options.identity,
      encode(CoordinatorMessage, { header, payload: task.payload }, 'a task'),
    );
  }

  /** Until every task of the round is settled, or the limit (milliseconds) has passed. */
  async #wait(limit: number): Promise<void> {
    const { journal, log, desk, progress } = this.#options;
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout;
      const arm = (left: number): void => {
        timer = setTimeout(
          () => (left > TIMER_LIMIT ? arm(left - TIMER_LIMIT) : resolve()),
          Math.min(left, TIMER_LIMIT),
        );
        // The server keeps the process alive; where it could not start, nothing is to be waited for.
        timer.unref();
      };
      arm(limit);
      this.#settled = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#settled = () => undefined;
    const silent = [...this.#open.values()];
    if (silent.length === 0) return;
    for (const { study, analysis, digest } of silent) {
      log.append({
        kind: 'decision',
        peer: study,
        run: toHex(this.#run.id),
        analysis,
        round: this.#roundNumber,
        task: toHex(digest),
        detail: { decision: 'unreachable' },
      });
      desk.remove(study, toHex(digest));
      progress({ event: 'no answer', round: this.#roundNumber, study, analysis });
    }
    journal.decide(
      silent.map(({ digest }) => digest),
      'unreachable',
    );
    this.#open.clear();
  }

  #answers(round: Round): RoundAnswers {
    const records = new Map(
      this.#options.journal
        .tasks(this.#run.id, round.round)
        .map((record) => [taskKey(record.study, record.analysis), record]),
    );
    return round.tasks.map(({ study, analysis }): SiteAnswer => {
      const record = records.get(taskKey(study, analysis));
      if (record?.reply === null || record?.reply === undefined) {
        const decision = record?.decision ?? 'unreachable';
        return decision === 'unreachable'
          ? { kind: 'unreachable' }
          : { kind: 'invalid', code: decision as ErrorCode };
      }
      const signed = decode(SignedMessage, record.reply, 'a journalled reply');
      const { payload } = decode(SiteMessage, signed.body, 'a journalled reply');
      if (payload === undefined)
        throw new ConcordatError('store/corrupt', 'a journalled reply without payload');
      return { kind: 'reply', payload, bytes: { down: record.message.length, up: record.reply.length } };
    });
  }

  #settle(digest: string, type: string): void {
    const task = this.#open.get(digest);
    if (task === undefined) return;
    this.#open.delete(digest);
    this.#options.progress({
      event: 'answer',
      round: this.#roundNumber,
      study: task.study,
      analysis: task.analysis,
      type,
      answered: this.#roundSize - this.#open.size,
      tasks: this.#roundSize,
    });
    if (this.#open.size === 0) this.#settled();
  }

  /** The same bytes again are harmless; other bytes, or an answer that comes too late, are logged and not used. */
  #repeated(study: string, digest: string, reply: SignedMessage): void {
    const { log } = this.#options;
    const bytes = encode(SignedMessage, reply, 'a reply');
    const earlier = log.entriesOf(digest).filter(({ kind, peer }) => peer === study && kind !== 'sent');
    if (earlier.some(({ body }) => body !== undefined && sameBytes(log.body(body), bytes))) return;
    const code = earlier.some(({ kind }) => kind === 'received') ? 'conflict' : 'late';
    log.append(
      { kind: 'refused', peer: study, run: toHex(this.#run.id), task: digest, detail: { code } },
      bytes,
    );
  }

  #checkHeader(header: NonNullable<SiteMessage['header']>, { task, study }: OpenTask): void {
    const asked = task.header;
    if (
      asked === undefined ||
      header.study !== study ||
      header.analysis !== asked.analysis ||
      header.round !== asked.round ||
      header.attempt !== asked.attempt ||
      !sameBytes(header.run, asked.run) ||
      !sameBytes(header.planDigest, asked.planDigest) ||
      !sameBytes(header.rosterDigest, asked.rosterDigest)
    ) {
      throw new ConcordatError(
        'wire/identity',
        'a reply names another run, round, plan or roster than its task',
      );
    }
  }

  #checkPayload(payload: NonNullable<SiteMessage['payload']>, { task, analysis }: OpenTask): void {
    const question = task.payload;
    if (question?.$case === 'factorLevelsQuestion') {
      checkPayload(payload, this.#plan({}), null, question.value.variables);
    } else if (
      question?.$case === 'stageOneQuestion' ||
      question?.$case === 'entryQuestion' ||
      question?.$case === 'objectiveQuestion'
    ) {
      const plan = this.#plan(agreedLevels(question.value));
      const length = question.$case === 'objectiveQuestion' ? question.value.length : 0;
      checkPayload(payload, plan, plan.analyses.find(({ id }) => id === analysis) ?? null, [], length);
    } else {
      checkPayload(payload, this.#plan({}), null, []);
    }
  }

  /** Expanded once a round: every task of a round brings the same levels. */
  #plan(levels: Parameters<typeof expandPlan>[1]): ExpandedPlan {
    const plan = this.#expanded ?? expandPlan(this.#written, levels);
    this.#expanded = plan;
    return plan;
  }
}

function taskKey(study: string, analysis: string): string {
  return JSON.stringify([study, analysis]);
}
