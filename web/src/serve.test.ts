import 'reflect-metadata';

import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';

import { answersTo, pageAddress } from './address.ts';
import { servePage } from './serve.ts';
import { newPage } from './page.ts';
import type { PageConfig } from './page-config.ts';
import { memoryLog, memorySignIn, surroundings } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'page-'));
after(() => rmSync(folder, { recursive: true }));
const certificate = join(folder, 'page.crt');
const key = join(folder, 'page.key');
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

function pem(der: ArrayBuffer): string {
  const lines = Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n');
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

before(async () => {
  const keys = await newKeys();
  const made = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=page',
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date('2026-01-01'),
      notAfter: new Date('2126-01-01'),
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'page.hospital.example' }])],
    },
    webcrypto,
  );
  writeFileSync(certificate, made.toString('pem'));
  writeFileSync(key, pem(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)));
});

const invalid = { code: 'config/invalid' };
const { now, note } = surroundings();
const parts = {
  owner: { page: 'page of', name: 'TEST' },
  places: [],
  signIn: memorySignIn('auditor'),
  log: memoryLog(),
  note,
  now,
};
const serve = (config: PageConfig) =>
  servePage(config, 'page', async (listening) => (await newPage(parts, listening)).app);

test('it listens on this machine or on a private address, and on nothing else', () => {
  for (const [listen, loopback] of [
    ['127.0.0.1:8480', true],
    ['127.8.9.1:8480', true],
    ['[::1]:8480', true],
    ['localhost:8480', true],
    ['10.20.30.40:8480', false],
    ['172.16.0.1:8480', false],
    ['172.31.255.254:8480', false],
    ['192.168.1.1:8480', false],
    ['169.254.7.7:8480', false],
    ['[fd12:3456::1]:8480', false],
    ['[fe80::1%eth0]:8480', false],
  ] as const) {
    assert.equal(pageAddress(listen, 'page').loopback, loopback, listen);
  }
  for (const listen of [
    '0.0.0.0:8480',
    '[::]:8480',
    '8.8.8.8:8480',
    '172.32.0.1:8480',
    '172.15.0.1:8480',
    '192.169.0.1:8480',
    '100.64.0.1:8480',
    '[2001:db8::1]:8480',
    '[::ffff:8.8.8.8]:8480',
    'page.hospital.example:8480',
    '127.1:8480',
    '*:8480',
  ]) {
    assert.throws(() => pageAddress(listen, 'page'), invalid, listen);
  }
});

test('a private address needs a certificate and its own key', async () => {
  const other = join(folder, 'other.key');
  writeFileSync(other, pem(await webcrypto.subtle.exportKey('pkcs8', (await newKeys()).privateKey)));
  const absent = join(folder, 'absent.crt');
  for (const config of [
    { listen: '10.0.0.1:0' },
    { listen: '10.0.0.1:0', certificate },
    { listen: '127.0.0.1:0', key },
    { listen: '127.0.0.1:0', certificate: absent, key },
    { listen: '127.0.0.1:0', certificate: key, key },
    { listen: '127.0.0.1:0', certificate, key: other },
    { listen: '0.0.0.0:0', certificate, key },
  ]) {
    await assert.rejects(serve(config), invalid, JSON.stringify(config));
  }
});

test('a port that is taken is told as such', async () => {
  const first = await serve({ listen: '127.0.0.1:0' });
  const { port } = first.server.address() as AddressInfo;
  await assert.rejects(serve({ listen: `127.0.0.1:${port}` }), invalid);
  await first.close();
});

test('names are those of the certificate; every other is turned away', () => {
  const address = pageAddress('10.0.0.1:8480', 'page');
  const held = new X509Certificate(readFileSync(certificate));
  assert.equal(answersTo('page.hospital.example:8480', address, held), true);
  assert.equal(answersTo('10.0.0.1:8480', address, held), true);
  assert.equal(answersTo('localhost:9443', address, held), true);
  for (const host of ['page', 'evil.example', '10.0.0.2', 'a b', undefined, '[::2]']) {
    assert.equal(answersTo(host, address, held), false, host);
  }
  assert.equal(answersTo('page.hospital.example', address, null), false);
});

test('over TLS its cookies are Secure and for this host alone, and HSTS is told', async () => {
  const app = await serve({ listen: '127.0.0.1:0', certificate, key });
  const { port } = app.server.address() as AddressInfo;
  const answer = Promise.withResolvers<{ status: number | undefined; cookie: string; hsts: string }>();
  const ca = readFileSync(certificate);
  https
    .get(
      { host: '127.0.0.1', port, path: '/sign-in', ca, servername: 'page.hospital.example', agent: false },
      (response) => {
        const { headers, statusCode } = response;
        response.resume();
        answer.resolve({
          status: statusCode,
          cookie: String(headers['set-cookie']),
          hsts: String(headers['strict-transport-security']),
        });
      },
    )
    .on('error', answer.reject);
  const { status, cookie, hsts } = await answer.promise;
  await app.close();
  assert.equal(status, 200);
  assert.match(cookie, /^__Host-concordat-form-[0-9a-f]{8}=/);
  assert.match(cookie, /Secure/);
  assert.match(cookie, /HttpOnly/);
  assert.match(cookie, /SameSite=Strict/);
  assert.equal(hsts, 'max-age=31536000');
});
