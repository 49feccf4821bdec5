/** What one side could do to its own log, which it can sign again. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { originOf } from '@concordat/audit/verify.ts';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { RECORD_HEAD, SALT_LENGTH } from '@concordat/shared/log/bodies.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { bodiesPath, TILE_WIDTH } from '@concordat/shared/log/tiles.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { signMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'forged-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

/** An entry with its body, as it is to be logged again. */
export interface Item {
  readonly entry: Omit<LogEntry, 'n' | 'body' | 'at'>;
  readonly body: Uint8Array | null;
  /** What the body was salted with: who has the log keeps it, so that what is not changed has the same bytes. */
  readonly salt: Uint8Array | null;
}

export function itemsOf(folder: string): readonly Item[] {
  const log = new LogFolder(fs, folder);
  return log.entries().map((logged) => {
    const { n: _n, body: _body, at: _at, ...entry } = logged;
    return hasBody(logged)
      ? { entry, body: log.body(logged), salt: saltOf(folder, logged) }
      : { entry, body: null, salt: null };
  });
}

function saltOf(folder: string, { n, at }: EntryWithBody): Uint8Array {
  const file = fs.openSync(join(folder, bodiesPath(Math.floor(n / TILE_WIDTH))), 'r');
  const salt = new Uint8Array(SALT_LENGTH);
  fs.readSync(file, salt, 0, SALT_LENGTH, at + RECORD_HEAD);
  fs.closeSync(file);
  return salt;
}

/** A log of these entries, without a fault of its own. */
export function forge(party: string, identity: SigningIdentity, items: readonly Item[]): string {
  const directory = fs.mkdtempSync(join(root, 'log-'));
  let time = '';
  let kept: Uint8Array | null = null;
  const log = new MessageLog({
    fs: { ...fs, fsyncSync: () => undefined },
    directory,
    origin: originOf(party),
    identity,
    now: () => new Date(time),
    randomBytes: (n) => kept ?? new Uint8Array(randomBytes(n)),
  });
  for (const { entry, body, salt } of items) {
    const { time: of, ...rest } = entry;
    time = of;
    kept = salt;
    log.append(rest, body ?? undefined);
  }
  log.close();
  return directory;
}

type Direction = typeof SiteMessage | typeof CoordinatorMessage;
type MessageOf<D extends Direction> = ReturnType<D['decode']>;

export const messageIn = <D extends Direction>(direction: D, { body }: Item): MessageOf<D> =>
  direction.decode(SignedMessage.decode(body!).body) as MessageOf<D>;

/** The item with another message in it, signed by `identity`; what answers it, or is it, is named anew where it is a task. */
export function rewritten<D extends Direction>(
  direction: D,
  item: Item,
  identity: SigningIdentity,
  change: (message: MessageOf<D>) => MessageOf<D>,
): Item {
  const message = change(messageIn(direction, item));
  const encoded = (direction as { encode: (message: unknown) => { finish(): Uint8Array } })
    .encode(message)
    .finish();
  const body = SignedMessage.encode(signMessage(identity, encoded)).finish();
  const task = direction === CoordinatorMessage ? { task: toHex(sha256(encoded)) } : {};
  return { ...item, entry: { ...item.entry, ...task }, body };
}
