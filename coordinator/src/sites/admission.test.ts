import assert from 'node:assert/strict';
import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import { test } from 'node:test';
import { fromHex, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { admit, readPresented, type Authorities, type Presented, type Registered } from './admission.ts';
import {
  BasicConstraintsExtension,
  Extension,
  X509CertificateGenerator,
  type Extension as AnyExtension,
} from '@peculiar/x509';
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

const only = (...enrolled: readonly KeyPair[]): Authorities => ({
  enrolled: enrolled.map((pair) => new X509Certificate(pair.certificate)),
  listed: [],
});
const present = (...chain: [X509Certificate, ...X509Certificate[]]): Presented =>
  readPresented(chain, only(authority));

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

test('the authority of the listed sites speaks for no site that enrols; that of those may sign for both', async () => {
  const [enrolled] = only(authority).enrolled;
  const [listed] = only(stranger).enrolled;
  const both = { enrolled: [enrolled!], listed: [listed!] };
  const [ours, theirs] = [await certificate(authority, 'A'), await certificate(stranger, 'A')];
  const naming = (...certificates: readonly X509Certificate[]): Registered => ({
    ...registered(site('A')),
    listed: new Map(certificates.map(({ raw }) => [toHex(sha256(raw)), 'B'])),
  });
  assert.equal(refusal(readPresented([theirs], both), 1, naming()), 'enrolment/wrong-authority');
  assert.equal(refusal(readPresented([theirs], both), 1, registered()), 'wire/identity');
  assert.deepEqual(admit(readPresented([ours], both), START + DAY, naming()), { study: 'A' });
  for (const x509 of [ours, theirs])
    assert.deepEqual(admit(readPresented([x509], both), START + DAY, naming(ours, theirs)), { study: 'B' });
});

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
// The library's own declaration of Crypto is the browser's; Node's implementation is the same interface.
const provider = webcrypto as unknown as Parameters<typeof X509CertificateGenerator.create>[1];

interface IssuerOptions {
  readonly extensions?: readonly AnyExtension[];
  readonly valid?: Validity;
  /** PEM; a new one where it is not given. */
  readonly key?: string;
}

/** A certificate that may issue others; signed by itself where `by` is null. */
async function issuer(name: string, by: KeyPair | null, options: IssuerOptions = {}): Promise<KeyPair> {
  const { extensions = ofLength(undefined), valid = validity(-1, 1000), key = newKey() } = options;
  const made = await X509CertificateGenerator.create(
    {
      subject: `CN=${name}`,
      issuer: by === null ? `CN=${name}` : new X509Certificate(by.certificate).subject,
      publicKey: createPublicKey(key).toCryptoKey(ECDSA, true, ['verify']),
      signingKey: createPrivateKey(by?.key ?? key).toCryptoKey(ECDSA, false, ['sign']),
      signingAlgorithm: ECDSA,
      ...valid,
      extensions: [...extensions],
    },
    provider,
  );
  return { certificate: made.toString('pem'), key };
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

const through = async (root: KeyPair, ...issuers: readonly KeyPair[]): Promise<Presented> =>
  readPresented(
    [await certificate(issuers[0]!, 'A'), ...issuers.map((pair) => new X509Certificate(pair.certificate))],
    only(root),
  );
const ofLength = (length: number | undefined): readonly AnyExtension[] => [
  new BasicConstraintsExtension(true, length, true),
];

test('intermediates that are presented lead to the authority, each within its dates', async () => {
  const by = registered(site('A'));
  const root = await issuer('root', null);
  const first = await issuer('first', root);
  const second = await issuer('second', first, { valid: validity(2, 10) });
  assert.equal(refusal(await through(root, first), 1, by), null);
  assert.equal(refusal(await through(root, second, first), 3, by), null);
  assert.equal(refusal(await through(root, second), 3, by), 'enrolment/wrong-authority');
  assert.equal(refusal(await through(root, second, first), 1, by), 'network/clock');
  assert.equal(refusal(await through(root, second, first), 13, by), 'enrolment/expired');
  // Renewed for the same key: one way that is valid is enough.
  const renewed = await issuer('second', first, { valid: validity(11, 10), key: second.key });
  assert.equal(refusal(await through(root, second, renewed, first), 13, by), null);
});

test('more intermediates than an issuer allows below it lead nowhere', async () => {
  const by = registered(site('A'));
  for (const [allowed, refused] of [
    [0, 'enrolment/wrong-authority'],
    [1, null],
    [200, null],
  ] as const) {
    const root = await issuer('root', null);
    const first = await issuer('first', root, { extensions: ofLength(allowed) });
    const second = await issuer('second', first);
    assert.equal(refusal(await through(root, first), 1, by), null);
    assert.equal(refusal(await through(root, second, first), 1, by), refused);
    const limited = await issuer('root', null, { extensions: ofLength(allowed) });
    assert.equal(refusal(await through(limited, await issuer('below', limited)), 1, by), refused);
  }
});

test('an intermediate that is constrained in the names that it may issue issues nothing', async () => {
  const root = await issuer('root', null);
  // Permitted: the domain example.org.
  const names = Buffer.from('3011a00f300d820b6578616d706c652e6f7267', 'hex');
  const constraints = new Extension('2.5.29.30', true, names);
  const constrained = await issuer('first', root, { extensions: [...ofLength(0), constraints] });
  assert.equal(
    refusal(await through(root, constrained), 1, registered(site('A'))),
    'enrolment/wrong-authority',
  );
});
