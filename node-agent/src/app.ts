/** Builds an agent from its configuration; `run` is started by the command line. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { isOpenPolicy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { fromHex } from '@concordat/shared/wire/digest.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { Agent } from './agent.ts';
import { AgreementInForce, readAgreement } from './agreement/in-force.ts';
import { sealOf } from './agreement/seal.ts';
import {
  AGENT_CONFIG_SCHEMA,
  filesOf,
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
  return resolvePaths(parseConfig(readText(file), file), file);
}

export function buildAgent(
  config: AgentConfig,
  { logger, workers, local, timing }: AgentCapabilities,
): { readonly agent: Agent; readonly log: MessageLog } {
  const { host, port } = parseAddress(config.coordinator);
  const { proxy } = routeTo(host, port, config.proxy, process.env);
  const { study } = config;
  const identity = signingIdentity(readSigningKey(config), config.signing_key);
  // Before the log is opened: an agent without an agreement leaves no trace of a start.
  const agreement = readAgreement(config.agreement, { local });
  const map = config.map === undefined ? null : parseMap(readText(config.map), config.map);
  const client = new ExchangeClient(
    {
      address: config.coordinator,
      ca: readText(config.tls.ca),
      certificate: readText(config.tls.certificate),
      key: readText(config.tls.key),
      dial: dialer(proxy),
    },
    timing,
  );
  const log = new MessageLog({
    fs,
    directory: config.log,
    origin: `concordat/site/${encodeURIComponent(study)}`,
    identity,
    now: () => new Date(),
    randomBytes: (n) => randomBytes(n),
  });
  log.append({ kind: 'start' });
  const inForce = new AgreementInForce(config.agreement, { local }, log, ({ code, place = '', message }) =>
    logger.error({ event: 'agreement not usable: nothing is answered', study, code, place, detail: message }),
  );
  const ledger =
    local && isOpenPolicy(agreement.policy) ? undefined : new Ledger(join(config.state, 'ledger'));
  const agent = new Agent({
    study,
    identity,
    coordinatorKey: fromHex(config.coordinator_key),
    agreement: inForce,
    template: (path) => templateAt(resolve(dirname(config.agreement), path)),
    snapshot: async () => sealOf(identity, await filesDigest(filesOf(config))),
    source: { data: config.data, map, secret: ledger?.secret ?? null },
    ledger,
    client,
    log,
    state: config.state,
    now: () => new Date(),
    logger,
    workers,
  });
  return { agent, log };
}

/** The site's signing key, in PEM. */
export function readSigningKey(config: AgentConfig): string {
  return readText(config.signing_key);
}

/** Null for a file that is no plan: no plan matches it. */
function templateAt(file: string): WrittenPlan | null {
  try {
    return parsePlan(fs.readFileSync(file, 'utf8'), file);
  } catch {
    return null;
  }
}

/** The text of a file that a configuration names. */
export function readText(file: string): string {
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
