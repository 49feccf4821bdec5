/** Opens what an auditor was given as a log. */
import { statSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { openLogFolder, type LogSource } from './log-source.ts';
import { openTar } from './tar-source.ts';

/** The log in a folder, or in a bundle of one. Throws where there is nothing that could be one. */
export function openLog(path: string): LogSource {
  try {
    return statSync(path).isDirectory() ? openLogFolder(path) : openTar(path);
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the log cannot be read', {
      place: path,
      remedy: 'name the folder of a log, or a bundle of one',
      cause,
    });
  }
}
