import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { ConcordatError } from '@concordat/shared/errors.ts';

/** How the fields of a CSV or TSV file are told apart, and what its first record names them. */
export interface Header {
  readonly delimiter: string;
  readonly names: readonly string[];
}

const HEADER_LIMIT = 1 << 22;
const [LF, CR, QUOTE] = [0x0a, 0x0d, 0x22];

/**
 * Reads the first record of a CSV file, whose delimiter is the commonest of comma, semicolon, tab and bar in it
 * (`.tsv`: tab). A UTF-8 byte-order mark is accepted.
 *
 * Throws `data/empty`, `data/encoding` (UTF-16, or not UTF-8), `data/duplicate-header`, `data/malformed`, `data/unreadable`.
 */
export async function readHeader(path: string): Promise<Header> {
  const record = await firstRecord(path);
  const fail = (code: 'data/empty' | 'data/encoding' | 'data/malformed', message: string, remedy: string) =>
    new ConcordatError(code, message, { place: `${path}, line 1`, remedy });
  if (record.length === 0)
    throw fail('data/empty', 'the file has no header', 'begin the file with a line of column names');
  const utf16 = (record[0] === 0xff && record[1] === 0xfe) || (record[0] === 0xfe && record[1] === 0xff);
  let text: string | undefined;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(record);
  } catch {
    // Reported below: the decoder's own message adds nothing.
  }
  if (utf16 || text === undefined || text.includes('\0')) {
    throw fail('data/encoding', 'the file is not encoded in UTF-8', 'save it again as UTF-8');
  }
  if (text.trim() === '')
    throw fail('data/empty', 'the first line is blank', 'begin the file with a line of column names');
  const delimiter = /\.tsv(\.gz)?$/i.test(path) ? '\t' : sniffDelimiter(text);
  const names = splitRecord(text, delimiter).map((name) => name.trim());
  const twice = names.findIndex((name, i) => name !== '' && names.indexOf(name) < i);
  if (twice >= 0) {
    // By position: the first line of a file without a header is a record.
    const first = names.indexOf(names[twice]!);
    throw new ConcordatError(
      'data/duplicate-header',
      `columns ${first + 1} and ${twice + 1} have the same name`,
      {
        place: `${path}, line 1`,
        remedy: 'give every column a name of its own',
      },
    );
  }
  return { delimiter, names };
}

/** The fields of one record, quotes taken off. */
export function splitRecord(text: string, delimiter: string): string[] {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      if (quoted && text[i + 1] === '"') field += text[++i];
      else if (quoted || field === '') quoted = !quoted;
      else field += c;
    } else if (c === delimiter && !quoted) {
      fields.push(field);
      field = '';
    } else field += c;
  }
  fields.push(field);
  return fields;
}

function sniffDelimiter(text: string): string {
  const unquoted = text.replace(/"[^"]*"/g, '');
  const count = (delimiter: string) => unquoted.split(delimiter).length;
  return [',', ';', '\t', '|'].reduce((best, next) => (count(next) > count(best) ? next : best));
}

/** Bytes of the first record, without its line end. */
async function firstRecord(path: string): Promise<Uint8Array> {
  const file = createReadStream(path);
  const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file;
  file.once('error', (error) => stream.destroy(error));
  const chunks: Buffer[] = [];
  let size = 0;
  let quoted = false;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (let i = 0; i < chunk.length; i++) {
        if (chunk[i] === QUOTE) quoted = !quoted;
        else if (!quoted && (chunk[i] === LF || chunk[i] === CR)) {
          chunks.push(chunk.subarray(0, i));
          return withoutMark(Buffer.concat(chunks));
        }
      }
      chunks.push(chunk);
      size += chunk.length;
      if (size > HEADER_LIMIT) {
        throw new ConcordatError('data/malformed', 'the header does not end within 4 MiB', {
          place: `${path}, line 1`,
          remedy: 'look for a quotation mark that is not closed',
        });
      }
    }
  } catch (error) {
    if (error instanceof ConcordatError) throw error;
    throw new ConcordatError('data/unreadable', 'the file cannot be read', {
      place: path,
      remedy: 'check that it exists, that the agent’s account may read it, and that it is whole',
    });
  } finally {
    file.destroy();
  }
  return withoutMark(Buffer.concat(chunks));
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
