/** `coordinator erase`: what messages of published runs say is erased for good, from log and journal. That it was, and why, stays in the log. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';

import { isDay } from '@concordat/shared/agreement/days.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { erasableLines, erasableRuns, eraseRuns } from '@concordat/shared/log/erasable.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN } from '@concordat/shared/log/note.ts';
import { fromHex, toHex } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { parseCoordinatorConfig } from '../config.ts';
import { readConfigured } from '../files.ts';
import { readText } from '../process.ts';
import { Journal } from '../store/journal.ts';

export interface EraseArguments {
  readonly config: string;
  /** A day: runs that were closed earlier. */
  readonly before: string;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Throws `run/conflict` while a coordinator runs. */
export function erase({ config: file, before, reason, yes }: EraseArguments): void {
  if (!isDay(before))
    throw new ConcordatError('usage/invalid', 'a day is written as "2027-12-31"', { place: '--before' });
  const config = parseCoordinatorConfig(readText(file, 'config/invalid'), file);
  const journal = new Journal(config.state);
  try {
    const log = new MessageLog({
      fs,
      directory: config.log,
      origin: COORDINATOR_ORIGIN,
      identity: signingIdentity(readConfigured(config.signing_key), config.signing_key),
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
    try {
      // Its messages are needed until its result is out.
      const unfinished = journal.unfinishedRun();
      const runs = erasableRuns(
        log.entries,
        before,
        ({ kind }) => kind === 'result',
        (run) => unfinished !== null && run === toHex(unfinished.id),
      );
      for (const line of erasableLines(runs)) console.log(line);
      if (runs.length === 0) console.log(`no run was over before ${before}`);
      else if (yes !== true) console.log('nothing is erased yet: give --yes too, and it is gone for good');
      else {
        console.log(`${eraseRuns(log, runs, reason)} bodies are erased; that they were is in the log`);
        // The journal's copies. Also those of runs whose bodies are gone already: a crash may have come between.
        journal.forget(runs.filter(({ run }) => run !== '').map(({ run }) => fromHex(run)));
      }
    } finally {
      log.close();
    }
  } finally {
    journal.close();
  }
}
