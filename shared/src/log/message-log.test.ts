import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { sha256, toHex } from '../wire/digest.ts';
import { generateSigningKey, signingIdentity } from '../wire/signing.ts';
import { hasBody, type EntryWithBody } from './entry.ts';
import { LogFolder } from './log-folder.ts';
import { isConsistent, leafHash, MerkleTree, type TreeHead } from './merkle.ts';
import { MessageLog, type LogItem, type LogOptions } from './message-log.ts';
import { isSigned, readCheckpoint } from './note.ts';
import { decodeEntries, encodeEntries } from './tiles.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'message-log-'));
after(() => fs.rmSync(root, { recursive: true }));
const identity = signingIdentity(generateSigningKey(), 'test');
const TASK = toHex(sha256('a task'));
const OPEN = 'tile/entries/000.open';

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

interface Written {
  readonly directory: string;
  readonly messages: readonly EntryWithBody[];
  readonly checkpoint: TreeHead;
}

/** A closed log of a start, a received message and its answer. */
function written(name: string): Written {
  const directory = join(root, name);
  const log = open(directory);
  log.append({ kind: 'start', detail: { policy: 'default' } });
  const received = log.append({ kind: 'received', peer: 'coordinator', task: TASK }, Uint8Array.of(1, 2, 3));
  const sent = log.append({ kind: 'sent', peer: 'coordinator', task: TASK }, Uint8Array.of(4));
  const checkpoint = log.checkpoint();
  log.close();
  return { directory, messages: [received, sent].filter(hasBody), checkpoint };
}

const code = (expected: string) => (error: unknown) =>
  error instanceof ConcordatError && error.code === expected;

/** What a log holds, with its bodies. */
function contentOf(log: Pick<MessageLog, 'entries' | 'body'>): readonly unknown[] {
  return log.entries.map((entry) => [entry, hasBody(entry) ? toHex(log.body(entry)) : null]);
}

test('a log opened again holds the same entries, bodies and root', () => {
  const { directory, messages, checkpoint } = written('again');
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
  assert.deepEqual(log.body(messages[0]!), Uint8Array.of(1, 2, 3));
  assert.deepEqual(
    log.entriesOf(TASK).map(({ kind }) => kind),
    ['received', 'sent'],
  );
  assert.deepEqual(log.entriesOf('other'), []);
  log.close();
});

test('the leaves are the bytes of the entries', () => {
  const { directory, checkpoint } = written('leaves');
  const tree = new MerkleTree();
  for (const leaf of decodeEntries(fs.readFileSync(join(directory, OPEN))).entries) tree.append(leaf);
  assert.deepEqual({ size: tree.size, root: tree.root() }, checkpoint);
});

test('entries alone tell nothing of a body: its commitment is salted', () => {
  const log = open(join(root, 'salt'));
  const first = log.append({ kind: 'sent' }, Uint8Array.of(7));
  const second = log.append({ kind: 'sent' }, Uint8Array.of(7));
  assert.notEqual(first.body, second.body);
  assert.notEqual(first.body, toHex(sha256(Uint8Array.of(7))));
  log.close();
});

const BATCH: readonly LogItem[] = [
  { entry: { kind: 'sent', peer: 'A', task: TASK }, body: Uint8Array.of(1) },
  { entry: { kind: 'decision', peer: 'B' } },
  { entry: { kind: 'sent', peer: 'C' }, body: new Uint8Array(300).fill(2) },
  { entry: { kind: 'sent', peer: 'D' }, body: new Uint8Array(0) },
];

test('a batch is what its entries one after the other are', () => {
  const salts = (): LogOptions['randomBytes'] => {
    let next = 0;
    return (n) => new Uint8Array(n).fill(++next);
  };
  const single = open(join(root, 'single'), { randomBytes: salts() });
  for (const { entry, body } of BATCH) single.append(entry, body);
  const log = open(join(root, 'batch'), { randomBytes: salts() });
  assert.deepEqual(log.appendAll(BATCH), log.entries);
  assert.deepEqual(log.appendAll([]), []);
  assert.deepEqual(contentOf(log), contentOf(single));
  assert.deepEqual(log.checkpoint(), single.checkpoint());
  log.close();
  single.close();
});

/** Three full bundles and part of a fourth, written in batches that do not divide a bundle. */
function long(name: string): { directory: string; log: MessageLog } {
  const directory = join(root, name);
  const log = open(directory);
  for (let i = 0; i < 900; i += 100)
    log.appendAll(
      Array.from({ length: 100 }, (_, j) => ({
        entry: { kind: 'sent', round: i + j },
        ...((i + j) % 3 === 0 ? {} : { body: Buffer.from(`message ${i + j}`) }),
      })),
    );
  return { directory, log };
}

test('bundles and tiles are those of tlog-tiles, and a long log is opened again as it was', () => {
  const { directory, log } = long('long');
  const content = contentOf(log);
  const head = log.checkpoint();
  log.close();
  const bundle = (path: string): readonly Uint8Array[] =>
    decodeEntries(fs.readFileSync(join(directory, path))).entries;
  const names = ['000', '001', '002', '003.p/132'];
  const leaves = names.flatMap((name) => bundle(`tile/entries/${name}`));
  assert.equal(leaves.length, 900);
  const hashes = names.map((name) => fs.readFileSync(join(directory, `tile/0/${name}`)));
  assert.deepEqual(Buffer.concat(hashes), Buffer.concat(leaves.map(leafHash)));
  const above = new MerkleTree();
  for (const leaf of leaves) above.append(leaf);
  assert.deepEqual(
    fs.readFileSync(join(directory, 'tile/1/000.p/3')),
    Buffer.concat([0, 1, 2].map((i) => above.hash(8, i))),
  );
  assert.deepEqual(above.root(), head.root);

  const again = open(directory);
  assert.deepEqual(again.checkpoint(), head);
  assert.deepEqual(contentOf(again), content);
  again.append({ kind: 'stop' });
  again.close();
  assert.deepEqual(fs.readdirSync(join(directory, 'tile/0/003.p')), ['133']);
});

test('a log is read beside the process that writes it, over the end of a bundle', () => {
  const directory = join(root, 'beside');
  const log = open(directory);
  const beside = new LogFolder(fs, directory);
  assert.deepEqual(beside.entries(), []);
  for (let i = 0; i < 600; i++) {
    log.append({ kind: 'sent', round: i }, Buffer.from(`message ${i}`));
    if (i % 7 === 0) assert.equal(beside.entries().length, i + 1);
  }
  assert.deepEqual(
    contentOf({ entries: beside.entries(), body: (entry) => beside.body(entry) }),
    contentOf(log),
  );
  log.close();
});

test('after a crash at any of its bytes, the entries that are whole stand, each with its body', () => {
  const directory = join(root, 'torn');
  const log = open(directory);
  log.appendAll(Array.from({ length: 254 }, () => ({ entry: { kind: 'decision' } })));
  const kept = fs.readFileSync(join(directory, OPEN));
  const older = fs.readFileSync(join(directory, 'checkpoint'));
  log.append({ kind: 'sent' }, Uint8Array.of(1));
  log.append({ kind: 'sent' }, Uint8Array.of(2, 2));
  log.close();
  const whole = fs.readFileSync(join(directory, 'tile/entries/000'));
  const bodies = fs.readFileSync(join(directory, 'bodies/000'));
  const copy = join(root, 'torn-copy');
  for (let length = kept.length; length <= whole.length; length += 11) {
    fs.rmSync(copy, { recursive: true, force: true });
    fs.mkdirSync(join(copy, 'tile/entries'), { recursive: true });
    fs.mkdirSync(join(copy, 'bodies'));
    fs.writeFileSync(join(copy, OPEN), whole.subarray(0, length));
    fs.writeFileSync(join(copy, 'bodies/000'), bodies);
    fs.writeFileSync(join(copy, 'checkpoint'), older);
    const { entries, length: read } = decodeEntries(whole.subarray(0, length));
    const again = open(copy);
    assert.equal(again.entries.length, entries.length + (read < length ? 1 : 0));
    assert.equal(again.entries.at(-1)?.kind === 'recovered', read < length);
    again.append({ kind: 'sent' }, Uint8Array.of(9));
    const content = contentOf(again);
    again.close();
    const third = open(copy);
    assert.deepEqual(contentOf(third), content);
    third.close();
  }
});

test('a crash between a full bundle and its name or its tiles is made good', () => {
  const { directory, log } = long('unnamed');
  const head = log.checkpoint();
  log.close();
  const at = (path: string): string => join(directory, path);
  fs.rmSync(at('tile/entries/003.open'));
  fs.rmSync(at('bodies/003'));
  fs.rmSync(at('checkpoint'));
  fs.renameSync(at('tile/entries/002'), at('tile/entries/002.open'));
  fs.rmSync(at('tile/0/002'));
  const again = open(directory);
  assert.equal(again.entries.length, 768);
  assert.ok(fs.existsSync(at('tile/entries/002')));
  assert.equal(fs.readFileSync(at('tile/0/002')).length, 256 * 32);
  assert.ok(isConsistent(again.checkpoint(), head, log.tree.consistencyProof(768, 900)));
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
  assert.equal(again.checkpoint().size, checkpoint.size + 1);
  assert.equal(readCheckpoint(again.note)?.size, checkpoint.size + 1);
  again.close();
  fs.writeFileSync(join(directory, 'checkpoint'), '');
  open(directory).close();
});

const changed = (leaf: Uint8Array): Uint8Array =>
  Buffer.from(Buffer.from(leaf).toString('utf8').replace('received', 'sent'));
const corruptions: Readonly<Record<string, (leaves: readonly Uint8Array[]) => readonly Uint8Array[]>> = {
  'an entry that is not JSON': ([first, , third]) => [first!, Buffer.from('{"n":1'), third!],
  'an entry out of its place': ([first, second, third]) => [first!, third!, second!],
  'a changed entry': ([first, second, third]) => [first!, changed(second!), third!],
  'a removed entry': ([first, , third]) => [first!, third!],
  'a last entry removed': ([first, second]) => [first!, second!],
  'an empty file': () => [],
};
for (const [what, change] of Object.entries(corruptions)) {
  test(`${what} is log/corrupt`, () => {
    const { directory } = written(what.replaceAll(' ', '-'));
    const file = join(directory, OPEN);
    fs.writeFileSync(file, encodeEntries(change(decodeEntries(fs.readFileSync(file)).entries)));
    assert.throws(() => open(directory), code('log/corrupt'));
  });
}

test('a changed body is log/corrupt when it is read', () => {
  const { directory, messages } = written('body');
  const file = join(directory, 'bodies/000');
  const stored = fs.readFileSync(file);
  const log = open(directory);
  for (let at = 0; at < messages[1]!.at; at++) {
    const altered = Buffer.from(stored);
    altered[at]! ^= 1;
    fs.writeFileSync(file, altered);
    assert.throws(() => log.body(messages[0]!), code('log/corrupt'));
  }
  fs.rmSync(file);
  assert.throws(() => log.body(messages[0]!), code('log/corrupt'));
  log.close();
});

test('what is erased is gone for good, is said in the log, and leaves the log as it was', () => {
  const { directory, log } = long('erased');
  const before = log.checkpoint();
  const stored = (): string => fs.readFileSync(join(directory, 'bodies/001')).toString('latin1');
  assert.ok(stored().includes('message 400'));
  const chosen = ({ n }: { readonly n: number }): boolean => n >= 300 && n < 800;
  const count = log.erase(chosen, 'retention of two years');
  assert.equal(count, log.entries.filter(hasBody).filter(chosen).length);
  assert.ok(!stored().includes('message 400'));
  assert.ok(isConsistent(before, log.checkpoint(), log.tree.consistencyProof(before.size)));
  assert.equal(log.entries.at(-1)?.detail?.['reason'], 'retention of two years');
  assert.equal(log.erase(chosen, 'again'), 0);
  for (const entry of log.entries.filter(hasBody))
    if (chosen(entry)) assert.throws(() => log.body(entry), code('log/erased'));
    else assert.equal(Buffer.from(log.body(entry)).toString(), `message ${entry.n}`);
  log.close();
  open(directory).close();
});

test('a crash between the word about an erasure and the erasure is made good', () => {
  const { directory, log } = long('half-erased');
  const kept = fs.readFileSync(join(directory, 'bodies/000'));
  log.erase(({ n }) => n < 10, 'asked for');
  log.close();
  fs.writeFileSync(join(directory, 'bodies/000'), kept);
  const again = open(directory);
  for (const entry of again.entries.filter(hasBody).filter(({ n }) => n < 10))
    assert.throws(() => again.body(entry), code('log/erased'));
  again.close();
});

test('a second writer of the same log is run/conflict, and nothing of the first is lost', () => {
  const { directory } = written('shared');
  const first = open(directory);
  const second = open(directory);
  const logged = first.appendAll(BATCH);
  assert.throws(() => second.append({ kind: 'stop' }), code('run/conflict'));
  assert.throws(() => second.appendAll(BATCH), code('run/conflict'));
  assert.deepEqual(first.body(logged.filter(hasBody)[0]!), BATCH[0]!.body);
  first.append({ kind: 'start' });
  first.close();
  second.close();
  const again = open(directory);
  assert.equal(again.checkpoint().size, 8);
  again.close();
});

test('the checkpoint is signed, and is that of the entries', () => {
  const { directory, checkpoint } = written('note');
  const note = readCheckpoint(fs.readFileSync(join(directory, 'checkpoint'), 'utf8'));
  assert.ok(note !== null && isSigned(note, identity.publicKey));
  assert.deepEqual(
    [note.origin, note.size, note.root],
    ['concordat/site/A', checkpoint.size, checkpoint.root],
  );
});

test('bodies and entries are flushed, in this order, before append returns', () => {
  const calls: string[] = [];
  const names = new Map<number, string>();
  const watched: LogOptions['fs'] = {
    ...fs,
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      const handle = fs.openSync(...args);
      names.set(handle, String(args[0]).slice(join(root, 'flush/').length));
      return handle;
    },
    fsyncSync: (handle) => {
      calls.push(names.get(handle) ?? '');
      fs.fsyncSync(handle);
    },
  };
  const log = open(join(root, 'flush'), { fs: watched });
  log.append({ kind: 'sent' }, Uint8Array.of(1));
  // Folders whenever a file in them is new.
  assert.deepEqual(calls.splice(0), ['tile/entries', 'tile', '', 'bodies', 'bodies/000', OPEN]);
  log.appendAll(BATCH);
  assert.deepEqual(calls, ['bodies/000', OPEN]);
  log.close();
});
