/** A run over the sites of `testing.ts`, driven by the real engine, journal and log; time is the test's. */
import { join } from 'node:path';
import { mock } from 'node:test';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import type { RunOutcome } from '@concordat/shared/runs/program.ts';
import { coordinator, honest, identities, replyTo, STUDIES } from '@concordat/shared/runs/testing.ts';
import { Desk } from '../exchange/desk.ts';
import { Journal, type RunRecord } from '../store/journal.ts';
import { RefusedReplies } from '../store/refused-replies.ts';
import { RunEngine, type Progress } from './engine.ts';
import { newFolder, newRun, openLog } from './testing.ts';

/** What a site sends when it is given a task; several messages, or none. */
export type Behaviour = (
  study: string,
  task: SignedMessage,
) => readonly SignedMessage[] | Promise<readonly SignedMessage[]>;

export const behave = (study: string, task: SignedMessage): readonly SignedMessage[] => [
  replyTo(task, honest(study, CoordinatorMessage.decode(task.body)), identities.get(study)!),
];

export interface Setting {
  readonly folder: string;
  readonly run: RunRecord;
  /** Shared by the processes of a run; default: a file in the folder. */
  readonly journal?: Journal;
  readonly files?: Parameters<typeof openLog>[1];
  readonly wrap?: (journal: Journal) => Journal;
}

/** A run over the sites of `testing.ts`; opened again over the same setting, it resumes. */
export class Federation {
  readonly desk = new Desk();
  readonly events: Progress[] = [];
  readonly log: MessageLog;
  readonly refused: RefusedReplies;
  /** Replies that the engine has taken. */
  accepted = 0;
  readonly engine: RunEngine;
  readonly #journal: Journal;
  readonly #gone = new AbortController();

  constructor({ folder, run, files, journal, wrap = (whole) => whole }: Setting) {
    this.#journal = journal ?? new Journal(join(folder, 'journal.sqlite'));
    if (this.#journal.unfinishedRun() === null) this.#journal.createRun(run);
    this.log = openLog(join(folder, 'log'), files);
    this.refused = new RefusedReplies(this.log);
    const keys = new Map([...identities].map(([study, { publicKey }]) => [study, publicKey]));
    const progress = (event: Progress): void => void this.events.push(event);
    const options = {
      journal: wrap(this.#journal),
      log: this.log,
      refused: this.refused,
      identity: coordinator,
      keys,
      desk: this.desk,
      progress,
    };
    this.engine = new RunEngine(options, run);
  }

  /** Resolves to the outcome; rejects where the engine, or what a site sent, threw. */
  async play(behaviour: Behaviour = behave): Promise<RunOutcome> {
    const serve = async (study: string): Promise<never> => {
      for (;;) {
        const tasks = await this.desk.collect(study, 1, this.#gone.signal);
        if (this.#gone.signal.aborted) return new Promise(() => undefined);
        for (const task of tasks)
          for (const reply of await behaviour(study, task)) {
            await this.engine.accept(study, reply);
            this.accepted++;
          }
        await new Promise(setImmediate);
      }
    };
    try {
      return await Promise.race([this.engine.run(), ...STUDIES.map(serve)]);
    } finally {
      this.#gone.abort();
    }
  }

  close(): void {
    this.refused.close();
    this.log.close();
  }
}

export async function playNew(
  behaviour: Behaviour = behave,
): Promise<{ outcome: RunOutcome; federation: Federation }> {
  const federation = new Federation({ folder: newFolder(), run: newRun() });
  const outcome = await federation.play(behaviour);
  federation.close();
  return { outcome, federation };
}

export const analysesOf = ({ analyses }: RunOutcome): string => JSON.stringify(analyses);
export const undisturbed = analysesOf((await playOutside()).outcome);

/** The reference run is played before the first test, with its own timers. */
async function playOutside(): ReturnType<typeof playNew> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    return await playNew();
  } finally {
    mock.timers.reset();
  }
}

export const refusals = ({ log }: Federation): unknown[] =>
  log.entries.filter(({ kind }) => kind === 'refused').map(({ detail }) => detail?.['code']);
