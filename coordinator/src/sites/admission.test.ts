import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { admit, readPresented, type Presented, type Registered } from './admission.ts';
import { issue, newAuthority, type KeyPair, type Purpose, type Validity } from './certificates.ts';
import type { Site } from './registry.ts';

const DAY = 86_400_000;
const START = Date.UTC(2030, 0, 1);
const validity = (from: number, days: number): Validity => ({
  notBefore: new Date(START + from * DAY),
  notAfter: new Date(START + (from + days) * DAY),
});
const authority = await newAuthority('Ours', validity(-1, 1000));
const stranger = await newAuthority('Ours', validity(-1, 1000));
const client: Purpose = { kind: 'client' };

async function certificate(
  by: KeyPair,
  study: string,
  purpose: Purpose = client,
  valid = validity(0, 30),
): Promise<X509Certificate> {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  return new X509Certificate(await issue(by, { commonName: study, publicKey: key }, purpose, valid));
}

const authorities = [new X509Certificate(authority.certificate)];
const present = (...chain: [X509Certificate, ...X509Certificate[]]): Presented =>
  readPresented(chain, authorities);

const site = (study: string, more: Partial<Site> = {}): Site => ({
  study,
  key: new Uint8Array(32),
  enrolled: START,
  revoked: null,
  since: null,
  ...more,
});
const registered = (...sites: Site[]): Registered => ({
  listed: new Map(),
  site: (study) => sites.find((entry) => entry.study === study) ?? null,
  certificate: () => null,
});
const refusal = (presented: Presented | null, now: number, by: Registered): string | null => {
  const admission = admit(presented, START + now * DAY, by);
  return 'refused' in admission ? admission.refused : null;
};

test('an enrolled site is admitted from the beginning of its certificate to its end', async () => {
  const presented = present(await certificate(authority, 'A'));
  assert.deepEqual(admit(presented, START + DAY, registered(site('A'))), { study: 'A' });
  for (const now of [0, 15, 30]) assert.equal(refusal(presented, now, registered(site('A'))), null);
  assert.equal(refusal(presented, 30.01, registered(site('A'))), 'enrolment/expired');
  assert.equal(refusal(presented, -0.01, registered(site('A'))), 'network/clock');
});

test('no certificate, or one of a site that nobody enrolled', async () => {
  assert.equal(refusal(null, 1, registered(site('A'))), 'wire/identity');
  assert.equal(
    refusal(present(await certificate(authority, 'B')), 1, registered(site('A'))),
    'wire/identity',
  );
});

test('another authority of the same name, a certificate signed by itself, one for servers, the authority’s own', async () => {
  const by = registered(site('A'), site('Ours'));
  for (const chain of [
    [await certificate(stranger, 'A')],
    [await certificate(stranger, 'A'), new X509Certificate(stranger.certificate)],
    [new X509Certificate((await newAuthority('A', validity(0, 30))).certificate)],
    [await certificate(authority, 'A', { kind: 'server', hosts: ['A'] })],
    [new X509Certificate(authority.certificate)],
  ] as [X509Certificate, ...X509Certificate[]][])
    assert.equal(refusal(present(...chain), 1, by), 'enrolment/wrong-authority');
});

test('a site’s own certificate issues no others', async () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = new Uint8Array(keys.publicKey.export({ format: 'der', type: 'spki' }));
  const mine = new X509Certificate(
    await issue(authority, { commonName: 'A', publicKey }, client, validity(0, 30)),
  );
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const forged = await certificate({ certificate: mine.toString(), key }, 'B');
  assert.equal(refusal(present(forged, mine), 1, registered(site('B'))), 'enrolment/wrong-authority');
});

test('a site that is revoked, and a certificate of before, when it is enrolled again', async () => {
  const presented = present(await certificate(authority, 'A'));
  assert.equal(refusal(presented, 1, registered(site('A', { revoked: START }))), 'enrolment/revoked');
  // Also when it has expired: that the site is revoked is what it is to be told.
  assert.equal(refusal(presented, 99, registered(site('A', { revoked: START }))), 'enrolment/revoked');
  const again = registered(site('A', { since: START + DAY }));
  assert.equal(refusal(presented, 2, again), 'enrolment/revoked');
  const later = present(await certificate(authority, 'A', client, validity(2, 30)));
  assert.equal(refusal(later, 3, again), null);
  const issued = (revoked: number | null): Registered => ({
    ...again,
    certificate: (fingerprint) => ({
      study: 'A',
      fingerprint,
      certificate: new Uint8Array(0),
      notAfter: 0,
      revoked,
    }),
  });
  assert.equal(refusal(later, 3, issued(START)), 'enrolment/revoked');
  assert.equal(refusal(presented, 3, issued(null)), null);
});

test('a listed certificate speaks for its listed study, whatever its name; also there dates and authority count', async () => {
  const x509 = await certificate(authority, 'any name');
  const listed = (certificateOf: X509Certificate): Registered => ({
    ...registered(),
    listed: new Map([[toHex(sha256(certificateOf.raw)), 'A']]),
  });
  assert.deepEqual(admit(present(x509), START + DAY, listed(x509)), { study: 'A' });
  assert.equal(refusal(present(x509), 31, listed(x509)), 'enrolment/expired');
  const foreign = await certificate(stranger, 'A');
  assert.equal(refusal(present(foreign), 1, listed(foreign)), 'enrolment/wrong-authority');
  assert.deepEqual(present(x509).fingerprint, fromHex(x509.fingerprint256.replaceAll(':', '').toLowerCase()));
});
