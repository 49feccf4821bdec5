/** Where a log under audit lies: a folder, or a bundle of one (`tar-source.ts`). What is there is listed once; nothing of it is followed or trusted. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  type Dirent,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';

import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { mayHold } from './layout.ts';

/** What is there and can be no part of a log. */
export interface Oddity {
  readonly path: string;
  readonly byte?: number;
  readonly kind: 'insertion' | 'malformed' | 'truncation';
  readonly message: string;
}

export interface LogSource {
  /** Sizes of its files, by their paths in the log's folder. */
  readonly files: ReadonlyMap<string, number>;
  readonly folders: ReadonlySet<string>;
  readonly oddities: readonly Oddity[];
  /** Fills `into` from `at`; returns how many bytes there were: fewer at the file's end, and none where it cannot be read. */
  readonly read: (path: string, at: number, into: Uint8Array) => number;
  readonly close: () => void;
  /** Whether the checkpoint is another one by now than when the source was opened: a process is writing the log. */
  readonly isWritten?: () => boolean;
}

/** The log in a folder. A process may be writing it: the checkpoint is read before anything else, so that it counts no more than is found. */
export function openLogFolder(directory: string): LogSource {
  const reader = new FileReader(directory);
  const checkpoint = new Uint8Array(CHECKPOINT_LIMIT);
  const length = reader.read('checkpoint', 0, checkpoint);
  const files = new Map<string, number>();
  const folders = new Set<string>();
  const oddities: Oddity[] = [];
  const odd = (path: string, kind: Oddity['kind'], message: string): void =>
    void oddities.push({ path, kind, message });
  const list = (folder: string): void => {
    let entries: readonly Dirent[];
    try {
      entries = readdirSync(join(directory, folder), { withFileTypes: true });
    } catch {
      return odd(folder, 'malformed', 'the folder cannot be read');
    }
    for (const { name } of entries) {
      const path = folder === '' ? name : `${folder}/${name}`;
      let found: Stats;
      try {
        found = lstatSync(join(directory, path));
      } catch {
        odd(path, 'malformed', 'the file cannot be read');
        continue;
      }
      if (found.isFile()) files.set(path, found.size);
      else if (!found.isDirectory()) odd(path, 'malformed', 'this is neither a file nor a folder');
      else if (SYSTEM_FOLDERS.has(path)) continue;
      else if (mayHold(path)) {
        folders.add(path);
        list(path);
      } else odd(path, 'insertion', 'a log has no such folder');
    }
  };
  list('');
  // A process that goes on writing has put a later one in its place since.
  if (files.has('checkpoint') && length > 0) files.set('checkpoint', length);
  return {
    files,
    folders,
    oddities,
    read: (path, at, into) =>
      path === 'checkpoint' && length > 0
        ? copy(checkpoint.subarray(at, length), into)
        : reader.read(path, at, into),
    close: () => reader.close(),
    isWritten: () => {
      const now = new Uint8Array(CHECKPOINT_LIMIT);
      const fresh = new FileReader(directory);
      const held = fresh.read('checkpoint', 0, now);
      fresh.close();
      return held > 0 && !sameBytes(now.subarray(0, held), checkpoint.subarray(0, length));
    },
  };
}

/** What operating systems put beside what they pack. */
const SYSTEM_FOLDERS: ReadonlySet<string> = new Set(['__MACOSX']);

/** Longer than any note. */
const CHECKPOINT_LIMIT = 1 << 16;

function copy(from: Uint8Array, into: Uint8Array): number {
  const part = from.subarray(0, into.length);
  into.set(part);
  return part.length;
}

/** Reads in one file after the other, and holds the one that was read last. */
export class FileReader {
  readonly #directory: string;
  #open: { readonly path: string; readonly file: number } | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  read(path: string, at: number, into: Uint8Array): number {
    try {
      const file = this.#file(path);
      let done = 0;
      while (done < into.length) {
        const read = readSync(file, into, done, into.length - done, at + done);
        if (read === 0) break;
        done += read;
      }
      return done;
    } catch {
      return 0;
    }
  }

  size(path: string): number {
    return fstatSync(this.#file(path)).size;
  }

  close(): void {
    if (this.#open !== null) closeSync(this.#open.file);
    this.#open = null;
  }

  #file(path: string): number {
    if (this.#open?.path === path) return this.#open.file;
    this.close();
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const file = openSync(join(this.#directory, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    this.#open = { path, file };
    return file;
  }
}

/** All of a file that is to have at most `limit` bytes; null where it cannot be read, or has more. */
export function readWhole(source: LogSource, path: string, limit: number): Uint8Array | null {
  const size = source.files.get(path) ?? Infinity;
  if (size > limit) return null;
  const bytes = new Uint8Array(size);
  return source.read(path, 0, bytes) === size ? bytes : null;
}
