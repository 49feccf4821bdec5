/** What the ways in which a process dies leave of a log, and what somebody can make of it who holds its key. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { hasBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { MerkleTree } from '@concordat/shared/log/merkle.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, cosign, signCheckpoint, siteOrigin } from '@concordat/shared/log/note.ts';
import { encodeEntries } from '@concordat/shared/log/tiles.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity, signMessage } from '@concordat/shared/wire/signing.ts';

import { openLogFolder } from './log-source.ts';
import { audited, filesOf, flips, missed, sourceOf, type Audited, type LogFiles } from './log-testing.ts';
import { coordinator, items, KEYS, openLogAt, ORIGIN, site, START, writtenLog } from './written-testing.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'log-states-'));
after(() => fs.rmSync(root, { recursive: true }));
const small = writtenLog(join(root, 'small'), 12);
const OPEN = 'tile/entries/000.open';
const COSIGNED = `cosigned/${encodeURIComponent(COORDINATOR_ORIGIN)}`;

const read = (files: LogFiles): Audited => audited(sourceOf(files), KEYS);
const kinds = ({ findings }: Audited): readonly string[] =>
  findings.map(({ kind, place }) => `${kind} ${place.file} ${place.entry ?? ''}`.trim());
const noted = ({ notes }: Audited): readonly (string | undefined)[] => notes.map(({ place }) => place.file);
const without = (files: LogFiles, pattern: RegExp): Map<string, Uint8Array> =>
  new Map([...files].filter(([path]) => !pattern.test(path)));

/** A log of a process that was killed after so many entries. */
function killed(name: string, count: number): { directory: string; log: MessageLog; files: LogFiles } {
  const directory = join(root, name);
  const log = openLogAt(directory);
  log.appendAll(items(count));
  return { directory, log, files: filesOf(directory) };
}

test('of a process that was killed only the partial tiles are missing', () => {
  const { files } = killed('killed', 300);
  const audit = read(files);
  assert.deepEqual([kinds(audit), noted(audit)], [[], ['tile/0/001.p/44']]);
  assert.ok(audit.summary.proven);
});

test('without a tile a change is found all the same, at the entry where something shows', () => {
  const { files } = killed('untiled', 9);
  for (const { entry, ...mutation } of flips(files, OPEN, [0, 4])) {
    assert.ok(entry !== undefined);
    assert.equal(missed(mutation, read(mutation.files).findings), null);
  }
});

test('an entry that is not whole, and a body without an entry, are what a crash leaves', () => {
  const { files, log } = killed('torn', 9);
  const before = without(files, /^$/);
  log.append({ kind: 'sent' }, Buffer.from('a last message'));
  const torn = filesOf(join(root, 'torn'));
  const bundle = torn.get(OPEN)!;
  for (const length of [bundle.length - 1, files.get(OPEN)!.length + 1, files.get(OPEN)!.length]) {
    const audit = read(
      new Map(before).set(OPEN, bundle.slice(0, length)).set('bodies/000', torn.get('bodies/000')!),
    );
    assert.deepEqual(kinds(audit), []);
    assert.ok(noted(audit).includes('bodies/000'));
    assert.equal(noted(audit).includes(OPEN), length > files.get(OPEN)!.length);
  }
});

test('entries behind the checkpoint are not signed', () => {
  const { files, log } = killed('unsigned', 9);
  log.appendAll(items(3));
  const later = filesOf(join(root, 'unsigned'));
  const audit = read(new Map(later).set('checkpoint', files.get('checkpoint')!));
  assert.deepEqual(kinds(audit), [`insertion ${OPEN} 9`]);
  assert.equal(audit.entries.length, 12);
  assert.deepEqual(kinds(read(without(later, /^checkpoint$/))), ['signature checkpoint']);
  assert.deepEqual(kinds(read(new Map(later).set('checkpoint', new Uint8Array(0)))), [
    'signature checkpoint',
  ]);
});

test('a full bundle may lack its name or its tile where a process died, and nowhere else', () => {
  const { files } = killed('full', 256);
  const without256 = without(files, /001\.open|tile\/0/);
  assert.deepEqual(kinds(read(without256)), []);
  assert.ok(noted(read(without256)).includes('tile/0/000'));
  assert.deepEqual(kinds(read(without(files, /tile\/0/))), ['omission tile/0/000']);
  const unnamed = without(without256, /entries/).set(OPEN, files.get('tile/entries/000')!);
  assert.deepEqual(kinds(read(unnamed)), []);
});

test('what has no place in a log is named, with what a crash leaves only noted', () => {
  const directory = join(root, 'small');
  const put = (path: string): void => {
    fs.mkdirSync(join(directory, path, '..'), { recursive: true });
    fs.writeFileSync(join(directory, path), 'x');
  };
  for (const path of [
    'checkpoint.tmp',
    'tile/0/000.p/3.tmp',
    'acknowledgements/A.json',
    'notes.txt',
    'tile/entries/abc',
    'deep/er/file',
  ])
    put(path);
  fs.symlinkSync('/etc/passwd', join(directory, 'tile/0/001'));
  execFileSync('mkfifo', [join(directory, 'bodies/001')]);
  fs.mkdirSync(join(directory, 'bodies/002'));
  const source = openLogFolder(directory);
  const audit = audited(source, KEYS);
  source.close();
  assert.deepEqual(
    new Set(kinds(audit)),
    new Set([
      'insertion notes.txt',
      'insertion tile/entries/abc',
      'insertion deep',
      'malformed tile/0/001',
      'malformed bodies/001',
      'insertion bodies/002',
    ]),
  );
  assert.deepEqual(
    new Set(noted(audit)),
    new Set(['checkpoint.tmp', 'tile/0/000.p/3.tmp', 'acknowledgements/A.json']),
  );
  assert.ok(audit.summary.proven);
});

test('zeros over a body that no entry speaks of are an omission', () => {
  const { entries } = read(small);
  const last = entries.findLast(({ body }) => body instanceof Uint8Array)!.entry;
  assert.ok(hasBody(last));
  const bodies = small.get('bodies/000')!.slice();
  bodies.fill(0, last.at + 36);
  assert.deepEqual(kinds(read(new Map(small).set('bodies/000', bodies))), [`omission bodies/000 ${last.n}`]);
});

test('an erasure that was not finished is noted', () => {
  const { directory, log, files } = killed('unerased', 9);
  log.erase(({ n }) => n < 4, 'retention');
  log.close();
  const audit = read(new Map(filesOf(directory)).set('bodies/000', files.get('bodies/000')!));
  assert.deepEqual([kinds(audit), noted(audit)], [[], ['bodies/000']]);
});

/** A log of these entries, signed as by its owner, with one note that the coordinator cosigned. */
function signed(entries: readonly LogEntry[], note?: string): LogFiles {
  const leaves = entries.map((entry) => Buffer.from(JSON.stringify(entry)));
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leaf);
  const checkpoint = signCheckpoint({ origin: ORIGIN, size: tree.size, root: tree.root() }, site);
  const files = new Map([
    [OPEN, encodeEntries(leaves)],
    ['checkpoint', new Uint8Array(Buffer.from(checkpoint))],
  ]);
  return note === undefined ? files : files.set(COSIGNED, new Uint8Array(Buffer.from(note)));
}

const at = (minutes: number): string => new Date(START + 60_000 * minutes).toISOString();
const entry = (n: number, minutes: number): LogEntry => ({ n, time: at(minutes), kind: 'decision' });
const cosigned = (size: number, of: Uint8Array, minutes: number): string =>
  cosign(
    signCheckpoint({ origin: ORIGIN, size, root: of }, site),
    COORDINATOR_ORIGIN,
    coordinator,
    START / 1000 + 60 * minutes,
  );
const rootOf = (entries: readonly LogEntry[]): Uint8Array => {
  const tree = new MerkleTree();
  for (const logged of entries) tree.append(Buffer.from(JSON.stringify(logged)));
  return tree.root();
};

test('times that go back are found in the log, and against what several peers cosigned', () => {
  assert.deepEqual(kinds(read(signed([entry(0, 10), entry(1, 6), entry(2, 11)]))), []);
  assert.deepEqual(kinds(read(signed([entry(0, 10), entry(1, 4), entry(2, 11)]))), [`backdating ${OPEN} 1`]);
  const entries = [entry(0, 10), entry(1, 20), entry(2, 21)];
  const one = rootOf(entries.slice(0, 1));
  assert.deepEqual(kinds(read(signed(entries, cosigned(1, one, 24)))), []);
  // One peer may have dated it as it likes.
  const ahead = read(signed(entries, cosigned(1, one, 40)));
  assert.deepEqual([kinds(ahead), noted(ahead).includes(OPEN)], [[], true]);
  const other = signingIdentity(generateSigningKey(), 'B');
  const another = cosign(
    signCheckpoint({ origin: ORIGIN, size: 1, root: one }, site),
    siteOrigin('B'),
    other,
    START / 1000 + 60 * 40,
  );
  const both = new Map(signed(entries, cosigned(1, one, 40))).set(
    `cosigned/${encodeURIComponent(siteOrigin('B'))}`,
    new Uint8Array(Buffer.from(another)),
  );
  const keys = new Map([...KEYS, [siteOrigin('B'), other.publicKey]]);
  assert.ok(kinds(audited(sourceOf(both), keys)).includes(`backdating ${OPEN} 1`));
  assert.deepEqual(kinds(read(signed(entries, cosigned(3, rootOf(entries), 40)))), []);
  // No date is as late as that.
  const never = read(signed(entries, cosigned(1, one, 1e12)));
  assert.deepEqual([kinds(never), noted(never).includes(OPEN)], [[], true]);
});

test('another history than the one that was cosigned is a fork, and less of it a truncation', () => {
  const entries = [entry(0, 1), entry(1, 2), entry(2, 3)];
  assert.deepEqual(kinds(read(signed(entries, cosigned(2, sha256('another'), 3)))), [`fork ${COSIGNED} 1`]);
  const longer = rootOf([...entries, entry(3, 4)]);
  assert.deepEqual(kinds(read(signed(entries, cosigned(4, longer, 4)))), [`truncation ${COSIGNED} 3`]);
});

test('a note that others signed does not count', () => {
  const entries = [entry(0, 1), entry(1, 2)];
  const other = cosign(signed(entries).get('checkpoint')!.toString(), COORDINATOR_ORIGIN, site, 0);
  assert.equal(kinds(read(signed(entries, other)))[0]?.split(' ')[1], COSIGNED);
  const note = Buffer.from(signed(entries).get('checkpoint')!).toString('utf8');
  assert.deepEqual(kinds(read(signed(entries, cosign(note, COORDINATOR_ORIGIN, site, 0)))), [
    `signature ${COSIGNED}`,
  ]);
  assert.deepEqual(kinds(read(signed(entries, note))), [`signature ${COSIGNED}`]);
});

test('numbers that entries do not have are found, though they are signed so', () => {
  assert.deepEqual(kinds(read(signed([entry(0, 1), entry(2, 2), entry(3, 2)]))), [`omission ${OPEN} 1`]);
  assert.deepEqual(kinds(read(signed([entry(0, 1), entry(2, 2), entry(1, 2)]))), [`reorder ${OPEN} 1`]);
});

test('keys that were not given are taken from signed messages, and said', () => {
  const directory = join(root, 'learnt');
  const log = openLogAt(directory);
  const message = (identity: typeof site): Uint8Array =>
    SignedMessage.encode(signMessage(identity, Buffer.from('a message'))).finish();
  log.append({ kind: 'received', peer: 'coordinator' }, message(coordinator));
  log.append({ kind: 'sent', peer: 'coordinator' }, message(site));
  log.close();
  const { findings, summary } = audited(sourceOf(filesOf(directory)), new Map());
  assert.deepEqual([findings, [...summary.learnt.keys()].toSorted()], [[], [COORDINATOR_ORIGIN, ORIGIN]]);
  const unknown = audited(sourceOf(signed([entry(0, 1)])), new Map());
  assert.deepEqual([unknown.findings.length, noted(unknown)[0]], [0, 'checkpoint']);
});

test('a log that was opened and never written to is a log', () => {
  const { files } = killed('empty', 0);
  const audit = read(files);
  assert.deepEqual([kinds(audit), audit.entries.length, audit.summary.checkpoint], [[], 0, null]);
});
