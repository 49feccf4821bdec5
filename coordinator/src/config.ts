/** The coordinator's configuration file: one schema, every fault reported at once. */
import { dirname, resolve } from 'node:path';

import { documentReader } from '@concordat/shared/plan/document.ts';

const address = { type: 'string', pattern: '^[^:/\\s]+:[0-9]{1,5}$' };
const text = { type: 'string', minLength: 1 };
const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' };

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['coordinator', 'listen', 'tls', 'signing_key', 'state', 'log', 'sites'],
  properties: {
    coordinator: { const: 1, description: 'format version, 1' },
    listen: { ...address, description: 'host:port for the agents' },
    health: { ...address, description: 'host:port of the health endpoint' },
    tls: {
      type: 'object',
      additionalProperties: false,
      required: ['ca', 'certificate', 'key'],
      properties: { ca: text, certificate: text, key: text },
      description: "PEM files; `ca` is the authority of the sites' certificates",
    },
    signing_key: { ...text, description: "PEM file of the coordinator's Ed25519 key" },
    state: { ...text, description: "SQLite file of the runs' journal" },
    log: { ...text, description: "folder of the coordinator's message log" },
    sites: {
      type: 'array',
      minItems: 1,
      maxItems: 10_000,
      description: 'a list of the sites',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['study', 'key', 'certificate'],
        description: '`study`, `key` and `certificate`',
        properties: {
          study: { ...text, maxLength: 200, description: "the site's study id" },
          key: { ...digest, description: "the site's public signing key, hex" },
          certificate: { ...digest, description: "SHA-256 of the site's client certificate, hex" },
        },
      },
    },
  },
};

export interface CoordinatorConfig {
  readonly coordinator: 1;
  readonly listen: string;
  readonly health?: string;
  readonly tls: { readonly ca: string; readonly certificate: string; readonly key: string };
  readonly signing_key: string;
  readonly state: string;
  readonly log: string;
  readonly sites: readonly { readonly study: string; readonly key: string; readonly certificate: string }[];
}

const parse = documentReader<CoordinatorConfig>({
  name: "coordinator's configuration",
  schema: SCHEMA,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
  check: ({ sites }, sound) =>
    !sound(['sites'])
      ? []
      : sites.flatMap(({ study }, i) =>
          sites.findIndex((site) => site.study === study) === i
            ? []
            : [
                {
                  path: ['sites', i, 'study'],
                  message: `the study ${study} is listed twice`,
                  remedy: 'list each site once',
                },
              ],
        ),
});

/** Paths in the file are relative to the file. */
export function parseCoordinatorConfig(yaml: string, file: string): CoordinatorConfig {
  const config = parse(yaml, file);
  const at = (path: string): string => resolve(dirname(file), path);
  return {
    ...config,
    tls: { ca: at(config.tls.ca), certificate: at(config.tls.certificate), key: at(config.tls.key) },
    signing_key: at(config.signing_key),
    state: at(config.state),
    log: at(config.log),
  };
}
