/** Health of the coordinator: alive, and which sites it has heard from. */
import Fastify, { type FastifyInstance } from 'fastify';

export interface SiteContact {
  readonly study: string;
  /** RFC 3339; null where the site has not called yet. */
  readonly lastSeen: string | null;
  /** log/rollback or log/split-view where its log and the coordinator's have diverged, until that is acknowledged; null else. */
  readonly halted: string | null;
}

export function healthServer(contacts: () => readonly SiteContact[]): FastifyInstance {
  const server = Fastify({ logger: false });
  server.get('/health', () => ({ status: 'alive' }));
  server.get('/ready', () => ({ status: 'ready', sites: contacts() }));
  return server;
}
