/**
 * The coordinator by itself, without the command line: `node coordinator/src/main.ts coordinator.yaml plan.yaml OUT`.
 * What the container runs; progress goes to standard output, one JSON object a line. Exit status as the command line's.
 */
import { readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { runCoordinator } from './app.ts';
import { parseCoordinatorConfig } from './config.ts';
import { makeLogger } from './logger.ts';
import { failureStatus, readText, stopSignal } from './process.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

try {
  const [config, plan, out] = process.argv.slice(2);
  if (config === undefined || plan === undefined || out === undefined) {
    throw new ConcordatError('usage/invalid', 'a configuration, a plan and an output folder are needed', {
      remedy: 'give coordinator.yaml plan.yaml OUT',
    });
  }
  const { analyses } = await runCoordinator({
    config: parseCoordinatorConfig(readText(config, 'config/invalid'), config),
    planText: readText(plan, 'plan/unreadable'),
    signature: null,
    planPlace: plan,
    out,
    software: `concordat ${version}`,
    progress: (event) => console.log(JSON.stringify(event)),
    logger: makeLogger(2),
    stop: stopSignal(),
  });
  process.exitCode = Object.values(analyses).every(({ status }) => status === 'done') ? 0 : 3;
} catch (error) {
  console.error(error instanceof ConcordatError ? error.describe() : error);
  process.exitCode = failureStatus(error);
}
