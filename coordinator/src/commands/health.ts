/** Asks the running coordinator whether it is alive: what a container engine or a supervisor calls. */
import { ConcordatError } from '@concordat/shared/errors.ts';

import { parseCoordinatorConfig } from '../config.ts';
import { readText } from '../process.ts';

/** The answer of the health endpoint that the configuration names, as JSON text; throws where there is none. */
export async function coordinatorHealth(file: string): Promise<string> {
  const { health } = parseCoordinatorConfig(readText(file, 'config/invalid'), file);
  if (health === undefined) {
    throw new ConcordatError('config/invalid', 'no health endpoint is configured', {
      place: `${file} health`,
      remedy: 'add a line `health: 127.0.0.1:8090`',
    });
  }
  try {
    const response = await fetch(`http://${health}/health`, { signal: AbortSignal.timeout(5000) });
    if (response.ok) return await response.text();
  } catch {
    // Whatever went wrong, the coordinator does not answer.
  }
  throw new ConcordatError('process/failed', 'the coordinator does not answer', {
    place: health,
    remedy: 'see whether it runs, and what it printed',
  });
}
