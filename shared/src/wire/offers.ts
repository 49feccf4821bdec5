/** A plan as it is offered to a site, and the signature of the statistician who asks. */
import type { PlanOffer, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';

import { signBytes, verifyBytes, type SigningIdentity } from './signing.ts';

export interface PlanSignature {
  /** Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

const DOMAIN = 'concordat.v1 plan\n';

/** `plan`: the file's bytes as text, exactly. */
export function planOffer(
  plan: string,
  roster: Roster | undefined,
  signed: PlanSignature | null = null,
): PlanOffer {
  const none = new Uint8Array(0);
  return { plan, roster, statistician: signed?.key ?? none, signature: signed?.signature ?? none };
}

export function signPlan(plan: string, identity: SigningIdentity): PlanSignature {
  return { key: identity.publicKey, signature: signBytes(identity, DOMAIN, Buffer.from(plan)) };
}

/** Whether the signature is that key's, over this plan. */
export function isPlanSigned(plan: string, { key, signature }: PlanSignature): boolean {
  return verifyBytes(key, DOMAIN, Buffer.from(plan), signature);
}
