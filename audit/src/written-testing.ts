/** For tests: logs as MessageLog writes them, under keys that are made for each test run. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

import { MessageLog, type LogItem } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, cosign, signCheckpoint, siteOrigin } from '@concordat/shared/log/note.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

import { filesOf, type LogFiles } from './log-testing.ts';

export const site = signingIdentity(generateSigningKey(), 'test');
export const coordinator = signingIdentity(generateSigningKey(), 'test');
export const ORIGIN = siteOrigin('A');
export const KEYS: ReadonlyMap<string, Uint8Array> = new Map([
  [ORIGIN, site.publicKey],
  [COORDINATOR_ORIGIN, coordinator.publicKey],
]);
export const START = Date.parse('2026-01-01T00:00:00Z');

let salts = 0;

/** Opens a log whose clock goes on by a second an entry. */
export function openLogAt(directory: string): MessageLog {
  let log: MessageLog | null = null;
  log = new MessageLog({
    fs: { ...fs, fsyncSync: () => {} },
    directory,
    origin: ORIGIN,
    identity: site,
    now: () => new Date(START + 1000 * (log?.entries.length ?? 0)),
    randomBytes: (n) => new Uint8Array(sha256(`salt ${salts++}`).subarray(0, n)),
  });
  return log;
}

/** Messages received and sent, and a decision between the two. */
export const items = (count: number): readonly LogItem[] =>
  Array.from({ length: count }, (_, i) => ({
    entry: { kind: i % 3 === 1 ? 'decision' : i % 3 === 0 ? 'received' : 'sent', peer: 'coordinator' },
    ...(i % 3 === 1 ? {} : { body: createHash('sha512').update(`${i}`).digest() }),
  }));

/** A log of two processes, with bodies erased, cosigned by the coordinator half-way, whose own log it cosigned. */
export function writtenLog(directory: string, count: number): LogFiles {
  const first = openLogAt(directory);
  first.append({ kind: 'start', detail: { software: '1' } });
  first.appendAll(items(Math.floor(count / 2)));
  first.close();
  keepNotes(directory, first);
  const second = openLogAt(directory);
  second.append({ kind: 'start', detail: { software: '1' } });
  second.appendAll(items(Math.ceil(count / 2)));
  second.erase(({ n }) => n > 1 && n < 5, 'retention');
  second.append({ kind: 'stop' });
  second.close();
  return filesOf(directory);
}

function keepNotes(directory: string, log: MessageLog): void {
  const seconds = START / 1000 + log.entries.length;
  for (const folder of ['witness', 'cosigned']) fs.mkdirSync(join(directory, folder), { recursive: true });
  const head = { origin: COORDINATOR_ORIGIN, size: 7, root: sha256('their root') };
  const name = encodeURIComponent(COORDINATOR_ORIGIN);
  fs.writeFileSync(
    join(directory, 'witness', name),
    cosign(signCheckpoint(head, coordinator), ORIGIN, site, seconds),
  );
  fs.writeFileSync(
    join(directory, 'cosigned', name),
    cosign(log.note, COORDINATOR_ORIGIN, coordinator, seconds),
  );
}
