import { mkdirSync, watch } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';

import type { LocalLeave } from './agreement/document.ts';
import { decisionsFolder } from './agreement/statements.ts';
import { buildAgent, readAgentConfig } from './app.ts';
import type { AgentConfig, PageConfig } from './config.ts';
import type { pageParts } from './custodian/page-parts.ts';
import { WorkerPool } from './fit/pool.ts';
import { makeLogger } from './logger.ts';

/** Serves one agent a configuration until the process is told to stop. */
export async function serveAgents(files: readonly string[], { local }: LocalLeave): Promise<void> {
  const logger = makeLogger(1);
  const workers = new WorkerPool();
  const configs = files.map(readAgentConfig);
  const built = configs.map((config) => ({ config, ...buildAgent(config, { logger, workers, local }) }));
  const agents = new Map(built.map(({ config, agent }) => [config.study, agent]));
  // A custodian's statement is looked at when it comes, not when the exchange that is held ends.
  const watchers = built.map(({ config, agent }) => {
    const folder = decisionsFolder(config.state);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return watch(folder, () => agent.decided());
  });
  const addresses = configs.flatMap(({ health }) => (health === undefined ? [] : [health]));
  // Loaded where they are asked for: an agent without them stays smaller.
  const health = addresses.map(async (address) => {
    const { healthServer } = await import('./health.ts');
    const server = healthServer(agents);
    await server.listen(parseAddress(address)).catch((error: unknown) => {
      throw cannotListen(address, error);
    });
    return server;
  });
  const pages = built.flatMap(({ config, agent, log }) =>
    config.page === undefined ? [] : [startPage(config, config.page, { agent, log, workers, logger })],
  );
  const servers = await Promise.all([...health, ...pages]);
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
  const runs = [...agents.values()].map((served) => served.run(sleep, Math.random));
  try {
    await Promise.all(runs);
  } finally {
    // One that cannot go on ends the process: the others stop in order, and whoever supervises it sees its end.
    stop();
    for (const watcher of watchers) watcher.close();
    await Promise.allSettled(runs);
    await Promise.all(servers.map((server) => server.close()));
    await workers.close();
  }
}

async function startPage(
  config: AgentConfig,
  page: PageConfig,
  serving: Parameters<typeof pageParts>[1],
): Promise<FastifyInstance> {
  const [{ servePage }, { pageParts: partsOf }] = await Promise.all([
    import('./custodian/page/serve.ts'),
    import('./custodian/page-parts.ts'),
  ]);
  return servePage(page, partsOf(config, serving));
}
