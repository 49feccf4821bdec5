import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { formatOf } from './read.ts';

/** A folder of trials: one file for each, or one file of them all with a `study` column. */
export type StudyFolder =
  | { readonly kind: 'one-each'; readonly files: ReadonlyMap<string, string> }
  | { readonly kind: 'ipd'; readonly path: string };

const EXTENSION = /\.(csv|tsv|parquet|json|ndjson|jsonl)(\.gz)?$/i;

/** As people order names: 2 before 10, É beside E. */
const { compare } = new Intl.Collator('en', { numeric: true });
const byName = (a: string, b: string): number => compare(a, b) || (a < b ? -1 : 1);

/**
 * What a data folder holds, in order of name. Files of other formats, hidden ones and `.json` files that are no array of records are passed
 * over. Throws `data/unreadable` where there is nothing, where two files are of one study, or where
 * an `ipd` file stands beside others.
 */
export async function readFolder(folder: string): Promise<StudyFolder> {
  const fail = (message: string, remedy: string) =>
    new ConcordatError('data/unreadable', message, { place: folder, remedy });
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => null);
  if (entries === null)
    throw fail('the folder cannot be read', 'check that it exists and that you may read it');
  const files = new Map<string, string>();
  for (const entry of entries.toSorted((a, b) => byName(a.name, b.name))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() || entry.name.startsWith('.') || formatOf(entry.name) === null) continue;
    if (/\.json$/i.test(entry.name) && !(await beginsArray(path))) continue;
    const study = entry.name.replace(EXTENSION, '');
    if (files.has(study)) throw fail(`two files are named for study "${study}"`, 'keep one of them');
    files.set(study, path);
  }
  const ipd = files.get('ipd');
  if (ipd !== undefined && files.size > 1) {
    throw fail(
      'a file named ipd stands beside other data files',
      'keep either the ipd file or one file per trial',
    );
  }
  if (ipd !== undefined) return { kind: 'ipd', path: ipd };
  if (files.size === 0)
    throw fail('the folder holds no data file', 'put one .csv, .parquet or .json file per trial into it');
  return { kind: 'one-each', files };
}

/** A study's own file in a folder of one file each; throws `data/unreadable`. */
export async function findStudyFile(folder: string, study: string): Promise<string> {
  const found = await readFolder(folder);
  const path = found.kind === 'one-each' ? found.files.get(study) : undefined;
  if (path !== undefined) return path;
  throw new ConcordatError('data/unreadable', `the folder holds no file for study "${study}"`, {
    place: folder,
    remedy: 'name the study’s file after it, e.g. <study>.csv',
  });
}

async function beginsArray(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
    return /^[\uFEFF\s]*\[/.test(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await file.close();
  }
}
