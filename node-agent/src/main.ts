/** The agent by itself, without the other programs: `node node-agent/src/main.ts --config agent.yaml`. What the container runs. */
import { CommanderError } from 'commander';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { agentProgram } from './program.ts';

try {
  await agentProgram('concordat-agent').parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(error instanceof ConcordatError ? error.describe() : error);
    process.exitCode = error instanceof ConcordatError ? 2 : 3;
  }
}
