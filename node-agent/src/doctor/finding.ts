import { ConcordatError } from '@concordat/shared/errors.ts';

/** What one check found. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; null where nothing is to be done. */
  readonly remedy: string | null;
}

export function ok(check: string, found: string): Finding {
  return { check, state: 'ok', found, remedy: null };
}

export function warn(check: string, found: string, remedy: string): Finding {
  return { check, state: 'warn', found, remedy };
}

export function fail(check: string, found: string, remedy: string): Finding {
  return { check, state: 'fail', found, remedy };
}

/** What an error says, as a finding; with every fault of a document. */
export function failure(check: string, error: unknown): Finding {
  if (!(error instanceof ConcordatError)) throw error;
  const { code, place, message, remedy } = error;
  const where = place === undefined ? '' : ` at ${place}`;
  return fail(check, `${code}${where}: ${message}`, remedy ?? 'docs/errors.md says what to do');
}

/** Runs a check that may throw a ConcordatError. */
export async function attempt(
  check: string,
  run: () => Finding | readonly Finding[] | Promise<Finding | readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return [await run()].flat();
  } catch (error) {
    return [failure(check, error)];
  }
}
