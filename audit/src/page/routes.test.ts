import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { hasBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { isIncluded, leafHash } from '@concordat/shared/log/merkle.ts';
import { readProof } from '@concordat/shared/log/proof.ts';
import { newPage } from '@concordat/web/page.ts';
import {
  AUDITOR,
  CUSTODIAN,
  LOOPBACK,
  memoryLog,
  memorySignIn,
  surroundings,
  Visitor,
} from '@concordat/web/testing.ts';

import { audited } from '../log-testing.ts';
import { openLog } from '../open-log.ts';
import { addAuditRoutes, type AuditParts } from './routes.ts';
import { folderLog, memoryAudit } from './testing.ts';

async function start(t: TestContext, parts: AuditParts): Promise<{ auditor: Visitor; custodian: Visitor }> {
  const { now, note } = surroundings();
  const page = await newPage(
    {
      owner: { page: 'page of', name: 'A' },
      places: [{ path: '/audit', name: 'Audit', auditors: true }],
      signIn: memorySignIn('custodian', 'auditor'),
      log: memoryLog(),
      note,
      now,
    },
    LOOPBACK,
  );
  t.after(() => page.app.close());
  addAuditRoutes(page, parts);
  const [auditor, custodian] = [new Visitor(page.app, AUDITOR), new Visitor(page.app, CUSTODIAN)];
  await auditor.signIn();
  await custodian.signIn();
  return { auditor, custodian };
}

const REFUSALS = [{ rule: 'participants', code: 'RULE_PARTICIPANTS', threshold: 20, observed: 7313 }];

test('entries are listed newest first, found by each field, and opened', async (t) => {
  const entries = Array.from({ length: 120 }, (_, n): LogEntry => ({
    n,
    time: new Date(Date.UTC(2026, 0, 1 + Math.floor(n / 10))).toISOString(),
    kind: n % 2 === 0 ? 'sent' : 'received',
    peer: 'coordinator',
    run: n < 60 ? 'aa11' : 'bb22',
    analysis: n % 3 === 0 ? 'cvd' : 'death',
    round: n,
    type: n % 2 === 0 ? 'objectiveValue' : 'objectiveQuestion',
    detail: { word: `needle${n}` },
  }));
  const { auditor } = await start(t, memoryAudit(entries));
  const numbers = async (query: string): Promise<number[]> => {
    const { body, statusCode } = await auditor.get(`/audit${query}`);
    assert.equal(statusCode, 200, query);
    return [...body.matchAll(/"\/audit\/entry\/(\d+)"/g)].map(([, n]) => Number(n));
  };
  assert.deepEqual((await numbers('')).slice(0, 2), [119, 118]);
  assert.equal((await numbers('')).length, 50);
  assert.deepEqual((await numbers('?page=3')).at(-1), 0);
  assert.ok((await numbers('?kind=sent')).every((n) => n % 2 === 0));
  assert.ok((await numbers('?run=bb')).every((n) => n >= 60));
  assert.ok((await numbers('?analysis=cvd&type=objectiveValue')).every((n) => n % 6 === 0));
  assert.deepEqual(
    await numbers('?from=2026-01-02&until=2026-01-02'),
    [19, 18, 17, 16, 15, 14, 13, 12, 11, 10],
  );
  assert.deepEqual(await numbers('?text=NEEDLE77'), [77]);
  assert.deepEqual(await numbers('?text=needle77&kind=sent'), []);
  const second = (await auditor.get('/audit?kind=sent&page=2')).body;
  assert.match(second, /Part 2 of 2/);
  assert.match(second, /kind=sent&amp;page=1/);
  for (const query of ['?page=9', '?page=9&kind=sent'])
    assert.equal((await auditor.get(`/audit${query}`)).statusCode, 404);
  assert.match((await auditor.get('/audit/entry/77')).body, /needle77/);
  for (const n of ['120', '-1', '01', '1e1', 'x', '99999999999999999999'])
    assert.equal((await auditor.get(`/audit/entry/${n}`)).statusCode, 404, n);
});

test('a receipt and the entry, as they are downloaded, prove each other', async (t) => {
  const { log, folder } = folderLog();
  for (let i = 0; i < 9; i++) log.append({ kind: 'decision', detail: { i } }, Buffer.from(`body ${i}`));
  const { auditor } = await start(t, { title: 'Audit', log, folder, kept: new Set() });
  const receipt = await auditor.get('/audit/entry/4/receipt');
  const leaf = await auditor.get('/audit/entry/4/leaf');
  assert.match(String(receipt.headers['content-disposition']), /attachment; filename="entry-4\.tlog-proof"/);
  const proof = readProof(receipt.body);
  assert.ok(proof);
  assert.equal(proof.index, 4);
  assert.ok(isIncluded(leafHash(leaf.rawPayload), 4, proof.checkpoint, proof.hashes));
});

test('bundles are downloaded whole or without bodies while the log grows, and are as sound as the log', async (t) => {
  const { log, folder } = folderLog();
  for (let i = 0; i < 300; i++) log.append({ kind: 'decision' }, Buffer.from(`body ${i}`));
  const { auditor } = await start(t, { title: 'Audit', log, folder, kept: new Set() });
  for (const [query, body] of [
    ['', 'body 299'],
    ['?bodies=no', 'withheld'],
  ] as const) {
    const { rawPayload, headers } = await auditor.get(`/audit/bundle${query}`);
    assert.match(String(headers['content-type']), /tar/);
    const made = mkdtempSync(join(tmpdir(), 'bundle-'));
    t.after(() => rmSync(made, { recursive: true }));
    const file = join(made, 'log.tar');
    writeFileSync(file, rawPayload);
    const { entries, findings } = audited(openLog(file), new Map());
    assert.deepEqual(findings, []);
    assert.equal(entries.length, log.entries.length);
    const last = entries[299]!.body;
    assert.equal(last instanceof Uint8Array ? Buffer.from(last).toString() : last, body);
    log.append({ kind: 'stop' });
  }
});

test('what stays with custodians is shown to no auditor, and is in no bundle for them', async (t) => {
  const { log, folder } = folderLog();
  const entry = { kind: 'refused', type: 'refusals', detail: { rule: 'participants' } } as const;
  log.append(entry, Buffer.from(JSON.stringify(REFUSALS)));
  const { auditor, custodian } = await start(t, { title: 'Audit', log, folder, kept: new Set(['refusals']) });
  assert.match((await custodian.get('/audit/entry/0')).body, /7313/);
  const seen = (await auditor.get('/audit/entry/0')).body;
  assert.doesNotMatch(seen, /7313/);
  assert.match(seen, /not handed over/);
  assert.equal((await custodian.get('/audit/bundle')).statusCode, 200);
  assert.equal((await auditor.get('/audit/bundle')).statusCode, 404);
  assert.doesNotMatch((await auditor.get('/audit')).body, /"\/audit\/bundle"/);
  assert.equal((await auditor.get('/audit/bundle?bodies=no')).statusCode, 200);
});

test('erased bodies, and those that are no longer what was logged, are said to be so', async (t) => {
  const { log, folder } = folderLog();
  log.append({ kind: 'sent', type: 'objectiveValue' }, Buffer.from('one'));
  log.erase(({ n }) => n === 0, 'the term is over');
  log.append({ kind: 'sent', type: 'objectiveValue' }, Buffer.from('two'));
  const { auditor } = await start(t, { title: 'Audit', log, folder, kept: new Set() });
  assert.match((await auditor.get('/audit/entry/0')).body, /erased/);
  assert.match((await auditor.get('/audit/entry/1')).body, /the term is over/);
  assert.match((await auditor.get('/audit/entry/2')).body, /cannot be read/);
  const changed = log.entries.find((entry) => entry.n === 2 && hasBody(entry))!;
  writeFileSync(join(folder, 'bodies/000'), new Uint8Array(200).fill(7));
  assert.equal(changed.n, 2);
  assert.match((await auditor.get('/audit/entry/2')).body, /not what was logged/);
});

test('nothing that a log holds, and nothing that is searched for, becomes markup', async (t) => {
  const hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e';
  const hostileEntry = (n: number, type: string): LogEntry => ({
    n,
    time: hostile,
    kind: 'decision',
    peer: hostile,
    run: hostile,
    analysis: hostile,
    type,
    task: hostile,
    body: 'ab'.repeat(32),
    at: 0,
    detail: { [hostile]: hostile },
  });
  const types = [hostile, 'agreement', 'template', 'refusals', 'statement', 'divergence', 'acknowledgement'];
  const bodies = [
    hostile,
    JSON.stringify([{ rule: hostile, threshold: hostile, observed: hostile }]),
    JSON.stringify({ text: JSON.stringify({ note: hostile, [hostile]: hostile }), signature: hostile }),
    JSON.stringify({ kept: hostile, shown: hostile }),
    'null',
    '[null]',
    '{}',
    JSON.stringify([{ rule: {}, threshold: [[hostile]], observed: true }]),
    JSON.stringify({ text: '{"a":{"b":[[]]}}', signature: {} }),
    JSON.stringify({ text: 7, signature: null }),
  ];
  for (const body of bodies) {
    const entries = types.map((type, n) => hostileEntry(n, type));
    const { auditor } = await start(
      t,
      memoryAudit(entries, [], () => Buffer.from(body)),
    );
    const query = `?${new URLSearchParams({ text: hostile, kind: hostile, run: hostile, from: hostile }).toString()}`;
    for (const path of ['', query, ...entries.map(({ n }) => `/entry/${n}`)]) {
      const { statusCode, body: page } = await auditor.get(`/audit${path}`);
      assert.equal(statusCode, 200, path);
      assert.doesNotMatch(page, /<script|<img|\u202e/, path);
    }
  }
});

test('a hundred thousand entries are listed, searched and opened without delay', async (t) => {
  const entries = Array.from({ length: 100_000 }, (_, n): LogEntry => ({
    n,
    time: new Date(Date.UTC(2026, 0, 1) + 1000 * n).toISOString(),
    kind: 'sent',
    run: 'ab'.repeat(16),
    analysis: 'cvd',
    round: n,
    type: 'objectiveValue',
    task: `${n}`.padStart(64, '0'),
  }));
  const { auditor } = await start(t, memoryAudit(entries));
  for (const [path, limit] of [
    ['/audit', 250],
    ['/audit?page=1999', 250],
    ['/audit?kind=received', 500],
    ['/audit?text=nothing+like+it', 2000],
    ['/audit/entry/50000', 500],
    ['/audit/entry/50000/receipt', 500],
  ] as const) {
    const began = performance.now();
    assert.equal((await auditor.get(path)).statusCode, 200, path);
    const took = performance.now() - began;
    assert.ok(took < limit, `${path}: ${Math.round(took)} ms`);
  }
});
