/**
 * Bodies that were logged together lie in one file, so that a batch costs one flush: for each body its commitment
 * (32 bytes), its length (4 bytes, big-endian) and salt ‖ body. A body is erased by overwriting salt ‖ body in place.
 */
import { toHex } from '../wire/digest.ts';

const COMMITMENT = 32;
const HEAD = COMMITMENT + 4;

/** The file over `stored` (salt ‖ body each, with its commitment in hex). */
export function packOf(
  stored: readonly { readonly commitment: string; readonly bytes: Uint8Array }[],
): Uint8Array {
  const pack = Buffer.alloc(stored.reduce((size, { bytes }) => size + HEAD + bytes.length, 0));
  let at = 0;
  for (const { commitment, bytes } of stored) {
    pack.write(commitment, at, 'hex');
    pack.writeUInt32BE(bytes.length, at + COMMITMENT);
    pack.set(bytes, at + HEAD);
    at += HEAD + bytes.length;
  }
  return pack;
}

/** Salt ‖ body under a commitment (hex), as it lies in the file; null where it is not there. */
export function fromPack(pack: Uint8Array, commitment: string): Uint8Array | null {
  const view = new DataView(pack.buffer, pack.byteOffset, pack.length);
  for (let at = 0; at + HEAD <= pack.length;) {
    const end = at + HEAD + view.getUint32(at + COMMITMENT);
    if (toHex(pack.subarray(at, at + COMMITMENT)) === commitment)
      return end > pack.length ? null : pack.subarray(at + HEAD, end);
    at = end;
  }
  return null;
}
