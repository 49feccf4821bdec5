/**
 * One side's append-only message log: `entries.jsonl` (one entry a line; the line's bytes are the Merkle
 * leaf), `bodies/` (each message's exact bytes behind a random salt, found by its salted commitment, so
 * that the entries alone reveal nothing and a body can be erased without breaking the log) and
 * `checkpoint` (a C2SP signed note over size and root). A body logged alone is the file named by its commitment;
 * bodies logged together are in `bodies/pack-<n>`, n the place of the first of their entries (pack.ts).
 *
 * Entries and bodies are flushed to disk before `append` and `appendAll` return; only then may a message be sent.
 * After a crash in the middle of a batch, the entries whose lines are whole stand, each with its body.
 * The file system, clock and randomness are passed in.
 */
import type * as fs from 'node:fs';
import { join } from 'node:path';

import { ConcordatError } from '../errors.ts';
import { sha256, toHex } from '../wire/digest.ts';
import { signBytes, type SigningIdentity } from '../wire/signing.ts';
import { MerkleTree } from './merkle.ts';
import { fromPack, packOf } from './pack.ts';

export type EntryKind =
  | 'start'
  | 'stop'
  | 'received'
  | 'sent'
  | 'refused'
  | 'approved'
  | 'decision'
  | 'result'
  | 'recovered';

export interface LogEntry {
  /** Position, from 0. */
  readonly n: number;
  /** RFC 3339. */
  readonly time: string;
  readonly kind: EntryKind;
  /** The other side: a study id, or `coordinator`. */
  readonly peer?: string;
  /** Hex. */
  readonly run?: string;
  readonly analysis?: string;
  readonly round?: number;
  /** Message type, e.g. StageOneEstimate. */
  readonly type?: string;
  /** Hex SHA-256 of the task's body: what is answered, or the task itself. */
  readonly task?: string;
  /** Hex SHA-256 of salt and body; also the name of the body's file, where `pack` names no other. */
  readonly body?: string;
  /** The body is in `bodies/pack-<pack>`, with those of the entries logged with it. */
  readonly pack?: number;
  /** Whatever else an auditor needs: digests, rule codes, versions; on a site's own log also the counts behind a refusal. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

/** What is to be logged, with the message's exact bytes where there is one. */
export interface LogItem {
  readonly entry: Omit<LogEntry, 'n' | 'time' | 'body' | 'pack'>;
  readonly body?: Uint8Array;
}

export interface LogOptions {
  readonly fs: Pick<
    typeof fs,
    | 'mkdirSync'
    | 'openSync'
    | 'writeFileSync'
    | 'fsyncSync'
    | 'closeSync'
    | 'readFileSync'
    | 'existsSync'
    | 'fstatSync'
    | 'ftruncateSync'
    | 'renameSync'
  >;
  readonly directory: string;
  /** Name of the log in its checkpoints, e.g. `concordat/site/A`. */
  readonly origin: string;
  readonly identity: SigningIdentity;
  readonly now: () => Date;
  readonly randomBytes: (n: number) => Uint8Array;
}

const SALT_LENGTH = 16;

export class MessageLog {
  readonly #options: LogOptions;
  readonly #tree = new MerkleTree();
  readonly #entries: LogEntry[] = [];
  readonly #byTask = new Map<string, LogEntry[]>();
  /** Commitment → pack, of bodies that have no file of their own. */
  readonly #packs = new Map<string, number>();
  readonly #file: number;
  readonly #directoryHandle: number;
  /** Length of the entries' file as this process left it. */
  #bytes: number;

  constructor(options: LogOptions) {
    this.#options = options;
    const { fs, directory } = options;
    fs.mkdirSync(join(directory, 'bodies'), { recursive: true, mode: 0o700 });
    const path = join(directory, 'entries.jsonl');
    const kept = this.#load(path);
    this.#file = fs.openSync(path, 'a', 0o600);
    this.#directoryHandle = fs.openSync(join(directory, 'bodies'), 'r');
    this.#bytes = kept.bytes;
    // A new file's name is durable only with its folder.
    const folder = fs.openSync(directory, 'r');
    fs.fsyncSync(folder);
    fs.closeSync(folder);
    if (kept.torn > 0) {
      // A crash in mid-write: the line was never complete, so nothing was ever sent on the strength of it.
      fs.ftruncateSync(this.#file, kept.bytes);
      this.append({ kind: 'recovered', detail: { torn_bytes: kept.torn } });
    }
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** The entries about one task (hex digest), in their order. */
  entriesOf(task: string): readonly LogEntry[] {
    return this.#byTask.get(task) ?? [];
  }

  checkpoint(): { size: number; root: Uint8Array } {
    return { size: this.#tree.size, root: this.#tree.root() };
  }

  /** Writes body and entry, flushes both, and signs a new checkpoint. Returns the entry as logged. */
  append(entry: LogItem['entry'], body?: Uint8Array): LogEntry {
    return this.appendAll([body === undefined ? { entry } : { entry, body }])[0]!;
  }

  /** As `append` one after the other, for the flushes and the checkpoint of one. */
  appendAll(items: readonly LogItem[]): readonly LogEntry[] {
    if (items.length === 0) return [];
    const { fs, now } = this.#options;
    // Before a body is written: a pack of the other process may have the same name.
    if (fs.fstatSync(this.#file).size !== this.#bytes) throw foreign(this.#options.directory);
    const time = now().toISOString();
    const first = this.#tree.size;
    const bodies = this.#putBodies(
      first,
      items.map(({ body }) => body),
    );
    const entries = items.map(({ entry }, i): LogEntry => ({ n: first + i, time, ...entry, ...bodies[i] }));
    const lines = entries.map((entry) => JSON.stringify(entry));
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    fs.writeFileSync(this.#file, bytes);
    fs.fsyncSync(this.#file);
    this.#bytes += bytes.length;
    entries.forEach((entry, i) => this.#take(entry, lines[i]!));
    this.#writeCheckpoint();
    return entries;
  }

  /** The exact bytes logged under a commitment. */
  body(commitment: string): Uint8Array {
    const { fs, directory } = this.#options;
    return readBody(fs, directory, { body: commitment, pack: this.#packs.get(commitment) });
  }

  close(): void {
    this.#options.fs.closeSync(this.#file);
    this.#options.fs.closeSync(this.#directoryHandle);
  }

  #load(path: string): { bytes: number; torn: number } {
    const { fs } = this.#options;
    const content = fs.existsSync(path) ? fs.readFileSync(path) : Buffer.alloc(0);
    const bytes = content.lastIndexOf(0x0a) + 1;
    const lines = content.subarray(0, bytes).toString('utf8').split('\n');
    lines.pop();
    const noted = this.#readCheckpoint();
    const compare = (): void => {
      if (this.#tree.size === noted?.size && base64(this.#tree.root()) !== noted.root) throw rewritten(path);
    };
    lines.forEach((line, i) => {
      this.#take(parseEntry(line, i, path), line);
      compare();
    });
    if (noted !== null && noted.size > lines.length) throw rewritten(path);
    return { bytes, torn: content.length - bytes };
  }

  #take(entry: LogEntry, line: string): void {
    this.#entries.push(entry);
    this.#tree.append(Buffer.from(line));
    if (entry.body !== undefined && entry.pack !== undefined) this.#packs.set(entry.body, entry.pack);
    if (entry.task === undefined) return;
    const same = this.#byTask.get(entry.task);
    if (same === undefined) this.#byTask.set(entry.task, [entry]);
    else same.push(entry);
  }

  /** Commitments, and where the bodies are; a body alone has a file of its own. */
  #putBodies(
    first: number,
    bodies: readonly (Uint8Array | undefined)[],
  ): readonly Pick<LogEntry, 'body' | 'pack'>[] {
    const stored = bodies.map((body) => {
      if (body === undefined) return null;
      const bytes = Buffer.concat([this.#options.randomBytes(SALT_LENGTH), body]);
      return { commitment: toHex(sha256(bytes)), bytes };
    });
    const kept = stored.filter((body) => body !== null);
    const [alone] = kept;
    if (kept.length > 1) this.#putFile(`pack-${first}`, packOf(kept));
    else if (alone !== undefined) this.#putFile(alone.commitment, alone.bytes);
    return stored.map((body) => {
      if (body === null) return {};
      return kept.length > 1 ? { body: body.commitment, pack: first } : { body: body.commitment };
    });
  }

  #putFile(name: string, bytes: Uint8Array): void {
    const { fs, directory } = this.#options;
    const file = fs.openSync(join(directory, 'bodies', name), 'w', 0o600);
    fs.writeFileSync(file, bytes);
    fs.fsyncSync(file);
    fs.closeSync(file);
    fs.fsyncSync(this.#directoryHandle);
  }

  /** The last checkpoint noted; null where there is none, or a power cut left it empty (it is not flushed). */
  #readCheckpoint(): { size: number; root: string } | null {
    const { fs, directory } = this.#options;
    const file = join(directory, 'checkpoint');
    if (!fs.existsSync(file)) return null;
    const [, size, root] = fs.readFileSync(file, 'utf8').split('\n');
    return size === undefined || root === undefined ? null : { size: Number(size), root };
  }

  #writeCheckpoint(): void {
    const { fs, directory, origin, identity } = this.#options;
    const text = `${origin}\n${this.#tree.size}\n${base64(this.#tree.root())}\n`;
    const note = signNote(text, origin, identity);
    const temporary = join(directory, 'checkpoint.tmp');
    const file = fs.openSync(temporary, 'w', 0o600);
    fs.writeFileSync(file, note);
    fs.closeSync(file);
    fs.renameSync(temporary, join(directory, 'checkpoint'));
  }
}

/** The exact bytes of a logged message, from a log's folder. Throws `log/corrupt` where they are not those of the commitment. */
export function readBody(
  files: Pick<typeof fs, 'readFileSync'>,
  directory: string,
  { body, pack }: { readonly body: string; readonly pack?: number | undefined },
): Uint8Array {
  const name = join('bodies', pack === undefined ? body : `pack-${pack}`);
  const file = files.readFileSync(join(directory, name));
  const stored = pack === undefined ? file : fromPack(file, body);
  if (stored === null || toHex(sha256(stored)) !== body) {
    throw new ConcordatError('log/corrupt', 'a logged body does not match its commitment', {
      place: name,
      remedy: 'the log was changed on disk: restore it from a backup and tell the other side',
    });
  }
  return new Uint8Array(stored.subarray(SALT_LENGTH));
}

/** C2SP signed note: the text, an empty line, and `— name base64(key id ‖ signature)`; Ed25519 is type 1. */
function signNote(text: string, name: string, identity: SigningIdentity): string {
  const keyId = sha256(`${name}\n`, Uint8Array.of(1), identity.publicKey).subarray(0, 4);
  const signature = signBytes(identity, '', Buffer.from(text));
  return `${text}\n— ${name} ${base64(Buffer.concat([keyId, signature]))}\n`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function foreign(directory: string): ConcordatError {
  return new ConcordatError('run/conflict', 'another process has written to this log', {
    place: directory,
    remedy: 'a log belongs to one process at a time: stop the other one, then start this one again',
  });
}

function rewritten(path: string): ConcordatError {
  return new ConcordatError(
    'log/corrupt',
    'the log does not hold the entries that its own checkpoint counts',
    {
      place: path,
      remedy: 'the log was changed on disk: restore it from a backup and tell the other side',
    },
  );
}

function parseEntry(line: string, i: number, path: string): LogEntry {
  try {
    const entry = JSON.parse(line) as LogEntry;
    if (entry.n === i) return entry;
  } catch {
    // Falls through to the error below.
  }
  throw new ConcordatError('log/corrupt', 'the log holds a line that is not the entry due at its place', {
    place: `${path}:${i + 1}`,
    remedy: 'the log was changed on disk: restore it from a backup and tell the other side',
  });
}
