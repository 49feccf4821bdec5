/** Starts a page where a configuration asks for one. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { cannotListen } from '@concordat/shared/plan/address.ts';
import type { FastifyInstance } from 'fastify';

import { pageAddress } from './address.ts';
import type { Listening } from './page.ts';
import type { PageConfig } from './page-config.ts';

/**
 * Listens until the returned server is closed. `key`: of the configuration, under which the page stands.
 * @throws ConcordatError `config/invalid` where the address, or the certificate, does not do
 */
export async function servePage(
  config: PageConfig,
  key: string,
  build: (listening: Listening) => Promise<FastifyInstance>,
): Promise<FastifyInstance> {
  const listening = listeningOf(config, key);
  const app = await build(listening);
  const { host, port } = listening.address;
  await app.listen({ host, port }).catch((error: unknown) => {
    throw cannotListen(config.listen, error);
  });
  return app;
}

function listeningOf({ listen, certificate, key }: PageConfig, place: string): Listening {
  const address = pageAddress(listen, place);
  if (certificate !== undefined && key !== undefined) {
    return { address, tls: readPair(certificate, key) };
  }
  if (certificate === undefined && key === undefined && address.loopback) return { address, tls: null };
  throw new ConcordatError(
    'config/invalid',
    address.loopback
      ? 'a certificate and its key are named together or not at all'
      : "off this machine's own addresses a page needs TLS",
    { place, remedy: `name PEM files under \`${place}.certificate\` and \`${place}.key\`` },
  );
}

function readPair(certificate: string, key: string): NonNullable<Listening['tls']> {
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
