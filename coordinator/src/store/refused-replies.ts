/**
 * Replies that are not used. The log keeps them, as evidence of what the site sent; since a site may send as many as it likes,
 * those beyond a limit are only counted, and the log is told their number at the end.
 */
import type { LogItem, MessageLog } from '@concordat/shared/log/message-log.ts';

/** Of one site, while the process lives: replies, and bytes of them. */
const LIMIT = { replies: 1000, bytes: 32 * 1024 * 1024 };

export class RefusedReplies {
  readonly #log: Pick<MessageLog, 'append'>;
  readonly #bySite = new Map<string, { replies: number; bytes: number; counted: number }>();

  constructor(log: Pick<MessageLog, 'append'>) {
    this.#log = log;
  }

  /** `code`: why it is not used; `of`: where the log places it. */
  keep(
    study: string,
    reply: Uint8Array,
    code: string,
    of: Pick<LogItem['entry'], 'run' | 'task'> = {},
  ): void {
    const kept = this.#of(study);
    if (kept.replies >= LIMIT.replies || kept.bytes + reply.length > LIMIT.bytes) return this.count(study);
    kept.replies++;
    kept.bytes += reply.length;
    this.#log.append({ kind: 'refused', peer: study, ...of, detail: { code } }, reply);
  }

  /** One that the log need not hold. */
  count(study: string): void {
    this.#of(study).counted++;
  }

  close(): void {
    for (const [study, { counted }] of this.#bySite)
      if (counted > 0)
        this.#log.append({ kind: 'refused', peer: study, detail: { code: 'not-kept', replies: counted } });
  }

  #of(study: string): { replies: number; bytes: number; counted: number } {
    const known = this.#bySite.get(study) ?? { replies: 0, bytes: 0, counted: 0 };
    this.#bySite.set(study, known);
    return known;
  }
}
