/** The agreement's templates as they stand, read again when a file changes; each text that was used is named in the log. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import { fileState } from './in-force.ts';

export interface Template {
  readonly plan: WrittenPlan;
  /** SHA-256 of the file, hex. */
  readonly digest: string;
}

export class TemplateFiles {
  readonly #folder: string;
  readonly #log: MessageLog;
  /** By path: state of the file at the last look, and what it held. */
  readonly #seen = new Map<string, { readonly state: string; readonly template: Template | null }>();

  /** `folder`: that of the agreement, which the paths are relative to. */
  constructor(folder: string, log: MessageLog) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Null for a file that is no plan, or cannot be read: no plan matches it. */
  at(path: string): Template | null {
    const file = resolve(this.#folder, path);
    const state = fileState(file);
    const seen = this.#seen.get(path);
    if (seen?.state === state) return seen.template;
    const text = read(file);
    const digest = text === null ? '' : toHex(sha256(text));
    const last = this.#log.entries.findLast(({ detail }) => detail?.['template_file'] === path);
    if (last?.detail?.['template'] !== digest)
      this.#log.append(
        { kind: 'decision', type: 'template', detail: { template_file: path, template: digest } },
        text === null ? undefined : Buffer.from(text),
      );
    const plan = text === null ? null : parsed(text, file);
    const template = plan === null ? null : { plan, digest };
    this.#seen.set(path, { state, template });
    return template;
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function parsed(text: string, file: string): WrittenPlan | null {
  try {
    return parsePlan(text, file);
  } catch {
    return null;
  }
}
