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
} from './signing.ts';

const site = signingIdentity(generateSigningKey(), 'site');
const other = signingIdentity(generateSigningKey(), 'other');
const body = Buffer.from('a body');
const refused = (error: unknown): boolean =>
  error instanceof ConcordatError && error.code === 'wire/signature';

test('a message signed by the pinned key is accepted', () => {
  verifyMessage(signMessage(site, body), site.publicKey, 'A');
});

test('another key, a changed body, a changed signature, and a signature of another length are refused', () => {
  const message = signMessage(site, body);
  assert.throws(() => verifyMessage(signMessage(other, body), site.publicKey, 'A'), refused);
  assert.throws(
    () => verifyMessage({ ...signMessage(other, body), key: site.publicKey }, site.publicKey, 'A'),
    refused,
  );
  assert.throws(
    () => verifyMessage({ ...message, body: Buffer.from('a bodY') }, site.publicKey, 'A'),
    refused,
  );
  const flipped = message.signature.map((byte, i) => (i === 10 ? byte ^ 1 : byte));
  assert.throws(() => verifyMessage({ ...message, signature: flipped }, site.publicKey, 'A'), refused);
  const cut = { ...message, signature: message.signature.subarray(1) };
  assert.throws(() => verifyMessage(cut, site.publicKey, 'A'), refused);
  assert.throws(() => verifyMessage({ ...message, key: new Uint8Array(0) }, new Uint8Array(0), 'A'), refused);
});

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
