/**
 * The ledger: which records were in the sets that this agent ever answered about, and which questions about parameters it
 * answered, over all plans and runs. What the gate lets out is written and flushed here first, so that a kill between
 * the two costs an answer that nobody had, and never forgets one that somebody has. It outlives the agent, and a
 * change of the file of records: rows are known by a keyed hash of their whole content, whose key is made once and stays here.
 *
 * Files: `key`; `rows-…`, a version of the file's keys; `subjects-…`, its participants' keys where they have several rows; `set-…`,
 * a deflated bitmap; `entries.jsonl`, a line for each of those and for each question, in their order.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';

import {
  asRecords,
  asRows,
  differences,
  Universe,
  type Bitmap,
} from '@concordat/shared/disclosure/differencing.ts';
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { checkBudget, checkDifferencing, type Refusal } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import {
  crossedId,
  NOTHING_ANSWERED,
  type Answered,
  type Crossed,
  type CrossedSet,
} from '../data/crossed.ts';
import { shortDigest, type Members } from '../data/members.ts';

type Kind = 'population' | 'analysis';

type Entry =
  | { readonly rows: string }
  | { readonly subjects: string; readonly of: string; readonly variable: string }
  | { readonly set: string; readonly of: string; readonly kind: Kind }
  | { readonly question: string; readonly of: string }
  | { readonly crossed: Crossed; readonly in: string; readonly of: string };

/** What an answer is about. */
interface NewSet {
  readonly digest: string;
  readonly kind: Kind;
  readonly of: string;
  readonly rows: Bitmap;
}

interface AnsweredSet {
  readonly digest: string;
  readonly kind: Kind;
  /** Over the universe of all versions of the file. */
  readonly records: Bitmap;
}

/** Its one file that grows. */
export const ENTRIES = 'entries.jsonl';

/** Bytes of the key: SHA-256's own length. */
const SECRET = 32;

export class Ledger {
  /** By which the rows of the records are told apart. */
  readonly secret: Uint8Array;
  readonly #directory: string;
  readonly #universe = new Universe();
  /** Snapshot → the record of each of its rows. */
  readonly #records = new Map<string, Uint32Array | null>();
  readonly #subjects: Extract<Entry, { subjects: string }>[] = [];
  readonly #sets: AnsweredSet[] = [];
  /** Files that an entry names. */
  readonly #listed = new Set<string>();
  /** What analyses crossed, each once. */
  readonly #crossed = new Map<string, { readonly crossed: Crossed; readonly set: AnsweredSet }>();
  /** The file's state that was answered about last. */
  #latest: string | null = null;
  /** Questions about parameters, by snapshot. */
  readonly #questions = new Map<string, Set<string>>();

  constructor(directory: string) {
    this.#directory = directory;
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.secret = this.#openSecret();
    for (const entry of this.#readEntries()) this.#take(entry);
  }

  /** Whether an answer about these members would let an earlier one be subtracted. Changes nothing. */
  checkMembers(members: Members, policy: Policy): Refusal[] {
    const { differencing } = policy;
    if (differencing === null) return [];
    const sets = setsOf(members);
    if (sets.every((set) => this.#has(set))) return [];
    const records = this.#recordsOf(members);
    // Whose rows are not known cannot be held against what was answered.
    if (records === undefined) return checkDifferencing([1], policy);
    const owner = this.#ownersOf(members, records);
    const counts = sets.flatMap(({ kind, rows }) => {
      const earlier = this.#sets.filter((set) => set.kind === kind).map((set) => set.records);
      const next = asRecords(rows, records, this.#universe.size);
      return differences(next, earlier, owner, differencing).map((count) => ({ kind, count }));
    });
    const apart = counts.filter(({ count }) => count > 0).toSorted((a, b) => a.count - b.count);
    return checkDifferencing(
      apart.map(({ count }) => count),
      policy,
    ).map((refusal) => ({
      ...refusal,
      of: apart[0]?.kind === 'population' ? 'the plan’s population' : 'the analysis set',
    }));
  }

  /** Whether one more question about parameters of these records is within the budget; one that was answered is. */
  checkQuestion({ snapshot }: Members, question: string, policy: Policy): Refusal[] {
    const asked = this.#questions.get(snapshot);
    return asked?.has(question) === true ? [] : checkBudget((asked?.size ?? 0) + 1, policy);
  }

  /** All answers, as rows of the file that these members are of; without members, of the one that was answered about last. */
  answered(members: Members | null): Answered {
    const snapshot = members === null ? this.#latest : members.snapshot;
    const records = members === null ? this.#records.get(snapshot ?? '') : this.#recordsOf(members);
    if (snapshot === null || records === undefined) return NOTHING_ANSWERED;
    const rows = new Map<AnsweredSet, Bitmap>();
    const sets = [...this.#crossed].flatMap(([id, { crossed: earlier, set }]): CrossedSet[] => {
      const own = rows.get(set) ?? asRows(set.records, records);
      rows.set(set, own);
      return [{ id, crossed: earlier, rows: own }];
    });
    return { snapshot: sets.length === 0 ? null : snapshot, sets };
  }

  /** Whether an analysis was held against every answer, or is among them. */
  coversAnswered(
    members: Members,
    { crossed, against }: { readonly crossed: Crossed; readonly against: readonly string[] },
  ): boolean {
    if (this.#crossed.has(crossedId(crossed, members))) return true;
    const known = new Set(against);
    return [...this.#crossed.keys()].every((id) => known.has(id));
  }

  /** Whether this was answered. */
  has(id: string): boolean {
    return this.#crossed.has(id);
  }

  /** Written and flushed when it returns. What is there already is not written again. */
  record(members: Members, question: string | null, crossed: Crossed | null = null): void {
    const entries: Entry[] = [];
    const { snapshot, keys, subjects } = members;
    if (keys !== null && !this.#listed.has(`rows-${snapshot}`)) {
      this.#write(`rows-${snapshot}`, bytesOf(keys));
      entries.push({ rows: snapshot });
    }
    const name = subjects === null ? '' : `subjects-${shortDigest(snapshot, subjects.variable)}`;
    if (subjects !== null && !this.#listed.has(name)) {
      this.#write(name, bytesOf(subjects.keys));
      entries.push({ subjects: name, of: snapshot, variable: subjects.variable });
    }
    for (const set of setsOf(members)) {
      if (this.#has(set)) continue;
      this.#write(`set-${set.digest}`, deflateRawSync(bytesOf(set.rows)));
      entries.push({ set: set.digest, of: snapshot, kind: set.kind });
    }
    if (question !== null && this.#questions.get(snapshot)?.has(question) !== true)
      entries.push({ question, of: snapshot });
    if (crossed !== null && members.analysis !== null && !this.#crossed.has(crossedId(crossed, members)))
      entries.push({ crossed, in: shortDigest(snapshot, members.analysis), of: snapshot });
    if (entries.length === 0) return;
    const file = fs.openSync(join(this.#directory, ENTRIES), 'a', 0o600);
    try {
      fs.writeFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    for (const entry of entries) this.#take(entry);
  }

  #has({ digest, kind }: Pick<NewSet, 'digest' | 'kind'>): boolean {
    return this.#sets.some((set) => set.digest === digest && set.kind === kind);
  }

  #take(entry: Entry): void {
    if ('rows' in entry) {
      this.#latest = entry.rows;
      this.#listed.add(`rows-${entry.rows}`);
      if (!this.#records.has(entry.rows))
        this.#records.set(entry.rows, this.#universe.add(wordsOf(this.#read(`rows-${entry.rows}`))));
    } else if ('subjects' in entry) {
      this.#listed.add(entry.subjects);
      this.#subjects.push(entry);
    } else if ('set' in entry) {
      const rows = wordsOf(inflateRawSync(this.#read(`set-${entry.set}`)));
      const of = this.#records.get(entry.of);
      if (of === undefined) throw this.#corrupt(ENTRIES);
      const records = asRecords(rows, of, this.#universe.size);
      this.#sets.push({ digest: entry.set, kind: entry.kind, records });
    } else if ('crossed' in entry) {
      const set = this.#sets.find(({ digest, kind }) => digest === entry.in && kind === 'analysis');
      if (set === undefined) throw this.#corrupt(ENTRIES);
      this.#crossed.set(crossedId(entry.crossed, entry.in), { crossed: entry.crossed, set });
    } else this.#questions.set(entry.of, (this.#questions.get(entry.of) ?? new Set()).add(entry.question));
  }

  /** Undefined: neither known nor given. */
  #recordsOf({ snapshot, keys }: Members): Uint32Array | null | undefined {
    if (!this.#records.has(snapshot) && keys !== null) this.#records.set(snapshot, this.#universe.add(keys));
    return this.#records.get(snapshot);
  }

  /** Participants as the members' subjects tell them, in every version of the file whose subjects are known; null: by record. */
  #ownersOf({ subjects, snapshot }: Members, records: Uint32Array | null): Int32Array | null {
    if (subjects === null) return null;
    const owner = new Int32Array(this.#universe.size).fill(-1);
    const numbers = new Map<string, number>();
    const take = (keys: Uint32Array, of: Uint32Array | null): void => {
      for (let row = 0; row < keys.length / 2; row++) {
        const key = `${keys[2 * row]} ${keys[2 * row + 1]}`;
        const known = numbers.get(key) ?? numbers.size;
        numbers.set(key, known);
        owner[of === null ? row : of[row]!] = known;
      }
    };
    for (const { subjects: file, of, variable } of this.#subjects)
      if (variable === subjects.variable && of !== snapshot)
        take(wordsOf(this.#read(file)), this.#records.get(of)!);
    take(subjects.keys, records);
    return owner;
  }

  #openSecret(): Uint8Array {
    const file = join(this.#directory, 'key');
    if (!fs.existsSync(file)) this.#write('key', randomBytes(SECRET));
    const secret = new Uint8Array(fs.readFileSync(file));
    if (secret.length !== SECRET) throw this.#corrupt('key');
    return secret;
  }

  #readEntries(): Entry[] {
    const file = join(this.#directory, ENTRIES);
    if (!fs.existsSync(file)) return [];
    const text = fs.readFileSync(file, 'utf8');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    // A line that a kill cut short was followed by no answer.
    if (whole.length < text.length) fs.truncateSync(file, Buffer.byteLength(whole));
    try {
      return whole
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Entry);
    } catch (cause) {
      throw this.#corrupt(ENTRIES, cause);
    }
  }

  #read(name: string): Buffer {
    try {
      return fs.readFileSync(join(this.#directory, name));
    } catch (cause) {
      throw this.#corrupt(name, cause);
    }
  }

  /** Whole and flushed under its name, or not there under it. */
  #write(name: string, bytes: Uint8Array): void {
    const path = join(this.#directory, name);
    const file = fs.openSync(`${path}.new`, 'w', 0o600);
    try {
      fs.writeFileSync(file, bytes);
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(`${path}.new`, path);
    const folder = fs.openSync(this.#directory, 'r');
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  }

  #corrupt(name: string, cause?: unknown): ConcordatError {
    return new ConcordatError('log/corrupt', 'the ledger of what was answered was changed on disk', {
      place: join(this.#directory, name),
      remedy: 'restore the state folder from a backup, together with the message log',
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

function setsOf(members: Members): NewSet[] {
  const set = (kind: Kind, rows: Bitmap): NewSet => ({
    digest: shortDigest(members.snapshot, rows),
    kind,
    of: members.snapshot,
    rows,
  });
  return [
    set('population', members.population),
    ...(members.analysis === null ? [] : [set('analysis', members.analysis)]),
  ];
}

const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

function wordsOf(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.floor(bytes.length / 4));
  bytesOf(words).set(bytes.subarray(0, 4 * words.length));
  return words;
}
