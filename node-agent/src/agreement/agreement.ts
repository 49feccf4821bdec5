/**
 * What this site agrees to take part in. An offer is accepted only if it comes with the roster that names
 * this site under its own key, and asks for nothing that this version would have to trust blindly.
 */
import type { PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { sameBytes, sha256 } from '@concordat/shared/wire/digest.ts';
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';

export interface OfferContext {
  readonly study: string;
  /** This site's own public signing key. */
  readonly key: Uint8Array;
  /** From the offer's header. */
  readonly planDigest: Uint8Array;
  readonly rosterDigest: Uint8Array;
}

export type OfferFault = 'plan-digest' | 'roster-digest' | 'not-in-roster' | 'masked-sums' | 'no-roster';

/** Null where the offer can be accepted. */
export function faultOf(offer: PlanOffer, context: OfferContext): OfferFault | null {
  if (!sameBytes(sha256(offer.plan), context.planDigest)) return 'plan-digest';
  if (offer.roster === undefined) return 'no-roster';
  if (!sameBytes(sha256(Roster.encode(offer.roster).finish()), context.rosterDigest)) return 'roster-digest';
  if (offer.roster.masked) return 'masked-sums';
  const own = offer.roster.sites.find((site) => site.study === context.study);
  return own !== undefined && sameBytes(own.key, context.key) ? null : 'not-in-roster';
}
