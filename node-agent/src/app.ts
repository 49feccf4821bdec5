/** Builds an agent from its configuration; `run` is started by the command line. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';

import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { fromHex, sha256 } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { Agent } from './agent.ts';
import { parseAgreement } from './agreement/document.ts';
import { AGENT_CONFIG_SCHEMA, resolvePaths, type AgentConfig, type WrittenAgentConfig } from './config.ts';
import { ExchangeClient } from './egress/client.ts';
import { assertDirect } from './egress/direct.ts';
import type { WorkerPool } from './fit/pool.ts';
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
  return resolvePaths(parseConfig(readText(file), file), file);
}

export function buildAgent(config: AgentConfig, capabilities: AgentCapabilities): Agent {
  assertDirect(config.coordinator, process.env);
  const identity = signingIdentity(readText(config.signing_key), config.signing_key);
  const agreement = parseAgreement(readText(config.agreement), config.agreement, capabilities);
  const map = config.map === undefined ? null : parseMap(readText(config.map), config.map);
  const client = new ExchangeClient({
    address: config.coordinator,
    ca: readText(config.tls.ca),
    certificate: readText(config.tls.certificate),
    key: readText(config.tls.key),
  });
  const log = new MessageLog({
    fs,
    directory: config.log,
    origin: `concordat/site/${encodeURIComponent(config.study)}`,
    identity,
    now: () => new Date(),
    randomBytes: (n) => randomBytes(n),
  });
  log.append({ kind: 'start', detail: { agreement: agreement.digest, policy: agreement.policy.name } });
  return new Agent({
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
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}
