import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import {
  generateSigningKey,
  signBytes,
  signingIdentity,
  signMessage,
  verifyBytes,
  verifyMessage,
  verifyMessageAside,
} from './signing.ts';

const site = signingIdentity(generateSigningKey(), 'site');
const other = signingIdentity(generateSigningKey(), 'other');
const body = Buffer.from('a body');
const refused = (error: unknown): boolean =>
  error instanceof ConcordatError && error.code === 'wire/signature';

/** At once, and beside the event loop. */
const WAYS: Readonly<Record<string, (...args: Parameters<typeof verifyMessage>) => Promise<void>>> = {
  'at once': async (...args) => verifyMessage(...args),
  aside: verifyMessageAside,
};
for (const [way, check] of Object.entries(WAYS)) {
  test(`${way}: a message signed by the pinned key is accepted`, async () => {
    await check(signMessage(site, body), site.publicKey, 'A');
  });

  test(`${way}: another key, a changed body, a changed signature, and a signature of another length are refused`, async () => {
    const message = signMessage(site, body);
    const flipped = message.signature.map((byte, i) => (i === 10 ? byte ^ 1 : byte));
    const empty = new Uint8Array(0);
    for (const [bad, pinned] of [
      [signMessage(other, body), site.publicKey],
      [{ ...signMessage(other, body), key: site.publicKey }, site.publicKey],
      [{ ...message, body: Buffer.from('a bodY') }, site.publicKey],
      [{ ...message, signature: flipped }, site.publicKey],
      [{ ...message, signature: message.signature.subarray(1) }, site.publicKey],
      [{ ...message, key: empty }, empty],
    ] as const)
      await assert.rejects(check(bad, pinned, 'A'), refused);
  });
}

test('a signature for a log checkpoint is none for a message, nor the reverse', () => {
  const note = signBytes(site, '', body);
  assert.ok(verifyBytes(site.publicKey, '', body, note));
  assert.ok(!verifyBytes(site.publicKey, 'concordat.v1 message\n', body, note));
  assert.ok(!verifyBytes(site.publicKey, '', body, signMessage(site, body).signature));
});

test('a file that holds no Ed25519 private key is config/invalid, without its text', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = ec.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  for (const text of ['not a key', pem, '']) {
    assert.throws(
      () => signingIdentity(text, 'site.key'),
      (error: unknown) =>
        error instanceof ConcordatError &&
        error.code === 'config/invalid' &&
        error.place === 'site.key' &&
        (text === '' || !error.describe().includes(text)),
    );
  }
});

test('the raw public key is RFC 8032: test vector 1', () => {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64');
  const { publicKey } = signingIdentity(
    `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`,
    'vector',
  );
  assert.equal(
    Buffer.from(publicKey).toString('hex'),
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  );
});
