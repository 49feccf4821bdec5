import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { AUDIT_ROUTES, memoryAudit } from '@concordat/audit/page/testing.ts';
import { makeSealedKey } from '@concordat/web/sealed-keys.ts';
import type { AuditorLog, SignIn } from '@concordat/web/sign-in.ts';
import { testSecurity } from '@concordat/web/security-testing.ts';
import {
  AUDITOR,
  LOOPBACK,
  memoryLog,
  memorySignIn,
  PASSPHRASE,
  surroundings,
  Visitor,
} from '@concordat/web/testing.ts';

import { auditorsFolder, parseCoordinatorConfig } from '../config.ts';
import { auditorsIn, auditPage } from './audit-page.ts';

interface Given {
  readonly signIn: SignIn;
  readonly log: AuditorLog;
}

const CHECKPOINT = { size: 12, root: new Uint8Array(32).fill(0xab) };

async function start(given: Given = { signIn: memorySignIn('auditor'), log: memoryLog() }) {
  const { clock, now, logged, note } = surroundings();
  const app = await auditPage(
    {
      address: 'coordinator.example.org:443',
      key: new Uint8Array(32).fill(0xcd),
      log: { ...memoryAudit([]).log, ...given.log, checkpoint: () => CHECKPOINT },
      folder: import.meta.dirname,
      signIn: given.signIn,
      logger: note,
      now,
    },
    LOOPBACK,
  );
  return { app, clock, logged, visitor: new Visitor(app, AUDITOR) };
}

testSecurity({
  start: async (t, given) => {
    const started = await start(given);
    t.after(() => started.app.close());
    return started;
  },
  roles: ['auditor'],
  places: ['/'],
  auditors: ['GET /', ...AUDIT_ROUTES],
});

test('an auditor reads how the log stands, and under which key it is signed', async (t) => {
  const { app, visitor } = await start();
  t.after(() => app.close());
  await visitor.signIn();
  const { body } = await visitor.get('/');
  assert.match(body, /audit page of the coordinator <strong>coordinator\.example\.org:443/);
  assert.match(body, new RegExp(`<dd>12</dd>[^]*${'ab'.repeat(32)}`));
  assert.match(body, new RegExp('cd'.repeat(32)));
});

test('auditors are those who have a key beside the journal, and no one once it is taken away', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'auditors-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const keys = auditorsFolder({ state: join(folder, 'journal.sqlite') });
  assert.equal(keys, join(folder, 'auditors'));
  const { app } = await start({ signIn: auditorsIn(keys), log: memoryLog() });
  t.after(() => app.close());
  const visitor = new Visitor(app, AUDITOR);
  assert.match((await visitor.get('/sign-in')).body, /concordat coordinator auditor NAME/);
  await makeSealedKey(keys, AUDITOR, PASSPHRASE);
  await visitor.signIn();
  assert.equal((await visitor.get('/')).statusCode, 200);
  rmSync(keys, { recursive: true });
  assert.equal((await visitor.get('/')).statusCode, 303);
});

test('what is configured: paths are relative to the file, an address without a port is a fault', () => {
  const parse = (page: string) =>
    parseCoordinatorConfig(
      `coordinator: 1
listen: 127.0.0.1:443
address: c:443
tls: {certificate: server.crt, key: server.key}
authority: {ca: ca.crt, key: ca.key}
signing_key: s.key
state: journal.sqlite
log: log
${page}`,
      '/srv/coordinator.yaml',
    ).audit_page;
  assert.equal(parse(''), undefined);
  assert.deepEqual(parse('audit_page: {listen: "[fd00::1]:8481", certificate: page.crt, key: page.key}'), {
    listen: '[fd00::1]:8481',
    certificate: '/srv/page.crt',
    key: '/srv/page.key',
  });
  for (const page of ['{listen: 127.0.0.1}', '{}', '{listen: 127.0.0.1:8481, port: 1}'])
    assert.throws(() => parse(`audit_page: ${page}`), { code: 'config/invalid' }, page);
});
