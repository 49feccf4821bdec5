/** What was logged with an entry, in long form: a row for each value, with the field that it stands in and the term of the model that it is about. */
import { packedLength } from '@concordat/shared/linalg/symmetric.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

import { messageIn } from './describe.ts';
import type { RunNames } from './run-names.ts';

export interface LongRow {
  /** Path in the message, e.g. `counts.participants[0]`. */
  readonly field: string;
  /** Empty where the value is about none, or the plan does not name it. */
  readonly term: string;
  readonly value: number | boolean | string;
}

/** Texts that someone wrote, line by line: in bundles and in what is shown, not among numbers. */
const TEXTS: ReadonlySet<string> = new Set(['plan', 'text', 'kept', 'shown']);

/** Takes the entry into `names`. Of a body that cannot be read, none. */
export function longRows(entry: LogEntry, body: Uint8Array, names: RunNames): readonly LongRow[] {
  const logged = messageIn(entry, body);
  if (logged === null) return entry.type === 'refusals' ? documentRows(body) : [];
  if (logged.from === 'coordinator') names.take(logged.message);
  const { header, payload } = logged.message;
  if (header === undefined || payload === undefined) return [];
  const { terms } = names.of(toHex(header.run), header.analysis);
  return [...leaves(payload.value, '')].map(([field, value]) => ({
    field,
    term: termOf(field, payload.value as Readonly<Record<string, unknown>>, terms),
    value,
  }));
}

function documentRows(body: Uint8Array): readonly LongRow[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return [...leaves(value, '')].map(([field, leaf]) => ({ field, term: '', value: leaf }));
  } catch {
    return [];
  }
}

function* leaves(value: unknown, path: string): Generator<readonly [string, LongRow['value']]> {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string')
    yield [path, value];
  else if (Array.isArray(value)) {
    for (const [i, inner] of (value as unknown[]).entries()) yield* leaves(inner, `${path}[${i}]`);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    for (const [name, inner] of Object.entries(value))
      if (name !== '$case' && !TEXTS.has(name)) yield* leaves(inner, path === '' ? name : `${path}.${name}`);
  }
}

function termOf(field: string, payload: Readonly<Record<string, unknown>>, terms: readonly string[]): string {
  const [, name, digits] = /^(estimable|estimates|vcov|means|deviations)\[(\d+)\]$/.exec(field) ?? [];
  if (name === undefined) return '';
  const i = Number(digits);
  const flags = payload['estimable'];
  const estimable = Array.isArray(flags) ? (flags as readonly boolean[]) : [];
  const own = estimable.flatMap((possible, at) => (possible ? [at] : []));
  const named = (at: number | undefined): string =>
    (at !== undefined && (estimable.length === 0 || estimable.length === terms.length)
      ? terms[at]
      : undefined) ?? '';
  if (name === 'estimates') return named(own[i]);
  if (name !== 'vcov') return named(i);
  let row = 0;
  while (packedLength(row + 1) <= i) row++;
  const [a, b] = [named(own[row]), named(own[i - packedLength(row)])];
  return a === '' ? '' : `${a} × ${b}`;
}
