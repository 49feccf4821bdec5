/** A passphrase from a file, or typed where there is a terminal; never from an argument, which others could see. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

import { ConcordatError } from '@concordat/shared/errors.ts';

export async function passphraseFor(what: string, file: string | undefined): Promise<string> {
  if (file !== undefined) {
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch (cause) {
      throw new ConcordatError('approval/passphrase', 'the file of the passphrase cannot be read', {
        place: file,
        remedy: 'check its path and permissions',
        cause,
      });
    }
  }
  if (!process.stdin.isTTY) {
    throw new ConcordatError('approval/passphrase', `the passphrase of ${what} cannot be typed here`, {
      remedy: 'give the command at a terminal, or a file with --passphrase-file',
    });
  }
  process.stderr.write(`Passphrase of ${what}: `);
  // What is typed is not shown.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await reader.question('');
  } finally {
    reader.close();
    process.stderr.write('\n');
  }
}

/** A passphrase that is chosen now: typed twice, since nobody could recover one that was mistyped. */
export async function newPassphrase(name: string, file: string | undefined): Promise<string> {
  const passphrase = await passphraseFor(`${name}, to be chosen now`, file);
  if (file === undefined && (await passphraseFor(`${name}, once more`, file)) !== passphrase) {
    throw new ConcordatError('approval/passphrase', 'the two passphrases are not the same', {
      remedy: 'give the command again; nothing was made',
    });
  }
  return passphrase;
}
