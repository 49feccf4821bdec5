/** The agent by itself, without the command line: `node node-agent/src/main.ts agent.yaml`. What the container runs. */
import { ConcordatError } from '@concordat/shared/errors.ts';

import { serveAgents } from './serve.ts';

try {
  const [config] = process.argv.slice(2);
  if (config === undefined) {
    throw new ConcordatError('usage/invalid', 'no configuration was given', {
      remedy: 'give the path of agent.yaml',
    });
  }
  await serveAgents([config], { local: false });
} catch (error) {
  console.error(error instanceof ConcordatError ? error.describe() : error);
  process.exitCode = 2;
}
