/** The coordinator's configuration file: one schema, every fault reported at once. */
import { dirname, resolve } from 'node:path';

import { documentReader } from '@concordat/shared/plan/document.ts';
import { Type, type Static } from 'typebox';

const Address = Type.String({ pattern: '^[^:/\\s]+:[0-9]{1,5}$' });

const Schema = Type.Object(
  {
    coordinator: Type.Literal(1, { description: 'format version' }),
    listen: Type.String({ pattern: '^[^:/\\s]+:[0-9]{1,5}$', description: 'host:port for the agents' }),
    health: Type.Optional({ ...Address, description: 'host:port of the health endpoint' }),
    tls: Type.Object(
      { ca: Type.String(), certificate: Type.String(), key: Type.String() },
      { additionalProperties: false, description: "PEM files; ca is the authority of the sites' certificates" },
    ),
    signing_key: Type.String({ description: "PEM file of the coordinator's Ed25519 key" }),
    state: Type.String({ description: "SQLite file of the runs' journal" }),
    log: Type.String({ description: "folder of the coordinator's message log" }),
    sites: Type.Array(
      Type.Object(
        {
          study: Type.String({ minLength: 1, maxLength: 100 }),
          key: Type.String({ pattern: '^[0-9a-f]{64}$', description: "the site's public signing key, hex" }),
          certificate: Type.String({ pattern: '^[0-9a-f]{64}$', description: "SHA-256 of the site's client certificate, hex" }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 10_000 },
    ),
  },
  { additionalProperties: false },
);

export type CoordinatorConfig = Static<typeof Schema>;

const parse = documentReader({
  name: "coordinator's configuration",
  schema: Schema,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
  check: ({ sites }) =>
    sites.flatMap(({ study }, i) =>
      sites.findIndex((site) => site.study === study) === i
        ? []
        : [{ path: ['sites', i, 'study'], message: `the study ${study} is listed twice`, remedy: 'list each site once' }],
    ),
});

/** Paths in the file are relative to the file. */
export function parseCoordinatorConfig(text: string, file: string): CoordinatorConfig {
  const config = parse(text, file);
  const at = (path: string): string => resolve(dirname(file), path);
  return {
    ...config,
    tls: { ca: at(config.tls.ca), certificate: at(config.tls.certificate), key: at(config.tls.key) },
    signing_key: at(config.signing_key),
    state: at(config.state),
    log: at(config.log),
  };
}
