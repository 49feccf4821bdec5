/** What a log, a result or a statement can hold that is read one way and not another, or that only adds up: each is found. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { filesOf, sourceOf } from '@concordat/audit/log-testing.ts';
import { auditLog } from '@concordat/audit/read-log.ts';
import type { Finding } from '@concordat/audit/finding.ts';
import { InProcess } from '../end-to-end/in-process.ts';
import { BINARY_PLAN, writeOneStageTrials } from '../end-to-end/trials.ts';
import { forge, itemsOf, type Item } from './forge.ts';
import { audited, told } from './logs.ts';

const federation = new InProcess({ plan: BINARY_PLAN, data: writeOneStageTrials(['A', 'B', 'C']) });
const site = federation.identity('A');
const MINUTE = 60_000;
let result = '';
before(async () => void (result = federation.publish(await federation.play())));

const kinds = (items: readonly Item[]): readonly string[] =>
  audited({ A: forge('A', items, site) }, { keys: new Map([['A', site.publicKey]]) }).findings.map(
    ({ kind }) => kind,
  );

test('many small steps back in time are one large step', () => {
  let time = Date.parse('2026-01-01T00:00:00Z');
  const items = itemsOf(federation.log('A')).flatMap((item): Item[] => {
    time -= 4 * MINUTE;
    return [{ ...item, entry: { ...item.entry, time: new Date(time).toISOString() } }];
  });
  assert.ok(kinds(items).includes('backdating'));
});

test('a name that is no text is a fault of the log, and stops no audit', () => {
  const [first, ...rest] = itemsOf(federation.log('A'));
  const lone = { ...first!, entry: { ...first!.entry, peer: '\ud800' } };
  assert.ok(kinds([lone, ...rest]).length > 0);
});

test('a number that the result has twice', () => {
  const text = result.replace(/"estimate": (-?[\d.]+)/, '"estimate": 0.5,\n "estimate": $1');
  assert.notEqual(text, result);
  const verdict = audited(
    { coordinator: federation.log('coordinator') },
    { result: { name: 'result.json', text } },
  );
  assert.equal(verdict.findings[0]?.kind, 'malformed', told(verdict).join('\n'));
  const folded = audited(
    { coordinator: federation.log('coordinator') },
    { result: { name: 'result.json', text: JSON.stringify(JSON.parse(result)) } },
  );
  // Written in one line it is the same document, and not the file that was published.
  assert.deepEqual(
    folded.findings.map(({ kind }) => kind),
    ['result'],
  );
});

test('a copy of a bundle that counts more than the log has', () => {
  const findings: Finding[] = [];
  const files = new Map(filesOf(federation.log('A'))).set('tile/entries/000.p/99', new Uint8Array(300));
  const reading = auditLog(sourceOf(files), new Map(), {
    find: (finding) => void findings.push(finding),
    note: () => undefined,
  });
  while (reading.next().done !== true);
  assert.deepEqual(
    findings.map(({ kind, place }) => [kind, place.file]),
    [['truncation', 'tile/entries/000.p/99']],
  );
});

test('a log under the name of another', () => {
  const folder = forge('A', itemsOf(federation.log('A')), site);
  const other = forge('B', itemsOf(federation.log('A')), site);
  rmSync(join(folder, 'checkpoint'));
  renameSync(join(other, 'checkpoint'), join(folder, 'checkpoint'));
  writeFileSync(join(folder, 'checkpoint.tmp'), '');
  const { findings } = audited({ A: folder }, { keys: new Map([['A', site.publicKey]]) });
  assert.ok(findings.some(({ kind, message }) => kind === 'signature' && message.includes('another log')));
});
