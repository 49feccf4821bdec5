import { createHmac } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';

/** HMAC-SHA-256's inner and outer keys as SQL literals; `secret` has at most the hash's block of 64 bytes. */
function pads(secret: Uint8Array): { readonly inner: string; readonly outer: string } {
  const pad = (byte: number): string =>
    `'${Array.from({ length: 64 }, (_, i) => `\\x${((secret[i] ?? 0) ^ byte).toString(16).padStart(2, '0')}`).join('')}'::BLOB`;
  return { inner: pad(0x36), outer: pad(0x5c) };
}

/** In the database, which has the rows: one by one through the program's own functions, a million would take seconds more. */
export async function readRowKeys(
  connection: DuckDBConnection,
  relation: string,
  columns: number,
  secret: Uint8Array,
): Promise<Uint32Array> {
  const { inner, outer } = pads(secret);
  // Characters that no text file holds stand between values and for a missing one.
  const text = Array.from({ length: columns }, (_, k) => `coalesce(CAST(c${k} AS VARCHAR), chr(30))`).join(
    ` || chr(31) || `,
  );
  const hash = `sha256(${outer} || unhex(sha256(${inner} || encode(${text}))))`;
  const word = (from: number): string => `CAST(concat('0x', substr(h, ${from}, 8)) AS UINTEGER)`;
  const result = await connection.stream(
    `SELECT ${word(1)}, ${word(9)} FROM (SELECT ${hash} AS h FROM ${relation})`,
  );
  let keys = new Uint32Array(8192);
  let n = 0;
  for (
    let chunk = await result.fetchChunk();
    chunk !== null && chunk.rowCount > 0;
    chunk = await result.fetchChunk()
  ) {
    if (2 * (n + chunk.rowCount) > keys.length) {
      const longer = new Uint32Array(2 * keys.length);
      longer.set(keys);
      keys = longer;
    }
    const [first, second] = [chunk.getColumnVector(0), chunk.getColumnVector(1)];
    for (let i = 0; i < chunk.rowCount; i++, n++) {
      keys[2 * n] = first.getItem(i) as number;
      keys[2 * n + 1] = second.getItem(i) as number;
    }
  }
  return keys.slice(0, 2 * n);
}

/** The same of a text, for a participant who has several rows. */
export function keyOf(secret: Uint8Array, text: string): readonly [number, number] {
  const digest = createHmac('sha256', secret).update(text).digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}
