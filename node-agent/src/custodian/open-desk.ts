/** The desk of a configured site, for the command line and for the page. */
import * as fs from 'node:fs';

import { LogFolder } from '@concordat/shared/log/log-folder.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import { readAgreement } from '../agreement/in-force.ts';
import { sealOf } from '../agreement/seal.ts';
import { filesOf, type AgentConfig } from '../config.ts';
import { filesDigest } from '../data/files-digest.ts';
import { HeldAnswers } from '../egress/held.ts';
import type { WorkerPool } from '../fit/pool.ts';
import { LogDesk } from './log-desk.ts';
import type { LogView } from './log-view.ts';
import { previewPlan } from './preview.ts';

/** `signingKey`: the site's own, in PEM. `log`: that of the agent, where the desk is in its process. */
export function openDesk(
  config: AgentConfig,
  signingKey: string,
  workers: Pick<WorkerPool, 'ask'>,
  log: LogView = new LogFolder(fs, config.log),
): LogDesk {
  const { study, state } = config;
  const identity = signingIdentity(signingKey, config.signing_key);
  const held = new HeldAnswers(state);
  return new LogDesk({
    study,
    log,
    held,
    state,
    agreement: () => readAgreement(config.agreement, { local: false }),
    snapshot: async () => sealOf(identity, await filesDigest(filesOf(config))),
    preview: (plan, agreement) => {
      const map = config.map === undefined ? null : parseMap(fs.readFileSync(config.map, 'utf8'), config.map);
      return previewPlan(plan, agreement, {
        study,
        state,
        identity,
        held,
        workers,
        source: { data: config.data, map },
      });
    },
    now: () => new Date(),
  });
}
