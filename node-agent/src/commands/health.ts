/**
 * Asks the running agent whether it is alive: what a container engine or a supervisor calls, every half minute. It loads the
 * configuration's schema and nothing of the agent.
 */
import { readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { documentReader } from '@concordat/shared/plan/document.ts';

import { AGENT_CONFIG_SCHEMA, type WrittenAgentConfig } from '../config.ts';
import { probe } from '../egress/probe.ts';

// Not by app.ts, which loads the whole agent with it.
const parse = documentReader<WrittenAgentConfig>({
  name: "agent's configuration",
  schema: AGENT_CONFIG_SCHEMA,
  syntaxCode: 'config/invalid',
  schemaCode: 'config/invalid',
});

/** The answer of the health endpoint that the configuration names, as JSON text; throws where there is none. */
export async function agentHealth(file: string): Promise<string> {
  const { health } = parse(read(file), file);
  if (health === undefined) {
    throw new ConcordatError('config/invalid', 'no health endpoint is configured', {
      place: `${file} health`,
      remedy: 'add a line `health: 127.0.0.1:8080`',
    });
  }
  const answer = await probe(health);
  if (answer !== null) return answer;
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
