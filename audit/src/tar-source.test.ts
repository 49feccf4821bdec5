import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { audited } from './log-testing.ts';
import { openLog } from './open-log.ts';
import { KEYS, writtenLog } from './written-testing.ts';

const root = fs.mkdtempSync(join(tmpdir(), 'tar-source-'));
after(() => fs.rmSync(root, { recursive: true }));
writtenLog(join(root, 'log'), 300);

function bundled(name: string, ...options: readonly string[]): string {
  const file = join(root, name);
  execFileSync('tar', ['--create', '--file', file, '--directory', root, ...options, 'log']);
  return file;
}

const bundle = bundled('bundle.tar', '--format=ustar');

function auditOf(path: string): ReturnType<typeof audited> {
  const source = openLog(path);
  const audit = audited(source, KEYS);
  source.close();
  return audit;
}

test('a bundle is read as its folder is', () => {
  const folder = auditOf(join(root, 'log'));
  const { entries, findings, notes, summary } = auditOf(bundle);
  assert.deepEqual([findings, notes], [[], []]);
  assert.deepEqual(entries, folder.entries);
  assert.deepEqual(summary.checkpoint, folder.summary.checkpoint);
});

test('a bundle without bodies withholds them', () => {
  const { findings, summary } = auditOf(bundled('without.tar', '--format=ustar', '--exclude=log/bodies'));
  assert.deepEqual([findings, summary.bodiesWithheld, summary.proven], [[], true, true]);
});

test('long names are in pax records', () => {
  const file = bundled('long.tar', '--format=pax', `--transform=s,^log,${'a'.repeat(300)},`);
  assert.deepEqual(auditOf(file).findings, []);
});

test('bytes of a bundle, of headers and between files too', () => {
  const bytes = fs.readFileSync(bundle);
  const file = join(root, 'changed.tar');
  const missed: number[] = [];
  for (let at = 0; at < bytes.length; at += at < 4096 ? 5 : 293) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 8);
    fs.writeFileSync(file, changed);
    const { findings } = auditOf(file);
    if (findings.length === 0) missed.push(at);
  }
  assert.deepEqual(missed, []);
});

test('a bundle that is cut, has something behind its end, or holds a file twice', () => {
  const bytes = fs.readFileSync(bundle);
  const file = join(root, 'cut.tar');
  const found = (changed: Uint8Array): readonly string[] => {
    fs.writeFileSync(file, changed);
    return auditOf(file).findings.map(({ kind }) => kind);
  };
  for (let length = 0; length < bytes.length - 10_240; length += 3001)
    assert.ok(found(bytes.subarray(0, length)).includes('truncation'), `${length}`);
  assert.deepEqual(found(Buffer.concat([bytes, Buffer.from('x')])), ['insertion']);
  fs.copyFileSync(bundle, file);
  execFileSync('tar', ['--append', '--file', file, '--directory', root, 'log/checkpoint']);
  assert.deepEqual(
    auditOf(file).findings.map(({ kind, place }) => [kind, place.file]),
    [['insertion', 'checkpoint']],
  );
});

test('a bundle that holds what is no file', () => {
  fs.cpSync(join(root, 'log'), join(root, 'odd/log'), { recursive: true });
  fs.symlinkSync('/etc/passwd', join(root, 'odd/log/tile/0/x001'));
  const file = join(root, 'odd.tar');
  execFileSync('tar', [
    '--create',
    '--format=ustar',
    '--file',
    file,
    '--directory',
    join(root, 'odd'),
    'log',
  ]);
  assert.equal(auditOf(file).findings[0]?.kind, 'malformed');
});

test('what is no log cannot be opened', () => {
  assert.throws(() => openLog(join(root, 'nowhere')), { code: 'config/invalid' });
});
