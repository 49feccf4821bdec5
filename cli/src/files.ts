import { readFileSync } from 'node:fs';

import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';

/** The text of a file that the user named. */
export function readText(file: string, code: ErrorCode): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new ConcordatError(code, 'the file cannot be read', {
      place: file,
      remedy: 'check the path and that you may read the file',
      cause,
    });
  }
  try {
    // A byte order mark is kept: digests are of the file as written.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ConcordatError(code, 'the file is not UTF-8 text', { place: file, remedy: 'save it as UTF-8', cause });
  }
}
