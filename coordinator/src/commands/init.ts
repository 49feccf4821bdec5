/** `coordinator init`: a coordinator's folder, with everything that it needs to serve. Nothing is ever overwritten. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

import { certificatesOf } from '../exchange/front.ts';
import { readConfigured } from '../files.ts';
import { issueServer, makeAuthority } from '../sites/authority.ts';

export interface InitArguments {
  readonly dir: string;
  readonly host: string;
  readonly listen: string;
  readonly authority?: string;
  readonly certificate?: string;
  readonly key?: string;
}

const FILES = {
  config: 'coordinator.yaml',
  authority: 'authority.crt',
  authorityKey: 'authority.key',
  certificate: 'server.crt',
  key: 'server.key',
  signing: 'coordinator.signing.key',
} as const;

/** Life of the server's first certificate, days; coordinator.yaml says how long the next ones live. */
const DAYS = 30;

export async function init(options: InitArguments): Promise<void> {
  const { dir, host, listen } = options;
  checkArguments(options);
  const there = Object.values(FILES).find((name) => existsSync(join(dir, name)));
  if (there !== undefined) {
    throw new ConcordatError(
      'enrolment/exists',
      'a coordinator is there already; its authority is never replaced',
      {
        place: join(dir, there),
        remedy: 'start it, or choose another folder; only what an interrupted `init` left may be removed',
      },
    );
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const address = `${host}:${parseAddress(listen).port}`;
  const signing = generateSigningKey();
  const key = toHex(signingIdentity(signing, FILES.signing).publicKey);
  const own = ownPki(options);
  const said = own === null ? await writeAuthority(dir, host) : [];
  writeNew(dir, FILES.signing, signing);
  // Last: a folder with it is whole.
  writeNew(dir, FILES.config, configuration({ listen, address, own }));
  process.stdout.write(
    [
      `made ${join(dir, FILES.config)} and the keys beside it: back the folder up, and keep it from others`,
      ...said,
      `public signing key of the coordinator: ${key}`,
      own === null
        ? `next: concordat coordinator invite SITE --config ${join(dir, FILES.config)}`
        : `next: concordat coordinator admit SITE --key HEX --config ${join(dir, FILES.config)}`,
      `then: concordat coordinator --config ${join(dir, FILES.config)}`,
      '',
    ].join('\n'),
  );
}

function checkArguments({ host, listen }: InitArguments): void {
  if (!/^[^:/\s]{1,253}$/.test(host))
    throw new ConcordatError('usage/invalid', 'a host name or IPv4 address, without a port', {
      place: '--host',
    });
  if (!/^[^:/\s]+:[0-9]{1,5}$/.test(listen))
    throw new ConcordatError('usage/invalid', 'an address to listen on is host:port', { place: '--listen' });
}

interface OwnPki {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** The three files of another PKI, or none of them. */
function ownPki({ authority, certificate, key }: InitArguments): OwnPki | null {
  if (authority === undefined && certificate === undefined && key === undefined) return null;
  if (authority === undefined || certificate === undefined || key === undefined) {
    throw new ConcordatError(
      'usage/invalid',
      'a PKI of your own needs all of --authority, --certificate and --key',
      {
        remedy: 'leave out all three for an authority of the coordinator itself',
      },
    );
  }
  if (certificatesOf(readConfigured(authority)).length === 0)
    throw new ConcordatError('usage/invalid', 'the file holds no certificate in PEM', { place: authority });
  readConfigured(certificate);
  readConfigured(key);
  return { ca: resolve(authority), certificate: resolve(certificate), key: resolve(key) };
}

async function writeAuthority(dir: string, host: string): Promise<readonly string[]> {
  const now = new Date();
  // A name of its own: two authorities of one host are told apart.
  const authority = await makeAuthority(
    `Concordat authority ${toHex(randomBytes(4))} of ${host}`.slice(0, 64),
    now,
  );
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString();
  writeNew(dir, FILES.authorityKey, authority.pair.key);
  writeNew(dir, FILES.authority, authority.pair.certificate);
  writeNew(dir, FILES.key, key);
  writeNew(dir, FILES.certificate, await issueServer(authority, [host], key, DAYS, now));
  return [`fingerprint of the authority: ${toHex(authority.fingerprint)}`];
}

function writeNew(dir: string, name: string, text: string): void {
  let file: number;
  try {
    file = openSync(join(dir, name), 'wx', 0o600);
  } catch (cause) {
    throw new ConcordatError('usage/invalid', 'the folder cannot be written', {
      place: join(dir, name),
      cause,
    });
  }
  writeFileSync(file, text);
  fsyncSync(file);
  closeSync(file);
}

function configuration(made: { listen: string; address: string; own: OwnPki | null }): string {
  const { listen, address, own } = made;
  const quoted = (path: string): string => JSON.stringify(path);
  const tls = own ?? { certificate: FILES.certificate, key: FILES.key };
  return `# The coordinator. Paths are relative to this file; back up the whole folder, with the log.
coordinator: 1

# What to listen on, and what the agents dial: one host name, one port. Invitations carry \`address\`.
listen: ${quoted(listen)}
address: ${quoted(address)}

# Health endpoint: /health, /ready with each site's last call.
# health: 127.0.0.1:8090

# Page for auditors, who sign in with keys that \`concordat coordinator auditor NAME\` makes.
# audit_page: {listen: 127.0.0.1:8481}

# The server's own certificate and key (PEM). ${
    own === null
      ? 'The coordinator issues and renews them itself.'
      : 'Replace the files before they expire: new ones are read within the hour.'
  }
tls:
  certificate: ${quoted(tls.certificate)}
  key: ${quoted(tls.key)}

# Who issues the sites' certificates.
${
  own === null
    ? `authority:
  ca: ${FILES.authority}
  # The one key that must never leave this folder, nor be lost: a new authority means inviting every site again.
  key: ${FILES.authorityKey}
  # Life of a certificate in days; each side renews its own when a third is left.
  days: ${DAYS}
  # Further host names of this coordinator, for the server's certificate.
  # names: [coordinator.internal.example.org]`
    : `# A PKI of your own: a site's certificate has its study id as common name, and the site is admitted with
# \`concordat coordinator admit SITE --key HEX\`.
authority:
  ca: ${quoted(own.ca)}`
}

# The sites: who is enrolled, invited, revoked (SQLite).
registry: sites.sqlite

# The key that signs tasks (Ed25519); agents pin it.
signing_key: ${FILES.signing}

# The runs' journal (SQLite), and the message log.
state: journal.sqlite
log: log

# Sites that are known by their certificates, without enrolment.
# sites:
#   - study: ALDER
#     key: <public signing key, 64 hexadecimal digits>
#     certificate: <SHA-256 of the client certificate, 64 hexadecimal digits>
`;
}
