import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import { SiteRegistry, type NewInvitation } from './registry.ts';

const folder = mkdtempSync(join(tmpdir(), 'registry-'));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

const bytes = (n: number, fill: number): Uint8Array => new Uint8Array(n).fill(fill);
const invitation = (fill: number, study = 'A', expires = 1000): NewInvitation => ({
  id: bytes(16, fill),
  secret: bytes(32, fill),
  study,
  expires,
});
const applicant = (fill: number, study = 'A') => ({ study, key: bytes(32, fill), tls: bytes(91, fill) });
const code = (expected: ErrorCode) => (error: unknown) =>
  error instanceof ConcordatError && error.code === expected;

function registry(): SiteRegistry {
  return new SiteRegistry(join(folder, `${files++}.sqlite`));
}

test('an invitation enrols once; the same keys may use it again, others may not', () => {
  const sites = registry();
  sites.invite(invitation(1));
  assert.deepEqual([...sites.openInvitations(0)], [['A', 1000]]);
  const site = sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 10);
  assert.deepEqual(sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 999), site);
  for (const other of [
    { ...applicant(7), key: bytes(32, 8) },
    { ...applicant(7), tls: bytes(91, 8) },
  ])
    assert.throws(() => sites.claim(bytes(16, 1), bytes(32, 1), other, 10), code('enrolment/used'));
  assert.deepEqual(sites.site('A')?.key, bytes(32, 7));
  assert.equal(sites.ownerOf(bytes(32, 7)), 'A');
  assert.deepEqual([...sites.openInvitations(0)], []);
  sites.close();
});

const made = (fill: number, notAfter = 9000) => ({
  fingerprint: bytes(32, fill),
  certificate: Uint8Array.of(1, 2, 3),
  notAfter,
});

test('used again by the same keys: as long as their certificate is good; without one, until the invitation expires', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const claim = (now: number) => sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), now);
  const { enrolled } = claim(10);
  assert.throws(() => claim(1000), code('enrolment/expired'));
  sites.addCertificate(made(50), applicant(7), enrolled, 20);
  assert.equal(claim(8999).enrolled, 10);
  assert.throws(() => claim(9000), code('enrolment/expired'));
  sites.close();
});

test('a certificate that was made while the site was revoked, or enrolled anew, is not kept', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const { enrolled } = sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0);
  const keep = (key: number) => () => sites.addCertificate(made(50), applicant(key), enrolled, 30);
  sites.revoke('A', 20);
  assert.throws(keep(7), code('enrolment/revoked'));
  sites.invite(invitation(2));
  sites.claim(bytes(16, 2), bytes(32, 2), applicant(8), 40);
  for (const key of [7, 8]) assert.throws(keep(key), code('enrolment/revoked'));
  assert.throws(() => sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 50), code('enrolment/revoked'));
  assert.equal(sites.certificate(bytes(32, 50)), null);
  assert.throws(
    () => sites.addCertificate(made(50), applicant(7, 'B'), enrolled, 30),
    code('enrolment/revoked'),
  );
  sites.close();
});

test('of two certificates for one key the first stands until its end', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const { enrolled } = sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0);
  const first = sites.addCertificate(made(50), applicant(7), enrolled, 0);
  assert.deepEqual({ ...sites.addCertificate(made(51, 9999), applicant(7), enrolled, 8999) }, first);
  assert.deepEqual(
    sites.addCertificate(made(52, 9999), applicant(7), enrolled, 9000).fingerprint,
    bytes(32, 52),
  );
  assert.equal(sites.certificate(bytes(32, 50)), null);
  sites.close();
});

test('each reason for which an invitation cannot be used has its code, and enrols nobody', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const claim = (id: number, secret: number, study: string, now: number) => () =>
    sites.claim(bytes(16, id), bytes(32, secret), applicant(7, study), now);
  assert.throws(claim(2, 1, 'A', 0), code('enrolment/invitation'));
  assert.throws(claim(1, 2, 'A', 0), code('enrolment/invitation'));
  assert.throws(claim(1, 1, 'B', 0), code('enrolment/wrong-site'));
  assert.throws(claim(1, 1, 'A', 1000), code('enrolment/expired'));
  assert.ok(sites.revoke('A', 5));
  assert.throws(claim(1, 1, 'A', 0), code('enrolment/revoked'));
  assert.deepEqual(sites.sites(), []);
  sites.close();
});

test('a new invitation voids the earlier one; an enrolled site is not invited', () => {
  const sites = registry();
  sites.invite(invitation(1));
  sites.invite(invitation(2));
  assert.throws(() => sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0), code('enrolment/invitation'));
  sites.claim(bytes(16, 2), bytes(32, 2), applicant(7), 0);
  assert.throws(() => sites.invite(invitation(3)), code('enrolment/exists'));
  assert.throws(() => sites.admit('A', bytes(32, 9), 0), code('enrolment/exists'));
  sites.close();
});

test('a site that is revoked can be invited again with other keys; its earlier certificates stay revoked', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const { enrolled } = sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0);
  const issued = sites.addCertificate(made(50), applicant(7), enrolled, 0);
  assert.deepEqual(issued, { study: 'A', ...made(50), revoked: null });
  assert.deepEqual({ ...sites.certificateFor('A', bytes(91, 7)) }, issued);
  assert.ok(sites.revoke('A', 20));
  assert.ok(!sites.revoke('A', 30));
  assert.throws(() => sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0), code('enrolment/revoked'));
  sites.invite(invitation(2));
  sites.claim(bytes(16, 2), bytes(32, 2), applicant(8), 40);
  assert.deepEqual(
    { ...sites.site('A') },
    { study: 'A', key: bytes(32, 8), enrolled: 40, revoked: null, since: 20 },
  );
  assert.equal(sites.certificate(bytes(32, 50))?.revoked, 20);
  sites.close();
});

test('a TLS key whose certificate was revoked uses up no other invitation, and gets no certificate', () => {
  const sites = registry();
  sites.invite(invitation(1));
  const { enrolled } = sites.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0);
  sites.addCertificate(made(50), applicant(7), enrolled, 0);
  sites.revoke('A', 20);
  sites.invite(invitation(2));
  const claim = (key: number) => sites.claim(bytes(16, 2), bytes(32, 2), applicant(key), 40);
  assert.throws(() => claim(7), code('enrolment/revoked'));
  assert.equal(sites.site('A')?.revoked, 20);
  assert.deepEqual([...sites.openInvitations(40)], [['A', 1000]]);
  const again = claim(8);
  const old = { ...applicant(8), tls: bytes(91, 7) };
  for (const now of [50, 9000])
    assert.throws(() => sites.addCertificate(made(51), old, again.enrolled, now), code('enrolment/revoked'));
  assert.equal(sites.certificate(bytes(32, 50))?.revoked, 20);
  sites.close();
});

test('two processes work on one registry, and each sees at once what the other did', () => {
  const file = join(folder, 'shared.sqlite');
  const [one, two] = [new SiteRegistry(file), new SiteRegistry(file)];
  one.invite(invitation(1));
  two.claim(bytes(16, 1), bytes(32, 1), applicant(7), 0);
  assert.equal(one.site('A')?.revoked, null);
  one.revoke('A', 3);
  assert.equal(two.site('A')?.revoked, 3);
  one.close();
  two.close();
});

test('a secret is not in the file', () => {
  const file = join(folder, 'secret.sqlite');
  const sites = new SiteRegistry(file);
  sites.invite({ ...invitation(1), secret: new TextEncoder().encode('a secret of thirty-two characters') });
  sites.close();
  assert.ok(!readFileSync(file).includes('a secret'));
});

test('what is no registry is store/corrupt', () => {
  assert.throws(() => new SiteRegistry(import.meta.filename), code('store/corrupt'));
});

test('no site can be called what logs call the coordinator', () => {
  const sites = registry();
  const reserved = { id: new Uint8Array(16), secret: new Uint8Array(32), study: 'Coordinator', expires: 1 };
  assert.throws(() => sites.invite(reserved), { code: 'config/invalid' });
  assert.throws(() => sites.admit('coordinator', new Uint8Array(32), 0), { code: 'config/invalid' });
  sites.close();
});
