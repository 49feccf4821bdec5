/** `coordinator invite`, `sites`, `revoke` and `admit`: they write to the registry, and a coordinator that runs sees it at once. */
import { randomBytes } from 'node:crypto';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { fromHex, toHex } from '@concordat/shared/wire/digest.ts';
import { writeInvitation } from '@concordat/shared/wire/invitation.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { parseCoordinatorConfig, type CoordinatorConfig } from '../config.ts';
import { readConfigured } from '../files.ts';
import { readText } from '../process.ts';
import { SiteRegistry } from '../sites/registry.ts';
import { readAuthority } from '../sites/server-certificate.ts';

const DAY = 86_400_000;

interface Configured {
  readonly config: string;
}

export function invite(study: string, { config: file, days }: Configured & { readonly days: number }): void {
  const config = read(file);
  const authority = readAuthority(config);
  if (authority === null || config.address === null) {
    throw new ConcordatError('usage/invalid', 'this coordinator issues no certificates', {
      place: file,
      remedy: 'have your PKI issue one, and admit the site: `concordat coordinator admit SITE --key HEX`',
    });
  }
  checkNew(config, study);
  const { publicKey } = signingIdentity(readConfigured(config.signing_key), config.signing_key);
  const secrets = { id: new Uint8Array(randomBytes(16)), secret: new Uint8Array(randomBytes(32)) };
  const expires = Date.now() + days * DAY;
  withRegistry(config, (registry) => registry.invite({ ...secrets, study, expires }));
  const line = writeInvitation({
    ...secrets,
    address: config.address,
    study,
    expires: Math.floor(expires / 1000),
    authority: authority.fingerprint,
    coordinatorKey: publicKey,
  });
  print([
    line,
    '',
    `for ${study}, once, until ${day(expires)}: whoever has this line can join as ${study}, so hand it to the site alone`,
    'the site runs: concordat agent join INVITATION --dir DIR --data FILE',
    `fingerprint of the authority (to compare by telephone): ${toHex(authority.fingerprint)}`,
  ]);
}

export function listSites({ config: file }: Configured): void {
  const config = read(file);
  const now = Date.now();
  const listed = config.sites.map(({ study, key }) => `${study}  listed in ${file}  key ${key}`);
  const enrolled = withRegistry(config, (registry) => {
    const sites = registry.sites();
    const invited = [...registry.openInvitations(now)].map(
      ([study, expires]) => `${study}  invited, until ${day(expires)}`,
    );
    return [
      ...sites.map(({ study, key, enrolled: since, revoked }) => {
        const ends = registry.lastCertificateEnds(study);
        const state =
          revoked === null
            ? `enrolled ${day(since)}${ends === null ? '' : `, certificate ${ends < now ? 'expired' : 'until'} ${day(ends)}`}`
            : `revoked ${day(revoked)}`;
        return `${study}  ${state}  key ${toHex(key)}`;
      }),
      ...invited,
    ];
  });
  const lines = [...listed, ...enrolled];
  print(lines.length === 0 ? ['no sites; invite one: concordat coordinator invite SITE'] : lines);
}

export function revoke(study: string, { config: file }: Configured): void {
  const config = read(file);
  if (config.sites.some((site) => site.study === study)) {
    throw new ConcordatError('usage/invalid', `${study} is listed in the configuration`, {
      place: file,
      remedy: 'take it out of `sites`, and start the coordinator again',
    });
  }
  const ended = withRegistry(config, (registry) => registry.revoke(study, Date.now()));
  if (!ended) {
    throw new ConcordatError('usage/invalid', `no site ${study} is enrolled or invited`, {
      place: file,
      remedy: '`concordat coordinator sites` lists them',
    });
  }
  print([`${study} is revoked: from its next call it gets nothing, and what it sends is not taken`]);
}

export function admitSite(study: string, { config: file, key }: Configured & { readonly key: string }): void {
  const config = read(file);
  if (!/^[0-9a-f]{64}$/.test(key)) {
    throw new ConcordatError('usage/invalid', 'a public signing key has 64 hexadecimal digits', {
      place: '--key',
    });
  }
  if (config.enrolment !== null && config.enrolment.key !== null) {
    throw new ConcordatError('usage/invalid', 'sites of this coordinator join by invitation', {
      place: file,
      remedy: `concordat coordinator invite ${study}`,
    });
  }
  checkNew(config, study);
  withRegistry(config, (registry) => registry.admit(study, fromHex(key), Date.now()));
  print([`${study} is admitted with a certificate of the authority whose common name is ${study}`]);
}

function read(file: string): CoordinatorConfig {
  return parseCoordinatorConfig(readText(file, 'config/invalid'), file);
}

function checkNew({ sites, file }: CoordinatorConfig, study: string): void {
  if (study === '' || [...study].length > 200)
    throw new ConcordatError('usage/invalid', 'a study id has 1 to 200 characters', { place: study });
  if (!sites.some((site) => site.study === study)) return;
  throw new ConcordatError('enrolment/exists', `${study} is listed in the configuration`, {
    place: file,
    remedy: 'take it out of `sites` first',
  });
}

function withRegistry<T>({ enrolment, file }: CoordinatorConfig, work: (registry: SiteRegistry) => T): T {
  if (enrolment === null) {
    throw new ConcordatError(
      'usage/invalid',
      'this coordinator has only the sites that its configuration lists',
      {
        place: file,
        remedy: 'give it an `authority`, or make one with `concordat coordinator init`',
      },
    );
  }
  const registry = new SiteRegistry(enrolment.registry);
  try {
    return work(registry);
  } finally {
    registry.close();
  }
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace('T', ' ').concat(' UTC');
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
