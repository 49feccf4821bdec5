/** The commands that show a log and hand it on, as they are given. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { folderLog, LOG_IDENTITY } from '@concordat/audit/page/testing.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const out = fs.mkdtempSync(join(tmpdir(), 'audit-show-'));
after(() => fs.rmSync(out, { recursive: true }));
const KEY = toHex(LOG_IDENTITY.publicKey);

function audit(...argv: readonly string[]): { readonly status: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'audit', ...argv], {
    encoding: 'utf8',
  });
  return { status, text: stdout + stderr };
}

function refusing(): string {
  const { log, folder } = folderLog();
  log.append({ kind: 'start' });
  log.append(
    { kind: 'refused', type: 'refusals' },
    Buffer.from('[{"rule":"participants","threshold":20,"observed":7}]'),
  );
  log.close();
  return folder;
}

test('show: rules with thresholds and counts, as tables and as JSON; of a bundle without bodies, that they were left out', () => {
  const log = refusing();
  const told = audit('show', log);
  assert.equal(told.status, 0, told.text);
  assert.match(told.text, /participants +20 +7/);
  const line = audit('show', log, '--json').text.trim();
  assert.equal((JSON.parse(line) as { body: string }).body, 'there');
  const tar = join(out, 'log.tar');
  assert.equal(audit('bundle', log, '--out', tar, '--without-bodies').status, 0);
  assert.match(audit('show', tar).text, /not handed over/);
  assert.match(audit('show', log, '--type', 'nothing').text, /nothing of that kind/);
  assert.equal(audit('show', log, '--entry', 'x').status, 2);
  assert.equal(audit('show', join(out, 'none')).status, 2);
});

test('show: a log that was changed is shown, and the status says that something is wrong with it', () => {
  const log = refusing();
  const file = join(log, 'bodies/000');
  const bytes = fs.readFileSync(file);
  bytes[60]! ^= 1;
  fs.writeFileSync(file, bytes);
  const { status, text } = audit('show', log);
  assert.equal(status, 4);
  assert.match(text, /not what was logged[^]*one finding about the log itself/);
});

test('a receipt is written, checked, and refused where entry, body or key are others', () => {
  const log = refusing();
  const proof = join(out, 'two.tlog-proof');
  assert.equal(audit('receipt', log, '--entry', '1', '--out', proof, '--body').status, 0);
  const [entry, body] = [join(out, 'two.entry.json'), join(out, 'two.body')];
  const told = JSON.parse(fs.readFileSync(entry, 'utf8')) as { body: string };
  assert.equal(toHex(sha256(fs.readFileSync(body))), told.body);
  const check = ['receipt', '--check', proof, '--entry-file', entry];
  const good = audit(...check, '--body-file', body, '--key', KEY);
  assert.equal(good.status, 0, good.text);
  assert.match(
    good.text,
    /signed: the log concordat\/site\/A had 2 entries[^]*included: [^]*opened: [^]*participants/,
  );
  assert.equal(audit(...check, '--key', '00'.repeat(32)).status, 4);
  assert.equal(audit(...check, '--body-file', proof, '--key', KEY).status, 4);
  assert.equal(audit('receipt', '--check', proof, '--entry-file', body, '--key', KEY).status, 4);
  assert.equal(audit('receipt', '--check', entry, '--entry-file', entry, '--key', KEY).status, 4);
  for (const wrong of [['receipt', log], check, ['receipt', log, '--entry', '9', '--out', proof]])
    assert.equal(audit(...wrong).status, 2, wrong.join(' '));
});

test('export and timeline are written in the format that the name says', () => {
  const log = refusing();
  for (const name of ['log.csv', 'log.json', 'log.ndjson']) {
    assert.equal(audit('export', log, '--out', join(out, name)).status, 0);
    assert.match(fs.readFileSync(join(out, name), 'utf8'), /participants/);
  }
  for (const name of ['log.svg', 'log.html']) {
    assert.equal(audit('timeline', log, '--out', join(out, name)).status, 0);
    assert.match(fs.readFileSync(join(out, name), 'utf8'), /<svg/);
  }
  assert.equal(audit('export', log, '--out', join(out, 'log.xlsx')).status, 2);
  assert.equal(audit('timeline', log, '--out', join(out, 'log.png')).status, 2);
});
