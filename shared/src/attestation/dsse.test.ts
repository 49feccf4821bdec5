import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { generateSigningKey, signingIdentity } from '../wire/signing.ts';
import { isSignedBy, parseEnvelope, preAuthEncoding, signEnvelope } from './dsse.ts';

const TYPE = 'http://example.com/HelloWorld';
const HELLO = Buffer.from('hello world');
const [own, other] = [generateSigningKey(), generateSigningKey()];
const [signer, stranger] = [signingIdentity(own, 'own'), signingIdentity(other, 'other')];

test('what is signed is the encoding of the specification’s example', () => {
  assert.equal(
    Buffer.from(preAuthEncoding(TYPE, HELLO)).toString(),
    'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
  );
  assert.equal(Buffer.from(preAuthEncoding('é', Buffer.from('ü'))).toString(), 'DSSEv1 2 é 2 ü');
  assert.equal(Buffer.from(preAuthEncoding('', new Uint8Array(0))).toString(), 'DSSEv1 0  0 ');
});

test('an envelope is read as it was signed, and is its signer’s alone', () => {
  const text = signEnvelope(TYPE, HELLO, signer);
  const envelope = parseEnvelope(text, 'envelope');
  assert.equal(envelope.payloadType, TYPE);
  assert.deepEqual(Buffer.from(envelope.payload), HELLO);
  assert.ok(isSignedBy(envelope, signer.publicKey));
  assert.ok(!isSignedBy(envelope, stranger.publicKey));
  assert.ok(!isSignedBy({ ...envelope, payloadType: 'text/plain' }, signer.publicKey));
  assert.ok(!isSignedBy({ ...envelope, payload: Buffer.from('hello World') }, signer.publicKey));
});

test('another implementation of Ed25519 verifies it from the file alone', () => {
  const { payloadType, payload, signatures } = JSON.parse(signEnvelope(TYPE, HELLO, signer)) as {
    payloadType: string;
    payload: string;
    signatures: { keyid: string; sig: string }[];
  };
  const body = Buffer.from(payload, 'base64').toString();
  const signed = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} ${body}`);
  const key = createPublicKey(own);
  assert.ok(verify(null, signed, key, Buffer.from(signatures[0]!.sig, 'base64')));
  const x = Buffer.from(signatures[0]!.keyid, 'hex').toString('base64url');
  assert.equal(x, key.export({ format: 'jwk' }).x);
});

test('whatever is not exactly an envelope is refused', () => {
  const good = JSON.parse(signEnvelope(TYPE, HELLO, signer)) as Record<string, unknown>;
  const [signature] = good['signatures'] as Record<string, unknown>[];
  const without = Object.fromEntries(Object.entries(good).filter(([name]) => name !== 'payload'));
  const bad: readonly (readonly [string, unknown])[] = [
    ['no object', []],
    ['without a payload', without],
    ['an unknown field', { ...good, more: 1 }],
    ['an unknown field of a signature', { ...good, signatures: [{ ...signature, cert: '' }] }],
    ['no signature', { ...good, signatures: [] }],
    ['a key that signs twice', { ...good, signatures: [signature, signature] }],
    ['a key id in capitals', { ...good, signatures: [{ ...signature, keyid: 'AB'.repeat(32) }] }],
    ['a short signature', { ...good, signatures: [{ ...signature, sig: 'AAAA' }] }],
    ['base64 without padding', { ...good, payload: 'aGVsbG8gd29ybGQ' }],
    ['base64 with bits that count for nothing', { ...good, payload: 'aGVsbG8gd29ybGR=' }],
    ['base64 for URLs', { ...good, payload: '-_8=' }],
    ['base64 with white space', { ...good, payload: 'aGVs bG8=' }],
    ['base64 with a line end', { ...good, payload: 'aGVsbG8=\n' }],
  ];
  for (const [what, value] of bad)
    assert.throws(() => parseEnvelope(JSON.stringify(value), 'envelope'), { code: 'wire/malformed' }, what);
  assert.throws(() => parseEnvelope('{', 'envelope'), { code: 'wire/malformed', place: 'envelope' });
});
