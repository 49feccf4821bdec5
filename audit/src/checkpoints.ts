/** The signed notes of a log: its own checkpoint, and those that it and its peers keep of each other. */
import type { MerkleTree } from '@concordat/shared/log/merkle.ts';
import { cosignedAt, isSigned, readCheckpoint, type SignedCheckpoint } from '@concordat/shared/log/note.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { hasRoot } from './evidence.ts';
import type { Faults } from './faults.ts';
import type { Inventory } from './inventory.ts';
import { readWhole, type LogSource } from './log-source.ts';

/** Longer than any note. */
const NOTE_LIMIT = 1 << 16;
/** Key id and signature in base64, and the end of the line. */
const SIGNATURE_LENGTH = 93;

export type KeyOf = (name: string) => Uint8Array | undefined;

export interface OwnCheckpoint {
  readonly bytes: Uint8Array;
  /** Null where it is no checkpoint. */
  readonly read: SignedCheckpoint | null;
}

/** A checkpoint that two sides have signed: the log's owner, and a peer that saw it. */
export interface PeerNote {
  readonly kind: 'witness' | 'cosigned';
  readonly file: string;
  /** The other side: whose log it is (witness), or who cosigned this log (cosigned). */
  readonly peer: string;
  readonly note: string;
  readonly read: SignedCheckpoint;
}

/** Null where there is none: a file that is empty is one that a power cut left. */
export function readOwnCheckpoint(source: LogSource): OwnCheckpoint | null {
  const bytes = readWhole(source, 'checkpoint', NOTE_LIMIT);
  if (bytes === null) return source.files.has('checkpoint') ? { bytes: new Uint8Array(0), read: null } : null;
  if (bytes.length === 0) return null;
  const note = textOf(bytes);
  return { bytes, read: note === null ? null : readCheckpoint(note) };
}

export function readPeerNotes(
  source: LogSource,
  files: Inventory['notes'],
  faults: Faults,
): readonly PeerNote[] {
  return files.flatMap(({ kind, path, peer }): readonly PeerNote[] => {
    const bytes = readWhole(source, path, NOTE_LIMIT);
    if (bytes?.length === 0) {
      faults.note({ file: path }, 'the note is empty, as a power cut may leave it');
      return [];
    }
    const note = bytes === null ? null : textOf(bytes);
    const read = note === null ? null : readCheckpoint(note);
    if (note !== null && read !== null) return [{ kind, file: path, peer, note, read }];
    faults.find('malformed', { file: path }, 'the file is not a checkpoint in a signed note');
    return [];
  });
}

/** Whether the owner signed it; null where nothing says which key is the owner's. */
export function ownersSignature(read: SignedCheckpoint, keyOf: KeyOf): boolean | null {
  const key = keyOf(read.origin);
  if (!read.signatures.some(({ name }) => name === read.origin)) return false;
  return key === undefined ? null : isSigned(read, key);
}

/** Tells what is wrong with a log's own checkpoint, given what its entries are; `signed` is the finding of `ownersSignature`. */
export function checkOwnCheckpoint(
  own: OwnCheckpoint | null,
  signed: boolean | null,
  tree: MerkleTree,
  origin: string | null,
  faults: Faults,
): void {
  const place = { file: 'checkpoint' };
  if (own === null) {
    if (tree.size > 0)
      faults.find(
        'signature',
        place,
        'no checkpoint signs the entries: a power cut may have left it so, and the process signs them when it is started again; or somebody took it away',
      );
    return;
  }
  const { bytes, read } = own;
  if (read !== null && signed !== false) {
    if (read.signatures.length > 1)
      faults.find('insertion', place, 'the checkpoint has signatures that are not of its log');
    if (signed === null)
      faults.note(
        place,
        `no key of ${read.origin} was given or found: give it by --key, since nothing proves yet whose log this is`,
      );
    return;
  }
  const size = read !== null && hasRoot(tree, read) ? read.size : tree.size;
  const name = origin ?? '';
  const text = `${name}\n${size}\n${Buffer.from(tree.root(size)).toString('base64')}\n`;
  const due = Buffer.from(`${text}\n— ${name} `);
  const byte = due.findIndex((value, i) => value !== bytes[i]);
  if ((byte < 0 || byte >= bytes.length) && bytes.length < due.length + SIGNATURE_LENGTH)
    faults.find('truncation', { ...place, byte: bytes.length }, 'the end of the checkpoint is missing');
  else if (byte < 0)
    faults.find(
      'signature',
      { ...place, byte: due.length },
      'the signature of the checkpoint is not that of its log',
    );
  else
    faults.find(
      'mutation',
      { ...place, byte },
      `the checkpoint is not what its log signed; ${read === null ? 'it cannot be read as one' : 'it is not what the entries give'}`,
    );
}

/** Tells what is wrong with the notes of peers, and returns those that both sides signed with the time at which the peer, or this side, did. */
export function checkPeerNotes(
  notes: readonly PeerNote[],
  origin: string | null,
  keyOf: KeyOf,
  faults: Faults,
): readonly (PeerNote & { readonly seconds: number | null })[] {
  /** Parties without a key, each with the first note that it should have signed. */
  const unknown = new Map<string, string>();
  const signedNotes = notes.flatMap((note) => {
    const { kind, file, peer, read } = note;
    const [owner, witness] = kind === 'witness' ? [peer, origin] : [origin, peer];
    if (owner !== null && read.origin !== owner) {
      faults.find('mutation', { file }, `the note is about the log ${read.origin}, not about ${owner}`);
      return [];
    }
    if (witness === null) return [];
    const signed = ownersSignature(read, keyOf);
    const key = keyOf(witness);
    const seconds = key === undefined ? null : cosignedAt(read, witness, key);
    const names = read.signatures.map(({ name }) => name);
    const missing = !names.includes(witness) || (key !== undefined && seconds === null);
    if (signed === false || missing) {
      const who = signed === false ? read.origin : witness;
      faults.find('signature', { file }, `the note does not have the signature of ${who}`);
      return [];
    }
    if (names.length > 2)
      faults.find('insertion', { file }, 'the note has signatures that are not of its two sides');
    for (const [name, isKnown] of [
      [read.origin, signed !== null],
      [witness, key !== undefined],
    ] as const)
      if (!isKnown) unknown.set(name, unknown.get(name) ?? file);
    return [{ ...note, seconds }];
  });
  for (const [name, file] of unknown)
    // Of the log's own party its checkpoint says so.
    if (name !== origin)
      faults.note(
        { file },
        `no key of ${name} was given or found: its signatures beside the log were not checked`,
      );
  return signedNotes;
}

/** Holds what peers cosigned of this log against its tree. */
export function checkCosigned(cosigned: readonly PeerNote[], tree: MerkleTree, faults: Faults): void {
  for (const { file, peer, read } of cosigned) {
    if (read.size > tree.size)
      faults.find(
        'truncation',
        { file, entry: tree.size },
        `${peer} cosigned this log with ${read.size} entries; it has ${tree.size}`,
      );
    else if (!hasRoot(tree, read))
      faults.find(
        'fork',
        { file, entry: Math.max(0, read.size - 1) },
        `${peer} cosigned this log with ${read.size} entries, and they were others than these`,
      );
  }
}

/** Null where the bytes are not UTF-8, one encoding of it. */
function textOf(bytes: Uint8Array): string | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  return sameBytes(Buffer.from(text), bytes) ? text : null;
}
