/**
 * Who a caller is. The server takes every TLS connection and decides here, call by call, so that each reason for turning a
 * caller away has a code of its own. Pure: the certificate, the time and what the registry holds go in.
 */
import type { X509Certificate } from 'node:crypto';

import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { AdmissionCode } from '@concordat/shared/wire/enrolment.ts';

import { commonNameOf } from './certificates.ts';
import type { IssuedCertificate, Site } from './registry.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Certificates between a site's and its authority, at most. */
const INTERMEDIATES = 3;

/** What a connection's certificate says, once read. */
export interface Presented {
  /** SHA-256 of the certificate. */
  readonly fingerprint: Uint8Array;
  /** The subject's common name; null where there is none. */
  readonly study: string | null;
  /** Signed, directly or by intermediates that were presented with it, by one of the authorities. */
  readonly trusted: boolean;
  /** Its key usage names client authentication. */
  readonly client: boolean;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** `chain`: the caller's certificate, and those presented after it. */
export function readPresented(
  [leaf, ...intermediates]: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
): Presented {
  return {
    fingerprint: sha256(leaf.raw),
    study: commonNameOf(leaf),
    trusted: chainsTo(leaf, intermediates.slice(0, INTERMEDIATES), authorities),
    // Undefined, whatever its type says, where the certificate names no use.
    client: !leaf.ca && ((leaf.keyUsage as string[] | undefined) ?? []).includes(CLIENT_AUTH),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  };
}

function chainsTo(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  const issued = (issuer: X509Certificate): boolean =>
    issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  return (
    authorities.some(issued) ||
    intermediates.some(
      (issuer, i) => issued(issuer) && chainsTo(issuer, intermediates.toSpliced(i, 1), authorities),
    )
  );
}

export interface Registered {
  /** SHA-256 of a certificate (hex) → study, as the configuration lists them. */
  readonly listed: ReadonlyMap<string, string>;
  site(study: string): Site | null;
  certificate(fingerprint: Uint8Array): IssuedCertificate | null;
}

export type Admission =
  | { readonly study: string }
  | { readonly refused: AdmissionCode; readonly of: string | null };

/** The study that the caller speaks for, or why it speaks for none. `now`: milliseconds since 1970. */
export function admit(presented: Presented | null, now: number, registered: Registered): Admission {
  if (presented === null) return { refused: 'wire/identity', of: null };
  const listed = registered.listed.get(toHex(presented.fingerprint));
  const study = listed ?? presented.study;
  const refuse = (refused: AdmissionCode): Admission => ({ refused, of: study });
  if (!presented.trusted) return refuse('enrolment/wrong-authority');
  if (listed === undefined && !presented.client) return refuse('enrolment/wrong-authority');
  if (study === null) return refuse('wire/identity');
  if (listed === undefined) {
    const site = registered.site(study);
    if (site === null) return refuse('wire/identity');
    const issued = registered.certificate(presented.fingerprint);
    if (site.revoked !== null || isEarlier(presented, site, issued)) return refuse('enrolment/revoked');
  }
  // Written so that a date that is none admits nobody.
  if (!(now <= presented.notAfter)) return refuse('enrolment/expired');
  if (!(now >= presented.notBefore)) return refuse('network/clock');
  return { study };
}

/**
 * Of an admission that was revoked before the present one. A certificate that the registry does not hold may be another
 * authority's, or one that this authority issued after the backup from which the registry was restored: its beginning tells.
 */
function isEarlier(presented: Presented, site: Site, issued: IssuedCertificate | null): boolean {
  if (issued !== null) return issued.revoked !== null;
  return site.since !== null && presented.notBefore < site.since;
}
