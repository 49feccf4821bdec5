/** Starts the page of one agent, where its configuration asks for one. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { cannotListen } from '@concordat/shared/plan/address.ts';
import type { FastifyInstance } from 'fastify';

import type { PageConfig } from '../../config.ts';
import { pageAddress } from './address.ts';
import { custodianPage, type PageOptions } from './app.ts';
import type { PageParts } from './context.ts';

/**
 * Listens until the returned server is closed.
 * @throws ConcordatError `config/invalid` where the address, or the certificate, does not do
 */
export async function servePage(config: PageConfig, parts: PageParts): Promise<FastifyInstance> {
  const options = pageOptions(config);
  const app = await custodianPage(parts, options);
  await app.listen({ host: options.address.host, port: options.address.port }).catch((error: unknown) => {
    throw cannotListen(config.listen, error);
  });
  return app;
}

function pageOptions({ listen, certificate, key }: PageConfig): PageOptions {
  const address = pageAddress(listen);
  if (certificate !== undefined && key !== undefined) {
    return { address, tls: readPair(certificate, key) };
  }
  if (certificate === undefined && key === undefined && address.loopback) return { address, tls: null };
  throw new ConcordatError(
    'config/invalid',
    address.loopback
      ? 'a certificate and its key are named together or not at all'
      : "off this machine's own addresses the custodian's page needs TLS",
    { place: 'page', remedy: 'name PEM files under `page.certificate` and `page.key`' },
  );
}

function readPair(certificate: string, key: string): NonNullable<PageOptions['tls']> {
  const pair = { certificate: readPem(certificate), key: readPem(key) };
  try {
    createSecureContext({ cert: pair.certificate, key: pair.key });
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'certificate and key do not go together', {
      place: certificate,
      remedy: 'name PEM files of a certificate and of the private key that belongs to it',
      cause,
    });
  }
  return pair;
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}
