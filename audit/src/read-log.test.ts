import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { hasBody } from '@concordat/shared/log/entry.ts';

import {
  audited,
  bodyMutations,
  entryMutations,
  flips,
  missed,
  removals,
  sourceOf,
  truncations,
  type Mutation,
} from './log-testing.ts';
import { KEYS, ORIGIN, writtenLog } from './written-testing.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'read-log-'));
after(() => fs.rmSync(root, { recursive: true }));

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

const small = writtenLog(join(root, 'small'), 8);
const long = writtenLog(join(root, 'long'), 700);

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
  test(`every byte of ${path} of a small log`, () =>
    assertDetected(flips(small, path, path.includes('.p/') ? [2] : [0, 3, 6])));

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
