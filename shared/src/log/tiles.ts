/** Where a log's parts are, and how its entries are laid one after the other (C2SP tlog-tiles). Paths are relative to the log's folder. */

/** Entries of a bundle, and hashes of a tile. */
export const TILE_WIDTH = 256;

/** Bytes that an entry may have: its length is written in two bytes. */
export const ENTRY_LIMIT = 0xffff;

/** `tile/0/x001/234`, and `tile/0/x001/234.p/5` for the first five of a tile that is not full. */
export function tilePath(level: number | 'entries', index: number, width = TILE_WIDTH): string {
  return `tile/${level}/${numberPath(index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** The bundle that entries are still added to. It gets its name among the tiles when it is full. */
export function openBundlePath(index: number): string {
  return `${tilePath('entries', index)}.open`;
}

/** The messages of a bundle's entries. */
export function bodiesPath(index: number): string {
  return `bodies/${numberPath(index)}`;
}

function numberPath(index: number): string {
  const last = `${index % 1000}`.padStart(3, '0');
  let path = last;
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    path = `x${`${rest % 1000}`.padStart(3, '0')}/${path}`;
  return path;
}

/** Each entry behind its length (2 bytes, big-endian). */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.alloc(entries.reduce((size, { length }) => size + 2 + length, 0));
  let at = 0;
  for (const entry of entries) {
    bytes.writeUInt16BE(entry.length, at);
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bytes;
}

/** The entries that are whole, and how many bytes they take up; what is behind those is no whole entry. */
export function decodeEntries(bytes: Uint8Array): {
  readonly entries: readonly Uint8Array[];
  readonly length: number;
} {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + 256 * bytes[at]! + bytes[at + 1]!;
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return { entries, length: at };
}
