/** One agent a log: a second one over the same folder would write between the entries of the first. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { ConcordatError } from '@concordat/shared/errors.ts';

/** Held until `close`, or the end of the process however it comes. */
export interface Lock {
  close(): void;
}

/**
 * Takes the state folder for this process. By SQLite, whose locks are the system's own: they hold between containers that share
 * the folder, and end with the process, however it ends.
 * @throws ConcordatError `run/conflict`
 */
export function lockFolder(folder: string): Lock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'lock');
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new ConcordatError('run/conflict', 'another agent works with this folder', {
      place: folder,
      remedy: 'it serves already: stop it first, or leave it running',
      cause,
    });
  }
  return database;
}
