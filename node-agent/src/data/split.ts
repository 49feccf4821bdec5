import { appendFileSync, createReadStream, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createGunzip } from 'node:zlib';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { literal, readFault, withDatabase } from './database.ts';
import { readHeader, splitRecord } from './header.ts';
import { formatOf, readColumns, relationOf } from './read.ts';
import { columnOf, isMissing, missingColumns } from './table.ts';

const STUDY = 'study';
/** A study's id as it is written; of numbers that are stored as floating point, as R stores all of its own: 3, not 3.0. */
const STUDY_TEXT = `CASE WHEN typeof(${STUDY}) IN ('DOUBLE', 'FLOAT') THEN regexp_replace(CAST(${STUDY} AS VARCHAR), '\\.0$', '')
  ELSE trim(CAST(${STUDY} AS VARCHAR)) END`;
const [LF, CR, QUOTE] = [0x0a, 0x0d, 0x22];
/** Bytes held before they are written. */
const PENDING = 1 << 20;
/** Longest record, in bytes; as DuckDB's. */
const LONGEST = 1 << 21;

/**
 * Writes a file for each value of the `study` column of an ipd file into `folder`, and returns each study's file. CSV records
 * are copied byte for byte; Parquet stays Parquet; JSON becomes NDJSON.
 *
 * Throws `data/missing-column` without a `study` column, `data/malformed` where a row has no study.
 */
export async function splitByStudy(ipdPath: string, folder: string): Promise<ReadonlyMap<string, string>> {
  await mkdir(folder, { recursive: true });
  const path = resolve(ipdPath);
  const format = formatOf(path);
  if (format === 'csv') return splitCsv(path, folder);
  const extension = format === 'parquet' ? '.parquet' : '.ndjson';
  const layout = format === 'parquet' ? 'parquet' : 'json';
  const nameOf = fileNamer(folder, extension);
  await checkStudies(path);
  const relation = relationOf(path, format!);
  const files = new Map<string, string>();
  await withDatabase({ files: [path], folder: resolve(folder) }, {}, async (connection) => {
    const inOrder = `SELECT id FROM (SELECT ${STUDY_TEXT} AS id, row_number() OVER () AS place FROM ${relation})
      GROUP BY id ORDER BY min(place)`;
    for (const [study] of (await connection.runAndReadAll(inOrder)).getRows() as [string][]) {
      const file = nameOf(study);
      const rows = `SELECT * FROM ${relation} WHERE ${STUDY_TEXT} = ${literal(study)}`;
      await connection.run(`COPY (${rows}) TO ${literal(resolve(file))} (FORMAT ${layout})`);
      files.set(study, file);
    }
  }).catch((error: unknown) => {
    throw readFault(error, path);
  });
  return files;
}

/** Every row names a study. */
async function checkStudies(path: string): Promise<void> {
  const table = await readColumns(path, [STUDY]);
  const column = columnOf(table, STUDY);
  for (let row = 0; row < table.rows; row++) if (isMissing(column, row)) throw withoutStudy(path, row + 1);
}

function withoutStudy(path: string, row: number): ConcordatError {
  return new ConcordatError('data/malformed', 'the row names no study', {
    place: `${path}, column "${STUDY}", row ${row}`,
    remedy: 'give every row the id of its study',
  });
}

/**
 * Study ids as file names: letters, digits, space and . _ - ( ) stand for themselves, every other byte as %XX.
 * Each call names one study.
 */
function fileNamer(folder: string, extension: string): (study: string) => string {
  const taken = new Set<string>();
  return (study) => {
    // A file named ipd would be read as that of all studies.
    let name = /^ipd$/i.test(study)
      ? `%${study.charCodeAt(0).toString(16)}${study.slice(1)}`
      : encodeStudy(study);
    if (name.length > 200) {
      throw new ConcordatError('data/malformed', 'the id of a study is too long for a file name', {
        place: `column "${STUDY}"`,
        remedy: 'use ids of at most 200 letters',
      });
    }
    // Some file systems hold A and a for the same name.
    while (taken.has(name.toLowerCase())) name += '~';
    taken.add(name.toLowerCase());
    return join(folder, name + extension);
  };
}

function encodeStudy(study: string): string {
  const percent = (byte: number) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return Array.from(study, (c, i) =>
    /[A-Za-z0-9 ._()-]/.test(c) && !(c === '.' && i === 0) ? c : [...Buffer.from(c)].map(percent).join(''),
  ).join('');
}

/** Copies each record's bytes to its study's file; holds at most `PENDING` bytes and one record. */
async function splitCsv(path: string, folder: string): Promise<Map<string, string>> {
  const header = await readHeader(path);
  const at = header.names.indexOf(STUDY);
  if (at === -1) throw missingColumns([STUDY], header.names);
  const nameOf = fileNamer(folder, /\.tsv(\.gz)?$/i.test(path) ? '.tsv' : '.csv');
  const files = new Map<string, string>();
  const pending = new Map<string, Buffer[]>();
  let [held, row] = [0, 0];
  let heading: Buffer | null = null;
  const flush = () => {
    for (const [study, parts] of pending) appendFileSync(files.get(study)!, Buffer.concat(parts));
    pending.clear();
    held = 0;
  };
  for await (const { bytes, field } of records(path, header.delimiter.charCodeAt(0), at)) {
    if (heading === null) {
      heading = bytes;
      continue;
    }
    row++;
    const study = splitRecord(field, header.delimiter)[0]!.trim();
    if (study === '' || study === 'NA') throw withoutStudy(path, row);
    if (!files.has(study)) {
      files.set(study, nameOf(study));
      writeFileSync(files.get(study)!, heading);
    }
    const parts = pending.get(study);
    if (parts === undefined) pending.set(study, [bytes]);
    else parts.push(bytes);
    held += bytes.length;
    if (held > PENDING) flush();
  }
  flush();
  if (files.size === 0) {
    throw new ConcordatError('data/empty', 'the file has no rows', {
      place: path,
      remedy: 'export the data again',
    });
  }
  return files;
}

/** Every record that is not blank, with its line end, and the text of its field number `at`, quotes included. */
async function* records(
  path: string,
  delimiter: number,
  at: number,
): AsyncGenerator<{ bytes: Buffer; field: string }> {
  const file = createReadStream(path, { highWaterMark: PENDING });
  const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const buffer: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const used = yield* completeRecords(buffer, delimiter, at, false);
    rest = buffer.subarray(used);
    if (rest.length > LONGEST) {
      throw new ConcordatError('data/malformed', 'a record does not end within 2 MiB', {
        place: path,
        remedy: 'look for a quotation mark that is not closed',
      });
    }
  }
  yield* completeRecords(rest, delimiter, at, true);
}

/** The records that end in `buffer` (at its end too, if it is the `last`); returns how many bytes they take. */
function* completeRecords(
  buffer: Buffer,
  delimiter: number,
  at: number,
  last: boolean,
): Generator<{ bytes: Buffer; field: string }, number> {
  let [start, fieldStart, field, from, to] = [0, 0, 0, 0, -1];
  let quoted = false;
  let quotes = false;
  for (let i = 0; i <= buffer.length; i++) {
    const byte = i < buffer.length ? buffer[i]! : LF;
    if (byte === QUOTE && (quotes || i === fieldStart)) {
      quotes = true;
      quoted = !quoted;
      continue;
    }
    if (i === buffer.length ? !last : quoted || (byte !== delimiter && byte !== LF && byte !== CR)) continue;
    if (field === at) [from, to] = [fieldStart, i];
    if (byte === delimiter) {
      field++;
      fieldStart = i + 1;
      quotes = false;
      continue;
    }
    if (byte === CR && i + 1 === buffer.length && !last) return start;
    const end = Math.min(buffer.length, byte === CR && buffer[i + 1] === LF ? i + 2 : i + 1);
    if (i > start) {
      const text = to === -1 ? '' : buffer.toString('utf8', from, to);
      yield { bytes: buffer.subarray(start, end), field: text };
    }
    [start, fieldStart, field, from, to] = [end, end, 0, 0, -1];
    quoted = false;
    quotes = false;
    i = end - 1;
    if (end === buffer.length) return end;
  }
  return start;
}
