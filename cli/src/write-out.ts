import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { ConcordatError } from '@concordat/shared/errors.ts';

/** To standard output, as fast as it is read; who reads may stop before the end. */
export async function writeOut(pieces: Iterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(pieces), process.stdout, { end: false });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EPIPE') throw error;
  }
}

/** Throws `usage/invalid` where the file cannot be written. */
export async function writeFile(
  file: string,
  pieces: Iterable<string | Uint8Array> | Readable,
): Promise<void> {
  try {
    await pipeline(pieces instanceof Readable ? pieces : Readable.from(pieces), createWriteStream(file));
  } catch (cause) {
    if (cause instanceof ConcordatError) throw cause;
    throw new ConcordatError('usage/invalid', 'the file cannot be written', { place: file, cause });
  }
}
