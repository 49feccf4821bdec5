/**
 * What an offer of a plan says, and whether a site may take part in it: only if it comes with the roster that names the site
 * under its own key, and asks for nothing that this version would have to trust blindly.
 */
import { Roster, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';

import { sameBytes, sha256, toHex } from '../wire/digest.ts';
import { isPlanSigned } from '../wire/offers.ts';
import type { Roster as AskedRoster } from './approvals.ts';

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

/** Public key (hex) that a plan is signed with, null for none; and whether the signature is that key's. */
export function signerOf(offer: PlanOffer): readonly [signer: string | null, sound: boolean] {
  const { plan, statistician, signature } = offer;
  if (statistician.length === 0 && signature.length === 0) return [null, true];
  return [toHex(statistician), isPlanSigned(plan, { key: statistician, signature })];
}

export function rosterOf({ roster }: PlanOffer): AskedRoster {
  return { sites: (roster?.sites ?? []).map(({ study }) => study), minimum: roster?.minimumStudies ?? 0 };
}
