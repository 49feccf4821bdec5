/** Answers that are computed and wait for a custodian, exactly as they would leave; they outlast a restart. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { Payload } from '../fit/draft.ts';

export class HeldAnswers {
  readonly #folder: string;

  constructor(state: string) {
    this.#folder = join(state, 'held');
  }

  /** Keeps an answer to a task (hex); returns the payload's SHA-256 (hex). */
  put(task: string, payload: Payload): string {
    const bytes = encode(SiteMessage, { header: undefined, payload }, 'an answer');
    const file = join(this.#folder, task);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.part`, bytes, { mode: 0o600, flush: true });
    renameSync(`${file}.part`, file);
    return toHex(sha256(bytes));
  }

  /** The answer of that digest (SHA-256, hex); null where another is held, or none. */
  get(task: string, digest: string): Payload | null {
    const bytes = this.#read(task);
    if (bytes === null || toHex(sha256(bytes)) !== digest) return null;
    return decode(SiteMessage, bytes, 'a held answer').payload ?? null;
  }

  /** SHA-256 (hex) of the payload that is held; null where none is. */
  digest(task: string): string | null {
    const bytes = this.#read(task);
    return bytes === null ? null : toHex(sha256(bytes));
  }

  /** Overwrites and removes the answer to a task (hex), where one is held. */
  drop(task: string): void {
    const file = join(this.#folder, task);
    const bytes = this.#read(task);
    if (bytes === null) return;
    writeFileSync(file, new Uint8Array(bytes.length), { flag: 'r+', flush: true });
    rmSync(file);
  }

  #read(task: string): Uint8Array | null {
    try {
      return new Uint8Array(readFileSync(join(this.#folder, task)));
    } catch {
      return null;
    }
  }
}
