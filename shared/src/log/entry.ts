/** What a log's entries say. Numbers and texts that someone wrote are in bodies: an entry may be shown to anyone who may see the log. */

export const ENTRY_KINDS = [
  'start',
  'stop',
  'received',
  'sent',
  'refused',
  'approved',
  'decision',
  'result',
  'recovered',
  'erased',
] as const;

export type EntryKind = (typeof ENTRY_KINDS)[number];

export interface LogEntry {
  /** Position, from 0. */
  readonly n: number;
  /** RFC 3339. */
  readonly time: string;
  readonly kind: EntryKind;
  /** The other side: a study id, or `coordinator`. */
  readonly peer?: string;
  /** Hex. */
  readonly run?: string;
  readonly analysis?: string;
  readonly round?: number;
  /** What the body is: a message's type, e.g. stageOneEstimate, or agreement, statement, template, refusals, divergence. */
  readonly type?: string;
  /** Hex SHA-256 of the task's body: what is answered, or the task itself. */
  readonly task?: string;
  /** Hex SHA-256 of salt and body: the body is found by it among those of the bundle. */
  readonly body?: string;
  /** Where the body's record begins in the bundle's bodies, bytes. */
  readonly at?: number;
  /** Whatever else an auditor needs: digests, rule codes, versions. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

export type EntryWithBody = LogEntry & { readonly body: string; readonly at: number };

export function hasBody(entry: LogEntry): entry is EntryWithBody {
  return entry.body !== undefined && entry.at !== undefined;
}

const TEXTS = ['peer', 'run', 'analysis', 'type', 'task'] as const;
const KINDS: readonly string[] = ENTRY_KINDS;
const FIELDS: readonly string[] = ['n', 'time', 'kind', 'round', 'body', 'at', 'detail', ...TEXTS];

/** The entry that the bytes of a leaf say; null where they are none. */
export function readEntry(leaf: Uint8Array): LogEntry | null {
  let read: unknown;
  try {
    read = JSON.parse(Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).toString('utf8'));
  } catch {
    return null;
  }
  if (!isRecord(read) || !Object.keys(read).every((field) => FIELDS.includes(field))) return null;
  const { n, time, kind, round, body, at, detail } = read;
  const sound =
    isCount(n) &&
    typeof time === 'string' &&
    typeof kind === 'string' &&
    KINDS.includes(kind) &&
    TEXTS.every((field) => read[field] === undefined || isText(read[field])) &&
    (round === undefined || isCount(round)) &&
    (body === undefined
      ? at === undefined
      : typeof body === 'string' && /^[0-9a-f]{64}$/.test(body) && isCount(at)) &&
    (detail === undefined ||
      (isRecord(detail) &&
        Object.values(detail).every(
          (value) => isText(value) || ['number', 'boolean'].includes(typeof value),
        )));
  return sound ? (read as unknown as LogEntry) : null;
}

/** What is no Unicode text cannot be written anywhere else, as in the name of a log. */
const isText = (value: unknown): value is string => typeof value === 'string' && value.isWellFormed();
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** `3-5,9` for 3, 4, 5 and 9: increasing numbers in as few words as there are gaps. */
export function writeRanges(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const n of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === n - 1) last[1] = n;
    else ranges.push([n, n]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** Null where the text is not what `writeRanges` writes. */
export function readRanges(text: string): readonly (readonly [first: number, last: number])[] | null {
  const ranges = text.split(',').map((range): [number, number] | null => {
    const [, first, last] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(range) ?? [];
    return first === undefined ? null : [Number(first), Number(last ?? first)];
  });
  return ranges.every((range) => range !== null) ? ranges : null;
}
