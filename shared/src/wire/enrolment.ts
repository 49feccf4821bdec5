/** What both ends of an enrolment agree on: limits, what is signed, and the closed list of refusals. */
import { ConcordatError, type ErrorCode } from '../errors.ts';

export const ENROL_PATH = '/concordat.v1.FederationService/Enrol';

/** Largest message that the coordinator reads from someone whom it does not know, bytes. */
export const ENROL_FRAME_LIMIT = 16 * 1024;

/** Furthest that the clocks of the two sides may be apart, milliseconds. */
export const CLOCK_TOLERANCE = 5 * 60_000;

/** What the site's key signs: the invitation's id (none for a renewal) and the request. */
export function enrolmentStatement(invitation: Uint8Array, request: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([invitation, request]));
}

/** Whether a certificate is to be renewed: less than a third of its life is left. All in milliseconds since 1970. */
export function isRenewalDue(notBefore: number, notAfter: number, now: number): boolean {
  return notAfter - now < (notAfter - notBefore) / 3;
}

/**
 * Why the coordinator does not admit a caller, in a status's details: code → what to tell a person. Nothing else is ever
 * written there, and a text that is not one of these is not read.
 */
const REFUSALS = {
  'enrolment/invitation': [
    'the coordinator does not know this invitation',
    'ask the consortium for a new one: `concordat coordinator invite SITE`',
  ],
  'enrolment/used': [
    'the invitation was used before, with other keys',
    'if that was not you, tell the consortium, which can revoke the site and invite it again',
  ],
  'enrolment/expired': [
    'the invitation or the certificate is past its time',
    'ask the consortium for a new invitation',
  ],
  'enrolment/revoked': ["the site's admission was revoked", 'ask the consortium why'],
  'enrolment/wrong-site': [
    'the certificate or the invitation is of another study',
    'use the files that were made for this study',
  ],
  'enrolment/wrong-authority': [
    "the certificate is not of the coordinator's authority, or is not one for clients",
    'compare the fingerprints of the authority out of band; join again with a new invitation',
  ],
  'network/clock': [
    'the clocks of the two sides are more than 5 minutes apart, or the certificate is not valid yet',
    'set the clock, by NTP for instance',
  ],
  'wire/identity': [
    'the coordinator knows no site of this certificate',
    'join with an invitation; with a PKI of your own, have the site admitted: `concordat coordinator admit`',
  ],
} as const satisfies Partial<Record<ErrorCode, readonly [string, string]>>;

export type AdmissionCode = keyof typeof REFUSALS;

/** The code that a status's details hold; null for anything else. */
export function admissionCode(details: string): AdmissionCode | null {
  return Object.hasOwn(REFUSALS, details) ? (details as AdmissionCode) : null;
}

export function admissionError(code: AdmissionCode, place?: string): ConcordatError {
  const [message, remedy] = REFUSALS[code];
  return new ConcordatError(code, message, { remedy, ...(place === undefined ? {} : { place }) });
}
