/** What the page of a serving agent is made of. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { PROTOCOL_NEWEST } from '@concordat/shared/wire/protocol.ts';
import { openSealedKey, sealedKeys } from '@concordat/web/sealed-keys.ts';
import type { Account, SignIn } from '@concordat/web/sign-in.ts';

import type { Agent } from '../agent.ts';
import { explainAgreement } from '../agreement/explain-agreement.ts';
import { readAgreement } from '../agreement/in-force.ts';
import { unusualIn } from '../agreement/unusual.ts';
import { readSigningKey } from '../app.ts';
import { keysFolder, type AgentConfig } from '../config.ts';
import type { WorkerPool } from '../fit/pool.ts';
import type { Logger } from '../logger.ts';
import { openDesk } from './open-desk.ts';
import type { CustodianPageParts } from './page/context.ts';
import type { AgentStatus, AgreementStatus } from './page/status.ts';
import { taken } from './taken.ts';

/** Types of what is logged and auditors do not see: counts behind refusals, and notes of custodians and administrators. */
const STAY_HERE: ReadonlySet<string> = new Set(['refusals', 'statement', 'acknowledgement']);

interface Serving {
  readonly agent: Pick<Agent, 'connection'>;
  readonly log: Pick<MessageLog, 'entries' | 'body' | 'checkpoint' | 'append' | 'tree' | 'note'>;
  readonly workers: WorkerPool;
  readonly logger: Logger;
}

export function pageParts(config: AgentConfig, { agent, log, workers, logger }: Serving): CustodianPageParts {
  const { study } = config;
  const now = (): Date => new Date();
  return {
    study,
    desk: openDesk(config, readSigningKey(config), workers, {
      entries: () => log.entries,
      body: (entry) => log.body(entry),
    }),
    signIn: signInTo(config),
    status: (): AgentStatus => {
      const { connected, since, failure } = agent.connection;
      const { size, root } = log.checkpoint();
      return {
        study,
        coordinator: config.coordinator,
        connected,
        since,
        failure: failure === null ? null : { ...failure, remedy: remedyOf(failure.code) },
        certificateNotAfter: new X509Certificate(
          readFileSync(config.tls.certificate),
        ).validToDate.toISOString(),
        agreement: agreementStatus(config.agreement, now()),
        log: { size, root: toHex(root) },
        versions: { protocol: `${PROTOCOL_NEWEST}`, node: process.versions.node },
      };
    },
    log,
    audit: { title: 'Audit', log, folder: config.log, kept: STAY_HERE },
    taken: (statement) => taken(() => log.entries, statement),
    logger,
    now,
  };
}

const remedyOf = (code: string): string =>
  code.startsWith('log/')
    ? "this site's log and the coordinator's do not go on from what was seen of them before: the administrators of both sides compare them; here: `concordat agent acknowledge`"
    : '`concordat agent doctor` says more';

function signInTo(config: AgentConfig): SignIn {
  return {
    accounts: () => [
      ...custodiansOf(config),
      ...sealedKeys(keysFolder(config, 'auditor')).map((named): Account => ({ ...named, role: 'auditor' })),
    ],
    openKey: (name, role, passphrase) => openSealedKey(keysFolder(config, role), name, passphrase),
    noAccount: {
      message: 'The agreement names no custodian.',
      remedy:
        'Make a key with `concordat agent custodian NAME`, which names it under `custodians`; or an auditor’s, who only reads, with `concordat agent auditor NAME`.',
    },
    wrong: {
      message:
        'Name and passphrase do not open a key of a custodian whom the agreement names, or of an auditor.',
      remedy: 'type the passphrase again; a new key is made with `concordat agent custodian NAME`',
    },
  };
}

function custodiansOf(config: AgentConfig): readonly Account[] {
  try {
    const { custodians } = readAgreement(config.agreement, { local: false });
    return custodians.map(({ name, key }) => ({ name, key, role: 'custodian' }));
  } catch {
    // With an agreement that cannot be used there is nobody who could decide.
    return [];
  }
}

function agreementStatus(file: string, now: Date): AgreementStatus {
  try {
    const agreement = readAgreement(file, { local: false });
    const { name, until, digest, text } = agreement;
    return {
      name,
      until,
      digest,
      text,
      lines: explainAgreement(agreement, now).filter((line) => line !== ''),
      faults: unusualIn(agreement, { now, columns: null, templates: new Map() }),
    };
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    return {
      name: 'no usable agreement',
      until: '',
      digest: '',
      text: '',
      lines: ['Nothing is answered until the agreement is valid.'],
      faults: [error.describe()],
    };
  }
}
