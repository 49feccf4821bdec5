/** Logs as their owner would forge them afterwards: written again from changed entries, and signed with the owner's own key. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { RECORD_HEAD, SALT_LENGTH } from '@concordat/shared/log/bodies.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { bodiesPath, TILE_WIDTH } from '@concordat/shared/log/tiles.ts';
import { originOf } from '@concordat/audit/keys.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { signMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'forged-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

export interface Item {
  readonly entry: LogEntry;
  readonly body?: Uint8Array;
  /** Of the body as it was logged. */
  readonly salt?: Uint8Array;
}

export function itemsOf(folder: string): Item[] {
  const log = new LogFolder(fs, folder);
  return log
    .entries()
    .map((entry) =>
      hasBody(entry) ? { entry, body: log.body(entry), salt: saltOf(folder, entry) } : { entry },
    );
}

function saltOf(folder: string, { n, at }: EntryWithBody): Uint8Array {
  const bytes = fs.readFileSync(join(folder, bodiesPath(Math.floor(n / TILE_WIDTH))));
  return bytes.subarray(at + RECORD_HEAD, at + RECORD_HEAD + SALT_LENGTH);
}

/**
 * Writes the items as a log of its own. `remake`: messages that its owner sent are signed again, each with the log's state before it, so
 * that the log is consistent in itself.
 */
export function forge(
  party: string,
  items: readonly Item[],
  identity: SigningIdentity,
  { remake = false }: { readonly remake?: boolean } = {},
): string {
  const directory = fs.mkdtempSync(join(root, 'log-'));
  let time = '';
  let salt: Uint8Array | undefined;
  const log = new MessageLog({
    fs: { ...fs, fsyncSync: () => undefined },
    directory,
    origin: originOf(party),
    identity,
    now: () => new Date(time),
    randomBytes: (n) => salt ?? new Uint8Array(randomBytes(n)),
  });
  for (const item of items) {
    const { entry, body } = item;
    ({ time } = entry);
    ({ salt } = item);
    const { n: _n, time: _time, body: _body, at: _at, ...rest } = entry;
    const made =
      remake && entry.kind === 'sent' && body !== undefined ? again(body, party, log, identity) : body;
    const task =
      party === 'coordinator' && made !== undefined && entry.kind === 'sent' ? taskOf(made) : entry.task;
    log.append(task === undefined ? rest : { ...rest, task }, made);
  }
  log.close();
  return directory;
}

const taskOf = (body: Uint8Array): string => toHex(sha256(SignedMessage.decode(body).body));

function again(body: Uint8Array, party: string, log: MessageLog, identity: SigningIdentity): Uint8Array {
  const codec = party === 'coordinator' ? CoordinatorMessage : SiteMessage;
  const message = codec.decode(SignedMessage.decode(body).body);
  message.header!.checkpoint = log.checkpoint();
  return signed(codec.encode(message as never).finish(), identity);
}

const signed = (body: Uint8Array, identity: SigningIdentity): Uint8Array =>
  SignedMessage.encode(signMessage(identity, body)).finish();

/** A site's answer, changed and signed again. */
export function reply(
  body: Uint8Array,
  identity: SigningIdentity,
  change: (message: SiteMessage) => void,
): Uint8Array {
  const message = SiteMessage.decode(SignedMessage.decode(body).body);
  change(message);
  return signed(SiteMessage.encode(message).finish(), identity);
}

/** A question, changed and signed again. */
export function question(
  body: Uint8Array,
  identity: SigningIdentity,
  change: (message: CoordinatorMessage) => void,
): Uint8Array {
  const message = CoordinatorMessage.decode(SignedMessage.decode(body).body);
  change(message);
  return signed(CoordinatorMessage.encode(message).finish(), identity);
}
