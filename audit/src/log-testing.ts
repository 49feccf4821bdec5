/** For tests: logs in memory, and what can be done to them, each with what an audit has to say of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readHead, RECORD_HEAD } from '@concordat/shared/log/bodies.ts';
import { decodeEntries, encodeEntries } from '@concordat/shared/log/tiles.ts';

import type { FindingKind, Finding, Note } from './finding.ts';
import { openLogFolder, type LogSource } from './log-source.ts';
import { auditLog, type LogSummary } from './read-log.ts';
import type { AuditedEntry } from './audited-entry.ts';

/** The files of a log, by their paths in its folder. */
export type LogFiles = ReadonlyMap<string, Uint8Array>;

/** A log that something was done to. */
export interface Mutation {
  readonly what: string;
  readonly files: LogFiles;
  /** Any of which is a right name for it. */
  readonly kinds: readonly FindingKind[];
  readonly file: string;
  readonly entry?: number;
}

export function filesOf(directory: string): LogFiles {
  const source = openLogFolder(directory);
  const paths = [...source.files.keys()];
  source.close();
  return new Map(paths.map((path) => [path, new Uint8Array(readFileSync(join(directory, path)))]));
}

export function sourceOf(files: LogFiles): LogSource {
  const folders = [...files.keys()].flatMap((path) => {
    const parts = path.split('/');
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
  });
  return {
    files: new Map([...files].map(([path, { length }]) => [path, length])),
    folders: new Set([...folders, 'bodies']),
    oddities: [],
    read: (path, at, into) => {
      const part = (files.get(path) ?? new Uint8Array(0)).subarray(at, at + into.length);
      into.set(part);
      return part.length;
    },
    close: () => {},
  };
}

export interface Audited {
  readonly entries: readonly AuditedEntry[];
  readonly summary: LogSummary;
  readonly findings: readonly Finding[];
  readonly notes: readonly Note[];
}

export function audited(source: LogSource, keys: ReadonlyMap<string, Uint8Array>): Audited {
  const findings: Finding[] = [];
  const notes: Note[] = [];
  const report = {
    find: (finding: Finding) => void findings.push(finding),
    note: (note: Note) => void notes.push(note),
  };
  const entries: AuditedEntry[] = [];
  const reading = auditLog(source, keys, report);
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) return { entries, summary: value, findings, notes };
    entries.push(value);
  }
}

/** What is wrong with the first finding about a mutation; null where it is as it must be. */
export function missed({ what, kinds, file, entry }: Mutation, findings: readonly Finding[]): string | null {
  const first = findings[0];
  if (first === undefined) return `${what}: not detected`;
  const right =
    kinds.includes(first.kind) &&
    first.place.file === file &&
    (entry === undefined || first.place.entry === entry);
  return right
    ? null
    : `${what}: expected ${kinds.join('|')} in ${file}, entry ${entry}; found ${JSON.stringify(first)}`;
}

/** Bits of each byte of a file, from `from` on in steps of `step` bytes. */
export function* flips(
  files: LogFiles,
  path: string,
  bits: readonly number[],
  step = 1,
  from = 0,
): Generator<Mutation> {
  const bytes = files.get(path)!;
  for (let at = from; at < bytes.length; at += step)
    for (const bit of bits) {
      const changed = bytes.slice();
      changed[at]! ^= 1 << bit;
      yield {
        what: `bit ${bit} of byte ${at} of ${path}`,
        files: new Map(files).set(path, changed),
        kinds: kindsOfFlip(path),
        file: path,
        ...entryAt(files, path, at),
      };
    }
}

function kindsOfFlip(path: string): readonly FindingKind[] {
  if (path === 'checkpoint') return ['mutation', 'signature'];
  if (/^(witness|cosigned)\//.test(path)) return ['mutation', 'signature', 'malformed'];
  // The length before a body that was erased: nothing but the file's end says where its zeros end.
  return path.startsWith('bodies/') ? ['mutation', 'truncation'] : ['mutation'];
}

/** The entry that a byte of a bundle belongs to. */
function entryAt(files: LogFiles, path: string, at: number): { entry?: number } {
  const index = bundleIndex(path);
  if (index === null) return {};
  let end = 0;
  const n = decodeEntries(files.get(path)!).entries.findIndex((entry) => (end += 2 + entry.length) > at);
  return n < 0 ? {} : { entry: 256 * index + n };
}

const bundleIndex = (path: string): number | null => {
  const [, number] = /^tile\/entries\/(\d{3})(?:\.open|\.p\/\d+)?$/.exec(path) ?? [];
  return number === undefined ? null : Number(number);
};

/** Every entry of a bundle left out, twice there, exchanged with the next, and with one before it that was never logged. */
export function* entryMutations(files: LogFiles, path: string, step = 1): Generator<Mutation> {
  const entries = decodeEntries(files.get(path)!).entries;
  const first = 256 * (bundleIndex(path) ?? 0);
  const made = (
    what: string,
    kinds: readonly FindingKind[],
    n: number,
    changed: readonly Uint8Array[],
  ): Mutation => ({
    what: `entry ${first + n} of ${path} ${what}`,
    files: new Map(files).set(path, encodeEntries(changed)),
    kinds,
    file: path,
    entry: first + n,
  });
  for (let n = 0; n < entries.length; n += step) {
    const entry = entries[n]!;
    const next = entries[n + 1];
    const other = Buffer.from(
      JSON.stringify({ n: first + n, time: '2026-01-01T00:00:00.000Z', kind: 'decision' }),
    );
    yield made('left out', next === undefined ? ['truncation'] : ['omission'], n, entries.toSpliced(n, 1));
    // Of two that are the same, the second is the one too many.
    yield made('twice', ['insertion'], n + 1, entries.toSpliced(n, 0, entry));
    if (next !== undefined)
      yield made('exchanged with the next', ['reorder'], n, entries.toSpliced(n, 2, next, entry));
    yield made('behind one that was not logged', ['insertion'], n, entries.toSpliced(n, 0, other));
  }
}

/** Every record of a file of bodies left out, twice there, and exchanged with the next. */
export function* bodyMutations(files: LogFiles, path: string): Generator<Mutation> {
  const bytes = files.get(path)!;
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + RECORD_HEAD + readHead(bytes.subarray(at, at + RECORD_HEAD)).length;
    records.push(bytes.subarray(at, end));
    at = end;
  }
  const made = (what: string, kinds: readonly FindingKind[], changed: readonly Uint8Array[]): Mutation => ({
    what: `${what} of ${path}`,
    files: new Map(files).set(path, new Uint8Array(Buffer.concat(changed))),
    kinds,
    file: path,
  });
  for (const [i, record] of records.entries()) {
    const next = records[i + 1];
    yield made(
      `without body ${i}`,
      next === undefined ? ['truncation'] : ['omission'],
      records.toSpliced(i, 1),
    );
    yield made(`body ${i} twice`, ['insertion'], records.toSpliced(i, 0, record));
    if (next !== undefined)
      yield made(`body ${i} exchanged with the next`, ['reorder'], records.toSpliced(i, 2, next, record));
  }
}

/** A file cut to some of the lengths that it might have. */
export function* truncations(files: LogFiles, path: string, count: number): Generator<Mutation> {
  const bytes = files.get(path)!;
  for (let i = 0; i < count; i++) {
    const length = Math.floor((i * bytes.length) / count);
    // An empty note is what a power cut leaves, and tells as little as none.
    if (length === 0 && /^(witness|cosigned)\//.test(path)) continue;
    yield {
      what: `${path} cut to ${length} bytes`,
      files: new Map(files).set(path, bytes.slice(0, length)),
      kinds: /^(witness|cosigned)\/|^checkpoint$/.test(path)
        ? ['truncation', 'malformed', 'mutation', 'signature']
        : ['truncation'],
      file: path,
    };
  }
}

/**
 * Each file taken away of which the log itself shows that it was there: not the notes that peers keep, of which a later one takes an earlier
 * one's place, and not what is published of a bundle before it is full, which says nothing that the bundle does not.
 */
export function* removals(files: LogFiles): Generator<Mutation> {
  for (const path of files.keys()) {
    if (/^(witness|cosigned)\/|\.p\//.test(path)) continue;
    const rest = new Map(files);
    rest.delete(path);
    const copied = [...files.keys()].some((other) => other.startsWith(`${path.replace(/open$/, 'p')}/`));
    if (path.endsWith('.open') && copied) continue;
    yield {
      what: `without ${path}`,
      files: rest,
      kinds: path === 'checkpoint' ? ['signature'] : ['omission', 'truncation'],
      file: path,
    };
  }
}
