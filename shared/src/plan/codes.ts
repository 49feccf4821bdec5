import type { Code } from './types.ts';

/**
 * Equality of codes. A column of 1 and 2 may be numeric at one study and text at another, and a plan may write
 * `1` or `"1"`: two codes are the same when both read as numbers and the numbers are equal, or neither does
 * and the text is identical.
 */

const DECIMAL = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/** The number that a code reads as, or null: a finite decimal number, as a number or as text. */
export function codeNumber(code: Code): number | null {
  const value = typeof code === 'number' ? code : DECIMAL.test(code) ? Number(code) : NaN;
  return Number.isFinite(value) ? value : null;
}

/** Text that is equal for two codes exactly when they are the same code. */
export function codeKey(code: Code): string {
  const value = codeNumber(code);
  // `+ 0` turns −0 into 0
  return value === null ? String(code) : String(value + 0);
}

export function sameCode(a: Code, b: Code): boolean {
  return typeof a === 'number' && typeof b === 'number' ? a === b : codeKey(a) === codeKey(b);
}
