/** The agent's configuration file: one schema, every fault reported at once, frozen. */
import { dirname, join, resolve } from 'node:path';

import { PAGE_SCHEMA, resolvePage, type PageConfig } from '@concordat/web/page-config.ts';
import type { Role } from '@concordat/web/sessions.ts';

import type { ProxyConfig } from './egress/proxy.ts';

const address = { type: 'string', pattern: '^[^:/\\s]+:[0-9]{1,5}$' };
/** The coordinator's host may be an IPv6 address in brackets. */
const remote = { type: 'string', pattern: '^([^:/\\s\\[\\]]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$' };
const text = { type: 'string', minLength: 1 };

/** What `agent join` writes as `data` where no records were named. */
export const RECORDS_PLACEHOLDER = 'PATH-OF-THE-RECORDS';

export const AGENT_CONFIG_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: [
    'agent',
    'study',
    'coordinator',
    'coordinator_key',
    'tls',
    'signing_key',
    'data',
    'agreement',
    'log',
  ],
  properties: {
    agent: { const: 1, description: 'format version, 1' },
    study: { ...text, maxLength: 200, description: "the trial's study id" },
    coordinator: { ...remote, description: 'host:port of the coordinator' },
    coordinator_key: {
      type: 'string',
      pattern: '^[0-9a-f]{64}$',
      description: "the coordinator's public signing key, hex",
    },
    tls: {
      type: 'object',
      additionalProperties: false,
      required: ['ca', 'certificate', 'key'],
      properties: { ca: text, certificate: text, key: text },
      description: 'PEM files: `ca`, `certificate` and `key`',
    },
    signing_key: { ...text, description: "PEM file of this site's Ed25519 key" },
    key_passphrase_file: { ...text, description: 'file of the passphrase that opens both keys' },
    data: { ...text, description: "file of the trial's records: CSV, TSV, Parquet, JSON or NDJSON" },
    map: { ...text, description: 'file of a harmonisation map' },
    agreement: { ...text, description: "file of the site's agreement" },
    state: { ...text, description: 'folder of what the agent keeps beside its log, default `state`' },
    log: { ...text, description: "folder of the site's message log" },
    health: { ...address, description: 'host:port of the health endpoint' },
    page: {
      ...PAGE_SCHEMA,
      description: "the custodian's page: `listen`, and off this machine `certificate` and `key`",
    },
    proxy: {
      type: 'object',
      additionalProperties: false,
      properties: { url: text, ca: text, no_proxy: { type: 'string' }, credentials_file: text },
      description:
        'HTTP CONNECT proxy: `url`, `ca` (PEM file of its authority), `credentials_file` (user:password), `no_proxy`; default: the environment',
    },
  },
};

export interface AgentConfig {
  readonly agent: 1;
  readonly study: string;
  readonly coordinator: string;
  readonly coordinator_key: string;
  readonly tls: { readonly ca: string; readonly certificate: string; readonly key: string };
  readonly signing_key: string;
  readonly key_passphrase_file?: string;
  readonly data: string;
  readonly map?: string;
  readonly agreement: string;
  readonly state: string;
  readonly log: string;
  readonly health?: string;
  /** The custodian's local page. */
  readonly page?: PageConfig;
  readonly proxy?: ProxyConfig;
}

export type WrittenAgentConfig = Omit<AgentConfig, 'state'> & { readonly state?: string };

/** Paths in the file are relative to the file. */
export function resolvePaths(config: WrittenAgentConfig, file: string): AgentConfig {
  const at = (path: string): string => resolve(dirname(file), path);
  return {
    ...config,
    tls: { ca: at(config.tls.ca), certificate: at(config.tls.certificate), key: at(config.tls.key) },
    signing_key: at(config.signing_key),
    data: at(config.data),
    log: at(config.log),
    ...(config.key_passphrase_file === undefined
      ? {}
      : { key_passphrase_file: at(config.key_passphrase_file) }),
    ...(config.map === undefined ? {} : { map: at(config.map) }),
    agreement: at(config.agreement),
    state: at(config.state ?? 'state'),
    ...(config.page === undefined ? {} : { page: resolvePage(config.page, at) }),
    ...(config.proxy === undefined ? {} : { proxy: resolveProxy(config.proxy, at) }),
  };
}

function resolveProxy(proxy: ProxyConfig, at: (path: string) => string): ProxyConfig {
  return {
    ...proxy,
    ...(proxy.ca === undefined ? {} : { ca: at(proxy.ca) }),
    ...(proxy.credentials_file === undefined ? {} : { credentials_file: at(proxy.credentials_file) }),
  };
}

/** The files that the records are read from. */
export function filesOf({ data, map }: AgentConfig): readonly string[] {
  return map === undefined ? [data] : [data, map];
}

/** Where the sealed keys of a role are. */
export function keysFolder({ state }: Pick<AgentConfig, 'state'>, role: Role): string {
  return join(state, `${role}s`);
}
