/** Builds an agent from its configuration; `run` is started by the command line. */
import { randomBytes, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { PeerLog } from '@concordat/shared/log/peer-log.ts';
import { divergenceCode } from '@concordat/shared/log/witness.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { refuseReservedStudy } from '@concordat/shared/plan/names.ts';
import { fromHex } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { Agent } from './agent.ts';
import { AgreementInForce, readAgreement } from './agreement/in-force.ts';
import { sealOf } from './agreement/seal.ts';
import { TemplateFiles } from './agreement/template-files.ts';
import {
  AGENT_CONFIG_SCHEMA,
  filesOf,
  RECORDS_PLACEHOLDER,
  resolvePaths,
  type AgentConfig,
  type WrittenAgentConfig,
} from './config.ts';
import { filesDigest } from './data/files-digest.ts';
import { ExchangeClient, type Timing } from './egress/client.ts';
import { dialer } from './egress/dial.ts';
import { Ledger } from './egress/ledger.ts';
import { routeTo } from './egress/proxy.ts';
import type { WorkerPool } from './fit/pool.ts';
import { certificateFingerprint, certificateStudy } from './identity/certificates.ts';
import { readConfigured, readTls, type TlsPair } from './identity/files.ts';
import { openKey, readPassphrase } from './identity/keys.ts';
import { keepCertificate, type RenewalCapabilities } from './identity/renewal.ts';
import type { Logger } from './logger.ts';

export interface AgentCapabilities {
  readonly logger: Logger;
  readonly workers: WorkerPool;
  /** Only `concordat local` sets this: approval may be automatic, and every threshold off. */
  readonly local: boolean;
  /** Of the connection; the shipped one where it is not given. */
  readonly timing?: Timing;
}

const parseConfig = documentReader<WrittenAgentConfig>({
  name: "agent's configuration",
  schema: AGENT_CONFIG_SCHEMA,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
});

export function readAgentConfig(file: string): AgentConfig {
  const config = parseConfig(readConfigured(file), file);
  refuseReservedStudy(config.study, `${file} study`);
  return resolvePaths(config, file);
}

export interface BuiltAgent {
  readonly agent: Agent;
  readonly log: MessageLog;
  /** Keeps the certificate alive until `signal` is aborted. */
  readonly keepCertificate: (capabilities: Omit<RenewalCapabilities, 'dial' | 'now'>) => Promise<void>;
}

export function buildAgent(
  config: AgentConfig,
  { logger, workers, local, timing }: AgentCapabilities,
): BuiltAgent {
  const { host, port } = parseAddress(config.coordinator);
  const dial = dialer(routeTo(host, port, config.proxy, process.env).proxy);
  const { study } = config;
  if (basename(config.data) === RECORDS_PLACEHOLDER) {
    throw new ConcordatError('config/invalid', 'no records are named yet', {
      place: 'data',
      remedy: "write the path of the trial's records in place of the placeholder in agent.yaml",
    });
  }
  const passphrase = readPassphrase(config.key_passphrase_file);
  const identity = signingIdentity(readSigningKey(config), config.signing_key);
  // Before the log is opened: an agent without an agreement leaves no trace of a start.
  const agreement = readAgreement(config.agreement, { local });
  const map = config.map === undefined ? null : parseMap(readConfigured(config.map), config.map);
  const ca = readConfigured(config.tls.ca);
  const pair = readTls(config.tls, passphrase);
  const client = new ExchangeClient({ address: config.coordinator, ca, ...pair, dial }, timing);
  checkStudy(pair.certificate, config);
  const log = new MessageLog({
    fs,
    directory: config.log,
    origin: siteOrigin(study),
    identity,
    now: () => new Date(),
    randomBytes: (n) => randomBytes(n),
  });
  // Also where it was replaced while no agent served, or by one that was killed before it could log that.
  log.append({ kind: 'start', detail: { certificate: certificateFingerprint(pair.certificate) } });
  const inForce = new AgreementInForce(config.agreement, { local }, log, ({ code, place = '', message }) =>
    logger.error({ event: 'agreement not usable: nothing is answered', study, code, place, detail: message }),
  );
  const templates = new TemplateFiles(dirname(config.agreement), log);
  const ledger =
    local && isOpenPolicy(agreement.policy) ? undefined : new Ledger(join(config.state, 'ledger'));
  const coordinatorKey = fromHex(config.coordinator_key);
  const witness = new PeerLog({
    log,
    identity,
    peer: 'coordinator',
    origin: COORDINATOR_ORIGIN,
    key: coordinatorKey,
    now: () => new Date(),
    told: (event, { kind }) => {
      const said = { study, code: divergenceCode(kind) };
      if (event === 'divergence') logger.error({ event: 'logs diverged: nothing is answered', ...said });
      else logger.info({ event: 'divergence acknowledged', ...said });
    },
    warned: (event) => logger.warn({ event, study }),
  });
  const agent = new Agent({
    study,
    identity,
    coordinatorKey,
    agreement: inForce,
    template: (path) => templates.at(path),
    snapshot: async () => sealOf(identity, await filesDigest(filesOf(config))),
    source: { data: config.data, map, secret: ledger?.secret ?? null },
    ledger,
    client,
    witness,
    log,
    state: config.state,
    now: () => new Date(),
    logger,
    workers,
  });
  const renewal = {
    study,
    address: config.coordinator,
    files: config.tls,
    ca,
    identity,
    passphrase,
    use: (next: TlsPair) => client.use(next),
    log,
    logger,
  };
  return {
    agent,
    log,
    keepCertificate: (rest) => keepCertificate(renewal, pair, { ...rest, dial, now: () => new Date() }),
  };
}

/** The site's signing key, in PEM. */
export function readSigningKey(config: AgentConfig): string {
  return openKey(
    readConfigured(config.signing_key),
    readPassphrase(config.key_passphrase_file),
    config.signing_key,
  );
}

/** Said at the start: the coordinator would only ever say that it has no task for this study. */
function checkStudy(certificate: string, { study, tls }: AgentConfig): void {
  const named = certificateStudy(new X509Certificate(certificate));
  if (named === null || named === study) return;
  throw new ConcordatError(
    'enrolment/wrong-site',
    `the certificate is of the study ${named}, not of ${study}`,
    {
      place: tls.certificate,
      remedy: 'name the certificate of this study, or correct `study`',
    },
  );
}
