/** The runs that logs hold, as the coordinator's program is replayed with them. */
import type { PlanOffer, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { ErrorCode } from '@concordat/shared/errors.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { COORDINATOR } from './keys.ts';
import { isMessage, type LoggedMessage, type Owner } from './logged-message.ts';
import type { TaskPlace, Transcript, TranscriptTask } from './recompute.ts';

type Answer = TranscriptTask['answer'];

interface Slot {
  readonly task: TranscriptTask & { answer: Answer };
  readonly n: number;
  readonly bytes: number;
}

/** A run under way of being read. */
export class RunTranscript {
  readonly run: string;
  readonly #slots: Slot[] = [];
  /** By task (hex). */
  readonly #byTask = new Map<string, Slot>();
  #offer: PlanOffer | null = null;
  /** Whether something of it cannot be seen. */
  hidden = false;
  /** Whether it came to its end, with all that it asked. */
  finished = false;
  /** Studies that were told that it is over: the coordinator had taken what they answered. */
  readonly closed = new Set<string>();

  constructor(run: string) {
    this.run = run;
  }

  /** What it is of; null where no offer was seen, or something is hidden: then it cannot be replayed. */
  whole(): Transcript | null {
    if (this.#offer?.roster === undefined || this.hidden) return null;
    const { plan, roster, statistician, signature } = this.#offer;
    return {
      run: this.run,
      plan,
      roster,
      signature: statistician.length === 0 ? null : { key: statistician, signature },
      tasks: this.#slots.map(({ task }) => task),
    };
  }

  get roster(): Roster | null {
    return this.#offer?.roster ?? null;
  }

  /** Entry of a question in the log that it was read from; null where there is none. */
  entryOf({ round, study, analysis }: TaskPlace): number | null {
    const slot = this.#slots.find(
      ({ task }) => task.round === round && task.study === study && task.analysis === analysis,
    );
    return slot?.n ?? null;
  }

  /** An entry of the run, in its turn. */
  take({ entry, body }: AuditedEntry, message: LoggedMessage | null): void {
    if (message === null) {
      if (isMessage(entry) || (entry.kind === 'refused' && entry.body !== undefined))
        this.hidden ||= body === null || body === 'erased' || body === 'withheld';
      this.#takeDecision(entry);
    } else if (message.what === 'task') this.#takeTask(message);
    else {
      const slot = this.#byTask.get(message.task);
      if (slot === undefined || slot.task.answer.kind !== 'unreachable') return;
      const { payload, bytes } = message;
      slot.task.answer = { kind: 'reply', payload, bytes: { down: slot.bytes, up: bytes } };
    }
  }

  #takeTask({ header, payload, task: name, bytes, entry }: LoggedMessage & { what: 'task' }): void {
    if (payload.$case === 'planOffer') this.#offer ??= payload.value;
    // Asked of each site that takes part, last of all.
    if (payload.$case === 'runClosed') {
      this.finished = true;
      this.closed.add(header.study);
    }
    if (this.#byTask.has(name)) return;
    const { round, study, analysis } = header;
    const slot: Slot = {
      task: { round, study, analysis, message: { header, payload }, answer: { kind: 'unreachable' } },
      n: entry.n,
      bytes,
    };
    this.#slots.push(slot);
    this.#byTask.set(name, slot);
  }

  /** An answer that the coordinator could not use. */
  #takeDecision({ kind, task, detail }: AuditedEntry['entry']): void {
    const slot = this.#byTask.get(task ?? '');
    const code = detail?.['code'];
    if (kind !== 'refused' || slot === undefined || typeof code !== 'string' || !code.includes('/')) return;
    if (slot.task.answer.kind === 'unreachable')
      slot.task.answer = { kind: 'invalid', code: code as ErrorCode };
  }
}

/** The runs of logs that are read entry by entry. */
export class Transcripts {
  readonly #runs = new Map<string, RunTranscript>();
  readonly #over = new Set<string>();

  /** Every entry in its turn, with its message where it holds one. Returns the run that ends with it (`result`). */
  take({ party }: Owner, audited: AuditedEntry, message: LoggedMessage | null): RunTranscript | null {
    const { run: id, kind } = audited.entry;
    if (id === undefined || this.#over.has(id)) return null;
    const run = this.#runs.get(id) ?? new RunTranscript(id);
    this.#runs.set(id, run);
    run.take(audited, message);
    if (party !== COORDINATOR || kind !== 'result') return null;
    this.#runs.delete(id);
    this.#over.add(id);
    run.finished = true;
    return run;
  }

  /** Those that did not end. */
  rest(): Iterable<RunTranscript> {
    return this.#runs.values();
  }
}
