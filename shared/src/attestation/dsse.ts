/**
 * Signed documents in the Dead Simple Signing Envelope, version 1 (https://github.com/secure-systems-lab/dsse), with Ed25519.
 * What is signed is the payload's bytes and their type, so that no reader has to parse before it verifies.
 */
import Type, { type Static } from 'typebox';

import { ConcordatError } from '../errors.ts';
import { schemaCheck } from '../plan/document.ts';
import { fromHex, toHex } from '../wire/digest.ts';
import { signBytes, verifyBytes, type SigningIdentity } from '../wire/signing.ts';

const closed = { additionalProperties: false };
const base64 = Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$' });

const EnvelopeSchema = Type.Object(
  {
    payloadType: Type.String({ minLength: 1 }),
    payload: base64,
    signatures: Type.Array(
      Type.Object({ keyid: Type.String({ pattern: '^[0-9a-f]{64}$' }), sig: base64 }, closed),
      { minItems: 1 },
    ),
  },
  closed,
);
type WrittenEnvelope = Static<typeof EnvelopeSchema>;

const check = schemaCheck(EnvelopeSchema);

/** An envelope that was read; its signatures are not verified yet. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  /** At least one, each under another key. */
  readonly signatures: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[];
}

/** The bytes that a signature covers: PAE(type, payload). */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = Buffer.from(payloadType);
  return new Uint8Array(
    Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]),
  );
}

/** The envelope as its file holds it: JSON, with the public key in hex as its id. */
export function signEnvelope(payloadType: string, payload: Uint8Array, identity: SigningIdentity): string {
  const signature = signBytes(identity, '', preAuthEncoding(payloadType, payload));
  const envelope: WrittenEnvelope = {
    payloadType,
    payload: toBase64(payload),
    signatures: [{ keyid: toHex(identity.publicKey), sig: toBase64(signature) }],
  };
  return `${JSON.stringify(envelope)}\n`;
}

/** @throws ConcordatError `wire/malformed` where the text is not an envelope of Ed25519 signatures, or holds anything else */
export function parseEnvelope(text: string, place: string): Envelope {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed(place, 'it is not JSON');
  }
  const [error] = check(value);
  if (error !== undefined) throw malformed(place, `${error.instancePath || '/'} ${error.message ?? ''}`);
  const { payloadType, payload, signatures } = value as WrittenEnvelope;
  if (new Set(signatures.map(({ keyid }) => keyid)).size < signatures.length)
    throw malformed(place, 'a key signs it twice');
  return {
    payloadType,
    payload: fromBase64(payload, place),
    signatures: signatures.map(({ keyid, sig }) => {
      const signature = fromBase64(sig, place);
      if (signature.length !== 64) throw malformed(place, 'a signature does not have 64 bytes');
      return { key: fromHex(keyid), signature };
    }),
  };
}

/** Whether one of the envelope's signatures is that key's. */
export function isSignedBy({ payloadType, payload, signatures }: Envelope, key: Uint8Array): boolean {
  const signed = preAuthEncoding(payloadType, payload);
  const own = signatures.find((signature) => toHex(signature.key) === toHex(key));
  return own !== undefined && verifyBytes(key, '', signed, own.signature);
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** Other texts of the same bytes are refused, so that an envelope has one text. */
function fromBase64(text: string, place: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  if (toBase64(bytes) !== text) throw malformed(place, 'its base64 is not canonical');
  return bytes;
}

function malformed(place: string, what: string): ConcordatError {
  return new ConcordatError('wire/malformed', `not a signed envelope (DSSE): ${what}`, {
    place,
    remedy: 'the file was cut or changed, or is another one',
  });
}
