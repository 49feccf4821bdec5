import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { hasBody } from '@concordat/shared/log/entry.ts';
import { MessageLog, type LogItem } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, cosign, signCheckpoint, siteOrigin } from '@concordat/shared/log/note.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

import {
  audited,
  bodyMutations,
  entryMutations,
  filesOf,
  flips,
  missed,
  removals,
  sourceOf,
  truncations,
  type LogFiles,
  type Mutation,
} from './log-testing.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'read-log-'));
after(() => fs.rmSync(root, { recursive: true }));
const site = signingIdentity(generateSigningKey(), 'test');
const coordinator = signingIdentity(generateSigningKey(), 'test');
const ORIGIN = siteOrigin('A');
const KEYS = new Map([
  [ORIGIN, site.publicKey],
  [COORDINATOR_ORIGIN, coordinator.publicKey],
]);
let salts = 0;
const START = Date.parse('2026-01-01T00:00:00Z');

/** Opens a log whose clock goes on by a second an entry, and whose salts are the same in every run. */
function open(directory: string): MessageLog {
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

const items = (count: number): readonly LogItem[] =>
  Array.from({ length: count }, (_, i) => ({
    entry: { kind: i % 3 === 1 ? 'decision' : i % 3 === 0 ? 'received' : 'sent', peer: 'coordinator' },
    ...(i % 3 === 1 ? {} : { body: createHash('sha512').update(`${i}`).digest() }),
  }));

/** A log of several processes, with bodies erased, cosigned by the coordinator, whose own log it cosigned. */
function written(name: string, count: number): LogFiles {
  const directory = join(root, name);
  const first = open(directory);
  first.append({ kind: 'start', detail: { software: '1' } });
  first.appendAll(items(Math.floor(count / 2)));
  first.close();
  keepNotes(directory, first);
  const second = open(directory);
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
  const theirs = signCheckpoint(head, coordinator);
  const name = encodeURIComponent(COORDINATOR_ORIGIN);
  fs.writeFileSync(join(directory, 'witness', name), cosign(theirs, ORIGIN, site, seconds));
  fs.writeFileSync(
    join(directory, 'cosigned', name),
    cosign(log.note, COORDINATOR_ORIGIN, coordinator, seconds),
  );
}

function assertDetected(mutations: Iterable<Mutation>): void {
  let count = 0;
  const failures: string[] = [];
  for (const mutation of mutations) {
    count++;
    const failure = missed(mutation, audited(sourceOf(mutation.files), KEYS).findings);
    if (failure !== null) failures.push(failure);
  }
  assert.ok(count > 0);
  assert.deepEqual(failures.slice(0, 20), [], `${failures.length} of ${count}`);
}

const small = written('small', 8);
const long = written('long', 700);

test('a log is read as it was written', () => {
  for (const files of [small, long]) {
    const { entries, summary, findings, notes } = audited(sourceOf(files), KEYS);
    assert.deepEqual([findings, notes], [[], []]);
    assert.equal(summary.tree.size, entries.length);
    assert.deepEqual(
      [summary.proven, summary.origin, summary.checkpoint?.size],
      [true, ORIGIN, entries.length],
    );
    assert.deepEqual(summary.erased.map(([a, b]) => [a, b]).flat().length > 0, true);
    assert.deepEqual(
      [summary.cosigned.length, summary.witness.length, summary.bodiesWithheld],
      [1, 1, false],
    );
    entries.forEach(({ entry, body }, n) => {
      assert.equal(entry.n, n);
      assert.equal(body === null, !hasBody(entry));
      if (body === 'erased') assert.ok(n > 1 && n < 5);
      else assert.notEqual(typeof body, 'string');
    });
  }
});

test('without bodies the same is proven', () => {
  const rest = new Map([...long].filter(([path]) => !path.startsWith('bodies/')));
  const source = sourceOf(rest);
  const { summary, findings, entries } = audited({ ...source, folders: new Set() }, KEYS);
  assert.deepEqual([findings, summary.bodiesWithheld, summary.proven], [[], true, true]);
  assert.ok(entries.every(({ body }) => body === null || body === 'withheld'));
});

for (const path of small.keys())
  test(`every byte of ${path} of a small log`, () => assertDetected(flips(small, path, [0, 3, 6])));

for (const path of long.keys())
  test(`bytes of ${path} of a log of several bundles`, () => {
    const step = Math.ceil(long.get(path)!.length / 60);
    assertDetected(flips(long, path, [Math.floor(step % 8)], step, step >> 1));
  });

test('every entry left out, twice, exchanged, behind another', () => {
  assertDetected(entryMutations(small, 'tile/entries/000.open'));
  assertDetected(entryMutations(long, 'tile/entries/001', 37));
});

test('every body left out, twice, exchanged', () => {
  assertDetected(bodyMutations(small, 'bodies/000'));
});

test('every file cut or taken away', () => {
  for (const files of [small, long]) {
    for (const path of files.keys()) assertDetected(truncations(files, path, files === small ? 40 : 12));
    assertDetected(removals(files));
  }
});
