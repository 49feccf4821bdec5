/** What a program over the coordinator needs of its process. */
import { readFileSync } from 'node:fs';

import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';

/** Aborted when the process is told to end: by SIGTERM, or by SIGINT. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGTERM', () => controller.abort());
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}

/** Exit status of a program that ended with an error: 2 usage or an invalid document, 143 told to stop, 3 anything else. */
export function failureStatus(error: unknown): 2 | 3 | 143 {
  if (!(error instanceof ConcordatError) || error.code === 'process/failed') return 3;
  return error.code === 'process/stopped' ? 143 : 2;
}

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
    throw new ConcordatError(code, 'the file is not UTF-8 text', {
      place: file,
      remedy: 'save it as UTF-8',
      cause,
    });
  }
}
