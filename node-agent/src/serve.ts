import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import type { LocalLeave } from '@concordat/shared/agreement/document.ts';
import { acknowledgementsFolder } from '@concordat/shared/log/divergence.ts';
import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';
import type { PageConfig } from '@concordat/web/page-config.ts';

import type { Agent } from './agent.ts';
import { decisionsFolder } from './agreement/statement-files.ts';
import { buildAgent, readAgentConfig } from './app.ts';
import type { AgentConfig } from './config.ts';
import type { pageParts } from './custodian/page-parts.ts';
import { WorkerPool } from './fit/pool.ts';
import { lockFolder } from './lock.ts';
import { makeLogger, type Logger } from './logger.ts';
import { watchFolder } from './watch.ts';

/** Serves one agent a configuration until the process is told to stop. */
export async function serveAgents(files: readonly string[], { local }: LocalLeave): Promise<void> {
  const logger = makeLogger(1);
  const workers = new WorkerPool();
  const stopping = new AbortController();
  const sleep = (milliseconds: number): Promise<void> =>
    delay(milliseconds, undefined, { signal: stopping.signal }).catch(() => undefined);
  /** What is to be undone at the end, also where the start fails half way, the last first. */
  const undo: (() => Promise<unknown> | void)[] = [() => workers.close()];
  const agents = new Map<string, Agent>();
  const stop = (): void => {
    for (const agent of agents.values()) agent.stop();
    stopping.abort();
    // A fit that is broken off has no answer; its task is asked again when the agent is back.
    void workers.close();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // A supervisor that is gone leaves no one to serve.
  process.once('disconnect', stop);
  process.channel?.unref();
  try {
    const configs = files.map(readAgentConfig);
    for (const { state } of configs) {
      const lock = lockFolder(state);
      undo.push(() => lock.close());
    }
    const built = configs.map((config) => ({ config, ...buildAgent(config, { logger, workers, local }) }));
    for (const { config, agent, log } of built) {
      agents.set(config.study, agent);
      for (const folder of [decisionsFolder(config.state), acknowledgementsFolder(config.log)])
        undo.push(watchDecisions(folder, config.study, agent, logger));
      if (config.health !== undefined) undo.push(await listenForHealth(config.health, agents));
      if (config.page !== undefined)
        undo.push(await startPage(config, config.page, { agent, log, workers, logger }));
      logger.info({ event: 'serving', study: config.study, place: config.coordinator });
    }
    // Not waited for: one that asks for a certificate is given up with the agents.
    for (const { keepCertificate } of built)
      void keepCertificate({ sleep, random: Math.random, signal: stopping.signal });
    const runs = built.map(({ agent }) => agent.run(sleep, Math.random));
    undo.push(() => Promise.allSettled(runs));
    await Promise.all(runs);
  } finally {
    // One that cannot go on ends the process: the others stop in order, and whoever supervises it sees its end.
    stop();
    for (const end of undo.toReversed()) await end();
  }
}

/** A custodian's statement, or an acknowledgement, is looked at when it comes, and not when the exchange that is held ends, as it would be unwatched. */
function watchDecisions(folder: string, study: string, agent: Agent, logger: Logger): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return watchFolder(
    folder,
    () => agent.decided(),
    ({ code = '' }) =>
      logger.warn({ event: 'decisions are taken with the next exchange', study, place: folder, code }),
  );
}

// Loaded where they are asked for: an agent without them stays smaller.

async function listenForHealth(
  address: string,
  agents: ReadonlyMap<string, Agent>,
): Promise<() => Promise<unknown>> {
  const { healthServer } = await import('./health.ts');
  const server = healthServer(agents);
  await server.listen(parseAddress(address)).catch((error: unknown) => {
    throw cannotListen(address, error);
  });
  return () => server.close();
}

async function startPage(
  config: AgentConfig,
  page: PageConfig,
  serving: Parameters<typeof pageParts>[1],
): Promise<() => Promise<unknown>> {
  const [{ serveCustodianPage }, { pageParts: partsOf }] = await Promise.all([
    import('./custodian/page/app.ts'),
    import('./custodian/page-parts.ts'),
  ]);
  const server = await serveCustodianPage(page, partsOf(config, serving));
  return () => server.close();
}
