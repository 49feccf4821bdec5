/**
 * The coordinator by itself, without the other programs: `node coordinator/src/main.ts --config coordinator.yaml …`. What the
 * container runs; progress goes to standard output, one JSON object a line. Exit status as the command line's.
 */
import { readFileSync } from 'node:fs';

import { CommanderError } from 'commander';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { runCoordinator, serveCoordinator } from './app.ts';
import { parseCoordinatorConfig } from './config.ts';
import { makeLogger } from './logger.ts';
import { failureStatus, readText, stopSignal } from './process.ts';
import { readPlanSignature } from './plan-signature.ts';
import { coordinatorProgram, planAndOut } from './program.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = coordinatorProgram('concordat-coordinator', async ({ config, plan, out }) => {
  const common = {
    config: parseCoordinatorConfig(readText(config, 'config/invalid'), config),
    software: `concordat ${version}`,
    progress: (event: object) => console.log(JSON.stringify(event)),
    logger: makeLogger(2),
    stop: stopSignal(),
  };
  const asked = planAndOut({ plan, out });
  if (asked === null) return serveCoordinator(common);
  const planText = readText(asked.plan, 'plan/unreadable');
  const { analyses } = await runCoordinator({
    ...common,
    planText,
    signature: readPlanSignature(asked.plan, planText),
    planPlace: asked.plan,
    out: asked.out,
  });
  process.exitCode = Object.values(analyses).every(({ status }) => status === 'done') ? 0 : 3;
});
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(error instanceof ConcordatError ? error.describe() : error);
    process.exitCode = failureStatus(error);
  }
}
