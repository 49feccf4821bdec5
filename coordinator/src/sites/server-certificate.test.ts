import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';
import { parseCoordinatorConfig, type CoordinatorConfig } from '../config.ts';
import { startFront, type ServerTls } from '../exchange/front.ts';
import { makeAuthority } from './authority.ts';
import { serverTls } from './server-certificate.ts';

const folder = mkdtempSync(join(tmpdir(), 'server-certificate-'));
after(() => rmSync(folder, { recursive: true }));

const DAY = 86_400_000;
// TLS itself looks at the machine's clock.
const START = Date.now();
const at = (days: number): Date => new Date(START + days * DAY);
const authority = await makeAuthority('Ours', at(0));
writeFileSync(join(folder, 'authority.crt'), authority.pair.certificate);

const config = (more: object = {}): CoordinatorConfig =>
  parseCoordinatorConfig(
    JSON.stringify({
      coordinator: 1,
      listen: '127.0.0.1:0',
      address: 'coordinator.example.org:443',
      tls: { certificate: 'server.crt', key: 'server.key' },
      authority: { ca: 'authority.crt', key: 'authority.key', names: ['127.0.0.1'] },
      signing_key: 'signing.key',
      state: 'journal.sqlite',
      log: 'log',
      ...more,
    }),
    join(folder, 'coordinator.yaml'),
  );
const leaf = ({ certificate }: ServerTls): X509Certificate => new X509Certificate(certificate);

test('the server’s certificate is issued once, and again when a third of its life is left, with a new key', async () => {
  const first = await serverTls(config(), authority, at(0));
  assert.deepEqual(await serverTls(config(), authority, at(19.9)), first);
  const second = await serverTls(config(), authority, at(20.1));
  assert.notEqual(second.key, first.key);
  for (const { certificate, key } of [first, second]) {
    const x509 = new X509Certificate(certificate);
    assert.ok(x509.verify(new X509Certificate(authority.pair.certificate).publicKey));
    assert.ok(x509.checkPrivateKey(createPrivateKey(key)));
    assert.equal(x509.checkHost('coordinator.example.org'), 'coordinator.example.org');
    assert.equal(x509.checkIP('127.0.0.1'), '127.0.0.1');
    // The authority's certificate goes with it: there a joining agent finds the fingerprint that it pinned.
    assert.ok(certificate.includes(authority.pair.certificate));
  }
  assert.ok(leaf(second).validToDate > leaf(first).validToDate);
  assert.equal(statSync(join(folder, 'server.key')).mode & 0o777, 0o600);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('also when the host’s name changes, when key and certificate do not belong together, or one is cut', async () => {
  const first = await serverTls(config(), authority, at(0));
  const renamed = await serverTls(config({ address: 'other.example.org:443' }), authority, at(0));
  assert.equal(leaf(renamed).checkHost('other.example.org'), 'other.example.org');
  writeFileSync(join(folder, 'server.key'), first.key);
  const mended = await serverTls(config({ address: 'other.example.org:443' }), authority, at(0));
  assert.ok(leaf(mended).checkPrivateKey(createPrivateKey(mended.key)));
  writeFileSync(join(folder, 'server.crt'), mended.certificate.slice(0, 100));
  assert.ok(leaf(await serverTls(config(), authority, at(0))));
});

test('never longer than the authority lives', async () => {
  const last = new X509Certificate(authority.pair.certificate).validToDate.getTime();
  const tls = await serverTls(config(), authority, new Date(last - 5 * DAY));
  assert.equal(leaf(tls).validToDate.getTime(), last);
});

test('another PKI’s files are read as they are', async () => {
  const own = config({ authority: { ca: 'authority.crt' } });
  const before = readFileSync(join(folder, 'server.crt'), 'utf8');
  assert.equal((await serverTls(own, null, at(1000))).certificate, before);
  await assert.rejects(
    serverTls(config({ authority: { ca: 'gone.crt' } }), null, at(0)),
    (error) => error instanceof ConcordatError && error.code === 'config/invalid',
  );
});

test('the authorities of listed and of enrolled sites are kept apart', async () => {
  const listed = (await makeAuthority('Theirs', at(0))).pair.certificate;
  writeFileSync(join(folder, 'listed.crt'), listed);
  const tls = { ca: 'listed.crt', certificate: 'server.crt', key: 'server.key' };
  const { ca } = await serverTls(config({ tls }), authority, at(0));
  assert.deepEqual(ca, { enrolled: authority.pair.certificate, listed });
  assert.deepEqual((await serverTls(config(), authority, at(0))).ca, { ...ca, listed: null });
});

test('a server takes another certificate while it listens', async () => {
  const one = await serverTls(config({ address: 'one.example.org:443' }), authority, at(0));
  const two = await serverTls(config({ address: 'two.example.org:443' }), authority, at(0));
  const front = await startFront({
    listen: '127.0.0.1:0',
    tls: one,
    isMember: () => false,
    member: () => undefined,
    stranger: () => undefined,
  });
  const seen = (): Promise<X509Certificate> =>
    new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: front.port,
        ca: authority.pair.certificate,
        ALPNProtocols: ['h2'],
      });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve(socket.getPeerX509Certificate()!);
        socket.destroy();
      });
    });
  try {
    assert.ok(sameBytes((await seen()).raw, leaf(one).raw));
    front.replace(two);
    assert.ok(sameBytes((await seen()).raw, leaf(two).raw));
  } finally {
    front.close();
  }
});
