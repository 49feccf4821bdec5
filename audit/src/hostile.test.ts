/** Logs that nobody wrote: whatever the bytes are, an audit ends, soon and within its memory, and names a place. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import fc from 'fast-check';

import { openLogFolder } from './log-source.ts';
import { audited, sourceOf, type LogFiles } from './log-testing.ts';
import { openLog } from './open-log.ts';
import { KEYS, writtenLog } from './written-testing.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'hostile-'));
after(() => fs.rmSync(root, { recursive: true }));
const honest = writtenLog(join(root, 'honest'), 260);
const paths = [...honest.keys()];

/** Far more than any of these logs takes, also on a machine that is busy. */
const SECONDS = 20;

function assertFound(files: LogFiles, folders?: ReadonlySet<string>): void {
  const start = process.cpuUsage();
  const source = sourceOf(files);
  const { findings } = audited(folders === undefined ? source : { ...source, folders }, KEYS);
  const { user, system } = process.cpuUsage(start);
  assert.ok((user + system) / 1e6 < SECONDS, 'takes too long');
  assert.ok(findings.length > 0, 'nothing is found');
  assert.ok(findings.every(({ place }) => place.file !== undefined || place.log !== undefined));
}

const PATH = fc.constantFrom(...paths);
const NAME = fc.oneof(
  PATH,
  fc.constantFrom(
    'tile/9/000',
    'tile/entries/x999/x999/x999/x999/999',
    'bodies/999',
    'tile/0/x001/000',
    'tile/entries/001',
  ),
  fc.string(),
);

test('random bytes in the place of files', () => {
  fc.assert(
    fc.property(fc.dictionary(NAME, fc.uint8Array({ maxLength: 9000 }), { minKeys: 1 }), (changed) => {
      const same = Object.entries(changed).every(([path, bytes]) =>
        Buffer.from(honest.get(path) ?? [0]).equals(bytes),
      );
      // Of a note nothing is left, and what a process that died leaves, are no findings.
      const harmless = /^(witness|cosigned)\/|^bodies\/002$|\.tmp$/;
      fc.pre(!same && Object.keys(changed).some((path) => !harmless.test(path)));
      assertFound(new Map([...honest, ...Object.entries(changed)]));
    }),
    { numRuns: 150 },
  );
});

test('files cut, spliced from others, and repeated', () => {
  const part = fc.tuple(PATH, fc.nat(70_000), fc.nat(70_000));
  fc.assert(
    fc.property(PATH, fc.array(part, { minLength: 1, maxLength: 4 }), (path, parts) => {
      const bytes = Buffer.concat(
        parts.map(([from, a, b]) => {
          const whole = honest.get(from)!;
          return whole.subarray(a % (whole.length + 1), (a % (whole.length + 1)) + b);
        }),
      );
      fc.pre(!bytes.equals(honest.get(path)!) && !(bytes.length === 0 && /^(witness|cosigned)/.test(path)));
      fc.pre(!path.endsWith('.open') && !(path === 'bodies/001'));
      assertFound(new Map(honest).set(path, new Uint8Array(bytes)));
    }),
    { numRuns: 150 },
  );
});

test('files that say they are huge are not read into memory', () => {
  for (const path of paths) {
    const files = new Map(honest);
    const source = sourceOf(files);
    const sizes = new Map(source.files).set(path, 2 ** 50);
    const before = process.memoryUsage().arrayBuffers;
    const { findings } = audited({ ...source, files: sizes }, KEYS);
    assert.ok(process.memoryUsage().arrayBuffers - before < 64e6, path);
    assert.ok(findings.length > 0, path);
  }
});

test('bodies that say they are huge, sizes beyond all entries, and bundles of nothing', () => {
  const bodies = honest.get('bodies/000')!.slice();
  bodies.fill(0xff, 32, 36);
  assertFound(new Map(honest).set('bodies/000', bodies));
  const note = Buffer.from(honest.get('checkpoint')!)
    .toString('utf8')
    .replace(/\n\d+\n/, '\n999999999999999\n');
  assertFound(new Map(honest).set('checkpoint', new Uint8Array(Buffer.from(note))));
  assertFound(new Map(honest).set('tile/entries/000', new Uint8Array(256 * 65_537)));
  assertFound(new Map(honest).set('tile/entries/000', new Uint8Array(256 * 65_537).fill(0x7b)));
  const begins = Buffer.from('{"n":'.repeat(3_000_000));
  assertFound(new Map(honest).set('tile/entries/000', new Uint8Array(begins)));
  const erased = Buffer.from(
    '{"n":0,"time":"2026-01-01T00:00:00Z","kind":"erased","detail":{"entries":"0-999999999999999"}}',
  );
  const bundle = Buffer.concat([Buffer.from([0, erased.length]), erased]);
  assertFound(new Map([['tile/entries/000.open', new Uint8Array(bundle)]]));
});

test('folders within folders, a file in the place of a folder, a folder in that of a file', () => {
  const directory = join(root, 'folders');
  fs.mkdirSync(join(directory, 'tile/entries', ...Array.from({ length: 60 }, () => 'x000')), {
    recursive: true,
  });
  fs.mkdirSync(join(directory, 'checkpoint'));
  fs.writeFileSync(join(directory, 'bodies'), 'x');
  const source = openLogFolder(directory);
  const { findings } = audited(source, KEYS);
  source.close();
  assert.deepEqual(
    new Set(findings.map(({ place }) => place.file)),
    new Set(['tile/entries/x000/x000/x000/x000/x000', 'checkpoint', 'bodies']),
  );
});

test('a bundle of bytes is read as far as it is one', () => {
  const file = join(root, 'random.tar');
  const block = fc.oneof(
    fc.uint8Array({ minLength: 512, maxLength: 512 }),
    fc.constant(new Uint8Array(512)),
    fc.uint8Array({ maxLength: 700 }),
  );
  fc.assert(
    fc.property(fc.array(block, { maxLength: 6 }), (blocks) => {
      fs.writeFileSync(file, Buffer.concat(blocks));
      const source = openLog(file);
      const { findings } = audited(source, KEYS);
      source.close();
      assert.ok(blocks.every((bytes) => bytes.every((byte) => byte === 0)) || findings.length > 0);
    }),
    { numRuns: 200 },
  );
});
