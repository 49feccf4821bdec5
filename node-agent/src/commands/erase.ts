/** `agent erase`: what messages of closed runs say is erased for good, when their term is over. That it was, and why, stays in the log. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';

import { isDay } from '@concordat/shared/agreement/days.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { erasableLines, erasableRuns, eraseRuns } from '@concordat/shared/log/erasable.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { readAgentConfig, readSigningKey } from '../app.ts';
import { HeldAnswers } from '../egress/held.ts';
import { lockFolder } from '../lock.ts';

export interface EraseArguments {
  readonly config: string;
  /** A day: runs that were closed earlier. */
  readonly before: string;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Throws `run/conflict` while the agent serves. */
export function erase({ config: file, before, reason, yes }: EraseArguments): void {
  if (!isDay(before))
    throw new ConcordatError('usage/invalid', 'a day is written as "2027-12-31"', { place: '--before' });
  const config = readAgentConfig(file);
  const lock = lockFolder(config.state);
  try {
    const log = new MessageLog({
      fs,
      directory: config.log,
      origin: siteOrigin(config.study),
      identity: signingIdentity(readSigningKey(config), config.signing_key),
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
    try {
      const runs = erasableRuns(
        log.entries,
        before,
        ({ type }) => type === 'runClosed' || type === 'runLeft',
      );
      for (const line of erasableLines(runs)) console.log(line);
      if (runs.length === 0) console.log(`no run was over before ${before}`);
      else if (yes !== true) console.log('nothing is erased yet: give --yes too, and it is gone for good');
      else {
        console.log(`${eraseRuns(log, runs, reason)} bodies are erased; that they were is in the log`);
        const held = new HeldAnswers(config.state);
        const closed = new Set(runs.map(({ run }) => run));
        for (const { run = '', task } of log.entries)
          if (task !== undefined && closed.has(run)) held.drop(task);
      }
    } finally {
      log.close();
    }
  } finally {
    lock.close();
  }
}
