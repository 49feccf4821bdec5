/** Copies of the reference data sets for the command: chosen columns, derived columns, either layout. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DuckDBInstance } from '@duckdb/node-api';

import { DATA } from './reference.ts';

/** One record: text as in the file; empty is missing. */
export type Row = Readonly<Record<string, string>>;

/** The data sets hold no quoted field. */
export function readRecords(dataset: string, file = 'ipd.csv'): Row[] {
  const [header, ...lines] = readFileSync(join(DATA, dataset, file), 'utf8')
    .trimEnd()
    .split(/\r?\n/);
  const names = header!.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']));
  });
}

/** `compute` over the named columns as numbers; empty where one of them is missing. */
export function derived(
  row: Row,
  names: readonly string[],
  compute: (...values: number[]) => number,
): string {
  const cells = names.map((name) => row[name]!);
  return cells.includes('') ? '' : String(compute(...cells.map(Number)));
}

export const csv = (rows: readonly Row[]): string => {
  const names = Object.keys(rows[0]!);
  return `${[names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => cells.join(',')).join('\n')}\n`;
};

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder with these files; removed when the process ends. */
export function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'concordat-reference-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

export const oneFile = (rows: readonly Row[]): string => folderOf({ 'ipd.csv': csv(rows) });

export function fileEach(rows: readonly Row[]): string {
  const groups = Object.groupBy(rows, (row) => row['study']!);
  return folderOf(
    Object.fromEntries(Object.entries(groups).map(([study, own]) => [`${study}.csv`, csv(own!)])),
  );
}

export async function parquetEach(rows: readonly Row[]): Promise<string> {
  const folder = folderOf({});
  const source = join(oneFile(rows), 'ipd.csv');
  const connection = await (await DuckDBInstance.create()).connect();
  for (const study of studiesOf(rows)) {
    const own = `SELECT * EXCLUDE (study) FROM read_csv('${source}') WHERE study = '${study}'`;
    await connection.run(`COPY (${own}) TO '${join(folder, study)}.parquet' (FORMAT parquet)`);
  }
  connection.closeSync();
  return folder;
}

/** In alphabetical order, as the levels of R's factors. */
export const studiesOf = (rows: readonly Row[]): string[] =>
  [...new Set(rows.map((row) => row['study']!))].toSorted();

/** All records as those of one trial, whose former study is the column `country`: what R fits with study indicators or strata. */
export const asOneStudy = (rows: readonly Row[]): string =>
  folderOf({ 'ALL.csv': csv(rows.map(({ study, ...rest }) => ({ country: study!, ...rest }))) });
