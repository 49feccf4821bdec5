/** The coordinator's configuration file: one schema, every fault reported at once. */
import { dirname, join, resolve } from 'node:path';

import { parseAddress } from '@concordat/shared/plan/address.ts';
import { refuseReservedStudy } from '@concordat/shared/plan/names.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';
import { PAGE_SCHEMA, resolvePage, type PageConfig } from '@concordat/web/page-config.ts';

const address = { type: 'string', pattern: '^[^:/\\s]+:[0-9]{1,5}$' };
const text = { type: 'string', minLength: 1 };
const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' };

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['coordinator', 'listen', 'tls', 'signing_key', 'state', 'log'],
  properties: {
    coordinator: { const: 1, description: 'format version, 1' },
    listen: { ...address, description: 'host:port for the agents' },
    address: { ...address, description: 'host:port that the agents dial, as invitations tell them' },
    health: { ...address, description: 'host:port of the health endpoint' },
    audit_page: {
      ...PAGE_SCHEMA,
      description: 'the page for auditors: `listen`, and off this machine `certificate` and `key`',
    },
    tls: {
      type: 'object',
      additionalProperties: false,
      required: ['certificate', 'key'],
      properties: { ca: text, certificate: text, key: text },
      description: "PEM files; `ca` is the authority of the listed sites' certificates",
    },
    authority: {
      type: 'object',
      additionalProperties: false,
      required: ['ca'],
      properties: {
        ca: { ...text, description: "PEM file of the authority of the enrolled sites' certificates" },
        key: { ...text, description: 'PEM file of its key; none where the authority is another PKI' },
        days: { type: 'integer', minimum: 1, maximum: 397, description: 'life of a certificate, default 30' },
        names: {
          type: 'array',
          items: { ...text, maxLength: 253 },
          maxItems: 100,
          description: "host names of the coordinator beside that of `address`, for its server's certificate",
        },
      },
      description: 'who issues certificates: `ca`, and `key` where this coordinator does',
    },
    registry: { ...text, description: 'SQLite file of the enrolled sites, default `sites.sqlite`' },
    signing_key: { ...text, description: "PEM file of the coordinator's Ed25519 key" },
    state: { ...text, description: "SQLite file of the runs' journal" },
    log: { ...text, description: "folder of the coordinator's message log" },
    sites: {
      type: 'array',
      minItems: 1,
      maxItems: 10_000,
      description: 'a list of sites that are known by their certificates',
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

interface Written {
  readonly coordinator: 1;
  readonly listen: string;
  readonly address?: string;
  readonly health?: string;
  readonly audit_page?: PageConfig;
  readonly tls: { readonly ca?: string; readonly certificate: string; readonly key: string };
  readonly authority?: {
    readonly ca: string;
    readonly key?: string;
    readonly days?: number;
    readonly names?: readonly string[];
  };
  readonly registry?: string;
  readonly signing_key: string;
  readonly state: string;
  readonly log: string;
  readonly sites?: readonly ListedSite[];
}

/** A site that is known by its certificate, without enrolment. */
export interface ListedSite {
  readonly study: string;
  /** Public signing key, hex. */
  readonly key: string;
  /** SHA-256 of its client certificate, hex. */
  readonly certificate: string;
}

export interface CoordinatorConfig {
  /** The file itself. */
  readonly file: string;
  readonly listen: string;
  /** host:port that the agents dial; null where no one is invited. */
  readonly address: string | null;
  readonly health?: string;
  /** The page for auditors. */
  readonly audit_page?: PageConfig;
  readonly tls: {
    /** File with the authority of the listed sites' certificates; null where it is that of the enrolled sites, or there are none. */
    readonly ca: string | null;
    readonly certificate: string;
    readonly key: string;
  };
  /** Null where every site is listed. */
  readonly enrolment: {
    readonly registry: string;
    readonly ca: string;
    /** Null where the authority is another PKI. */
    readonly key: string | null;
    readonly days: number;
    /** What the server's certificate is for. */
    readonly hosts: readonly string[];
  } | null;
  readonly signing_key: string;
  readonly state: string;
  readonly log: string;
  readonly sites: readonly ListedSite[];
}

const DEFAULT_DAYS = 30;

const parse = documentReader<Written>({
  name: "coordinator's configuration",
  schema: SCHEMA,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
  check: ({ sites = [], tls, authority, address: dialled }, sound) => [
    ...(!sound(['sites'])
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
        )),
    ...(sound(['tls']) && sound(['authority']) && tls.ca === undefined && authority === undefined
      ? [
          {
            path: ['tls'],
            message: "no authority of the sites' certificates is given",
            remedy: 'name its file as `tls.ca` for listed sites, or as `authority.ca` for sites that enrol',
          },
        ]
      : []),
    ...(sound(['authority']) && authority?.key !== undefined && dialled === undefined
      ? [
          {
            path: ['authority'],
            message: 'sites can be invited, and no `address` tells them what to dial',
            remedy: 'give the host:port under which the agents reach this coordinator as `address`',
          },
        ]
      : []),
    ...(sound(['sites']) && sound(['authority']) && authority === undefined && sites.length === 0
      ? [{ path: [], message: 'no site can call', remedy: 'list `sites`, or give an `authority`' }]
      : []),
  ],
});

/** Paths in the file are relative to the file. */
export function parseCoordinatorConfig(yaml: string, file: string): CoordinatorConfig {
  const {
    coordinator: _version,
    audit_page: page,
    tls,
    authority,
    registry,
    address: dialled,
    sites,
    ...config
  } = parse(yaml, file);
  for (const { study } of sites ?? []) refuseReservedStudy(study, `${file} sites`);
  const at = (path: string): string => resolve(dirname(file), path);
  return {
    ...config,
    file,
    address: dialled ?? null,
    ...(page === undefined ? {} : { audit_page: resolvePage(page, at) }),
    tls: {
      ca: tls.ca === undefined ? null : at(tls.ca),
      certificate: at(tls.certificate),
      key: at(tls.key),
    },
    enrolment:
      authority === undefined
        ? null
        : {
            registry: at(registry ?? 'sites.sqlite'),
            ca: at(authority.ca),
            key: authority.key === undefined ? null : at(authority.key),
            days: authority.days ?? DEFAULT_DAYS,
            hosts: [
              ...(dialled === undefined ? [] : [parseAddress(dialled).host]),
              ...(authority.names ?? []),
            ],
          },
    signing_key: at(config.signing_key),
    state: at(config.state),
    log: at(config.log),
    sites: sites ?? [],
  };
}

/** Where the auditors' sealed keys are: beside the journal. */
export function auditorsFolder({ state }: Pick<CoordinatorConfig, 'state'>): string {
  return join(dirname(state), 'auditors');
}
