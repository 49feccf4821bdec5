import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { distinctLevels } from './response.ts';
import { keyOf, type Snapshot } from './row-keys.ts';
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
    population: bitmap(table.rows, (set) => within.forEach((inside, row) => inside === 1 && set(row))),
    analysis: analysis === null ? null : bitmap(table.rows, (set) => analysis.forEach(set)),
  };
}

function bitmap(rows: number, choose: (set: (row: number) => void) => void): Uint32Array {
  const words = new Uint32Array(Math.ceil(rows / 32));
  choose((row) => (words[row >>> 5]! |= 1 << (row & 31)));
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
