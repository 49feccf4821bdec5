/** Health of the coordinator: alive, and which sites it has heard from. */
import Fastify, { type FastifyInstance } from 'fastify';

export interface SiteContact {
  readonly study: string;
  /** RFC 3339; null where the site has not called yet. */
  readonly lastSeen: string | null;
}

export function healthServer(contacts: () => readonly SiteContact[]): FastifyInstance {
  const server = Fastify({ logger: false });
  server.get('/health', () => ({ status: 'alive' }));
  server.get('/ready', () => ({ status: 'ready', sites: contacts() }));
  return server;
}
