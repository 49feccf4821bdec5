import { setTimeout as delay } from 'node:timers/promises';

import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';

import type { LocalLeave } from './agreement/document.ts';
import { buildAgent, readAgentConfig } from './app.ts';
import { WorkerPool } from './fit/pool.ts';
import { makeLogger } from './logger.ts';

/** Serves one agent a configuration until the process is told to stop. */
export async function serveAgents(files: readonly string[], { local }: LocalLeave): Promise<void> {
  const logger = makeLogger(1);
  const workers = new WorkerPool();
  const configs = files.map(readAgentConfig);
  const built = configs.map(
    (config) => [config.study, buildAgent(config, { logger, workers, local })] as const,
  );
  const agents = new Map(built.map(([study, { agent }]) => [study, agent]));
  const addresses = configs.flatMap(({ health }) => (health === undefined ? [] : [health]));
  const servers = await Promise.all(
    addresses.map(async (address) => {
      // Loaded where it is asked for: an agent without it stays smaller.
      const { healthServer } = await import('./health.ts');
      const server = healthServer(agents);
      await server.listen(parseAddress(address)).catch((error: unknown) => {
        throw cannotListen(address, error);
      });
      return server;
    }),
  );
  const stopping = new AbortController();
  const stop = (): void => {
    for (const served of agents.values()) served.stop();
    stopping.abort();
    // A fit that is broken off has no answer; its task is asked again when the agent is back.
    void workers.close();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // A supervisor that is gone leaves no one to serve.
  process.once('disconnect', stop);
  process.channel?.unref();
  const sleep = (milliseconds: number): Promise<void> =>
    delay(milliseconds, undefined, { signal: stopping.signal }).catch(() => undefined);
  // Not waited for: one that asks for a certificate is given up with the agents.
  for (const [, { keepCertificate }] of built)
    void keepCertificate({ sleep, random: Math.random, signal: stopping.signal });
  const runs = [...agents.values()].map((served) => served.run(sleep, Math.random));
  try {
    await Promise.all(runs);
  } finally {
    // One that cannot go on ends the process: the others stop in order, and whoever supervises it sees its end.
    stop();
    await Promise.allSettled(runs);
    await Promise.all(servers.map((server) => server.close()));
    await workers.close();
  }
}
