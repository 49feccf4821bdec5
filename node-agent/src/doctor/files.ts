/** What the doctor checks on this machine: files, keys, records, agreement, folders, addresses. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { parseAgreement } from '@concordat/shared/agreement/document.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { openDivergences } from '@concordat/shared/log/divergence.ts';
import { divergenceCode } from '@concordat/shared/log/witness.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';
import { pageAddress } from '@concordat/web/address.ts';

import { RECORDS_PLACEHOLDER, type AgentConfig } from '../config.ts';
import { withSource } from '../data/read.ts';
import { openKey, readPassphrase } from '../identity/keys.ts';
import { attempt, fail, ok, warn, type Finding } from './finding.ts';

const DAY = 86_400_000;
const GIGABYTE = 2 ** 30;

export interface Machine {
  readonly now: () => Date;
  /** Bytes that this account may still write to the folder's disk. */
  readonly freeBytes: (folder: string) => number;
}

export async function checkFiles(config: AgentConfig, machine: Machine): Promise<readonly Finding[]> {
  const { health, page } = config;
  return [
    ...(await attempt('signing key', () => {
      const { publicKey } = signingIdentity(readKey(config, config.signing_key), config.signing_key);
      return ok('signing key', `public key ${toHex(publicKey)}`);
    })),
    ...(await attempt('certificate', () => checkCertificate(config, machine.now()))),
    ...[
      config.signing_key,
      config.tls.key,
      config.key_passphrase_file,
      config.proxy?.credentials_file,
      config.page?.key,
    ].flatMap(checkPermissions),
    ...(await attempt('records', () => checkRecords(config))),
    ...(await attempt('agreement', () => checkAgreement(config, machine.now()))),
    checkFolder('log folder', config.log, machine),
    checkFolder('state folder', config.state, machine),
    ...(await attempt('log', () => checkWitnesses(config))),
    ...(health === undefined ? [] : [await checkAddress('health address', health)]),
    ...(page === undefined
      ? []
      : await attempt('page address', async () => {
          pageAddress(page.listen, 'page');
          return checkAddress('page address', page.listen);
        })),
  ];
}

/** Whether an administrator has to say that this site's log and the coordinator's may go on. */
function checkWitnesses({ log }: AgentConfig): Finding {
  const [open] = openDivergences(fs, log, 'coordinator');
  if (open === undefined) return ok('log', "no divergence from the coordinator's is open");
  return fail(
    'log',
    `${divergenceCode(open.kind)}, noticed ${open.time}: nothing is answered`,
    'compare both logs with the consortium, then: `concordat agent acknowledge`',
  );
}

function checkCertificate(config: AgentConfig, now: Date): Finding {
  const { tls, study } = config;
  const certificate = readPem(tls.certificate, 'a certificate', (pem) => new X509Certificate(pem));
  const key = readPem(tls.key, 'a private key', () => createPrivateKey(readKey(config, tls.key)));
  const authorities = readPem(tls.ca, 'certificates', certificatesIn);
  const chain = readPem(tls.certificate, 'certificates', certificatesIn);
  const until = certificate.validToDate;
  const days = Math.floor((until.getTime() - now.getTime()) / DAY);
  const found = `for study ${study}, valid ${day(certificate.validFromDate)} to ${day(until)}`;
  const name = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? '';
  if (!certificate.checkPrivateKey(key)) {
    return fail(
      'certificate',
      'the certificate and the key do not belong together',
      'name the key that the certificate was made for as tls.key',
    );
  }
  if (!isIssued(certificate, authorities, chain.slice(1))) {
    return fail(
      'certificate',
      'enrolment/wrong-authority: the certificate is not of the authority in tls.ca',
      'compare fingerprints with the consortium out of band',
    );
  }
  if (certificate.validFromDate > now) {
    return fail(
      'certificate',
      `network/clock: the certificate is valid from ${day(certificate.validFromDate)}, and by this clock it is ${day(now)}`,
      "set this machine's clock, by NTP for instance",
    );
  }
  if (until < now) {
    return fail(
      'certificate',
      `enrolment/expired: the certificate expired on ${day(until)}`,
      'ask the consortium for a new invitation, if the clock is right',
    );
  }
  if (name !== study) {
    return warn(
      'certificate',
      `${found}; its name is another one`,
      'use the certificate that was issued to this study, or correct `study`',
    );
  }
  if (days < 7) {
    return warn(
      'certificate',
      `${found}: ${days} days left`,
      'an agent that runs renews it by itself; otherwise ask the consortium',
    );
  }
  return ok('certificate', found);
}

/** Who else may read a key. */
const certificatesIn = (pem: string): X509Certificate[] =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g)].map(
    ([one]) => new X509Certificate(one),
  );

/** By an authority that is trusted, directly or through intermediates that the certificate's file holds. */
function isIssued(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  intermediates: readonly X509Certificate[],
): boolean {
  const issues = (issuer: X509Certificate): boolean =>
    certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  return (
    authorities.some(issues) ||
    intermediates.some(
      (issuer, i) => issues(issuer) && isIssued(issuer, authorities, intermediates.toSpliced(i, 1)),
    )
  );
}

function checkPermissions(file: string | undefined): readonly Finding[] {
  if (file === undefined || !existsSync(file)) return [];
  const mode = statSync(file).mode & 0o777;
  const found = `${file} has mode ${mode.toString(8).padStart(4, '0')}`;
  const remedy = `chmod 600 ${file}`;
  if ((mode & 0o007) !== 0)
    return [fail('key permissions', `${found}: everyone may read or change it`, remedy)];
  if ((mode & 0o070) !== 0)
    return [warn('key permissions', `${found}: its group may read or change it`, remedy)];
  return [ok('key permissions', found)];
}

async function checkRecords({ data, map }: AgentConfig): Promise<Finding> {
  if (basename(data) === RECORDS_PLACEHOLDER)
    return fail('records', 'no records are named yet', 'write their path as `data` in agent.yaml');
  const columns = await withSource(data, {}, (source) => Promise.resolve(source.columns.length));
  if (map !== undefined) parseMap(readText(map), map);
  const harmonised = map === undefined ? '' : ', with a harmonisation map';
  return ok('records', `${data} can be read: ${columns} columns${harmonised}`);
}

function checkAgreement({ agreement: file }: AgentConfig, now: Date): Finding {
  const { name, until, approval, custodians } = parseAgreement(readText(file), file, { local: false });
  // Its last day counts, in UTC.
  const left = Math.ceil((Date.parse(`${until}T00:00:00Z`) + DAY - now.getTime()) / DAY);
  const who = custodians.length === 0 ? 'none' : custodians.map((custodian) => custodian.name).join(', ');
  const found = `"${name}", until ${until} (${Math.max(left, 0)} days left), approval: ${approval}, custodians: ${who}`;
  if (left <= 0) return fail('agreement', found, 'it has ended: nothing leaves until a new one is in force');
  if (left <= 30) return warn('agreement', found, 'agree on its renewal before a run is cut short');
  return ok('agreement', found);
}

/** A folder that is not there yet is made by the agent: what counts is the nearest one above it. */
function checkFolder(check: string, folder: string, { freeBytes }: Machine): Finding {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const trial = join(at, `.concordat-doctor-${process.pid}`);
  try {
    writeFileSync(trial, 'x', { flag: 'wx' });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return fail(
      check,
      `${at} cannot be written to (${code})`,
      code === 'ENOSPC'
        ? 'the disk is full: free some of it'
        : "give the agent's account the right to write there, or name another folder",
    );
  } finally {
    rmSync(trial, { force: true });
  }
  const free = freeBytes(at);
  const found = `${folder} can be written to, ${(free / GIGABYTE).toFixed(1)} GB free`;
  if (free < GIGABYTE / 16)
    return fail(check, found, 'free some of the disk: what cannot be logged is not sent');
  if (free < GIGABYTE) return warn(check, found, 'free some of the disk');
  return ok(check, found);
}

async function checkAddress(check: string, address: string): Promise<Finding> {
  // Loaded where it is asked for.
  const { healthServer } = await import('../health.ts');
  const server = healthServer(new Map());
  try {
    await server.listen(parseAddress(address));
    return ok(check, `${address} can be listened on`);
  } catch {
    return warn(
      check,
      `${address} cannot be listened on now`,
      'an agent that runs already holds it; otherwise choose a free port of this machine',
    );
  } finally {
    await server.close();
  }
}

function readPem<T>(file: string, what: string, parse: (pem: string) => T): T {
  const pem = readText(file);
  try {
    return parse(pem);
  } catch (cause) {
    throw new ConcordatError('config/invalid', `not ${what} in PEM`, { place: file, cause });
  }
}

/** A key in PEM, opened where it is encrypted. */
export function readKey(config: Pick<AgentConfig, 'key_passphrase_file'>, file: string): string {
  return openKey(readText(file), readPassphrase(config.key_passphrase_file), file);
}

export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
