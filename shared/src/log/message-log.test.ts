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
import { MessageLog, type LogItem, type LogOptions } from './message-log.ts';

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

const BATCH: readonly LogItem[] = [
  { entry: { kind: 'sent', peer: 'A', task: TASK }, body: Uint8Array.of(1) },
  { entry: { kind: 'decision', peer: 'B' } },
  { entry: { kind: 'sent', peer: 'C' }, body: new Uint8Array(300).fill(2) },
  { entry: { kind: 'sent', peer: 'D' }, body: new Uint8Array(0) },
];

test('a batch is what its entries one after the other are, and its bodies are found, also after a restart', () => {
  const salts = (): LogOptions['randomBytes'] => {
    let next = 0;
    return (n) => new Uint8Array(n).fill(++next);
  };
  const single = open(join(root, 'single'), { randomBytes: salts() });
  for (const { entry, body } of BATCH) single.append(entry, body);
  const directory = join(root, 'batch');
  const log = open(directory, { randomBytes: salts() });
  const logged = log.appendAll(BATCH);
  assert.deepEqual(log.appendAll([]), []);
  assert.deepEqual(
    logged.map(({ pack: _, ...entry }) => entry),
    single.entries,
  );
  assert.deepEqual(log.entries, logged);
  log.append({ kind: 'sent' }, Uint8Array.of(9));
  const second = log.appendAll(BATCH);
  assert.deepEqual(
    second.map(({ pack }) => pack),
    [5, undefined, 5, 5],
  );
  const checkpoint = log.checkpoint();
  log.close();
  single.close();
  assert.equal(fs.readdirSync(join(directory, 'bodies')).length, 3);

  const again = open(directory);
  assert.deepEqual(again.checkpoint(), checkpoint);
  for (const entries of [logged, second])
    entries.forEach(({ body }, i) => {
      if (body !== undefined) assert.deepEqual(again.body(body), BATCH[i]!.body);
    });
  again.close();
});

test('a batch with one body writes it as an entry alone does', () => {
  const directory = join(root, 'one-body');
  const log = open(directory);
  const [entry] = log.appendAll(BATCH.slice(0, 2));
  assert.equal(entry!.pack, undefined);
  assert.deepEqual(fs.readdirSync(join(directory, 'bodies')), [entry!.body]);
  log.close();
});

test('a batch torn in any of its bytes leaves the entries whose lines are whole, each with its body', () => {
  const directory = join(root, 'torn-batch');
  const log = open(directory);
  log.append({ kind: 'start' });
  const before = fs.statSync(entriesOf(directory)).size;
  const older = fs.readFileSync(join(directory, 'checkpoint'));
  log.appendAll(BATCH);
  log.close();
  const whole = fs.readFileSync(entriesOf(directory));
  for (let length = before; length <= whole.length; length += 29) {
    fs.writeFileSync(entriesOf(directory), whole.subarray(0, length));
    fs.writeFileSync(join(directory, 'checkpoint'), older);
    const again = open(directory);
    const kept = again.entries.filter(({ kind }) => kind === 'sent' || kind === 'decision');
    assert.equal(kept.length, whole.subarray(before, length).toString().split('\n').length - 1);
    for (const { body, n } of kept)
      if (body !== undefined) assert.deepEqual(again.body(body), BATCH[n - 1]!.body);
    again.close();
  }
});

test('a changed, cut or foreign pack is log/corrupt when a body is read from it', () => {
  const directory = join(root, 'bad-pack');
  const log = open(directory);
  const logged = log.appendAll(BATCH);
  const file = join(directory, 'bodies', 'pack-0');
  const whole = fs.readFileSync(file);
  const third = logged[2]!.body!;
  assert.equal(log.body(third).length, 300);
  const changed = Buffer.from(whole);
  changed[200]! ^= 1;
  for (const bytes of [changed, whole.subarray(0, 250), Buffer.alloc(0), Buffer.alloc(500)]) {
    fs.writeFileSync(file, bytes);
    assert.throws(() => log.body(third), code('log/corrupt'));
  }
  log.close();
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
  const logged = first.appendAll(BATCH);
  assert.throws(() => second.append({ kind: 'stop' }), code('run/conflict'));
  assert.throws(() => second.appendAll(BATCH), code('run/conflict'));
  assert.deepEqual(first.body(logged[0]!.body!), BATCH[0]!.body);
  first.append({ kind: 'start' });
  first.close();
  second.close();
  const again = open(directory);
  assert.equal(again.checkpoint().size, 8);
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
            ? name.includes('pack-')
              ? 'pack'
              : 'body'
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
  assert.deepEqual(calls.splice(0), ['flush', 'body', 'folder', 'entries.jsonl']);
  log.appendAll(BATCH);
  assert.deepEqual(calls, ['pack', 'folder', 'entries.jsonl']);
  log.close();
});
