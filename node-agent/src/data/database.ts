import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { ConcordatError } from '@concordat/shared/errors.ts';

export interface ReadOptions {
  /** DuckDB's memory limit, e.g. `1GB`. */
  readonly memoryLimit?: string;
  readonly threads?: number;
}

/** What a database may touch: files to read, and a folder to write to. */
export interface Reach {
  readonly files: readonly string[];
  readonly folder?: string;
}

/** Quotes a text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * Runs `work` with an in-memory DuckDB that can open the files in `reach` and nothing else: no network, no extensions,
 * no temporary files, and no way to change that. Nothing that a plan says becomes SQL text.
 */
export async function withDatabase<T>(
  reach: Reach,
  options: ReadOptions,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: options.memoryLimit ?? '1GB',
    threads: String(options.threads ?? 2),
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  });
  try {
    const connection = await instance.connect();
    try {
      const folders = reach.folder === undefined ? '' : `SET allowed_directories=[${literal(reach.folder)}];`;
      await connection.run(
        `SET allowed_paths=[${reach.files.map(literal).join(',')}]; ${folders}
         SET enable_external_access=false; SET lock_configuration=true`,
      );
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

/**
 * What DuckDB says about a bad file, as one of our codes. Its message quotes the offending line, so neither the message
 * nor the cause goes further.
 */
export function readFault(error: unknown, path: string): ConcordatError {
  if (error instanceof ConcordatError) return error;
  const said = error instanceof Error ? error.message : '';
  const line = /CSV Error on Line: (\d+)/.exec(said)?.[1];
  const place = line === undefined ? path : `${path}, line ${line}`;
  if (/invalid unicode|not utf-8|invalid utf/i.test(said)) {
    return new ConcordatError('data/encoding', 'the file is not encoded in UTF-8', {
      place,
      remedy: 'save it again as UTF-8',
    });
  }
  if (/out of memory|maximum line size|maximum_object_size|max_line_size/i.test(said)) {
    return new ConcordatError('data/too-large', 'a record, or the file, does not fit in the memory allowed', {
      place,
      remedy: 'look for a quotation mark that is not closed, or raise the memory limit',
    });
  }
  if (/^IO Error|^Permission Error/i.test(said)) {
    return new ConcordatError('data/unreadable', 'the file cannot be opened', {
      place,
      remedy: 'check that it exists and that the agent’s account may read it',
    });
  }
  const counts = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(said);
  const message =
    counts !== null
      ? `the row has ${counts[2]} fields where the header names ${counts[1]}`
      : /unterminated quote/i.test(said)
        ? 'a quotation mark is not closed, or stands inside a quoted field'
        : 'the file does not have the form that its name says';
  return new ConcordatError('data/malformed', message, {
    place,
    remedy: /\.(csv|tsv)(\.gz)?$/i.test(path)
      ? 'write the file again with one delimiter, one kind of line end, and quotation marks doubled within quotes'
      : 'export the data again',
  });
}
