/** Health of one or several agents in a process: alive, and connected to the coordinator; or why one has halted (log/rollback, log/split-view). */
import Fastify, { type FastifyInstance } from 'fastify';

import type { Agent } from './agent.ts';

export function healthServer(
  agents: ReadonlyMap<string, Pick<Agent, 'connected' | 'connection'>>,
): FastifyInstance {
  const server = Fastify({ logger: false });
  const states = (): Record<string, string> =>
    Object.fromEntries([...agents].map(([study, agent]) => [study, stateOf(agent)]));
  server.get('/health', () => ({ status: 'alive', agents: states() }));
  server.get('/ready', async (_request, reply) => {
    const ready = [...agents.values()].every((agent) => agent.connected);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'connecting', agents: states() });
  });
  return server;
}

function stateOf({ connected, connection: { failure } }: Pick<Agent, 'connected' | 'connection'>): string {
  if (connected) return 'connected';
  return failure?.code.startsWith('log/') === true ? failure.code : 'connecting';
}
