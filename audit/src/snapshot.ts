/** A log as one of its checkpoints has it, also while a process goes on writing: what comes behind is left out. */
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, readEntry, type EntryWithBody } from '@concordat/shared/log/entry.ts';
import { readHead, RECORD_HEAD } from '@concordat/shared/log/bodies.ts';
import { MerkleTree } from '@concordat/shared/log/merkle.ts';
import { readCheckpoint, type SignedCheckpoint } from '@concordat/shared/log/note.ts';
import {
  bodiesPath,
  decodeEntries,
  openBundlePath,
  TILE_WIDTH,
  tilePath,
} from '@concordat/shared/log/tiles.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { BUNDLE_LIMIT } from './bundle.ts';
import { logFile } from './layout.ts';
import { readWhole, type LogSource } from './log-source.ts';
import { openLog } from './open-log.ts';

/** Longer than any note. */
const NOTE_LIMIT = 1 << 16;
const CHUNK = 1 << 16;

export class Snapshot {
  readonly checkpoint: SignedCheckpoint;
  readonly note: string;
  readonly tree = new MerkleTree();
  /** Notes of `witness/` and `cosigned/`, by their paths. */
  readonly notes: ReadonlyMap<string, string>;
  readonly #source: LogSource;
  readonly #path: string;

  /** Throws `log/corrupt` where the entries are not those of the checkpoint. */
  constructor(path: string) {
    this.#path = path;
    // Notes before the checkpoint: none of an honest log is then of a later size.
    this.notes = notesAt(path);
    this.#source = openLog(path);
    const note = readWhole(this.#source, 'checkpoint', NOTE_LIMIT);
    const text = Buffer.from(note ?? []).toString('utf8');
    const checkpoint = readCheckpoint(text);
    if (checkpoint === null) throw this.#corrupt('its checkpoint cannot be read');
    [this.note, this.checkpoint] = [text, checkpoint];
    for (let index = 0; index * TILE_WIDTH < checkpoint.size; index++)
      for (const leaf of this.leaves(index)) this.tree.append(leaf);
    if (!sameBytes(this.tree.root(), checkpoint.root))
      throw this.#corrupt('its entries are not those of its checkpoint');
  }

  /** The exact bytes of a bundle's entries, as far as the checkpoint goes. */
  leaves(index: number): readonly Uint8Array[] {
    const count = Math.min(TILE_WIDTH, this.checkpoint.size - index * TILE_WIDTH);
    const full = tilePath('entries', index);
    const read = (path: string): readonly Uint8Array[] | null => {
      const { entries } = decodeEntries(this.#readAll(path, BUNDLE_LIMIT));
      return entries.length >= count ? entries.slice(0, count) : null;
    };
    // Full bundles are given their name in one step; looked for again, where that came between the two looks.
    const found = read(full) ?? read(openBundlePath(index)) ?? read(full);
    if (found !== null) return found;
    for (const path of this.#source.files.keys()) {
      const copy = path.startsWith(`${full}.p/`) ? read(path) : null;
      if (copy !== null) return copy;
    }
    throw this.#corrupt(`entries of ${full} are missing`);
  }

  leaf(n: number): Uint8Array {
    return this.leaves(Math.floor(n / TILE_WIDTH))[n % TILE_WIDTH]!;
  }

  /** Whether the log came with bodies. */
  get hasBodies(): boolean {
    return [...this.#source.files.keys()].some((path) => logFile(path)?.kind === 'bodies');
  }

  /** How many bytes of a bundle's bodies belong to the entries that the checkpoint counts. */
  bodiesLength(index: number): number {
    const last = this.leaves(index)
      .map(readEntry)
      .findLast((entry) => entry !== null && hasBody(entry));
    if (last == null || !hasBody(last)) return 0;
    return last.at + RECORD_HEAD + this.#storedLength(last);
  }

  /** Piece by piece. */
  *bodies(index: number, length: number): Generator<Uint8Array> {
    const path = bodiesPath(index);
    for (let at = 0; at < length; at += CHUNK) {
      const piece = new Uint8Array(Math.min(CHUNK, length - at));
      if (this.#source.read(path, at, piece) < piece.length) throw this.#corrupt(`${path} is not whole`);
      yield piece;
    }
  }

  /** Salt ‖ body of an entry, of which the entry names the SHA-256. */
  storedBody(entry: EntryWithBody): Uint8Array {
    const stored = new Uint8Array(this.#storedLength(entry));
    this.#source.read(bodiesPath(Math.floor(entry.n / TILE_WIDTH)), entry.at + RECORD_HEAD, stored);
    return stored;
  }

  close(): void {
    this.#source.close();
  }

  #storedLength({ n, at }: EntryWithBody): number {
    const path = bodiesPath(Math.floor(n / TILE_WIDTH));
    const head = new Uint8Array(RECORD_HEAD);
    const read = this.#source.read(path, at, head);
    const { length } = readHead(head);
    if (read < RECORD_HEAD || length > BUNDLE_LIMIT * 4) throw this.#corrupt(`${path} is not whole`);
    return length;
  }

  #readAll(path: string, limit: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < limit;) {
      const piece = new Uint8Array(CHUNK);
      const read = this.#source.read(path, at, piece);
      pieces.push(piece.subarray(0, read));
      at += read;
      if (read < CHUNK) break;
    }
    return Buffer.concat(pieces);
  }

  #corrupt(message: string): ConcordatError {
    return new ConcordatError('log/corrupt', `the log cannot be handed on: ${message}`, {
      place: this.#path,
      remedy: '`concordat audit verify` says what is wrong with it',
    });
  }
}

/** Notes of `witness/` and `cosigned/`, by their paths. */
export function notesAt(path: string): ReadonlyMap<string, string> {
  const source = openLog(path);
  const paths = [...source.files.keys()].filter((file) => {
    const kind = logFile(file)?.kind;
    return kind === 'witness' || kind === 'cosigned';
  });
  const notes = paths.map((file): [string, string] => [
    file,
    Buffer.from(readWhole(source, file, NOTE_LIMIT) ?? []).toString('utf8'),
  ]);
  source.close();
  return new Map(notes);
}
