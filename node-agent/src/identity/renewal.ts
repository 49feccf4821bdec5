/**
 * Keeps this site's certificate alive while the agent serves: asks for another, for a new key, when a third of its life is
 * left, proves it, and then lets it take the old one's place. Files that someone else replaced, as a PKI of the institution's
 * own would, are taken too. Nothing waits for it, and nothing is interrupted.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { isRenewalDue } from '@concordat/shared/wire/enrolment.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Dial } from '../egress/dial.ts';
import type { Logger } from '../logger.ts';
import { certificateFingerprint } from './certificates.ts';
import { fits, installTls, nextOf, readTls, replacePrivate, type TlsFiles, type TlsPair } from './files.ts';
import { newTlsKey, openKey } from './keys.ts';

export interface RenewalOptions {
  readonly study: string;
  /** host:port of the coordinator. */
  readonly address: string;
  readonly files: TlsFiles;
  /** PEM of the coordinator's authority. */
  readonly ca: string;
  readonly identity: SigningIdentity;
  /** Of the keys' files; null where they are not encrypted. */
  readonly passphrase: string | null;
  /** Takes the new pair for the connections to come. */
  readonly use: (pair: TlsPair) => void;
  readonly log: Pick<MessageLog, 'append'>;
  readonly logger: Logger;
}

export interface RenewalCapabilities {
  readonly dial: Dial;
  readonly now: () => Date;
  readonly random: () => number;
  /** Resolves early when `signal` is aborted. */
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Longest time between two looks at the certificate, milliseconds. */
const CHECK = 60 * 60_000;
const FIRST_RETRY = 10_000;

/** Before the next look, milliseconds: full jitter over half of the time, so that sites do not come all at once. */
export function renewalPause(failures: number, random: number): number {
  const longest = failures === 0 ? CHECK : Math.min(CHECK, FIRST_RETRY * 2 ** (failures - 1));
  return Math.round(longest * (0.5 + random / 2));
}

/** Until `signal` is aborted. */
export async function keepCertificate(
  options: RenewalOptions,
  used: TlsPair,
  capabilities: RenewalCapabilities,
): Promise<void> {
  const { study, logger } = options;
  const { now, random, sleep, signal } = capabilities;
  let pair = used;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const found = readTls(options.files, options.passphrase);
      if (found.certificate !== pair.certificate && fits(found.certificate, found.key))
        pair = take(options, 'certificate replaced', pair, found);
      const renewed = isDue(pair, now()) ? await renew(options, pair, capabilities) : null;
      if (renewed !== null) pair = take(options, 'certificate renewed', pair, renewed);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      const code = error instanceof ConcordatError ? error.code : 'config/invalid';
      logger.warn({ event: 'certificate not renewed', study, code });
      failures++;
    }
    await sleep(renewalPause(failures, random()));
  }
}

function isDue({ certificate }: TlsPair, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return isRenewalDue(validFromDate.getTime(), validToDate.getTime(), now.getTime());
}

/** The new pair, in its files; null where the agent was stopped meanwhile. */
async function renew(
  { study, address, files, ca, identity, passphrase }: RenewalOptions,
  old: TlsPair,
  { dial, now, signal }: RenewalCapabilities,
): Promise<TlsPair | null> {
  // Loaded when it is needed: about once in weeks.
  const { requestCertificate } = await import('../egress/enrol.ts');
  const key = nextKey(files, passphrase);
  const authority = new Uint8Array(createHash('sha256').update(new X509Certificate(ca).raw).digest());
  const ask = (by: TlsPair): Promise<{ readonly certificate: string }> =>
    requestCertificate({ address, authority, study, tlsKey: key, identity, by }, { dial, now, signal });
  const { certificate } = await ask(old);
  // Proved before the old one goes: the coordinator admits the new one, and gives it again.
  await ask({ certificate, key });
  if (signal.aborted) return null;
  installTls(files, certificate);
  return { certificate, key };
}

/** Of a renewal that was interrupted, or a new one: the coordinator gives the same certificate for the same key. */
function nextKey(files: TlsFiles, passphrase: string | null): string {
  const file = nextOf(files.key);
  if (existsSync(file)) {
    try {
      return openKey(readFileSync(file, 'utf8'), passphrase, file);
    } catch (error) {
      // Written with another passphrase: nobody knows it by a certificate yet, so that another takes its place.
      if (!(error instanceof ConcordatError)) throw error;
    }
  }
  const pem = newTlsKey(passphrase);
  replacePrivate(file, pem);
  return openKey(pem, passphrase, file);
}

function take(options: RenewalOptions, decision: string, old: TlsPair, next: TlsPair): TlsPair {
  const certificate = certificateFingerprint(next.certificate);
  options.log.append({
    kind: 'decision',
    peer: 'coordinator',
    detail: { decision, certificate, before: certificateFingerprint(old.certificate) },
  });
  options.use(next);
  options.logger.info({ event: decision, study: options.study });
  return next;
}
