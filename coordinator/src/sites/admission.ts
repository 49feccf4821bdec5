/**
 * Who a caller is. The server takes every TLS connection and decides here, call by call, so that each reason for turning a
 * caller away has a code of its own. Pure: the certificate, the time and what the registry holds go in.
 */
import type { X509Certificate } from 'node:crypto';

import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { AdmissionCode } from '@concordat/shared/wire/enrolment.ts';

import { commonNameOf } from './certificates.ts';
import { issuerLimits } from './issuer-limits.ts';
import type { IssuedCertificate, Site } from './registry.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Certificates between a site's and its authority, at most. */
const INTERMEDIATES = 3;

/** Of the sites' certificates. */
export interface Authorities {
  /** Of the sites that enrol. Those that the configuration lists may have theirs from it too. */
  readonly enrolled: readonly X509Certificate[];
  /** Of the sites that the configuration lists: it names each certificate, and the authority can admit no other. */
  readonly listed: readonly X509Certificate[];
}

/** A way from a certificate to an authority, directly or by intermediates that were presented with it. */
interface Chain {
  /** The authority is that of the sites that enrol. */
  readonly enrolled: boolean;
  /** When all of its certificates are valid, milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What a connection's certificate says, once read. */
export interface Presented {
  /** SHA-256 of the certificate. */
  readonly fingerprint: Uint8Array;
  /** The subject's common name; null where there is none. */
  readonly study: string | null;
  /** None where no authority stands behind the certificate. */
  readonly chains: readonly Chain[];
  /** Its key usage names client authentication. */
  readonly client: boolean;
  /** Of the certificate itself, milliseconds since 1970. */
  readonly notBefore: number;
}

/** `chain`: the caller's certificate, and those presented after it. */
export function readPresented(
  [leaf, ...intermediates]: readonly [X509Certificate, ...X509Certificate[]],
  authorities: Authorities,
): Presented {
  return {
    fingerprint: sha256(leaf.raw),
    study: commonNameOf(leaf),
    chains: chainsOf(leaf, intermediates.slice(0, INTERMEDIATES), authorities, 0),
    // Undefined, whatever its type says, where the certificate names no use.
    client: !leaf.ca && ((leaf.keyUsage as string[] | undefined) ?? []).includes(CLIENT_AUTH),
    notBefore: leaf.validFromDate.getTime(),
  };
}

/** `below`: intermediates that lead from the caller's certificate to this one, itself included. */
function chainsOf(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: Authorities,
  below: number,
): readonly Chain[] {
  const issued = (issuer: X509Certificate): boolean =>
    issuer.ca &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey) &&
    below <= issuerLimits(issuer).pathLength;
  const from = (issuers: readonly X509Certificate[], enrolled: boolean): readonly Chain[] =>
    issuers.filter(issued).map((issuer) => ({ enrolled, ...validityOf(issuer) }));
  const onward = [
    ...from(authorities.enrolled, true),
    ...from(authorities.listed, false),
    ...intermediates.flatMap((issuer, i) =>
      // Names are not compared with constraints here, so that an issuer that has some may issue nothing.
      issued(issuer) && !issuerLimits(issuer).nameConstraints
        ? chainsOf(issuer, intermediates.toSpliced(i, 1), authorities, below + 1)
        : [],
    ),
  ];
  const own = validityOf(certificate);
  return onward.map(({ enrolled, notBefore, notAfter }) => ({
    enrolled,
    notBefore: Math.max(notBefore, own.notBefore),
    notAfter: Math.min(notAfter, own.notAfter),
  }));
}

function validityOf({ validFromDate, validToDate }: X509Certificate): Omit<Chain, 'enrolled'> {
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
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
  if (presented.chains.length === 0) return refuse('enrolment/wrong-authority');
  if (listed === undefined && !presented.client) return refuse('enrolment/wrong-authority');
  if (study === null) return refuse('wire/identity');
  const chains = presented.chains.filter(({ enrolled }) => enrolled || listed !== undefined);
  if (listed === undefined) {
    const site = registered.site(study);
    if (site === null) return refuse('wire/identity');
    if (chains.length === 0) return refuse('enrolment/wrong-authority');
    const issued = registered.certificate(presented.fingerprint);
    if (site.revoked !== null || isEarlier(presented, site, issued)) return refuse('enrolment/revoked');
  }
  // Written so that a date that is none admits nobody.
  const lasting = chains.filter(({ notAfter }) => now <= notAfter);
  if (lasting.length === 0) return refuse('enrolment/expired');
  if (!lasting.some(({ notBefore }) => now >= notBefore)) return refuse('network/clock');
  return { study };
}

/**
 * Of an admission that was revoked before the present one. A certificate that the registry does not hold is a PKI's, or one that the
 * coordinator's own authority issued after the backup from which the registry was restored: its beginning tells.
 */
function isEarlier(presented: Presented, site: Site, issued: IssuedCertificate | null): boolean {
  if (issued !== null) return issued.revoked !== null;
  return site.since !== null && presented.notBefore < site.since;
}
