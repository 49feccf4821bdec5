/**
 * The custodian's page: what waits, what would leave, what left, and the decisions about it. It reads through the desk, and
 * does nothing but hand it decisions that are signed with the custodian's key.
 */
import { addAuditRoutes } from '@concordat/audit/page/routes.ts';
import { newPage, type Listening } from '@concordat/web/page.ts';
import type { PageConfig } from '@concordat/web/page-config.ts';
import { servePage } from '@concordat/web/serve.ts';
import type { FastifyInstance } from 'fastify';

import type { CustodianPageParts } from './context.ts';
import { addRoutes } from './routes.ts';

const PLACES = [
  { path: '/', name: 'Overview', auditors: false },
  { path: '/plans', name: 'Plans', auditors: false },
  { path: '/releases', name: 'Releases', auditors: false },
  { path: '/left', name: 'What left', auditors: false },
  { path: '/agreement', name: 'Agreement', auditors: false },
  { path: '/connection', name: 'Connection', auditors: false },
  { path: '/log', name: 'Log', auditors: true },
  { path: '/audit', name: 'Audit', auditors: true },
];

export async function custodianPage(
  parts: CustodianPageParts,
  listening: Listening,
): Promise<FastifyInstance> {
  const { study, signIn, log, logger, now } = parts;
  const page = await newPage(
    {
      owner: { page: 'custodian’s page of study', name: study },
      places: PLACES,
      signIn,
      log,
      note: (level, fields) => logger[level]({ ...fields, study }),
      now,
    },
    listening,
  );
  addRoutes(page, parts);
  addAuditRoutes(page, parts.audit);
  return page.app;
}

/** Listens until the returned server is closed. */
export function serveCustodianPage(config: PageConfig, parts: CustodianPageParts): Promise<FastifyInstance> {
  return servePage(config, 'page', (listening) => custodianPage(parts, listening));
}
