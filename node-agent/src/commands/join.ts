/**
 * `agent join`: makes this site's keys, has the coordinator certify them, and writes the configuration. One that died half
 * way goes on with the keys that it made, where the invitation is the same; what a site uses already is never overwritten.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { join as joinPath, resolve } from 'node:path';

import type { Invitation } from '@concordat/proto/concordat/v1/enrolment.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { readInvitation } from '@concordat/shared/wire/invitation.ts';
import { signingIdentity, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { agreementTemplate } from '../agreement/template.ts';
import { RECORDS_PLACEHOLDER } from '../config.ts';
import { dialer } from '../egress/dial.ts';
import { routeTo } from '../egress/proxy.ts';
import { requestCertificate, type Enrolled, type EnrolmentCapabilities } from '../egress/enrol.ts';
import { certificateFingerprint } from '../identity/certificates.ts';
import { readConfigured, replacePrivate } from '../identity/files.ts';
import { newSigningKey, newTlsKey, openKey, readPassphrase } from '../identity/keys.ts';

export interface JoinArguments {
  readonly dir: string;
  readonly data?: string;
  readonly keyPassphraseFile?: string;
}

const FILES = {
  config: 'agent.yaml',
  agreement: 'agreement.yaml',
  ca: 'ca.crt',
  certificate: 'site.crt',
  key: 'tls.key',
  signing: 'signing.key',
  log: 'log',
  /** There while a join is not finished: the id of its invitation, for which the keys beside it were made. */
  pending: 'join.pending',
} as const;

export async function join(line: string, options: JoinArguments): Promise<void> {
  // An argument can be read by other users of the machine while the command runs; standard input cannot.
  const invitation = readInvitation(line === '-' ? fs.readFileSync(0, 'utf8') : line);
  const { host, port } = parseAddress(invitation.address);
  const { certificate, identity } = await joinSite(invitation, options, {
    dial: dialer(routeTo(host, port, undefined, process.env).proxy),
    now: () => new Date(),
    signal: new AbortController().signal,
  });
  const at = (name: string): string => joinPath(options.dir, name);
  const ends = new X509Certificate(certificate).validToDate.toISOString().slice(0, 10);
  process.stdout.write(
    [
      `${invitation.study} has joined ${invitation.address}`,
      `  fingerprint of its authority, pinned: ${toHex(invitation.authority)}`,
      `  public signing key of this site:      ${toHex(identity.publicKey)}`,
      `  certificate until ${ends}; the agent renews it while it serves`,
      '',
      ...(options.data === undefined
        ? [`first: name the records as \`data\` in ${at(FILES.config)}`]
        : fs.existsSync(options.data)
          ? []
          : [
              `warning: there is no file ${resolve(options.data)} yet; correct \`data\` in ${at(FILES.config)}`,
            ]),
      `next, from the folder of the program, each with --config ${at(FILES.config)}:`,
      '  npx concordat agent custodian NAME       your key, with which you sign what you decide',
      `  fill in ${at(FILES.agreement)}`,
      '  npx concordat agent agreement check      then: agreement explain',
      '  npx concordat agent doctor',
      '  npx concordat agent                      serves until stopped',
      '',
    ].join('\n'),
  );
}

/** @throws ConcordatError `enrolment/…`, `network/…` */
export async function joinSite(
  invitation: Invitation,
  options: JoinArguments,
  capabilities: EnrolmentCapabilities,
): Promise<Enrolled & { readonly identity: SigningIdentity }> {
  const { dir } = options;
  const { address, study, id, secret, authority } = invitation;
  const at = (name: string): string => joinPath(dir, name);
  const passphrase = readPassphrase(options.keyPassphraseFile);
  begin(dir, toHex(id));
  const make = (name: string, made: (passphrase: string | null) => string): string => {
    if (!fs.existsSync(at(name))) replacePrivate(at(name), made(passphrase));
    return openKey(readConfigured(at(name)), passphrase, at(name));
  };
  const tlsKey = make(FILES.key, newTlsKey);
  const identity = signingIdentity(make(FILES.signing, newSigningKey), at(FILES.signing));
  const enrolled = await requestCertificate(
    { address, authority, study, tlsKey, identity, by: { id, secret } },
    capabilities,
  );
  replacePrivate(at(FILES.ca), enrolled.authority);
  replacePrivate(at(FILES.certificate), enrolled.certificate);
  note(at(FILES.log), invitation, identity, enrolled, capabilities.now);
  if (!fs.existsSync(at(FILES.agreement))) replacePrivate(at(FILES.agreement), agreementTemplate(study));
  // Last: a folder with it is whole.
  replacePrivate(at(FILES.config), configuration(invitation, options));
  fs.rmSync(at(FILES.pending));
  return { ...enrolled, identity };
}

/** Prepares a folder without keys, or one in which a join was interrupted or turned away. */
function begin(dir: string, invitation: string): void {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pending = joinPath(dir, FILES.pending);
  const unfinished = fs.existsSync(pending);
  const taken = [FILES.config, FILES.key, FILES.signing, FILES.certificate].find((name) =>
    fs.existsSync(joinPath(dir, name)),
  );
  if (taken !== undefined && (!unfinished || taken === FILES.config)) {
    throw new ConcordatError('enrolment/exists', 'keys or a configuration are there already', {
      place: joinPath(dir, taken),
      remedy: 'start the agent with them, or join into another folder; nothing is overwritten',
    });
  }
  // The earlier invitation may have been used with these keys and revoked since: they would be turned away for good.
  if (unfinished && readConfigured(pending).trim() !== invitation)
    for (const name of [FILES.key, FILES.signing, FILES.certificate])
      fs.rmSync(joinPath(dir, name), { force: true });
  replacePrivate(pending, `${invitation}\n`);
}

/** The first entry of this site's log: whom it trusts from now on, and with which keys. */
function note(
  directory: string,
  { study, authority, coordinatorKey }: Invitation,
  identity: SigningIdentity,
  { certificate }: Enrolled,
  now: () => Date,
): void {
  const log = new MessageLog({
    fs,
    directory,
    origin: `concordat/site/${encodeURIComponent(study)}`,
    identity,
    now,
    randomBytes: (n) => randomBytes(n),
  });
  const detail = {
    decision: 'joined',
    authority: toHex(authority),
    coordinator: toHex(coordinatorKey),
    key: toHex(identity.publicKey),
    certificate: certificateFingerprint(certificate),
  };
  const noted = log.entries.some(
    ({ kind, detail: earlier }) => kind === 'decision' && earlier?.['certificate'] === detail.certificate,
  );
  if (!noted) log.append({ kind: 'decision', peer: 'coordinator', detail });
  log.close();
}

function configuration(
  { address, study, coordinatorKey, authority }: Invitation,
  { data, keyPassphraseFile }: JoinArguments,
): string {
  const quoted = (value: string): string => JSON.stringify(value);
  return `# The agent of ${study.replaceAll(/\p{C}/gu, ' ')}. Paths are relative to this file.
agent: 1
study: ${quoted(study)}

# The coordinator: the one host and port that the agent dials, and the key with which it signs its tasks.
coordinator: ${quoted(address)}
coordinator_key: ${quoted(toHex(coordinatorKey))}

# PEM files. \`ca\` is the coordinator's authority, pinned when this site joined (SHA-256 ${toHex(authority).slice(0, 16)}…); the agent renews
# certificate and key itself while it serves.
tls:
  ca: ${FILES.ca}
  certificate: ${FILES.certificate}
  key: ${FILES.key}

# This site's own signing key (Ed25519).
signing_key: ${FILES.signing}

# File of the passphrase that opens both keys, where they are encrypted.
${keyPassphraseFile === undefined ? '# key_passphrase_file: /run/secrets/concordat' : `key_passphrase_file: ${quoted(resolve(keyPassphraseFile))}`}

# The trial's records: CSV, TSV, Parquet, JSON or NDJSON. Read here, and nowhere else.
data: ${quoted(data === undefined ? RECORDS_PLACEHOLDER : resolve(data))}

# How this trial's columns and codes become the plan's.
# map: map.yaml

# What the data-sharing agreement allows.
agreement: ${FILES.agreement}

# What the agent keeps: decisions of the custodian and other state, and its message log. Back both up.
state: state
log: ${FILES.log}

# Health endpoint: /health, /ready.
# health: 127.0.0.1:8080

# The way out, where it leads through a proxy.
# proxy:
#   url: http://proxy.example.org:3128
#   ca: proxy-ca.crt
#   credentials_file: proxy-credentials
#   no_proxy: 10.0.0.0/8, .example.org

# The custodian's page.
# page:
#   listen: 127.0.0.1:8480
`;
}
