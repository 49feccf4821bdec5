/** `npm run bench [-- stage-one | one-stage | stage-two | gate | log | rounds | federation]`: speed and size, as ratios to R in the same run. Needs R (but for `gate` and `log`) with survival, lme4, glmmTMB, metafor and jsonlite. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { benchAgentMemory, benchFederation } from './federation.ts';
import { benchGate } from './gate.ts';
import { benchLog } from './log.ts';
import { benchOneStage } from './one-stage.ts';
import { benchRounds } from './rounds.ts';
import { benchStageOne } from './stage-one.ts';
import { benchStageTwo } from './stage-two.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-bench-'));
const parts: Readonly<Record<string, () => void | Promise<void>>> = {
  'stage-one': () => benchStageOne(1_000_000, folder),
  'one-stage': () => benchOneStage(Number(process.env['PARTICIPANTS'] ?? 1_000_000), folder),
  'stage-two': () => benchStageTwo(folder),
  gate: () => benchGate(1_000_000, folder),
  log: () => benchLog(folder),
  rounds: () => benchRounds(folder),
  federation: async () => {
    await benchFederation(folder);
    await benchAgentMemory(folder);
  },
};
const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
try {
  for (const name of asked) {
    const part = parts[name];
    if (part === undefined)
      throw new Error(`no benchmark ${name}; there are ${Object.keys(parts).join(', ')}`);
    await part();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
