/**
 * Drives a run's program from the journal: what the journal holds is replayed, what it lacks is asked of
 * the sites. Tasks are logged and journalled before they are sent, replies before they are used; those of one round
 * together, for the flushes of one.
 */
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import { erasedIn } from '@concordat/shared/log/erasable.ts';
import { hasBody, type EntryKind, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { LogItem, MessageLog } from '@concordat/shared/log/message-log.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { SiteAnswer } from '@concordat/shared/runs/answers.ts';
import { runProgram, type RunOutcome } from '@concordat/shared/runs/program.ts';
import { checkHeader, PayloadCheck } from '@concordat/shared/runs/reply-checks.ts';
import type { Round, RoundAnswers } from '@concordat/shared/runs/rounds.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { fromHex, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import { assertReleasable } from '@concordat/shared/wire/releasable.ts';
import { verifyMessageAside, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Desk } from '../exchange/desk.ts';
import type { Journal, RunRecord, Settlement } from '../store/journal.ts';
import type { RefusedReplies } from '../store/refused-replies.ts';
import { makeTask, restoreAnswer, restoreTask, taskKey, type OpenTask } from './engine-tasks.ts';

export interface EngineOptions {
  readonly journal: Journal;
  readonly log: MessageLog;
  readonly refused: RefusedReplies;
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
      /** The site said that its custodian has to decide first. */
      readonly event: 'custodian';
      readonly round: number;
      readonly study: string;
      readonly analysis: string;
    }
  | {
      readonly event: 'no answer';
      readonly round: number;
      readonly study: string;
      readonly analysis: string;
    };

/** Longest wait for the sites to close a run that has its result, milliseconds. */
const CLOSING_LIMIT = 15_000;

/** Longest wait of a reply for others to be written with, milliseconds; none where it completes the round. */
export const STAGING_LIMIT = 5;

/** Longest delay that a timer of Node keeps, milliseconds (24.8 days); a plan may allow a round 30 days. */
const TIMER_LIMIT = 2 ** 31 - 1;

type Complete = { readonly [field in 'header' | 'payload']: NonNullable<SiteMessage[field]> };

/** A reply that is taken and not yet durable. */
interface Staged {
  readonly task: OpenTask;
  readonly bytes: Uint8Array;
  readonly answer: Extract<SiteAnswer, { kind: 'reply' | 'invalid' }>;
}

export class RunEngine {
  readonly #options: EngineOptions;
  readonly #run: RunRecord;
  /** The run's id, hex. */
  readonly #id: string;
  readonly #planDigest: Uint8Array;
  readonly #rosterDigest: Uint8Array;
  readonly #written: WrittenPlan;
  readonly #payloads: PayloadCheck;
  /** Milliseconds a round may take, and what waits for a custodian in it. */
  readonly #limits: { readonly answer: number; readonly approval: number };
  /** The round's tasks without a reply, by digest (hex). */
  readonly #open = new Map<string, OpenTask>();
  /** Digests (hex) of a site's replies to a task that the log holds, by study and task, once another came. */
  readonly #logged = new Map<string, Set<string>>();
  /** Entries whose bodies are erased: that is done while no coordinator runs. */
  readonly #erased: ReadonlySet<number>;
  #staged: Staged[] = [];
  #staging: NodeJS.Timeout | undefined;
  #round = 0;
  /** Of the round: its tasks, and how many of them have their answer. */
  #count = { tasks: 0, answered: 0 };
  #settled: () => void = () => undefined;
  #failed: (error: unknown) => void = () => undefined;
  /** What could not be written: nothing is taken after it. */
  #failure: { readonly error: unknown } | null = null;

  constructor(options: EngineOptions, run: RunRecord) {
    const written = parsePlan(run.plan, 'the plan');
    this.#options = options;
    this.#run = run;
    this.#id = toHex(run.id);
    this.#erased = new Set(options.log.entries.flatMap(erasedIn));
    this.#planDigest = sha256(run.plan);
    this.#rosterDigest = sha256(run.roster);
    this.#written = written;
    this.#payloads = new PayloadCheck(written);
    const { timeLimit, approvalLimit } = expandPlan(written);
    this.#limits = { answer: timeLimit * 1000, approval: approvalLimit * 1000 };
  }

  async run(): Promise<RunOutcome> {
    const roster = Roster.decode(this.#run.roster);
    const program = runProgram({
      plan: this.#written,
      studies: roster.sites.map(({ study }) => study),
      offer: { $case: 'planOffer', value: planOffer(this.#run.plan, roster, this.#run.signature) },
    });
    let step = program.next();
    while (step.done !== true) step = program.next(await this.#play(step.value));
    return step.value;
  }

  /**
   * Takes a site's reply. It is durable, and used, with those that arrive within `STAGING_LIMIT`, at the latest when the
   * round is complete. Nothing is lost in a crash before that: the task is open in the journal, so the site is asked
   * again, and its own log has it give the same bytes again. A reply that is not signed by the site, or answers no open
   * question of this run, changes nothing but the log.
   */
  async accept(study: string, reply: SignedMessage): Promise<void> {
    const bytes = encode(SignedMessage, reply, 'a reply');
    const message = await this.#read(study, reply);
    if (this.#failure !== null) throw this.#failure.error;
    if (typeof message === 'string') return this.#refuse(study, bytes, message);
    const task = this.#open.get(toHex(message.header.inReplyTo));
    if (task?.study !== study) return this.#repeated(study, message.header, bytes);
    this.#open.delete(task.digest);
    this.#options.desk.remove(study, task.digest);
    this.#staged.push({ task, bytes, answer: this.#answer(task, message, bytes) });
    if (this.#open.size === 0) this.#commit();
    else this.#staging ??= setTimeout(() => this.#commit(), STAGING_LIMIT);
  }

  /** What the site says of the round's tasks: these wait for its custodian, who has longer than an answer may take. */
  waitsForCustodian(study: string, tasks: ReadonlySet<string>): void {
    for (const task of this.#open.values()) {
      if (task.study !== study || task.atCustodian || !tasks.has(task.digest)) continue;
      task.atCustodian = true;
      this.#options.progress({ event: 'custodian', round: this.#round, study, analysis: task.analysis });
    }
  }

  /** The site's own message, or what is wrong with it. */
  async #read(study: string, reply: SignedMessage): Promise<Complete | ErrorCode> {
    try {
      const key = this.#options.keys.get(study);
      if (key === undefined) throw new ConcordatError('wire/identity', 'no such site');
      await verifyMessageAside(reply, key, study);
      const { header, payload } = decode(SiteMessage, reply.body, 'a reply');
      return header === undefined || payload === undefined ? 'wire/malformed' : { header, payload };
    } catch (error) {
      if (error instanceof ConcordatError) return error.code;
      throw error;
    }
  }

  /** What the message answers; where it is unusable, asking again would give the same bytes. */
  #answer(task: OpenTask, message: Complete, bytes: Uint8Array): Staged['answer'] {
    const { header, payload } = message;
    try {
      checkHeader(header, task.task.header);
      assertReleasable('SiteMessage', message);
      this.#payloads.check(payload, task.task.payload, task.analysis);
      return { kind: 'reply', payload, bytes: { down: task.bytes.length, up: bytes.length } };
    } catch (error) {
      if (error instanceof ConcordatError) return { kind: 'invalid', code: error.code };
      throw error;
    }
  }

  async #play(round: Round): Promise<RoundAnswers> {
    const { desk, progress } = this.#options;
    this.#round = round.round;
    const tasks = this.#tasksOf(round);
    const open = [...tasks.values()].filter(({ answer }) => answer === null);
    const answered = tasks.size - open.length;
    this.#count = { tasks: tasks.size, answered };
    for (const task of open) {
      this.#open.set(task.digest, task);
      desk.add(task.digest, task);
    }
    progress({ event: 'round', round: round.round, name: round.name, tasks: tasks.size, answered });
    desk.wake(new Set(open.map(({ study }) => study)));
    // From here, also after a crash: the sites had no one to answer to while the coordinator was down.
    await this.#wait(round.name === 'close' ? { answer: CLOSING_LIMIT, approval: 0 } : this.#limits);
    return round.tasks.map((task) => tasks.get(taskKey(task))?.answer ?? { kind: 'unreachable' });
  }

  /** The round's tasks: those of the journal, those that only the log holds, and what is missing, made and made durable. */
  #tasksOf({ round, tasks: asked }: Round): ReadonlyMap<string, OpenTask> {
    const { journal, log, identity } = this.#options;
    const tasks = new Map(this.#known(round).map((task) => [taskKey(task), task]));
    const missing = asked.filter((task) => !tasks.has(taskKey(task)));
    if (missing.length === 0) return tasks;
    const logged = this.#loggedTasks(round);
    const common = {
      run: this.#run.id,
      round,
      planDigest: this.#planDigest,
      rosterDigest: this.#rosterDigest,
      attempt: 0,
      inReplyTo: new Uint8Array(0),
      checkpoint: log.checkpoint(),
    };
    const added = missing.map((task) => logged.get(taskKey(task)) ?? makeTask(task, common, identity));
    const items = added.flatMap((task): LogItem[] => {
      const { payload } = task.task;
      if (logged.has(taskKey(task)) || payload === undefined) return [];
      return [{ entry: this.#entry('sent', task, payload.$case), body: task.bytes }];
    });
    log.appendAll(items);
    journal.addTasks(
      this.#run.id,
      added.map(({ study, analysis, digest, bytes }) => ({
        round,
        study,
        analysis,
        digest: fromHex(digest),
        message: bytes,
      })),
    );
    for (const task of added) tasks.set(taskKey(task), task);
    return tasks;
  }

  /** The journal's tasks of a round. A reply that was logged before a crash is the answer, whatever the site sends again. */
  #known(round: number): readonly OpenTask[] {
    const { journal, log } = this.#options;
    const found: Settlement[] = [];
    const tasks = journal.tasks(this.#run.id, round).map((record) => {
      const { digest, decision } = record;
      const task = restoreTask(record.study, record.analysis, record.message);
      let { reply } = record;
      if (reply === null && decision === null) {
        const entry = log.entriesOf(task.digest).find(({ kind }) => kind === 'received');
        if (entry !== undefined && hasBody(entry)) {
          reply = log.body(entry);
          found.push({ digest, reply, decision });
        }
      }
      if (reply !== null) task.answer = restoreAnswer(task, reply);
      else if (decision === 'unreachable') task.answer = { kind: 'unreachable' };
      else if (decision !== null) task.answer = { kind: 'invalid', code: decision as ErrorCode };
      return task;
    });
    if (found.length > 0) journal.settle(found);
    return tasks;
  }

  /** After a crash between log and journal: the round's tasks as they were logged, so that no task has two contents. */
  #loggedTasks(round: number): ReadonlyMap<string, OpenTask> {
    const { log } = this.#options;
    const found = new Map<string, OpenTask>();
    for (let n = log.entries.length - 1; n >= 0; n--) {
      const entry = log.entries[n]!;
      if (entry.run !== this.#id || entry.round === undefined) continue;
      if (entry.round !== round) break;
      const { kind, peer: study, analysis } = entry;
      if (kind === 'sent' && study !== undefined && analysis !== undefined && hasBody(entry))
        found.set(taskKey({ study, analysis }), restoreTask(study, analysis, log.body(entry)));
    }
    return found;
  }

  /** Until every task of the round is settled, or its limit has passed. */
  async #wait({ answer, approval }: { readonly answer: number; readonly approval: number }): Promise<void> {
    if (this.#open.size === 0) return;
    await this.#settledWithin(answer);
    this.#giveUp([...this.#open.values()].filter(({ atCustodian }) => !atCustodian));
    if (this.#open.size > 0) await this.#settledWithin(Math.max(0, approval - answer));
    this.#giveUp([...this.#open.values()]);
  }

  async #settledWithin(limit: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
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
      this.#failed = (error) => {
        clearTimeout(timer);
        reject(error);
      };
    });
    this.#settled = () => undefined;
    this.#commit();
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Goes on without an answer to these tasks. */
  #giveUp(silent: readonly OpenTask[]): void {
    const { journal, log, desk, progress } = this.#options;
    if (silent.length === 0) return;
    log.appendAll(
      silent.map((task) => ({
        entry: { ...this.#entry('decision', task), detail: { decision: 'unreachable' } },
      })),
    );
    journal.settle(
      silent.map(({ digest }) => ({ digest: fromHex(digest), reply: null, decision: 'unreachable' })),
    );
    for (const { study, analysis, digest } of silent) {
      this.#open.delete(digest);
      desk.remove(study, digest);
      progress({ event: 'no answer', round: this.#round, study, analysis });
    }
  }

  /** Writes what is staged, and goes on where the round is complete. What cannot be written ends the run. */
  #commit(): void {
    const staged = this.#staged;
    this.#staged = [];
    clearTimeout(this.#staging);
    this.#staging = undefined;
    if (staged.length === 0) return;
    try {
      this.#options.log.appendAll(
        staged.map((reply) => ({ entry: this.#replyEntry(reply), body: reply.bytes })),
      );
      this.#options.journal.settle(
        staged.map(({ task, bytes, answer }) => ({
          digest: fromHex(task.digest),
          reply: answer.kind === 'reply' ? bytes : null,
          decision: answer.kind === 'reply' ? null : answer.code,
        })),
      );
    } catch (error) {
      this.#failure = { error };
      this.#failed(error);
      return;
    }
    for (const { task, answer } of staged) this.#settle(task, answer);
    if (this.#open.size === 0) this.#settled();
  }

  #settle(task: OpenTask, answer: Staged['answer']): void {
    task.answer = answer;
    this.#count.answered++;
    this.#options.progress({
      event: 'answer',
      round: this.#round,
      study: task.study,
      analysis: task.analysis,
      type: answer.kind === 'reply' ? answer.payload.$case : answer.code,
      answered: this.#count.answered,
      tasks: this.#count.tasks,
    });
  }

  /**
   * The same bytes again are harmless; other bytes, or an answer that comes too late, are logged and not used. The first such to a
   * task is evidence enough: more are counted.
   */
  #repeated(study: string, { run, inReplyTo }: Complete['header'], bytes: Uint8Array): void {
    const task = toHex(inReplyTo);
    const { log, refused } = this.#options;
    this.#commit();
    const earlier = log.entriesOf(task).filter(({ kind, peer }) => peer === study && kind !== 'sent');
    // What was erased is not taken in again.
    if (earlier.some(({ n }) => this.#erased.has(n))) return refused.count(study);
    const digest = toHex(sha256(bytes));
    const logged = this.#loggedReplies(study, task, earlier);
    if (logged.has(digest)) return;
    if (earlier.some(({ detail }) => detail?.['code'] === 'conflict' || detail?.['code'] === 'late'))
      return refused.count(study);
    logged.add(digest);
    const code = earlier.some(({ kind }) => kind === 'received') ? 'conflict' : 'late';
    this.#options.refused.keep(study, bytes, code, { run: toHex(run), task });
  }

  /** Read once: a site may repeat itself as often as it likes. */
  #loggedReplies(study: string, task: string, entries: readonly LogEntry[]): Set<string> {
    const key = JSON.stringify([study, task]);
    const logged =
      this.#logged.get(key) ??
      new Set(entries.filter(hasBody).map((entry) => toHex(sha256(this.#options.log.body(entry)))));
    // A task that the log does not know may be made up, and there is no end of those.
    if (entries.length > 0) this.#logged.set(key, logged);
    return logged;
  }

  #refuse(study: string, bytes: Uint8Array, code: string, task?: string): void {
    const of = task === undefined ? {} : { task };
    this.#options.refused.keep(study, bytes, code, { run: this.#id, ...of });
  }

  #replyEntry({ task, answer }: Staged): LogItem['entry'] {
    if (answer.kind === 'reply') return this.#entry('received', task, answer.payload.$case);
    const { study, digest } = task;
    return { kind: 'refused', peer: study, run: this.#id, task: digest, detail: { code: answer.code } };
  }

  /** Where the log places what happens to a task of the round. */
  #entry(kind: EntryKind, { study, analysis, digest }: OpenTask, type?: string): LogItem['entry'] {
    const of = type === undefined ? {} : { type };
    return { kind, peer: study, run: this.#id, analysis, round: this.#round, ...of, task: digest };
  }
}
