/**
 * The desk: which tasks wait for which site, and who is waiting at it. A site is given every unanswered
 * task of its own at each call, the same bytes each time; a call with nothing to do is held.
 */
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';

export interface PendingTask {
  readonly study: string;
  readonly message: SignedMessage;
}

export class Desk {
  /** Study → task digest (hex) → message. */
  readonly #pending = new Map<string, Map<string, SignedMessage>>();
  readonly #waiting = new Map<string, () => void>();
  #closed = false;

  add(digest: string, task: PendingTask): void {
    const tasks = this.#pending.get(task.study) ?? new Map<string, SignedMessage>();
    tasks.set(digest, task.message);
    this.#pending.set(task.study, tasks);
  }

  remove(study: string, digest: string): void {
    this.#pending.get(study)?.delete(digest);
  }

  /** Lets the calls that wait for these studies go on: their tasks are complete. */
  wake(studies: Iterable<string>): void {
    for (const study of studies) this.#waiting.get(study)?.();
  }

  /**
   * The site's unanswered tasks but for those (digests, hex) that wait there for its custodian; where there are none, waits for some
   * until `signal` or `hold` milliseconds.
   */
  async collect(
    study: string,
    hold: number,
    signal: AbortSignal,
    waiting: ReadonlySet<string> = new Set(),
  ): Promise<readonly SignedMessage[]> {
    if (this.#tasks(study, waiting).length === 0 && !this.#closed && !signal.aborted) {
      // A newer call of the same site takes the place of an older one that hangs on a dead connection.
      this.#waiting.get(study)?.();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          if (this.#waiting.get(study) === done) this.#waiting.delete(study);
          resolve();
        };
        const timer = setTimeout(done, hold);
        signal.addEventListener('abort', done);
        this.#waiting.set(study, done);
      });
    }
    return this.#tasks(study, waiting);
  }

  /** Sends every waiting call home, so that the server can stop. */
  close(): void {
    this.#closed = true;
    this.wake([...this.#waiting.keys()]);
  }

  #tasks(study: string, waiting: ReadonlySet<string>): readonly SignedMessage[] {
    return [...(this.#pending.get(study) ?? [])].flatMap(([digest, message]) =>
      waiting.has(digest) ? [] : [message],
    );
  }
}
