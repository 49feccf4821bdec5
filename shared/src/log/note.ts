/**
 * Checkpoints (C2SP tlog-checkpoint) as signed notes (C2SP signed-note), and a witness's cosignatures over them (C2SP
 * tlog-cosignature, `cosignature/v1`). All signatures are Ed25519. Reading is strict: a note has one encoding.
 */
import { sameBytes, sha256 } from '../wire/digest.ts';
import { signBytes, verifyBytes, type SigningIdentity } from '../wire/signing.ts';
import { HASH_LENGTH, type TreeHead } from './merkle.ts';

export interface Checkpoint extends TreeHead {
  /** Name of the log, and of the key that signs for it. */
  readonly origin: string;
}

export interface NoteSignature {
  /** Of the key. */
  readonly name: string;
  /** Key id (4 bytes) ‖ signature. */
  readonly blob: Uint8Array;
}

export interface SignedCheckpoint extends Checkpoint {
  /** What is signed: three lines, each with its end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Kinds of signature, by the byte that goes into the key's id. */
const NOTE = 1;
const COSIGNATURE = 4;
const SIGNATURE_LENGTH = 64;
const TIME_LENGTH = 8;
/** A name has neither spaces nor plus signs. */
const NAME = String.raw`[^\s+\p{Cc}]+`;
const CHECKPOINT = new RegExp(String.raw`^(${NAME})\n(0|[1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\n$`, 'u');
const SIGNATURE = new RegExp(String.raw`^— (${NAME}) ([A-Za-z0-9+/]+={0,2})$`, 'u');

export const siteOrigin = (study: string): string => `concordat/site/${encodeURIComponent(study)}`;
export const COORDINATOR_ORIGIN = 'concordat/coordinator';

/** The checkpoint as a note that its log has signed. */
export function signCheckpoint(checkpoint: Checkpoint, identity: SigningIdentity): string {
  const { origin, size, root } = checkpoint;
  const text = `${origin}\n${size}\n${base64(root)}\n`;
  const signature = signBytes(identity, '', Buffer.from(text));
  return `${text}\n${line(origin, keyId(origin, NOTE, identity.publicKey), signature)}`;
}

/** Null where the text is not a checkpoint in a signed note, byte for byte as it is to be written. */
export function readCheckpoint(note: string): SignedCheckpoint | null {
  const end = note.indexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) return null;
  const text = note.slice(0, end + 1);
  const [, origin, digits, encoded] = CHECKPOINT.exec(text) ?? [];
  const root = encoded === undefined ? null : canonical(encoded);
  if (origin === undefined || root === null || root.length !== HASH_LENGTH) return null;
  const signatures: NoteSignature[] = [];
  for (const signed of note.slice(end + 2, -1).split('\n')) {
    const [, name, signature] = SIGNATURE.exec(signed) ?? [];
    const blob = signature === undefined ? null : canonical(signature);
    if (name === undefined || blob === null || blob.length <= 4) return null;
    signatures.push({ name, blob });
  }
  return { origin, size: Number(digits), root, text, signatures };
}

/** Whether the log's own key has signed it. */
export function isSigned({ origin, text, signatures }: SignedCheckpoint, key: Uint8Array): boolean {
  const id = keyId(origin, NOTE, key);
  return signatures.some(
    ({ name, blob }) =>
      name === origin &&
      sameBytes(blob.subarray(0, 4), id) &&
      verifyBytes(key, '', Buffer.from(text), blob.subarray(4)),
  );
}

/** The note with one cosignature more, `seconds` since 1970 being when its witness saw it. */
export function cosign(note: string, witness: string, identity: SigningIdentity, seconds: number): string {
  const text = note.slice(0, note.indexOf('\n\n') + 1);
  const time = Buffer.alloc(TIME_LENGTH);
  time.writeBigUInt64BE(BigInt(seconds));
  const signature = signBytes(identity, '', cosigned(text, seconds));
  const id = keyId(witness, COSIGNATURE, identity.publicKey);
  return `${note}${line(witness, id, Buffer.concat([time, signature]))}`;
}

/** When the witness saw it, seconds since 1970; null where it has not signed. */
export function cosignedAt(
  { text, signatures }: SignedCheckpoint,
  witness: string,
  key: Uint8Array,
): number | null {
  const id = keyId(witness, COSIGNATURE, key);
  for (const { name, blob } of signatures) {
    if (name !== witness || !sameBytes(blob.subarray(0, 4), id)) continue;
    if (blob.length !== 4 + TIME_LENGTH + SIGNATURE_LENGTH) continue;
    const seconds = Number(Buffer.from(blob).readBigUInt64BE(4));
    if (verifyBytes(key, '', cosigned(text, seconds), blob.subarray(4 + TIME_LENGTH))) return seconds;
  }
  return null;
}

/** How other software names the key (C2SP vkey): `name+id+base64(type ‖ key)`. */
export function verifierKey(name: string, key: Uint8Array): string {
  const id = Buffer.from(keyId(name, NOTE, key)).toString('hex');
  return `${name}+${id}+${base64(Uint8Array.of(NOTE, ...key))}`;
}

function cosigned(text: string, seconds: number): Uint8Array {
  return Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`);
}

function keyId(name: string, kind: number, key: Uint8Array): Uint8Array {
  return sha256(`${name}\n`, Uint8Array.of(kind), key).subarray(0, 4);
}

function line(name: string, id: Uint8Array, signature: Uint8Array): string {
  return `— ${name} ${base64(Buffer.concat([id, signature]))}\n`;
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** Of two texts with the same bytes only one is taken, so that no bit of a note can change unseen. */
export function canonical(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, 'base64');
  return base64(bytes) === text ? new Uint8Array(bytes) : null;
}
