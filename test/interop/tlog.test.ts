/** Go's sumdb/note and sumdb/tlog, from Debian's golang-golang-x-mod-dev, read what our log has written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { MessageLog, type LogItem } from '@concordat/shared/log/message-log.ts';
import { cosign, verifierKey } from '@concordat/shared/log/note.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

const ORIGIN = 'concordat/site/A';
const WITNESS = 'concordat/coordinator';
const site = signingIdentity(generateSigningKey(), 'test');
const coordinator = signingIdentity(generateSigningKey(), 'test');
const root = fs.mkdtempSync(join(tmpdir(), 'tlog-'));
after(() => fs.rmSync(root, { recursive: true }));

const environment = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' };
const program = join(root, 'tlog');
const built = spawnSync('go', ['build', '-o', program, join(import.meta.dirname, 'tlog.go')], {
  env: { ...environment, GOCACHE: join(root, 'cache') },
  encoding: 'utf8',
});
const isMissing = built.error !== undefined && process.env['CI'] === undefined;
const skip = isMissing ? 'Go is not installed (golang-go, golang-golang-x-mod-dev)' : false;

/** Opened again half-way, so that its partial tiles are those of the second end. */
function written(size: number): { directory: string; log: MessageLog } {
  const directory = join(root, `${size}`);
  const open = (): MessageLog =>
    new MessageLog({
      fs: { ...fs, fsyncSync: () => {} },
      directory,
      origin: ORIGIN,
      identity: site,
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
  const items = Array.from({ length: size }, (_, i): LogItem => ({
    entry: { kind: 'sent', round: i },
    body: Buffer.from(`message ${i}`),
  }));
  const first = open();
  first.appendAll(items.slice(0, size >> 1));
  first.close();
  const log = open();
  log.appendAll(items.slice(size >> 1));
  log.close();
  return { directory, log };
}

const base64 = (hashes: readonly Uint8Array[]): readonly string[] =>
  hashes.map((hash) => Buffer.from(hash).toString('base64'));

function checkWithGo({ directory, log }: ReturnType<typeof written>): { output: string; passed: boolean } {
  const { tree, note } = log;
  const { size } = tree;
  const some = [1, 2, 3, 255, 256, 257, 511, 512, 700, size - 1, size].filter((n) => n > 0 && n <= size);
  const order = {
    Directory: directory,
    Verifier: verifierKey(ORIGIN, site.publicKey),
    Cosigned: cosign(note, WITNESS, coordinator, 1_767_225_600),
    Witness: { Name: WITNESS, Key: Buffer.from(coordinator.publicKey).toString('base64') },
    Records: some.flatMap((to) =>
      some
        .filter((n) => n <= to)
        .map((n) => ({ Size: to, Index: n - 1, Proof: base64(tree.inclusionProof(n - 1, to)) })),
    ),
    Trees: some.flatMap((to) =>
      some
        .filter((from) => from <= to)
        .map((from) => ({ From: from, To: to, Proof: base64(tree.consistencyProof(from, to)) })),
    ),
  };
  const { status, stdout, stderr } = spawnSync(program, { input: JSON.stringify(order), encoding: 'utf8' });
  return { output: `${stdout}${stderr}`, passed: status === 0 };
}

for (const size of [1, 255, 256, 257, 1000])
  test(`Go reads a log of ${size} entries, its tiles, proofs and signatures`, { skip }, () => {
    assert.equal(built.status, 0, built.stderr);
    const { output, passed } = checkWithGo(written(size));
    assert.ok(passed, output);
    assert.match(
      output,
      new RegExp(`^${size} entries, [1-9]\\d* tiles, [1-9]\\d* records, [1-9]\\d* trees$`, 'm'),
    );
  });

test('what Go is shown is what it checks: a bit of a tile, of an entry, of the checkpoint', { skip }, () => {
  const log = written(300);
  for (const path of [
    'tile/0/000',
    'tile/0/001.p/44',
    'tile/1/000.p/1',
    'tile/entries/001.p/44',
    'checkpoint',
  ]) {
    const file = join(log.directory, path);
    const bytes = fs.readFileSync(file);
    const changed = Buffer.from(bytes);
    changed[20]! ^= 1;
    fs.writeFileSync(file, changed);
    assert.ok(!checkWithGo(log).passed, path);
    fs.writeFileSync(file, bytes);
  }
  assert.ok(checkWithGo(log).passed);
});
