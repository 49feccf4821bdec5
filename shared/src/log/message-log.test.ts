import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { sha256, toHex } from '../wire/digest.ts';
import { generateSigningKey, signingIdentity, verifyBytes } from '../wire/signing.ts';
import { MerkleTree } from './merkle.ts';
import { MessageLog, type LogOptions } from './message-log.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'message-log-'));
after(() => fs.rmSync(root, { recursive: true }));
const identity = signingIdentity(generateSigningKey(), 'test');
const TASK = toHex(sha256('a task'));

function open(directory: string, over: Partial<LogOptions> = {}): MessageLog {
  return new MessageLog({
    fs,
    directory,
    origin: 'concordat/site/A',
    identity,
    now: () => new Date('2026-01-01T00:00:00Z'),
    randomBytes: (n) => randomBytes(n),
    ...over,
  });
}

/** A closed log of a start, a received message and its answer; `bodies` are the messages' commitments. */
function written(name: string): { directory: string; bodies: readonly string[]; checkpoint: object } {
  const directory = join(root, name);
  const log = open(directory);
  log.append({ kind: 'start', detail: { policy: 'default' } });
  const received = log.append({ kind: 'received', peer: 'coordinator', task: TASK }, Uint8Array.of(1, 2, 3));
  const sent = log.append({ kind: 'sent', peer: 'coordinator', task: TASK }, Uint8Array.of(4));
  const checkpoint = log.checkpoint();
  log.close();
  return { directory, bodies: [received.body ?? '', sent.body ?? ''], checkpoint };
}

const entriesOf = (directory: string): string => join(directory, 'entries.jsonl');
const code = (expected: string) => (error: unknown) =>
  error instanceof ConcordatError && error.code === expected;

test('a log opened again holds the same entries, bodies and root', () => {
  const { directory, bodies, checkpoint } = written('again');
  const log = open(directory);
  assert.deepEqual(
    log.entries.map(({ n, kind }) => [n, kind]),
    [
      [0, 'start'],
      [1, 'received'],
      [2, 'sent'],
    ],
  );
  assert.deepEqual(log.checkpoint(), checkpoint);
  assert.deepEqual(log.body(bodies[0]!), Uint8Array.of(1, 2, 3));
  assert.deepEqual(
    log.entriesOf(TASK).map(({ kind }) => kind),
    ['received', 'sent'],
  );
  assert.deepEqual(log.entriesOf('other'), []);
  log.close();
});

test('the leaves are the bytes of the lines', () => {
  const { directory } = written('leaves');
  const tree = new MerkleTree();
  for (const line of fs.readFileSync(entriesOf(directory), 'utf8').trimEnd().split('\n'))
    tree.append(Buffer.from(line));
  const log = open(directory);
  assert.deepEqual(log.checkpoint(), { size: tree.size, root: tree.root() });
  log.close();
});

test('entries alone tell nothing of a body: its commitment is salted', () => {
  const log = open(join(root, 'salt'));
  const first = log.append({ kind: 'sent' }, Uint8Array.of(7));
  const second = log.append({ kind: 'sent' }, Uint8Array.of(7));
  assert.notEqual(first.body, second.body);
  assert.notEqual(first.body, toHex(sha256(Uint8Array.of(7))));
  log.close();
});

test('a torn last line is cut off, noted, and what was complete stays', () => {
  const { directory } = written('torn');
  fs.appendFileSync(entriesOf(directory), '{"n":3,"time":"2026-01-01T0');
  const log = open(directory);
  assert.deepEqual(
    log.entries.map(({ kind }) => kind),
    ['start', 'received', 'sent', 'recovered'],
  );
  assert.equal(log.entries[3]?.detail?.['torn_bytes'], 27);
  const { size } = log.append({ kind: 'stop' }) && log.checkpoint();
  assert.equal(size, 5);
  log.close();
  const again = open(directory);
  assert.equal(again.checkpoint().size, 5);
  again.close();
});

test('a crash between entry and checkpoint is harmless', () => {
  const { directory, checkpoint } = written('behind');
  const older = fs.readFileSync(join(directory, 'checkpoint'));
  const log = open(directory);
  log.append({ kind: 'stop' });
  log.close();
  fs.writeFileSync(join(directory, 'checkpoint'), older);
  const again = open(directory);
  assert.equal(again.checkpoint().size, (checkpoint as { size: number }).size + 1);
  again.close();
  fs.writeFileSync(join(directory, 'checkpoint'), '');
  open(directory).close();
});

const corruptions: Readonly<Record<string, (text: string) => string>> = {
  'a line that is not JSON': (text) => text.replace('{"n":1', '"n":1'),
  'an entry out of its place': (text) => text.replace('{"n":1', '{"n":2'),
  'a changed entry': (text) => text.replace('"received"', '"sent"'),
  'a removed line': (text) => text.split('\n').slice(1).join('\n'),
  'a last line removed': (text) => `${text.trimEnd().split('\n').slice(0, -1).join('\n')}\n`,
  'an empty file': () => '',
};
for (const [what, change] of Object.entries(corruptions)) {
  test(`${what} is log/corrupt`, () => {
    const { directory } = written(what.replaceAll(' ', '-'));
    const file = entriesOf(directory);
    fs.writeFileSync(file, change(fs.readFileSync(file, 'utf8')));
    assert.throws(() => open(directory), code('log/corrupt'));
  });
}

test('a changed body is log/corrupt when it is read', () => {
  const { directory, bodies } = written('body');
  const file = join(directory, 'bodies', bodies[0]!);
  const stored = fs.readFileSync(file);
  stored[stored.length - 1]! ^= 1;
  fs.writeFileSync(file, stored);
  const log = open(directory);
  assert.throws(() => log.body(bodies[0]!), code('log/corrupt'));
  log.close();
});

test('a second writer of the same log is run/conflict, and nothing of the first is lost', () => {
  const { directory } = written('shared');
  const first = open(directory);
  const second = open(directory);
  first.append({ kind: 'stop' });
  assert.throws(() => second.append({ kind: 'stop' }), code('run/conflict'));
  first.append({ kind: 'start' });
  first.close();
  second.close();
  const again = open(directory);
  assert.equal(again.checkpoint().size, 5);
  again.close();
});

test('the checkpoint is a C2SP signed note over origin, size and root', () => {
  const { directory, checkpoint } = written('note');
  const { size, root: hash } = checkpoint as { size: number; root: Uint8Array };
  const [text, signatures] = fs.readFileSync(join(directory, 'checkpoint'), 'utf8').split('\n\n');
  assert.equal(`${text}\n`, `concordat/site/A\n${size}\n${Buffer.from(hash).toString('base64')}\n`);
  const match = /^\u2014 (\S+) (\S+)\n$/.exec(signatures ?? '');
  assert.ok(match);
  assert.equal(match[1], 'concordat/site/A');
  const blob = Buffer.from(match[2]!, 'base64');
  assert.equal(blob.length, 4 + 64);
  const keyId = sha256('concordat/site/A\n', Uint8Array.of(1), identity.publicKey).subarray(0, 4);
  assert.deepEqual(new Uint8Array(blob.subarray(0, 4)), new Uint8Array(keyId));
  assert.ok(verifyBytes(identity.publicKey, '', Buffer.from(`${text}\n`), blob.subarray(4)));
});

test('body, folder and entry are flushed, in this order, before append returns', () => {
  const calls: string[] = [];
  const names = new Map<number, string>();
  const watched: LogOptions['fs'] = {
    ...fs,
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      const handle = fs.openSync(...args);
      const name = String(args[0]);
      names.set(
        handle,
        name.endsWith('bodies')
          ? 'folder'
          : name.includes('/bodies/')
            ? 'body'
            : name.slice(name.lastIndexOf('/') + 1),
      );
      return handle;
    },
    fsyncSync: (handle) => {
      calls.push(names.get(handle) ?? '');
      fs.fsyncSync(handle);
    },
  };
  const log = open(join(root, 'flush'), { fs: watched });
  log.append({ kind: 'sent' }, Uint8Array.of(1));
  // The log's own folder once, when it is opened.
  assert.deepEqual(calls, ['flush', 'body', 'folder', 'entries.jsonl']);
  log.close();
});
