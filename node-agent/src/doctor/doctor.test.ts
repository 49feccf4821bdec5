/** Against real broken set-ups on loopback: each is found, named, and comes with a remedy. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { generateSigningKey } from '@concordat/shared/wire/signing.ts';

import { lookupOf, testAuthority, testCoordinator, testProxy } from '../egress/testing.ts';
import { newFolder } from '../testing.ts';
import { examine, reportText, type Report } from './doctor.ts';

const HOST = 'coordinator.example.org';
const consortium = await testAuthority('Consortium');
const server = await consortium.issue([HOST]);
const coordinator = await testCoordinator(consortium.ca, server);
after(() => coordinator.stop());
const names = new Map([
  [HOST, ['127.0.0.1']],
  ['proxy.hospital.example', ['127.0.0.1']],
]);
const proxied = (port: number): object => ({ url: `http://proxy.hospital.example:${port}` });
const here = { resolve: () => ({ host: '127.0.0.1', port: coordinator.port }) };
const DAY = 86_400_000;

interface Change {
  readonly config?: object;
  readonly files?: Readonly<Record<string, string>>;
  readonly now?: Date;
  readonly free?: number;
}

async function siteFolder({ config = {}, files = {} }: Change): Promise<string> {
  const folder = newFolder();
  const site = await consortium.issue([], { name: 'A' });
  const agreement = {
    agreement: 1,
    name: 'Test agreement',
    until: '2999-12-31',
    approval: 'each-plan',
    custodians: [{ name: 'Ada', key: '0'.repeat(64) }],
    variables: 'all',
    outcomes: 'all',
    families: 'all',
  };
  const written: Record<string, string> = {
    'ca.crt': consortium.ca,
    'site.crt': site.certificate,
    'site.key': site.key,
    'signing.key': generateSigningKey(),
    'data.csv': 'arm,age,y\n0,51,123.5\n',
    'agreement.yaml': JSON.stringify(agreement),
    'agent.yaml': JSON.stringify({
      agent: 1,
      study: 'A',
      coordinator: `${HOST}:${coordinator.port}`,
      coordinator_key: '0'.repeat(64),
      tls: { ca: 'ca.crt', certificate: 'site.crt', key: 'site.key' },
      signing_key: 'signing.key',
      data: 'data.csv',
      agreement: 'agreement.yaml',
      log: 'log',
      ...config,
    }),
    ...files,
  };
  for (const [name, text] of Object.entries(written))
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  return folder;
}

async function examined(
  change: Change = {},
  prepare: (folder: string) => void = () => undefined,
): Promise<Report> {
  const folder = await siteFolder(change);
  prepare(folder);
  return examine(join(folder, 'agent.yaml'), {
    now: () => change.now ?? new Date(),
    freeBytes: () => change.free ?? 2 ** 40,
    environment: {},
    resolver: lookupOf(names),
  });
}

function assertFails(report: Report, check: string, found: RegExp): void {
  const failed = report.findings.filter(({ state }) => state === 'fail');
  assert.deepEqual(
    failed.map((finding) => finding.check),
    [check],
    reportText(report),
  );
  assert.match(failed[0]!.found, found);
  assert.ok((failed[0]!.remedy ?? '').length > 0);
  assert.ok(!report.healthy);
}

test('a sound set-up: nothing to mend, nothing asked but versions, no value printed', async () => {
  const before = coordinator.requests.length;
  const report = await examined({ config: { health: '127.0.0.1:0', page: { listen: '127.0.0.1:0' } } });
  assert.ok(report.healthy);
  assert.deepEqual(
    report.findings.filter(({ state }) => state !== 'ok'),
    [],
  );
  assert.deepEqual(
    report.findings.map(({ check }) => check),
    [
      'configuration',
      'proxy',
      'name resolution',
      'connection',
      'TLS',
      'temporary folder',
      'coordinator',
      'clock',
      'signing key',
      'certificate',
      'key permissions',
      'key permissions',
      'records',
      'agreement',
      'log folder',
      'state folder',
      'log',
      'health address',
      'page address',
    ],
  );
  const asked = coordinator.requests.slice(before);
  assert.deepEqual(
    asked.map(({ protocolNewest, replies, waiting }) => [protocolNewest, replies.length, waiting.length]),
    [[0, 0, 0]],
  );
  const text = reportText(report);
  assert.match(text, /3 columns/);
  assert.match(text, /custodians: Ada/);
  assert.match(text, new RegExp(`For the IT department[^]*${HOST}, TCP port ${coordinator.port}`));
  assert.doesNotMatch(text, /123\.5|\bage\b|\barm\b/);
});

test('a page on an address that is not the institution’s own is found', async () => {
  const report = await examined({ config: { page: { listen: '0.0.0.0:8480' } } });
  assert.ok(!report.healthy);
  assert.match(reportText(report), /page address[^]*127\.0\.0\.1:8480/);
});

test('through a proxy with sign-in, whose password is not shown', async (t: TestContext) => {
  const proxy = await testProxy({ ...here, credentials: 'ward:s3cret' });
  t.after(() => proxy.close());
  const report = await examined({
    config: { proxy: { ...proxied(proxy.port), credentials_file: 'credentials' } },
    files: { credentials: 'ward:s3cret\n' },
  });
  assert.ok(report.healthy, reportText(report));
  assert.match(reportText(report), /with basic sign-in/);
  assert.doesNotMatch(reportText(report), /s3cret|ward/);
  assert.deepEqual(new Set(proxy.asked), new Set([`${HOST}:${coordinator.port}`]));
});

test('what is wrong between here and the coordinator', async (t: TestContext) => {
  assertFails(
    await examined({ config: { coordinator: 'nowhere.example.org:443' } }),
    'name resolution',
    /network\/unresolved at nowhere/,
  );
  assertFails(await examined({ config: { coordinator: `${HOST}:1` } }), 'connection', /network\/unreachable/);
  assertFails(await examined({ config: { proxy: { url: 'socks5://p:1' } } }), 'proxy', /network\/proxy/);
  const asking = await testProxy({ ...here, credentials: 'a:b' });
  t.after(() => asking.close());
  assertFails(
    await examined({ config: { proxy: proxied(asking.port) } }),
    'connection',
    /network\/proxy.*407/,
  );
  const hospital = await testAuthority('Hospital Inspection CA');
  const inspecting = await testProxy({ intercepts: await hospital.issue([HOST]) });
  t.after(() => inspecting.close());
  assertFails(
    await examined({ config: { proxy: proxied(inspecting.port) } }),
    'TLS',
    /network\/intercepted.*CN=Hospital Inspection CA/,
  );
});

test('a temporary folder that the agent cannot use', async (t: TestContext) => {
  const before = process.env['TMPDIR'];
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const long = join(newFolder(), 'x'.repeat(100));
  mkdirSync(long);
  // Not even root can write to the first; in the second the name of a socket would be too long.
  for (const folder of ['/proc/self/tmp', long]) {
    process.env['TMPDIR'] = folder;
    assertFails(await examined(), 'temporary folder', /config\/invalid/);
  }
});

test('what is wrong with the coordinator, or with its view of this site', async (t: TestContext) => {
  const withServer = async (
    ...options: Parameters<typeof testCoordinator> extends [string, ...infer Rest] ? Rest : never
  ): Promise<object> => {
    const other = await testCoordinator(consortium.ca, ...options);
    t.after(() => other.stop());
    return { coordinator: `${HOST}:${other.port}` };
  };
  const expired = await consortium.issue([HOST], {
    from: new Date(Date.now() - 9 * DAY),
    until: new Date(Date.now() - DAY),
  });
  assertFails(await examined({ config: await withServer(expired) }), 'clock', /network\/clock/);
  // One that takes connections without a certificate shows its own clock: it is the certificate that is at fault.
  assertFails(
    await examined({ config: await withServer(expired, { open: true }) }),
    'TLS',
    /enrolment\/expired/,
  );
  const elsewhere = await consortium.issue(['elsewhere.example.org']);
  assertFails(await examined({ config: await withServer(elsewhere) }), 'TLS', /wire\/identity/);
  const refuse = { code: 'PERMISSION_DENIED', details: 'enrolment/revoked' } as const;
  assertFails(
    await examined({ config: await withServer(server, { refuse }) }),
    'coordinator',
    /enrolment\/revoked/,
  );
  const late = new Date(Date.now() + 10 * 60_000);
  assertFails(await examined({ now: late }), 'clock', /network\/clock: \d+ s/);
});

test("what is wrong with this site's files", async () => {
  assertFails(
    await examined({ files: { 'agent.yaml': '{"agent": 1}' } }),
    'configuration',
    /config\/invalid/,
  );
  assertFails(await examined({ files: { 'data.csv': '' } }), 'records', /data\/empty/);
  assertFails(await examined({ config: { data: 'nowhere.csv' } }), 'records', /data\/unreadable/);
  assertFails(await examined({ config: { agreement: 'nowhere.yaml' } }), 'agreement', /config\/invalid/);
  assertFails(await examined({ files: { 'agreement.yaml': '{}' } }), 'agreement', /agreement\/invalid/);
  assertFails(await examined({ files: { 'signing.key': 'x' } }), 'signing key', /config\/invalid/);
  assertFails(
    await examined({}, (folder) => chmodSync(join(folder, 'signing.key'), 0o644)),
    'key permissions',
    /signing\.key has mode 0644/,
  );
  const old = await consortium.issue([], {
    until: new Date(Date.now() - DAY),
    from: new Date(Date.now() - 9 * DAY),
    name: 'A',
  });
  // The coordinator would not take it either, which is said too.
  const report = await examined({ files: { 'site.crt': old.certificate, 'site.key': old.key } });
  assert.match(reportText(report), /fail {2}certificate: enrolment\/expired/);
  const other = await consortium.issue([], { name: 'B' });
  const named = await examined({ files: { 'site.crt': other.certificate, 'site.key': other.key } });
  assert.deepEqual(
    named.findings.filter(({ state }) => state === 'warn').map(({ check }) => check),
    ['certificate'],
  );
});

test('folders that cannot be written to, or are full, and an agreement that ends', async () => {
  // Not even root can write there.
  assertFails(await examined({ config: { log: '/proc/self/log' } }), 'log folder', /cannot be written to/);
  const full = await examined({ free: 1000 });
  assert.deepEqual(
    full.findings.filter(({ state }) => state === 'fail').map(({ check }) => check),
    ['log folder', 'state folder'],
  );
  const ended = {
    agreement: 1,
    name: 'Ended',
    until: '2020-12-31',
    approval: 'matching-template',
    templates: ['plan.yaml'],
    variables: 'all',
    outcomes: 'all',
    families: 'all',
  };
  assertFails(
    await examined({ files: { 'agreement.yaml': JSON.stringify(ended) } }),
    'agreement',
    /0 days left/,
  );
});
