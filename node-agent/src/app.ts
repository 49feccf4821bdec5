/** Builds an agent from its configuration; `run` is started by the command line. */
import { randomBytes, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { basename } from 'node:path';

import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { fromHex, sha256 } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { Agent } from './agent.ts';
import { parseAgreement } from './agreement/document.ts';
import {
  AGENT_CONFIG_SCHEMA,
  RECORDS_PLACEHOLDER,
  resolvePaths,
  type AgentConfig,
  type WrittenAgentConfig,
} from './config.ts';
import { ExchangeClient } from './egress/client.ts';
import { dialDirect } from './egress/dial.ts';
import { assertDirect } from './egress/direct.ts';
import type { WorkerPool } from './fit/pool.ts';
import { certificateStudy } from './identity/certificates.ts';
import { readConfigured, readTls, type TlsPair } from './identity/files.ts';
import { openKey, readPassphrase } from './identity/keys.ts';
import { keepCertificate, type RenewalCapabilities } from './identity/renewal.ts';
import type { Logger } from './logger.ts';

export interface AgentCapabilities {
  readonly logger: Logger;
  readonly workers: WorkerPool;
  /** Only `concordat local` sets this: approval may be automatic, and every threshold off. */
  readonly local: boolean;
}

const parseConfig = documentReader<WrittenAgentConfig>({
  name: "agent's configuration",
  schema: AGENT_CONFIG_SCHEMA,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
});

export function readAgentConfig(file: string): AgentConfig {
  return resolvePaths(parseConfig(readConfigured(file), file), file);
}

export interface BuiltAgent {
  readonly agent: Agent;
  /** Keeps the certificate alive until `signal` is aborted. */
  readonly keepCertificate: (capabilities: Omit<RenewalCapabilities, 'dial' | 'now'>) => Promise<void>;
}

export function buildAgent(config: AgentConfig, capabilities: AgentCapabilities): BuiltAgent {
  assertDirect(config.coordinator, process.env);
  if (basename(config.data) === RECORDS_PLACEHOLDER) {
    throw new ConcordatError('config/invalid', 'no records are named yet', {
      place: 'data',
      remedy: "write the path of the trial's records in place of the placeholder in agent.yaml",
    });
  }
  const passphrase = readPassphrase(config.key_passphrase_file);
  const identity = signingIdentity(
    openKey(readConfigured(config.signing_key), passphrase, config.signing_key),
    config.signing_key,
  );
  const agreement = parseAgreement(readConfigured(config.agreement), config.agreement, capabilities);
  const map = config.map === undefined ? null : parseMap(readConfigured(config.map), config.map);
  const ca = readConfigured(config.tls.ca);
  const pair = readTls(config.tls, passphrase);
  const client = new ExchangeClient({ address: config.coordinator, ca, ...pair });
  checkStudy(pair.certificate, config);
  const log = new MessageLog({
    fs,
    directory: config.log,
    origin: `concordat/site/${encodeURIComponent(config.study)}`,
    identity,
    now: () => new Date(),
    randomBytes: (n) => randomBytes(n),
  });
  log.append({ kind: 'start', detail: { agreement: agreement.digest, policy: agreement.policy.name } });
  const agent = new Agent({
    study: config.study,
    identity,
    coordinatorKey: fromHex(config.coordinator_key),
    policy: agreement.policy,
    policyDigest: sha256(JSON.stringify(agreement.policy)),
    openPolicy: isOpenPolicy(agreement.policy),
    source: { data: config.data, map },
    client,
    log,
    logger: capabilities.logger,
    workers: capabilities.workers,
  });
  const renewal = {
    study: config.study,
    address: config.coordinator,
    files: config.tls,
    ca,
    identity,
    passphrase,
    use: (next: TlsPair) => client.use(next),
    log,
    logger: capabilities.logger,
  };
  return {
    agent,
    keepCertificate: (rest) =>
      keepCertificate(renewal, pair, { ...rest, dial: dialDirect, now: () => new Date() }),
  };
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
