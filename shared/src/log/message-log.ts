/**
 * One side's append-only message log, in the layout of C2SP tlog-tiles: `tile/entries/` (bundles of 256 entries, each entry a
 * leaf of the Merkle tree in JSON), `tile/<level>/` (hashes), `checkpoint` (a signed note over size and root), and beside them
 * `bodies/` (bodies.ts). The bundle that is still growing is `tile/entries/<n>.open`, and gets its name when it is full, so that no
 * file grows without bound and none is written twice; `close` writes the partial tiles that other software reads in its place.
 *
 * Bodies and entries are flushed to disk before `append` and `appendAll` return; only then may a message be sent. After a crash
 * the entries that are whole stand, each with its body. The file system, clock and randomness are passed in.
 */
import type * as fs from 'node:fs';
import { dirname, join } from 'node:path';

import { ConcordatError } from '../errors.ts';
import { sameBytes } from '../wire/digest.ts';
import type { SigningIdentity } from '../wire/signing.ts';
import { bodyRecord, isErased, readBody, readHead, RECORD_HEAD, SALT_LENGTH } from './bodies.ts';
import { hasBody, readEntry, writeRanges, type EntryWithBody, type LogEntry } from './entry.ts';
import { erasedIn } from './erasable.ts';
import { corrupt, foreign } from './faults.ts';
import { MerkleTree, type TreeHead } from './merkle.ts';
import { readCheckpoint, signCheckpoint } from './note.ts';
import {
  bodiesPath,
  decodeEntries,
  encodeEntries,
  ENTRY_LIMIT,
  openBundlePath,
  TILE_WIDTH,
  tilePath,
} from './tiles.ts';
import { publishPartialTiles, writeMissingTiles, writeTilesOver } from './tile-files.ts';

/** What is to be logged, with the message's exact bytes where there is one. */
export interface LogItem {
  readonly entry: Omit<LogEntry, 'n' | 'time' | 'body' | 'at'>;
  readonly body?: Uint8Array;
}

export interface LogOptions {
  readonly fs: Pick<
    typeof fs,
    | 'mkdirSync'
    | 'openSync'
    | 'readSync'
    | 'writeSync'
    | 'writeFileSync'
    | 'fsyncSync'
    | 'closeSync'
    | 'readFileSync'
    | 'existsSync'
    | 'fstatSync'
    | 'ftruncateSync'
    | 'renameSync'
    | 'rmSync'
  >;
  readonly directory: string;
  /** Name of the log in its checkpoints, e.g. `concordat/site/A`. */
  readonly origin: string;
  readonly identity: SigningIdentity;
  readonly now: () => Date;
  readonly randomBytes: (n: number) => Uint8Array;
}

/** A file that grows: its length as this process left it. */
interface Growing {
  readonly file: number;
  length: number;
}

/** Of the ranges in one entry about erasure, so that it stays far below what an entry may have. */
const RANGES_LIMIT = 30_000;

export class MessageLog {
  readonly #options: LogOptions;
  readonly #tree = new MerkleTree();
  readonly #entries: LogEntry[] = [];
  readonly #byTask = new Map<string, LogEntry[]>();
  /** The bundle that grows, and its bodies once it has one. */
  #bundle: Growing;
  #bodies: Growing | null = null;
  #note = '';

  constructor(options: LogOptions) {
    this.#options = options;
    const { fs, directory } = options;
    for (const folder of ['bodies', 'tile/entries'])
      fs.mkdirSync(join(directory, folder), { recursive: true, mode: 0o700 });
    const kept = this.#load();
    writeMissingTiles(fs, directory, this.#tree);
    this.#bundle = this.#open(openBundlePath(this.#index));
    this.#bodies = this.#openBodies(false);
    // A new file's name is durable only with its folder.
    this.#flushFolder('tile');
    this.#flushFolder('.');
    // A crash in mid-write: the entry was never complete, so nothing was ever sent on the strength of it.
    if (kept.torn > 0) cut(fs, this.#bundle, kept.whole);
    this.#cutBodies();
    if (kept.torn > 0) this.append({ kind: 'recovered', detail: { torn_bytes: kept.torn } });
    else if (kept.unsigned) this.#writeCheckpoint();
    else this.#note = this.#signed();
    this.#finishErasing();
  }

  get origin(): string {
    return this.#options.origin;
  }

  /** Where other files of this log are kept beside it. */
  get place(): Pick<LogOptions, 'fs' | 'directory'> {
    return this.#options;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** The entries about one task (hex digest), in their order. */
  entriesOf(task: string): readonly LogEntry[] {
    return this.#byTask.get(task) ?? [];
  }

  checkpoint(): TreeHead {
    return { size: this.#tree.size, root: this.#tree.root() };
  }

  /** The checkpoint in its signed note. */
  get note(): string {
    return this.#note;
  }

  /** Hashes and proofs of every size that the log has had. */
  get tree(): Pick<MerkleTree, 'size' | 'root' | 'inclusionProof' | 'consistencyProof'> {
    return this.#tree;
  }

  /** Writes body and entry, flushes both, and signs a new checkpoint. Returns the entry as logged. */
  append(entry: LogItem['entry'], body?: Uint8Array): LogEntry {
    return this.appendAll([body === undefined ? { entry } : { entry, body }])[0]!;
  }

  /** As `append` one after the other, for the flushes and the checkpoint of one. */
  appendAll(items: readonly LogItem[]): readonly LogEntry[] {
    if (items.length === 0) return [];
    const { fs, now, directory } = this.#options;
    // Before anything is written: what the other process wrote stays whole.
    if (fs.fstatSync(this.#bundle.file).size !== this.#bundle.length) throw foreign(directory);
    const time = now().toISOString();
    const logged: LogEntry[] = [];
    for (let from = 0; from < items.length;) {
      const room = TILE_WIDTH - (this.#tree.size % TILE_WIDTH);
      logged.push(...this.#appendToBundle(items.slice(from, from + room), time));
      from += room;
      if (this.#tree.size % TILE_WIDTH === 0) this.#seal();
    }
    this.#writeCheckpoint();
    return logged;
  }

  /** The exact bytes logged with an entry. Throws as `readBody` does. */
  body(entry: EntryWithBody): Uint8Array {
    const { fs, directory } = this.#options;
    return readBody(fs, directory, entry);
  }

  /**
   * Erases the bodies of the chosen entries for good, where they are not erased yet. That they are, and why, is logged before; the
   * log verifies as before. Returns how many.
   */
  erase(chosen: (entry: EntryWithBody) => boolean, reason: string): number {
    const erased = new Set(this.#erasedPlaces());
    const bodies = this.#entries.filter(hasBody).filter((entry) => !erased.has(entry.n) && chosen(entry));
    let part: number[] = [];
    const log = (): void => {
      if (part.length > 0) this.append({ kind: 'erased', detail: { reason, entries: writeRanges(part) } });
      part = [];
    };
    for (const { n } of bodies) {
      part.push(n);
      if (16 * part.length >= RANGES_LIMIT) log();
    }
    log();
    this.#overwrite(bodies);
    return bodies.length;
  }

  close(): void {
    const { fs, directory } = this.#options;
    const own = fs.fstatSync(this.#bundle.file).size === this.#bundle.length;
    fs.closeSync(this.#bundle.file);
    if (this.#bodies !== null) fs.closeSync(this.#bodies.file);
    try {
      if (own) publishPartialTiles(fs, directory, this.#tree);
    } catch {
      // A disk that cannot be written to any more: they say nothing that the entries do not.
    }
  }

  /** The bundle that the next entry goes to. */
  get #index(): number {
    return Math.floor(this.#tree.size / TILE_WIDTH);
  }

  #appendToBundle(items: readonly LogItem[], time: string): readonly LogEntry[] {
    const { randomBytes } = this.#options;
    const records: Uint8Array[] = [];
    let at = this.#bodies?.length ?? 0;
    const entries = items.map(({ entry, body }, i): LogEntry => {
      const placed = { n: this.#tree.size + i, time, ...entry };
      if (body === undefined) return placed;
      const { commitment, bytes } = bodyRecord(randomBytes(SALT_LENGTH), body);
      records.push(bytes);
      at += bytes.length;
      return { ...placed, body: commitment, at: at - bytes.length };
    });
    const leaves = entries.map((entry) => Buffer.from(JSON.stringify(entry)));
    if (leaves.some(({ length }) => length > ENTRY_LIMIT))
      throw new ConcordatError('wire/too-large', `a log entry may have ${ENTRY_LIMIT} bytes`);
    if (records.length > 0) {
      this.#bodies ??= this.#openBodies(true);
      this.#write(this.#bodies!, Buffer.concat(records));
    }
    this.#write(this.#bundle, encodeEntries(leaves));
    entries.forEach((entry, i) => this.#take(entry, leaves[i]!));
    return entries;
  }

  #write(growing: Growing, bytes: Uint8Array): void {
    const { fs } = this.#options;
    fs.writeFileSync(growing.file, bytes);
    fs.fsyncSync(growing.file);
    growing.length += bytes.length;
  }

  /** Gives the full bundle its name, and writes the tiles over it. */
  #seal(): void {
    const { fs, directory } = this.#options;
    const sealed = this.#index - 1;
    fs.renameSync(join(directory, openBundlePath(sealed)), join(directory, tilePath('entries', sealed)));
    fs.closeSync(this.#bundle.file);
    if (this.#bodies !== null) fs.closeSync(this.#bodies.file);
    this.#bodies = null;
    writeTilesOver(fs, directory, this.#tree, sealed);
    this.#bundle = this.#open(openBundlePath(this.#index));
  }

  #open(path: string): Growing {
    const { fs, directory } = this.#options;
    fs.mkdirSync(join(directory, dirname(path)), { recursive: true, mode: 0o700 });
    const file = fs.openSync(join(directory, path), 'a', 0o600);
    this.#flushFolder(dirname(path));
    return { file, length: fs.fstatSync(file).size };
  }

  /** Of the open bundle; null where it has none and none is to be made. */
  #openBodies(make: boolean): Growing | null {
    const path = bodiesPath(this.#index);
    const { fs, directory } = this.#options;
    return make || fs.existsSync(join(directory, path)) ? this.#open(path) : null;
  }

  #flushFolder(path: string): void {
    const { fs, directory } = this.#options;
    const folder = fs.openSync(join(directory, path), 'r');
    fs.fsyncSync(folder);
    fs.closeSync(folder);
  }

  /** Reads what there is: the bytes of the open bundle's whole entries, how many are behind those, and whether entries have no checkpoint. */
  #load(): { whole: number; torn: number; unsigned: boolean } {
    const { fs, directory } = this.#options;
    const noted = this.#readCheckpoint();
    let open = { whole: 0, torn: 0 };
    for (let index = 0; ; index++) {
      const full = tilePath('entries', index);
      const path = [full, openBundlePath(index)].find((name) => fs.existsSync(join(directory, name)));
      if (path === undefined) break;
      const bytes = fs.readFileSync(join(directory, path));
      const { entries, length } = decodeEntries(bytes);
      if (
        entries.length > TILE_WIDTH ||
        (path === full && (entries.length < TILE_WIDTH || length < bytes.length))
      )
        throw corrupt(path, 'a bundle does not hold the entries that belong in it');
      for (const leaf of entries) {
        const entry = readEntry(leaf);
        if (entry?.n !== this.#tree.size)
          throw corrupt(
            `${path}, entry ${this.#tree.size}`,
            'the log holds an entry that is not the one due there',
          );
        this.#take(entry, leaf);
        if (this.#tree.size === noted?.size && !sameBytes(this.#tree.root(), noted.root)) throw rewritten();
      }
      if (path === full) continue;
      open = { whole: length, torn: bytes.length - length };
      if (entries.length < TILE_WIDTH) break;
      // A crash came before the full bundle had its name.
      if (open.torn > 0) throw corrupt(path, 'a bundle does not hold the entries that belong in it');
      fs.renameSync(join(directory, path), join(directory, full));
      open = { whole: 0, torn: 0 };
    }
    if (noted !== null && noted.size > this.#tree.size) throw rewritten();
    return { ...open, unsigned: this.#tree.size > (noted?.size ?? 0) };
  }

  #take(entry: LogEntry, leaf: Uint8Array): void {
    this.#entries.push(entry);
    this.#tree.append(leaf);
    if (entry.task === undefined) return;
    const same = this.#byTask.get(entry.task);
    if (same === undefined) this.#byTask.set(entry.task, [entry]);
    else same.push(entry);
  }

  /** What was written for entries that a crash came before. */
  #cutBodies(): void {
    if (this.#bodies === null) return;
    const first = this.#index * TILE_WIDTH;
    const last = this.#entries.slice(first).findLast(hasBody);
    const end = last === undefined ? 0 : last.at + RECORD_HEAD + this.#storedLength(last);
    if (this.#bodies.length < end)
      throw corrupt(`${bodiesPath(this.#index)}, entry ${last?.n}`, 'a logged body is not whole');
    if (this.#bodies.length > end) cut(this.#options.fs, this.#bodies, end);
  }

  /** Of salt and body. */
  #storedLength({ n, at }: EntryWithBody): number {
    const { fs, directory } = this.#options;
    const file = fs.openSync(join(directory, bodiesPath(Math.floor(n / TILE_WIDTH))), 'r');
    const head = new Uint8Array(RECORD_HEAD);
    const read = fs.readSync(file, head, 0, RECORD_HEAD, at);
    fs.closeSync(file);
    return read < RECORD_HEAD ? 0 : readHead(head).length;
  }

  #erasedPlaces(): readonly number[] {
    return this.#entries.flatMap(erasedIn);
  }

  /** A crash may have come between the entry and the last of its bodies. */
  #finishErasing(): void {
    // One erasure of many bodies is several entries, one behind the other.
    for (let at = this.#entries.findLastIndex(isErasure); at >= 0 && isErasure(this.#entries[at]!); at--)
      this.#overwrite(
        erasedIn(this.#entries[at]!)
          .flatMap((n) => this.#entries[n] ?? [])
          .filter(hasBody),
      );
  }

  /** What is zeros already is left alone, and each file is flushed once. */
  #overwrite(entries: readonly EntryWithBody[]): void {
    const { fs, directory } = this.#options;
    for (const [bundle, together] of Map.groupBy(entries, ({ n }) => Math.floor(n / TILE_WIDTH))) {
      const file = fs.openSync(join(directory, bodiesPath(bundle)), 'r+');
      let changed = false;
      for (const entry of together) {
        const stored = new Uint8Array(this.#storedLength(entry));
        fs.readSync(file, stored, 0, stored.length, entry.at + RECORD_HEAD);
        if (isErased(stored)) continue;
        fs.writeSync(file, new Uint8Array(stored.length), 0, stored.length, entry.at + RECORD_HEAD);
        changed = true;
      }
      if (changed) fs.fsyncSync(file);
      fs.closeSync(file);
    }
  }

  /** The last checkpoint noted; null where there is none, or a power cut left it empty (it is not flushed). */
  #readCheckpoint(): TreeHead | null {
    const { fs, directory } = this.#options;
    const file = join(directory, 'checkpoint');
    const note = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    if (note === '') return null;
    const checkpoint = readCheckpoint(note);
    if (checkpoint === null) throw corrupt('checkpoint', 'the checkpoint is no signed note');
    return checkpoint;
  }

  #signed(): string {
    const { origin, identity } = this.#options;
    return signCheckpoint({ origin, ...this.checkpoint() }, identity);
  }

  #writeCheckpoint(): void {
    const { fs, directory } = this.#options;
    this.#note = this.#signed();
    const temporary = join(directory, 'checkpoint.tmp');
    fs.writeFileSync(temporary, this.#note, { mode: 0o600 });
    fs.renameSync(temporary, join(directory, 'checkpoint'));
  }
}

const isErasure = ({ kind }: LogEntry): boolean => kind === 'erased';

function cut(files: Pick<typeof fs, 'ftruncateSync'>, growing: Growing, length: number): void {
  files.ftruncateSync(growing.file, length);
  growing.length = length;
}

function rewritten(): ConcordatError {
  return corrupt('checkpoint', 'the log does not hold the entries that its own checkpoint counts');
}
