/** The coordinator's page, for auditors: how its log stands. It is read here, and never changed. */
import { addAuditRoutes } from '@concordat/audit/page/routes.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { html } from '@concordat/web/html.ts';
import { digest, facts, type PageContent } from '@concordat/web/layout.ts';
import { newPage, type Listening } from '@concordat/web/page.ts';
import type { PageConfig } from '@concordat/web/page-config.ts';
import { openSealedKey, sealedKeys } from '@concordat/web/sealed-keys.ts';
import { servePage } from '@concordat/web/serve.ts';
import type { SignIn } from '@concordat/web/sign-in.ts';
import type { FastifyInstance } from 'fastify';

import type { Logger } from '../logger.ts';

export interface AuditPageParts {
  /** host:port by which the coordinator is known. */
  readonly address: string;
  /** Its public signing key, 32 bytes. */
  readonly key: Uint8Array;
  readonly log: Pick<MessageLog, 'entries' | 'append' | 'body' | 'checkpoint' | 'tree' | 'note'>;
  /** Where the log lies. */
  readonly folder: string;
  readonly signIn: SignIn;
  readonly logger: Logger;
  readonly now: () => Date;
}

const PLACES = [
  { path: '/', name: 'Overview', auditors: true },
  { path: '/audit', name: 'Log', auditors: true },
];

export async function auditPage(parts: AuditPageParts, listening: Listening): Promise<FastifyInstance> {
  const { address, log, folder, signIn, logger, now } = parts;
  const page = await newPage(
    {
      owner: { page: 'audit page of the coordinator', name: address },
      places: PLACES,
      signIn,
      log,
      note: logger,
      now,
    },
    listening,
  );
  page.app.get('/', { config: { access: 'auditors' } }, (request, reply) =>
    page.show(request, reply, overviewPage(parts)),
  );
  // What a coordinator's log holds was told it by sites: nothing of it is kept from auditors.
  addAuditRoutes(page, { title: 'Log', log, folder, kept: new Set() });
  return page.app;
}

/** Listens until the returned server is closed. */
export function serveAuditPage(config: PageConfig, parts: AuditPageParts): Promise<FastifyInstance> {
  return servePage(config, 'audit_page', (listening) => auditPage(parts, listening));
}

/** Auditors whose keys are in the folder. */
export function auditorsIn(folder: string): SignIn {
  return {
    accounts: () => sealedKeys(folder).map((named) => ({ ...named, role: 'auditor' })),
    openKey: (name, _role, passphrase) => openSealedKey(folder, name, passphrase),
    noAccount: {
      message: 'No auditor has a key here.',
      remedy: 'Make one with `concordat coordinator auditor NAME`.',
    },
    wrong: {
      message: 'Name and passphrase do not open the key of an auditor.',
      remedy: 'type the passphrase again; a new key is made with `concordat coordinator auditor NAME`',
    },
  };
}

function overviewPage({ address, key, log }: AuditPageParts): PageContent {
  const { size, root } = log.checkpoint();
  return {
    title: 'Overview',
    at: '/',
    body: html`<p>
        Every message that the coordinator sent or took is an entry of its log, and each entry a leaf of a
        Merkle tree. Whoever noted its size and root can later tell whether an entry was taken out or changed.
      </p>
      ${facts([
        ['Coordinator', address],
        ['Public signing key', digest(toHex(key))],
        ['Entries', size],
        ['Root', digest(toHex(root))],
      ])}`,
  };
}
