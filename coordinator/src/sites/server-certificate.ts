/**
 * The server's own certificate. The coordinator's authority issues it, and issues it anew, with a new key, when a third of its
 * life is left or the host names change; another PKI's is read from its files, so that replacing them is enough.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';

import { isRenewalDue } from '@concordat/shared/wire/enrolment.ts';

import type { CoordinatorConfig } from '../config.ts';
import type { ServerTls } from '../exchange/front.ts';
import { readConfigured, replacePrivate } from '../files.ts';
import { authorityOf, issueServer, type Authority } from './authority.ts';

/** Null where certificates are another authority's. */
export function readAuthority({ enrolment }: CoordinatorConfig): Authority | null {
  if (enrolment === null || enrolment.key === null) return null;
  return authorityOf({ certificate: readConfigured(enrolment.ca), key: readConfigured(enrolment.key) });
}

/** What the server listens with at `now`; issued and written first where it is due. */
export async function serverTls(
  config: CoordinatorConfig,
  authority: Authority | null,
  now: Date,
): Promise<ServerTls> {
  const { tls, enrolment } = config;
  if (authority !== null && enrolment !== null && isDue(config, authority, now)) {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ format: 'pem', type: 'pkcs8' })
      .toString();
    const certificate = await issueServer(authority, enrolment.hosts, key, enrolment.days, now);
    // Killed between the two, they do not fit, and the next start issues again.
    replacePrivate(tls.key, key);
    replacePrivate(tls.certificate, certificate);
  }
  return {
    ca: {
      enrolled: enrolment === null ? null : readConfigured(enrolment.ca),
      listed: tls.ca === null ? null : readConfigured(tls.ca),
    },
    certificate: readConfigured(tls.certificate),
    key: readConfigured(tls.key),
  };
}

function isDue({ tls, enrolment }: CoordinatorConfig, authority: Authority, now: Date): boolean {
  if (!existsSync(tls.certificate) || !existsSync(tls.key)) return true;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readConfigured(tls.certificate));
    if (!certificate.checkPrivateKey(createPrivateKey(readConfigured(tls.key)))) return true;
  } catch {
    // Cut short by a crash, or not of this program: a new one takes its place.
    return true;
  }
  const issuer = new X509Certificate(authority.pair.certificate);
  return (
    !certificate.checkIssued(issuer) ||
    isRenewalDue(certificate.validFromDate.getTime(), certificate.validToDate.getTime(), now.getTime()) ||
    (enrolment?.hosts ?? []).some(
      (host) => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) === undefined,
    )
  );
}
