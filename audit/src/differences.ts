/** Where two values that should be the same are not. */
import type { Path } from '@concordat/shared/plan/findings.ts';
import { sameBytes, toHex } from '@concordat/shared/wire/digest.ts';

export interface Difference {
  readonly path: Path;
  /** In words. */
  readonly expected: string;
  readonly found: string;
}

/** Every difference, in the order of what is expected. Numbers are the same where every bit is: -0 is not 0, NaN is NaN. */
export function differences(expected: unknown, found: unknown, path: Path = []): readonly Difference[] {
  if (Object.is(expected, found)) return [];
  if (expected instanceof Uint8Array && found instanceof Uint8Array && sameBytes(expected, found)) return [];
  if (isList(expected) && isList(found)) {
    const length = Math.max(expected.length, found.length);
    return Array.from({ length }, (_, i) => i).flatMap((i) =>
      differences(expected[i], found[i], [...path, i]),
    );
  }
  if (isRecord(expected) && isRecord(found)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(found)]);
    return [...keys].flatMap((key) => differences(own(expected, key), own(found, key), [...path, key]));
  }
  return [{ path, expected: inWords(expected), found: inWords(found) }];
}

type Values = Readonly<Record<string, unknown>>;

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function isRecord(value: unknown): value is Values {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

const own = (value: Values, key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined);

/** A plan's text is a value too: what differs is shown by its place, not in full. */
const LONGEST = 80;

function inWords(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Object.is(value, -0)) return '-0';
  if (typeof value === 'number') return String(value);
  const text = value instanceof Uint8Array ? toHex(value) : JSON.stringify(value);
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}
