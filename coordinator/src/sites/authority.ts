/** The coordinator's own authority: issues the sites' certificates and the server's. Made once, and kept with its key. */
import { createPublicKey, X509Certificate } from 'node:crypto';

import { sha256 } from '@concordat/shared/wire/digest.ts';

import { issue, newAuthority, pemOf, type KeyPair, type Validity } from './certificates.ts';

const DAY = 86_400_000;
/** Life of the authority, days. */
const AUTHORITY_DAYS = 10 * 365;
/** What a site whose clock is behind may take for not valid yet; milliseconds. */
const BACKDATED = 60 * 60_000;

export interface Authority {
  readonly pair: KeyPair;
  /** DER. */
  readonly certificate: Uint8Array;
  /** SHA-256 of the certificate: what an invitation pins. */
  readonly fingerprint: Uint8Array;
}

export async function makeAuthority(commonName: string, now: Date): Promise<Authority> {
  return authorityOf(await newAuthority(commonName, validity(now, AUTHORITY_DAYS)));
}

export function authorityOf(pair: KeyPair): Authority {
  const { raw } = new X509Certificate(pair.certificate);
  return { pair, certificate: new Uint8Array(raw), fingerprint: sha256(raw) };
}

/** For `days` days from `now`, but never longer than the authority itself. Returns DER. */
export async function issueClient(
  authority: Authority,
  study: string,
  publicKey: Uint8Array,
  days: number,
  now: Date,
): Promise<Uint8Array> {
  return issue(
    authority.pair,
    { commonName: study, publicKey },
    { kind: 'client' },
    within(authority, now, days),
  );
}

/** A certificate of the coordinator's server for `key` (PEM), with the authority's behind it. Returns PEM. */
export async function issueServer(
  authority: Authority,
  hosts: readonly string[],
  key: string,
  days: number,
  now: Date,
): Promise<string> {
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const certificate = await issue(
    authority.pair,
    { commonName: 'Concordat coordinator', publicKey },
    { kind: 'server', hosts },
    within(authority, now, days),
  );
  return pemOf(certificate) + authority.pair.certificate;
}

function within(authority: Authority, now: Date, days: number): Validity {
  const { notBefore, notAfter } = validity(now, days);
  const end = new X509Certificate(authority.pair.certificate).validToDate;
  return { notBefore, notAfter: end < notAfter ? end : notAfter };
}

function validity(now: Date, days: number): Validity {
  return { notBefore: new Date(now.getTime() - BACKDATED), notAfter: new Date(now.getTime() + days * DAY) };
}
