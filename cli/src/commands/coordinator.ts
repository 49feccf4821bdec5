import { runCoordinator } from '@concordat/coordinator/app.ts';
import { parseCoordinatorConfig } from '@concordat/coordinator/config.ts';
import { makeLogger } from '@concordat/coordinator/logger.ts';
import { readPlanSignature } from '@concordat/coordinator/plan-signature.ts';
import { readText, stopSignal } from '@concordat/coordinator/process.ts';
import type { CoordinatorArguments } from '@concordat/coordinator/program.ts';

import { exitStatus } from '../outcome.ts';
import { progressPrinter } from '../progress.ts';
import { SOFTWARE } from '../version.ts';

export async function coordinator(options: CoordinatorArguments): Promise<0 | 3> {
  const config = parseCoordinatorConfig(readText(options.config, 'config/invalid'), options.config);
  const planText = readText(options.plan, 'plan/unreadable');
  const print = progressPrinter({ json: options.json === true });
  // A supervisor that is gone starts another coordinator over the same journal when it is back.
  process.once('disconnect', () => process.exit(1));
  process.channel?.unref();
  const result = await runCoordinator({
    config,
    planText,
    signature: readPlanSignature(options.plan, planText),
    planPlace: options.plan,
    out: options.out,
    software: SOFTWARE,
    progress: print,
    logger: makeLogger(2),
    stop: stopSignal(),
  });
  print({ event: 'result', out: options.out, log: config.log, result });
  return exitStatus(result);
}
