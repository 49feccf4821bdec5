/** Health of one or several agents in a process: alive, and connected to the coordinator. */
import Fastify, { type FastifyInstance } from 'fastify';

import type { Agent } from './agent.ts';

export function healthServer(agents: ReadonlyMap<string, Pick<Agent, 'connected'>>): FastifyInstance {
  const server = Fastify({ logger: false });
  const states = (): Record<string, string> =>
    Object.fromEntries(
      [...agents].map(([study, agent]) => [study, agent.connected ? 'connected' : 'connecting']),
    );
  server.get('/health', () => ({ status: 'alive', agents: states() }));
  server.get('/ready', async (_request, reply) => {
    const ready = [...agents.values()].every((agent) => agent.connected);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'connecting', agents: states() });
  });
  return server;
}
