/** A log as it lies in its folder, read while another process may be writing it. The file system is passed in. */
import type * as fs from 'node:fs';
import { join } from 'node:path';

import { readBody } from './bodies.ts';
import { readEntry, type EntryWithBody, type LogEntry } from './entry.ts';
import { corrupt } from './faults.ts';
import { decodeEntries, openBundlePath, TILE_WIDTH, tilePath } from './tiles.ts';

export type LogFiles = Pick<
  typeof fs,
  'openSync' | 'readSync' | 'closeSync' | 'fstatSync' | 'readFileSync' | 'existsSync'
>;

export class LogFolder {
  readonly #fs: LogFiles;
  readonly #directory: string;
  readonly #entries: LogEntry[] = [];
  /** Bytes read of the bundle that the next entry is in. */
  #read = 0;

  constructor(files: LogFiles, directory: string) {
    this.#fs = files;
    this.#directory = directory;
  }

  /** The entries that are whole: those of the last call, and what was added since. A log only grows. */
  entries(): readonly LogEntry[] {
    for (;;) {
      const bundle = Math.floor(this.#entries.length / TILE_WIDTH);
      const bytes = this.#unread(bundle);
      if (bytes === null) return this.#entries;
      const { entries, length } = decodeEntries(bytes);
      for (const leaf of entries) {
        const entry = readEntry(leaf);
        if (entry?.n !== this.#entries.length)
          throw corrupt(tilePath('entries', bundle), 'the log holds an entry that is not the one due there');
        this.#entries.push(entry);
      }
      this.#read += length;
      if (Math.floor(this.#entries.length / TILE_WIDTH) === bundle) return this.#entries;
      this.#read = 0;
    }
  }

  /** The exact bytes logged with an entry. Throws as `readBody` does. */
  body(entry: EntryWithBody): Uint8Array {
    return readBody(this.#fs, this.#directory, entry);
  }

  /** What is in the bundle behind what was read of it; null where there is no such bundle. */
  #unread(bundle: number): Uint8Array | null {
    const full = tilePath('entries', bundle);
    // Full bundles are given their name in one step; looked for again, where that came between the two looks.
    for (const path of [full, openBundlePath(bundle), full]) {
      let file: number;
      try {
        file = this.#fs.openSync(join(this.#directory, path), 'r');
      } catch {
        continue;
      }
      try {
        const bytes = new Uint8Array(Math.max(0, this.#fs.fstatSync(file).size - this.#read));
        const read = this.#fs.readSync(file, bytes, 0, bytes.length, this.#read);
        return bytes.subarray(0, read);
      } finally {
        this.#fs.closeSync(file);
      }
    }
    return null;
  }
}
