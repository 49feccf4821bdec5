/** `agent acknowledge`: the running agent takes it at once, one that does not run at its next start. */
import * as fs from 'node:fs';

import { acknowledgeDivergences } from '@concordat/shared/log/divergence.ts';
import { COORDINATOR_ORIGIN } from '@concordat/shared/log/note.ts';

import { readAgentConfig } from '../app.ts';

export function acknowledge({ config, note }: { readonly config: string; readonly note: string }): void {
  const { log } = readAgentConfig(config);
  const peer = { peer: 'coordinator', origin: COORDINATOR_ORIGIN, note };
  process.stdout.write(`${acknowledgeDivergences(fs, log, peer)}\n`);
}
