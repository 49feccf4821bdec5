import { createHash } from 'node:crypto';

/**
 * SHA-256 of a plan's file, in hex: over its exact bytes, comments and line ends included, because what was signed
 * and approved is what was written.
 */
export function planDigest(file: Uint8Array): string {
  return createHash('sha256').update(file).digest('hex');
}
