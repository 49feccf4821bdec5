/** Whether the records behind an approval are still the same: a digest of the files that the agent reads. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** Path → the file's state when it was digested, and its digest. */
const known = new Map<string, { readonly state: string; readonly digest: string }>();

/**
 * SHA-256 (hex) over the files' bytes; empty where one cannot be read. A file whose size, inode and time of change are those of
 * the last look is not read again. It does not leave: a bare digest of records would let a guess at them be confirmed.
 */
export async function filesDigest(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  try {
    for (const file of files) hash.update(await digestOf(file));
  } catch {
    return '';
  }
  return hash.digest('hex');
}

async function digestOf(file: string): Promise<string> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(file);
  const state = [size, mtimeMs, ctimeMs, ino].join();
  const earlier = known.get(file);
  if (earlier?.state === state) return earlier.digest;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  known.set(file, { state, digest });
  return digest;
}
