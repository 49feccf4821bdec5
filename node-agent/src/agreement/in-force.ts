/** The agreement as it stands, read again when its file changes; each one that was in force is in the log. */
import { readFileSync, statSync } from 'node:fs';

import { parseAgreement, type Agreement, type LocalLeave } from '@concordat/shared/agreement/document.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';

export interface AgreementSource {
  /** Null while the file cannot be read or is invalid: nothing is answered then. */
  current(): Agreement | null;
  /** One that was in force, by its digest; null where the log has none. */
  of(digest: string): Agreement | null;
}

export class AgreementInForce implements AgreementSource {
  readonly #file: string;
  readonly #leave: LocalLeave;
  readonly #log: MessageLog;
  readonly #complain: (error: ConcordatError) => void;
  readonly #logged = new Map<string, Agreement>();
  /** State of the file at the last look, and what it held. */
  #seen: { readonly state: string; readonly agreement: Agreement | null };

  /** Throws `agreement/invalid`, so that an agent does not start without an agreement. `complain` is told of a later fault, once. */
  constructor(file: string, leave: LocalLeave, log: MessageLog, complain: (error: ConcordatError) => void) {
    this.#file = file;
    this.#leave = leave;
    this.#log = log;
    this.#complain = complain;
    for (const entry of log.entries) {
      if (entry.type !== 'agreement' || !hasBody(entry)) continue;
      const agreement = parseAgreement(Buffer.from(log.body(entry)).toString('utf8'), 'the log', leave);
      this.#logged.set(agreement.digest, agreement);
    }
    this.#seen = { state: fileState(file), agreement: this.#read() };
  }

  current(): Agreement | null {
    const state = fileState(this.#file);
    if (state === this.#seen.state) return this.#seen.agreement;
    try {
      this.#seen = { state, agreement: this.#read() };
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      this.#complain(error);
      this.#seen = { state, agreement: null };
    }
    return this.#seen.agreement;
  }

  of(digest: string): Agreement | null {
    return this.#logged.get(digest) ?? null;
  }

  #read(): Agreement {
    const agreement = readAgreement(this.#file, this.#leave);
    const entries = this.#log.entries;
    const last = entries.findLast(({ type }) => type === 'agreement');
    if (last?.detail?.['agreement'] !== agreement.digest) {
      this.#log.append(
        { kind: 'decision', type: 'agreement', detail: { agreement: agreement.digest } },
        Buffer.from(agreement.text),
      );
    }
    this.#logged.set(agreement.digest, agreement);
    return agreement;
  }
}

/** Throws `agreement/invalid`. */
export function readAgreement(file: string, leave: LocalLeave): Agreement {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('agreement/invalid', 'the agreement cannot be read', {
      place: file,
      remedy: 'check its path and permissions; `concordat agent agreement template` prints one to begin with',
      cause,
    });
  }
  return parseAgreement(text, file, leave);
}

/** Another one after any change of the file; empty where there is none. */
export function fileState(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? '' : [found.size, found.mtimeMs, found.ctimeMs, found.ino].join();
}
