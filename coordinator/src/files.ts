/** Files of the coordinator: read with a fault that names them, written whole, and for their owner alone. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { ConcordatError } from '@concordat/shared/errors.ts';

/** A file that the configuration names. */
export function readConfigured(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}

/** In place of what was there, for its owner alone: a reader sees the old file or the new one, also after a power cut. */
export function replacePrivate(file: string, text: string): void {
  const handle = openSync(`${file}.part`, 'w', 0o600);
  writeFileSync(handle, text);
  fsyncSync(handle);
  closeSync(handle);
  renameSync(`${file}.part`, file);
  const folder = openSync(dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}
