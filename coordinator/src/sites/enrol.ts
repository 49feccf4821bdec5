/** Answers a request for a certificate: with an invitation, or by a site that is admitted and renews. */
import { X509Certificate } from 'node:crypto';

import type { EnrolRequest, EnrolResponse } from '@concordat/proto/concordat/v1/enrolment.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { admissionError, enrolmentStatement } from '@concordat/shared/wire/enrolment.ts';
import { negotiate, PROTOCOL_NEWEST, PROTOCOL_OLDEST } from '@concordat/shared/wire/protocol.ts';
import { verifyBytes } from '@concordat/shared/wire/signing.ts';

import type { Admission } from './admission.ts';
import { issueClient, type Authority } from './authority.ts';
import { readRequest } from './certificates.ts';
import type { Applicant, IssuedCertificate, Site, SiteRegistry } from './registry.ts';

export interface EnrolmentOptions {
  readonly registry: SiteRegistry;
  readonly authority: Authority;
  /** Life of a site's certificate, days. */
  readonly days: number;
  /** Studies that the configuration lists with their certificates: they are not enrolled. */
  readonly listed: ReadonlySet<string>;
  /** Called when a certificate was issued, before it is sent. */
  readonly issued: (event: IssuedEvent) => void;
}

export interface IssuedEvent {
  readonly study: string;
  readonly decision: 'enrolled' | 'renewed';
  /** SHA-256 of the certificate, hex. */
  readonly certificate: string;
  /** The site's public signing key, hex. */
  readonly key: string;
}

/**
 * `admission`: of the caller, asked for when the request has been read.
 * @throws ConcordatError `enrolment/…`, `wire/…`: why no certificate is issued
 */
export async function enrol(
  options: EnrolmentOptions,
  request: EnrolRequest,
  admission: () => Admission,
  now: Date,
): Promise<EnrolResponse> {
  const own = { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST };
  const protocol = negotiate(own, { oldest: request.protocolOldest, newest: request.protocolNewest });
  const ranges = { protocol, protocolOldest: own.oldest, protocolNewest: own.newest };
  if (protocol === 0) return { ...ranges, chain: [], time: 0, notAfter: 0 };
  const applicant = await readApplicant(request);
  const renewal = request.invitation.length === 0;
  if (options.listed.has(applicant.study)) throw admissionError('wire/identity', applicant.study);
  const site = renewal
    ? renewing(options.registry, applicant, admission())
    : options.registry.claim(request.invitation, request.secret, applicant, now.getTime());
  const issued =
    earlier(options.registry, applicant, now) ??
    (await issueTo(options, applicant, site, renewal ? 'renewed' : 'enrolled', now));
  return {
    ...ranges,
    chain: [issued.certificate, options.authority.certificate],
    time: seconds(now.getTime()),
    notAfter: seconds(issued.notAfter),
  };
}

async function readApplicant({ invitation, request, key, signature }: EnrolRequest): Promise<Applicant> {
  if (!verifyBytes(key, 'concordat.v1 enrolment\n', enrolmentStatement(invitation, request), signature))
    throw new ConcordatError('wire/signature', 'the request is not signed by the key that it names');
  const { study, publicKey } = await readRequest(request);
  return { study, key, tls: publicKey };
}

function renewing(registry: SiteRegistry, { study, key }: Applicant, admission: Admission): Site {
  if ('refused' in admission) throw admissionError(admission.refused);
  if (admission.study !== study) throw admissionError('enrolment/wrong-site', study);
  const site = registry.site(study);
  if (site === null || !sameBytes(site.key, key)) throw admissionError('wire/identity', study);
  return site;
}

/** The certificate that was issued for this very key, so that asking again after a crash gives the same bytes. */
function earlier(registry: SiteRegistry, { study, tls }: Applicant, now: Date): IssuedCertificate | null {
  const found = registry.certificateFor(study, tls);
  if (found !== null && found.revoked !== null) throw admissionError('enrolment/revoked', study);
  return found === null || found.notAfter <= now.getTime() ? null : found;
}

async function issueTo(
  { registry, authority, days, issued }: EnrolmentOptions,
  applicant: Applicant,
  { enrolled }: Site,
  decision: IssuedEvent['decision'],
  now: Date,
): Promise<IssuedCertificate> {
  const { study, key, tls } = applicant;
  const certificate = await issueClient(authority, study, tls, days, now);
  const fingerprint = sha256(certificate);
  const notAfter = new X509Certificate(certificate).validToDate.getTime();
  const made = { fingerprint, certificate, notAfter };
  const kept = registry.addCertificate(made, applicant, enrolled, now.getTime());
  // Another call with the same key may have had its own while this one was made.
  if (sameBytes(kept.fingerprint, fingerprint))
    issued({ study, decision, certificate: toHex(fingerprint), key: toHex(key) });
  return kept;
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
