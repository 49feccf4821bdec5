import { resolve } from 'node:path';
import { stat } from 'node:fs/promises';
import { DuckDBTypeId, type DuckDBConnection } from '@duckdb/node-api';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { literal, readFault, withDatabase, type ReadOptions } from './database.ts';
import { readHeader, type Header } from './header.ts';
import { readRowKeys } from './row-keys.ts';
import { columnOfLabels, missingColumns, type Column, type Table } from './table.ts';

export type { Table } from './table.ts';

export type Format = 'csv' | 'parquet' | 'json' | 'ndjson';

/** An opened file: its columns in the file's order, and how to read some of them. */
export interface Source {
  readonly columns: readonly string[];
  read(names: readonly string[]): Promise<Table>;
  /** A keyed hash of each row's whole content, in the file's order; see `row-keys.ts`. */
  rowKeys(secret: Uint8Array): Promise<Uint32Array>;
}

interface SourceColumns {
  readonly names: readonly string[];
  /** DuckDB type of each column, in the order of `names`. */
  readonly types: readonly DuckDBTypeId[];
  /** A table expression whose columns are named c0, c1, … */
  readonly relation: string;
}

const NESTED = new Set([
  DuckDBTypeId.LIST,
  DuckDBTypeId.STRUCT,
  DuckDBTypeId.MAP,
  DuckDBTypeId.ARRAY,
  DuckDBTypeId.UNION,
  DuckDBTypeId.BLOB,
]);
const NUMERIC = new Set([
  DuckDBTypeId.BOOLEAN,
  DuckDBTypeId.TINYINT,
  DuckDBTypeId.SMALLINT,
  DuckDBTypeId.INTEGER,
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.HUGEINT,
  DuckDBTypeId.UTINYINT,
  DuckDBTypeId.USMALLINT,
  DuckDBTypeId.UINTEGER,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.UHUGEINT,
  DuckDBTypeId.FLOAT,
  DuckDBTypeId.DOUBLE,
  DuckDBTypeId.DECIMAL,
]);

/** The format that a file's name says, or null. `.json` is an array of records, `.ndjson` and `.jsonl` one record a line. */
export function formatOf(path: string): Format | null {
  const match = /\.(?:(csv|tsv)(?:\.gz)?|(parquet)|(json)|(ndjson|jsonl))$/i.exec(path);
  if (match === null) return null;
  return match[1] !== undefined
    ? 'csv'
    : match[2] !== undefined
      ? 'parquet'
      : match[3] !== undefined
        ? 'json'
        : 'ndjson';
}

/**
 * Opens a CSV, TSV, Parquet, JSON or NDJSON file for the time `work` takes.
 *
 * A missing value is an empty cell, `NA`, null, or NaN in Parquet; spaces around a value do not count. A column is numeric
 * where every value is a number, or where all are TRUE or FALSE (1 and 0). Errors (`data/*`) name the column and the data
 * row (the first below the header is row 1), never a value.
 */
export async function withSource<T>(
  file: string,
  options: ReadOptions,
  work: (source: Source) => Promise<T>,
): Promise<T> {
  const path = resolve(file);
  const format = formatOf(path);
  await checkFile(path, format);
  const header = format === 'csv' ? await readHeader(path) : null;
  return withDatabase({ files: [path] }, options, async (connection) => {
    const located = <R>(reading: Promise<R>): Promise<R> =>
      reading.catch((error: unknown) => {
        throw readFault(error, path);
      });
    const columns =
      header === null
        ? await located(describe(connection, path, format as Exclude<Format, 'csv'>))
        : csvColumns(path, header);
    return work({
      columns: columns.names,
      read: (names) => located(readAll(connection, columns, names, path)),
      rowKeys: (secret) => located(readRowKeys(connection, columns.relation, columns.names.length, secret)),
    });
  });
}

/** Reads the named columns of a file; throws `data/missing-column` where it lacks one. See `withSource`. */
export function readColumns(
  path: string,
  names: readonly string[],
  options: ReadOptions = {},
): Promise<Table> {
  return withSource(path, options, (source) => source.read(names));
}

/** A table expression over a Parquet or JSON file, with the file's own column names. */
export function relationOf(path: string, format: Exclude<Format, 'csv'>): string {
  if (format === 'parquet') return `read_parquet(${literal(path)}, hive_partitioning=false)`;
  const layout = format === 'json' ? 'array' : 'newline_delimited';
  return `read_json(${literal(path)}, format='${layout}', records=true, sample_size=-1,
    convert_strings_to_integers=false, hive_partitioning=false)`;
}

async function checkFile(path: string, format: Format | null): Promise<void> {
  const fail = (code: 'data/unreadable' | 'data/empty', message: string, remedy: string) =>
    new ConcordatError(code, message, { place: path, remedy });
  if (format === null) {
    throw fail(
      'data/unreadable',
      'the file’s name does not say its format',
      'use .csv, .tsv, .parquet, .json or .ndjson',
    );
  }
  // DuckDB would take these for a pattern of several files.
  if (/[*?[\]]/.test(path))
    throw fail('data/unreadable', 'the path holds one of * ? [ ]', 'rename the file or its folder');
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile()) {
    throw fail(
      'data/unreadable',
      'there is no such file',
      'check the path, and that the agent’s account may read it',
    );
  }
  if (found.size === 0) throw fail('data/empty', 'the file is empty', 'export the data again');
}

/** Every column as text, under names of our own: the file's never become SQL. */
function csvColumns(path: string, { names, delimiter }: Header): SourceColumns {
  const types = names.map((_, i) => `'c${i}':'VARCHAR'`).join(',');
  return {
    names,
    types: names.map(() => DuckDBTypeId.VARCHAR),
    relation: `read_csv(${literal(path)}, auto_detect=false, header=true, delim=${literal(delimiter)}, quote='"', escape='"',
      nullstr=['','NA'], columns={${types}}, strict_mode=true, hive_partitioning=false, buffer_size=8388608,
      max_line_size=2097152)`,
  };
}

async function describe(
  connection: DuckDBConnection,
  path: string,
  format: Exclude<Format, 'csv'>,
): Promise<SourceColumns> {
  const relation = relationOf(path, format);
  const result = await connection.run(`SELECT * FROM ${relation} LIMIT 0`);
  const names = result.columnNames();
  return {
    names,
    types: names.map((_, i) => result.columnTypeId(i)),
    relation: `${relation} AS file(${names.map((_, i) => `c${i}`).join(',')})`,
  };
}

/**
 * One pass reads every wanted column as numbers, with +∞ (never a value, since only finite numbers are) where there is
 * text; a second reads the columns that had any, as text.
 */
async function readAll(
  connection: DuckDBConnection,
  source: SourceColumns,
  names: readonly string[],
  path: string,
): Promise<Table> {
  const absent = names.filter((name) => name === '' || !source.names.includes(name));
  if (absent.length > 0) throw missingColumns(absent, source.names);
  const wanted = [...new Set(names)].map((name) => ({ name, index: source.names.indexOf(name) }));
  for (const { name, index } of wanted) {
    if (!NESTED.has(source.types[index]!)) continue;
    throw new ConcordatError('data/malformed', `column "${name}" holds nested or binary values`, {
      place: `${path}, column "${name}"`,
      remedy: 'write one plain value a cell',
    });
  }
  const numbers = await readNumbers(
    connection,
    source,
    wanted.map((w) => w.index),
  );
  if (numbers.rows === 0) {
    throw new ConcordatError('data/empty', 'the file has no rows', {
      place: path,
      remedy: 'export the data again',
    });
  }
  const columns = new Map<string, Column>();
  const texts: { name: string; index: number }[] = [];
  for (const [k, { name, index }] of wanted.entries()) {
    const values = numbers.values[k]!;
    const firstText = values.findIndex((value) => Math.abs(value) === Infinity);
    if (firstText === -1) columns.set(name, { kind: 'numeric', values });
    else if (NUMERIC.has(source.types[index]!)) {
      throw new ConcordatError('data/not-numeric', `column "${name}" holds an infinite value`, {
        place: `${path}, column "${name}", row ${firstText + 1}`,
        remedy: 'leave the value missing, or correct it',
      });
    } else texts.push({ name, index });
  }
  const read = await readTexts(
    connection,
    source,
    texts.map(({ index }) => index),
    numbers.rows,
  );
  texts.forEach(({ name }, k) => columns.set(name, read[k]!));
  return { rows: numbers.rows, columns, available: source.names };
}

/** The value as trimmed text, null where missing. */
function textOf(index: number): string {
  return `nullif(nullif(trim(CAST(c${index} AS VARCHAR)), ''), 'NA')`;
}

function numberOf(index: number, type: DuckDBTypeId): string {
  const [cell, text] = [`c${index}`, `CAST(c${index} AS VARCHAR)`];
  if (NUMERIC.has(type)) {
    const number = `CAST(${cell} AS DOUBLE)`;
    return `CASE WHEN ${cell} IS NULL OR isnan(${number}) THEN 'nan'::DOUBLE ELSE ${number} END`;
  }
  // A cast alone would take 1_000 for a thousand.
  const number = `CASE WHEN contains(${text}, '_') THEN NULL ELSE TRY_CAST(${text} AS DOUBLE) END`;
  return `CASE WHEN ${cell} IS NULL THEN 'nan'::DOUBLE WHEN isfinite(${number}) THEN ${number}
    WHEN ${textOf(index)} IS NULL THEN 'nan'::DOUBLE ELSE 'inf'::DOUBLE END`;
}

async function readNumbers(
  connection: DuckDBConnection,
  source: SourceColumns,
  indices: readonly number[],
): Promise<{ rows: number; values: Float64Array[] }> {
  const expressions = indices.map((index) => numberOf(index, source.types[index]!));
  const result = await connection.stream(`SELECT ${expressions.join(', ') || '1'} FROM ${source.relation}`);
  const values = indices.map(() => new Float64Array(4096));
  let rows = 0;
  for (
    let chunk = await result.fetchChunk();
    chunk !== null && chunk.rowCount > 0;
    chunk = await result.fetchChunk()
  ) {
    const n = chunk.rowCount;
    for (let k = 0; k < indices.length; k++) {
      let into = values[k]!;
      if (rows + n > into.length) {
        into = new Float64Array(2 * into.length);
        into.set(values[k]!);
        values[k] = into;
      }
      const vector = chunk.getColumnVector(k);
      for (let i = 0; i < n; i++) into[rows + i] = vector.getItem(i) as number;
    }
    rows += n;
  }
  for (let k = 0; k < indices.length; k++) values[k] = values[k]!.slice(0, rows);
  return { rows, values };
}

async function readTexts(
  connection: DuckDBConnection,
  source: SourceColumns,
  indices: readonly number[],
  rows: number,
): Promise<Column[]> {
  if (indices.length === 0) return [];
  const result = await connection.stream(`SELECT ${indices.map(textOf).join(', ')} FROM ${source.relation}`);
  const columns = indices.map(() => ({ codes: new Int32Array(rows), byLabel: new Map<string, number>() }));
  let row = 0;
  for (
    let chunk = await result.fetchChunk();
    chunk !== null && chunk.rowCount > 0;
    chunk = await result.fetchChunk()
  ) {
    for (const [k, { codes, byLabel }] of columns.entries()) {
      const vector = chunk.getColumnVector(k);
      for (let i = 0; i < chunk.rowCount; i++) {
        const label = vector.getItem(i) as string | null;
        let code = label === null ? -1 : byLabel.get(label);
        if (code === undefined) byLabel.set(label!, (code = byLabel.size));
        codes[row + i] = code;
      }
    }
    row += chunk.rowCount;
  }
  return columns.map(({ codes, byLabel }) => asCodes(codes, [...byLabel.keys()]));
}

/** R and Python write logical values as TRUE, True or true; plans write them 0 and 1. */
function asCodes(codes: Int32Array, labels: readonly string[]): Column {
  const logical = labels.every((label) => /^(true|false)$/i.test(label));
  return columnOfLabels(codes, logical ? labels.map((label) => (/^t/i.test(label) ? 1 : 0)) : labels);
}
