/** `coordinator acknowledge`: the running coordinator takes it at the site's next exchange. */
import * as fs from 'node:fs';

import { acknowledgeDivergences } from '@concordat/shared/log/divergence.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';

import { parseCoordinatorConfig } from '../config.ts';
import { readText } from '../process.ts';

export function acknowledge(
  study: string,
  { config: file, note }: { readonly config: string; readonly note: string },
): void {
  const { log } = parseCoordinatorConfig(readText(file, 'config/invalid'), file);
  const shown = acknowledgeDivergences(fs, log, { peer: study, origin: siteOrigin(study), note });
  process.stdout.write(`${shown}\n`);
}
