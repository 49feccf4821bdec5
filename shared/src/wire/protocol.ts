/** Protocol versions, limits and identities that both ends of the wire agree on. */
import { ConcordatError } from '../errors.ts';

export const PROTOCOL_OLDEST = 1;
export const PROTOCOL_NEWEST = 1;

/** Largest frame either side accepts or sends, bytes. */
export const FRAME_LIMIT = 4 * 1024 * 1024;
/** Longest text of a factor level, characters: a code of a data dictionary, never free text. */
export const LEVEL_TEXT_LIMIT = 64;
/** How long the coordinator holds an idle exchange open, milliseconds. */
export const HOLD_MILLISECONDS = 25_000;

export const EXCHANGE_PATH = '/concordat.v1.FederationService/Exchange';

export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

/** The newest version that both ranges hold, or 0 where there is none. */
export function negotiate(a: VersionRange, b: VersionRange): number {
  const newest = Math.min(a.newest, b.newest);
  return newest >= Math.max(a.oldest, b.oldest) ? newest : 0;
}

/** What to tell the side that is too old or too new. */
export function versionMismatch(own: VersionRange, other: VersionRange, who: string): ConcordatError {
  const older = own.newest < other.oldest ? 'this side' : who;
  return new ConcordatError(
    'wire/version',
    `no protocol version in common: this side speaks ${own.oldest} to ${own.newest}, ${who} speaks ${other.oldest} to ${other.newest}`,
    { remedy: `upgrade ${older}; nothing was exchanged` },
  );
}
