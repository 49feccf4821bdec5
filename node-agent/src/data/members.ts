import { createHash } from 'node:crypto';

import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { distinctLevels } from './response.ts';
import { keyOf } from './row-keys.ts';
import type { Snapshot } from './snapshot.ts';
import { codeAt, columnOf, type Table } from './table.ts';

/** Which of a file's rows an answer is about. It goes to the ledger beside the agent's log, and never leaves. */
export interface Members {
  /** The file's content, by its rows' keys. */
  readonly snapshot: string;
  readonly rows: number;
  /** Two words a row; null where the ledger has them from the analysis's first answer. */
  readonly keys: Uint32Array | null;
  /** Of a repeated outcome: the subject's variable, and two words a row that are the same for a participant's rows. */
  readonly subjects: { readonly variable: string; readonly keys: Uint32Array } | null;
  /** A bit a row: those for which the population expression is true. */
  readonly population: Uint32Array;
  /** A bit a row: the analysis set; null where the answer is about the population. */
  readonly analysis: Uint32Array | null;
}

export function membersOf(
  snapshot: Snapshot,
  secret: Uint8Array,
  { outcome }: Pick<ExpandedPlan, 'outcome'>,
  table: Table,
  within: Uint8Array,
  analysis: Int32Array | null,
): Members {
  return {
    snapshot: snapshot.id,
    rows: table.rows,
    keys: snapshot.keys,
    subjects:
      outcome.kind === 'repeated' && table.columns.has(outcome.subject)
        ? { variable: outcome.subject, keys: subjectKeys(outcome.subject, secret, table) }
        : null,
    population: ofMask(within),
    analysis: analysis === null ? null : ofRows(table.rows, analysis),
  };
}

/** The first 16 bytes (hex) of SHA-256. */
export function shortDigest(...parts: readonly (Uint32Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 32);
}

function ofMask(within: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(within.length / 32));
  for (let row = 0; row < within.length; row++) words[row >>> 5]! |= within[row]! << (row & 31);
  return words;
}

function ofRows(count: number, rows: Int32Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(count / 32));
  for (let i = 0; i < rows.length; i++) words[rows[i]! >>> 5]! |= 1 << (rows[i]! & 31);
  return words;
}

function subjectKeys(variable: string, secret: Uint8Array, table: Table): Uint32Array {
  const column = columnOf(table, variable);
  const every = Int32Array.from({ length: table.rows }, (_, row) => row);
  const { index, size } = distinctLevels(variable, table, every, Infinity)!;
  const known = new Array<readonly [number, number] | undefined>(size);
  const keys = new Uint32Array(2 * table.rows);
  index.forEach((level, row) => {
    const key = (known[level] ??= keyOf(secret, JSON.stringify([variable, codeAt(column, row)])));
    keys.set(key, 2 * row);
  });
  return keys;
}
