/**
 * Asks the running agent whether it is alive: what a container engine or a supervisor calls, every half minute. It loads the
 * configuration's schema and nothing of the agent.
 */
import { readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { parseAgentConfig } from '../config.ts';

/** The answer of the health endpoint that the configuration names, as JSON text; throws where there is none. */
export async function agentHealth(file: string): Promise<string> {
  const { health } = parseAgentConfig(read(file), file);
  if (health === undefined) {
    throw new ConcordatError('config/invalid', 'no health endpoint is configured', {
      place: `${file} health`,
      remedy: 'add a line `health: 127.0.0.1:8080`',
    });
  }
  try {
    const response = await fetch(`http://${health}/health`, { signal: AbortSignal.timeout(5000) });
    if (response.ok) return await response.text();
  } catch {
    // Whatever went wrong, the agent does not answer.
  }
  throw new ConcordatError('process/failed', 'the agent does not answer', {
    place: health,
    remedy: 'see whether it runs, and what it printed',
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}
