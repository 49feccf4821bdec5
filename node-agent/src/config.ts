/** The agent's configuration file: one schema, every fault reported at once, frozen. */
import { dirname, resolve } from 'node:path';

import { Type, type Static } from 'typebox';

export const AgentConfigSchema = Type.Object(
  {
    agent: Type.Literal(1, { description: 'format version' }),
    study: Type.String({ minLength: 1, maxLength: 100, description: "the trial's study id" }),
    coordinator: Type.String({ pattern: '^[^:/\\s]+:[0-9]{1,5}$', description: 'host:port of the coordinator' }),
    coordinator_key: Type.String({ pattern: '^[0-9a-f]{64}$', description: "the coordinator's public signing key, hex" }),
    tls: Type.Object(
      { ca: Type.String(), certificate: Type.String(), key: Type.String() },
      { additionalProperties: false, description: 'PEM files' },
    ),
    signing_key: Type.String({ description: "PEM file of this site's Ed25519 key" }),
    data: Type.String({ description: "the trial's records: CSV, TSV, Parquet, JSON or NDJSON" }),
    map: Type.Optional(Type.String({ description: 'harmonisation map' })),
    policy: Type.Optional(Type.String({ description: 'disclosure policy; default: the shipped one' })),
    log: Type.String({ description: "folder of the site's message log" }),
    health: Type.Optional(Type.String({ pattern: '^[^:/\\s]+:[0-9]{1,5}$', description: 'host:port of the health endpoint' })),
  },
  { additionalProperties: false },
);

export type AgentConfig = Static<typeof AgentConfigSchema>;

/** Paths in the file are relative to the file. */
export function resolvePaths(config: AgentConfig, file: string): AgentConfig {
  const at = (path: string): string => resolve(dirname(file), path);
  return {
    ...config,
    tls: { ca: at(config.tls.ca), certificate: at(config.tls.certificate), key: at(config.tls.key) },
    signing_key: at(config.signing_key),
    data: at(config.data),
    log: at(config.log),
    ...(config.map === undefined ? {} : { map: at(config.map) }),
    ...(config.policy === undefined ? {} : { policy: at(config.policy) }),
  };
}
