import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { signBytes, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

/**
 * A digest of records as it may stand in a log or a statement: sealed with the site's key, since a bare digest would let a
 * guess at the records be confirmed. The same records give the same seal; empty stays empty.
 */
export function sealOf(identity: SigningIdentity, digest: string): string {
  if (digest === '') return '';
  return toHex(sha256(signBytes(identity, 'concordat.v1 analysis set\n', Buffer.from(digest))));
}
