/**
 * Worker threads, started when work arrives and stopped when idle, so that a waiting agent stays small and a fit never
 * delays the agent's connection. What a worker keeps of an analysis (its set, its objective) it can make again: a question
 * goes to the worker that has it, and any other answers it as well, only later.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { problemDraft, type StudyAnswer, type StudyQuestion } from './draft.ts';

/** Milliseconds without work after which a worker is stopped. */
const IDLE = 10_000;

/** Megabytes. Columns are outside the heap, so a small nursery costs no time and keeps the agent small. */
const YOUNG_GENERATION = 4;

interface Job {
  readonly question: StudyQuestion;
  readonly resolve: (answer: StudyAnswer) => void;
}

interface Slot {
  readonly worker: Worker;
  /** The one-stage analyses that it has: of which records, and their ids. */
  readonly analyses: Set<string>;
  job: Job | null;
  idleTimer: NodeJS.Timeout | null;
}

export class WorkerPool {
  readonly #slots = new Set<Slot>();
  readonly #waiting: Job[] = [];
  readonly #size: number;
  readonly #script: URL;
  #nextId = 0;
  #closed = false;

  constructor(size: number = availableParallelism(), script: URL = new URL('./worker.ts', import.meta.url)) {
    this.#size = size;
    this.#script = script;
  }

  /** Never rejects: a worker that dies, or is stopped by `close`, answers with an internal problem. */
  ask(question: StudyQuestion): Promise<StudyAnswer> {
    if (this.#closed) return Promise.resolve(failed(question));
    return new Promise((resolve) => {
      this.#waiting.push({ question, resolve });
      this.#dispatch();
    });
  }

  /** Breaks off what is being worked at. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { question, resolve } of this.#waiting.splice(0)) resolve(failed(question));
    await Promise.all([...this.#slots].map((slot) => this.#stop(slot)));
  }

  #dispatch(): void {
    for (const job of this.#waiting.slice()) {
      const slot = this.#slotFor(job.question);
      if (slot === null) continue;
      this.#waiting.splice(this.#waiting.indexOf(job), 1);
      if (slot.idleTimer !== null) clearTimeout(slot.idleTimer);
      slot.job = job;
      for (const analysis of analysesOf(job.question)) slot.analyses.add(analysis);
      slot.worker.postMessage({ id: this.#nextId++, question: job.question });
    }
  }

  /** The worker that has the analysis, if it is free; where none has it, any that is free. Null: wait. */
  #slotFor(question: StudyQuestion): Slot | null {
    const [wanted] = question.kind === 'objective' ? analysesOf(question) : [];
    const slots = [...this.#slots];
    const owner = wanted === undefined ? undefined : slots.find(({ analyses }) => analyses.has(wanted));
    if (owner !== undefined) return owner.job === null ? owner : null;
    return slots.find((candidate) => candidate.job === null) ?? this.#start();
  }

  #start(): Slot | null {
    if (this.#slots.size >= this.#size) return null;
    const worker = new Worker(this.#script, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION },
    });
    const slot: Slot = { worker, analyses: new Set(), job: null, idleTimer: null };
    this.#slots.add(slot);
    worker.on('message', (message: { readonly value: StudyAnswer | null }) => {
      this.#finish(slot, message.value ?? failed(slot.job?.question));
      slot.idleTimer = setTimeout(() => void this.#stop(slot), IDLE).unref();
      this.#dispatch();
    });
    const lost = (): void => {
      this.#slots.delete(slot);
      this.#finish(slot, failed(slot.job?.question));
      this.#dispatch();
    };
    worker.on('error', lost);
    worker.on('exit', lost);
    return slot;
  }

  #finish(slot: Slot, answer: StudyAnswer): void {
    slot.job?.resolve(answer);
    slot.job = null;
  }

  async #stop(slot: Slot): Promise<void> {
    this.#slots.delete(slot);
    await slot.worker.terminate();
  }
}

/** Agents that share a process may have analyses of one name. */
function analysesOf(question: StudyQuestion): readonly string[] {
  if (question.kind === 'levels') return [];
  const key = (id: string): string => JSON.stringify([question.source.data, id]);
  if (question.kind === 'objective') return [key(question.analysis)];
  return question.plan.analyses.flatMap(({ id, approach }) =>
    approach === 'one-stage' && question.analyses.includes(id) ? [key(id)] : [],
  );
}

function failed(question: StudyQuestion | undefined): StudyAnswer {
  const count = question?.kind === 'stage-one' ? question.analyses.length : 1;
  return {
    drafts: Array.from({ length: count }, () => problemDraft(null)),
    problems: ['a worker thread failed'],
  };
}
