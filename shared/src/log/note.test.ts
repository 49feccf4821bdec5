import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '../wire/digest.ts';
import { generateSigningKey, signingIdentity, verifyBytes } from '../wire/signing.ts';
import { cosign, cosignedAt, isSigned, readCheckpoint, signCheckpoint, verifierKey } from './note.ts';

const identity = signingIdentity(generateSigningKey(), 'test');
const other = signingIdentity(generateSigningKey(), 'test');
const CHECKPOINT = { origin: 'concordat/site/A', size: 20_852_163, root: sha256('root') };
const NOTE = signCheckpoint(CHECKPOINT, identity);

/** The example of Go's golang.org/x/mod/sumdb/note: a key, and a note that it has signed. */
const KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const SIGNED = {
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  signature: 'x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=',
};

test("key names and signatures are those of Go's signed notes", () => {
  const [name, id, encoded] = KEY.split('+');
  const key = Buffer.from(`${encoded}`, 'base64').subarray(1);
  assert.equal(verifierKey(name!, key), KEY);
  const blob = Buffer.from(SIGNED.signature, 'base64');
  assert.equal(blob.subarray(0, 4).toString('hex'), id);
  assert.ok(verifyBytes(new Uint8Array(key), '', Buffer.from(SIGNED.text), new Uint8Array(blob.subarray(4))));
});

test('a checkpoint is read as it was written, and signed by its own key alone', () => {
  const read = readCheckpoint(NOTE);
  assert.ok(read !== null);
  const { origin, size, root } = read;
  assert.deepEqual({ origin, size, root }, CHECKPOINT);
  assert.ok(isSigned(read, identity.publicKey));
  assert.ok(!isSigned(read, other.publicKey));
});

test('a cosignature says when its witness saw the checkpoint, and leaves the signature as it was', () => {
  const note = cosign(NOTE, 'concordat/coordinator', other, 1_679_315_147);
  const read = readCheckpoint(note);
  assert.ok(read !== null);
  assert.ok(isSigned(read, identity.publicKey));
  assert.equal(cosignedAt(read, 'concordat/coordinator', other.publicKey), 1_679_315_147);
  assert.equal(cosignedAt(read, 'concordat/coordinator', identity.publicKey), null);
  assert.equal(cosignedAt(read, 'concordat/site/B', other.publicKey), null);
  assert.equal(cosignedAt(readCheckpoint(NOTE)!, 'concordat/coordinator', other.publicKey), null);
});

test('no byte of a note can change without its signature or cosignature being lost', () => {
  const note = Buffer.from(cosign(NOTE, 'concordat/coordinator', other, 1_679_315_147));
  for (let at = 0; at < note.length; at++)
    for (const bit of [1, 4, 0x20, 0x80]) {
      const changed = Buffer.from(note);
      changed[at]! ^= bit;
      const read = readCheckpoint(changed.toString('utf8'));
      const both =
        read !== null &&
        isSigned(read, identity.publicKey) &&
        cosignedAt(read, 'concordat/coordinator', other.publicKey) !== null;
      assert.ok(!both, `byte ${at}`);
    }
});

test('what is no note is not read, whatever it is', () => {
  fc.assert(fc.property(fc.string(), (text) => readCheckpoint(text) === null));
  for (const text of ['', '\n\n', NOTE.slice(0, -1), `${NOTE}\n`, NOTE.replace('20852163', '020852163')])
    assert.equal(readCheckpoint(text), null);
});
