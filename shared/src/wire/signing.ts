/**
 * Ed25519 identities (RFC 8032). A message's signature covers a domain string and the exact body bytes,
 * so that a signature made for a message can never pass for one over a log checkpoint, or the reverse.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';

import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';

import { ConcordatError } from '../errors.ts';
import { sameBytes } from './digest.ts';

/** SubjectPublicKeyInfo of an Ed25519 key: this prefix and the 32 raw bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export interface SigningIdentity {
  readonly privateKey: KeyObject;
  /** Raw public key, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/**
 * A message's domain, or none for what separates itself: a signed note, whose text begins with its own origin line (C2SP
 * signed-note), and a DSSE envelope, whose encoding begins with `DSSEv1 `.
 */
const MESSAGE = 'concordat.v1 message\n';
export type SignatureDomain =
  | typeof MESSAGE
  | 'concordat.v1 analysis set\n'
  | 'concordat.v1 plan\n'
  | 'concordat.v1 statement\n'
  | 'concordat.v1 enrolment\n'
  | '';

export function generateSigningKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

export function signingIdentity(pem: string, place: string): SigningIdentity {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'not a private key in PEM', { place, cause });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new ConcordatError('config/invalid', 'the signing key is not an Ed25519 key', { place });
  }
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)) };
}

export function signBytes(identity: SigningIdentity, domain: SignatureDomain, body: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, Buffer.concat([Buffer.from(domain), body]), identity.privateKey));
}

export function verifyBytes(
  key: Uint8Array,
  domain: SignatureDomain,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  return verify(null, Buffer.concat([Buffer.from(domain), body]), publicKeyOf(key), signature);
}

/** Pinned keys live as long as their owner, and verify many messages. */
const publicKeys = new WeakMap<Uint8Array, KeyObject>();

function publicKeyOf(key: Uint8Array): KeyObject {
  let made = publicKeys.get(key);
  if (made === undefined) {
    made = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: 'der', type: 'spki' });
    publicKeys.set(key, made);
  }
  return made;
}

export function signMessage(identity: SigningIdentity, body: Uint8Array): SignedMessage {
  return { body, signature: signBytes(identity, MESSAGE, body), key: identity.publicKey };
}

/** Throws wire/signature unless `message` was signed with `expected`, the key this side has pinned for the sender. */
export function verifyMessage(message: SignedMessage, expected: Uint8Array, sender: string): void {
  checkKey(message, expected, sender);
  if (!verifyBytes(expected, MESSAGE, message.body, message.signature)) throw notSigned(sender);
}

/** As `verifyMessage`, in a thread beside the event loop: with many senders the signatures are most of the work. */
export async function verifyMessageAside(
  message: SignedMessage,
  expected: Uint8Array,
  sender: string,
): Promise<void> {
  checkKey(message, expected, sender);
  if (expected.length !== 32 || message.signature.length !== 64) throw notSigned(sender);
  const signed = Buffer.concat([Buffer.from(MESSAGE), message.body]);
  const matches = await new Promise<boolean>((resolve, reject) => {
    verify(null, signed, publicKeyOf(expected), message.signature, (error, result) =>
      error === null ? resolve(result) : reject(error),
    );
  });
  if (!matches) throw notSigned(sender);
}

function checkKey(message: SignedMessage, expected: Uint8Array, sender: string): void {
  if (sameBytes(message.key, expected)) return;
  throw new ConcordatError(
    'wire/signature',
    `a message from ${sender} is signed with a key that is not the one pinned for it`,
    {
      remedy: 'compare the public keys with the other side out of band; a changed key needs a new enrolment',
    },
  );
}

function notSigned(sender: string): ConcordatError {
  return new ConcordatError(
    'wire/signature',
    `the signature of a message from ${sender} does not match its body`,
    {
      remedy: 'the message was changed on its way; look for a proxy that rewrites traffic',
    },
  );
}
