/** What the agent's tests share: a log in a folder of its own, tasks as the coordinator would sign them, a tiny plan. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import { generateSigningKey, signingIdentity, signMessage } from '@concordat/shared/wire/signing.ts';

import type { AgentOptions } from './agent.ts';

/** An agreement that allows everything, and asks nobody. */
export const AGREEMENT: Agreement = {
  name: 'test',
  until: '9999-12-31',
  statisticians: null,
  custodians: [],
  approval: 'automatic',
  templates: [],
  variables: 'all',
  outcomes: 'all',
  families: 'all',
  tellCounts: false,
  policy: DEFAULT_POLICY,
  digest: '0'.repeat(64),
  text: '',
};

/** A coordinator whose log, and whose view of the site's, is as it should be. */
export const AGREEING: AgentOptions['witness'] = {
  halted: null,
  offer: () => ({ checkpoint: '', from: 0, proof: [], kept: '', standing: 'STANDING_UNSPECIFIED' }),
  take: () => 'together',
  close: () => undefined,
};

/** What an agent needs beside its log, connection and workers. */
export function situation(
  agreement: Partial<Agreement> = {},
): Pick<
  AgentOptions,
  | 'study'
  | 'identity'
  | 'coordinatorKey'
  | 'agreement'
  | 'template'
  | 'snapshot'
  | 'source'
  | 'state'
  | 'now'
  | 'logger'
  | 'witness'
> {
  const inForce = { ...AGREEMENT, ...agreement };
  return {
    study: STUDY,
    identity: site,
    coordinatorKey: coordinator.publicKey,
    agreement: { current: () => inForce, of: () => inForce },
    template: () => null,
    snapshot: () => Promise.resolve('the records'),
    source: { data: 'nowhere', map: null },
    state: newFolder(),
    now: () => new Date('2026-01-01T00:00:00Z'),
    witness: AGREEING,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
}

export const PLAN = `plan: 1
id: tiny
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian}}
  - {id: by-centre, approach: two-stage, model: {family: gaussian, adjust: [factor(centre)]}}
`;

export const STUDY = 'A';
export const site = signingIdentity(generateSigningKey(), 'site');
export const coordinator = signingIdentity(generateSigningKey(), 'coordinator');
export const RUN = new Uint8Array(randomBytes(16));

const root = fs.mkdtempSync(join(tmpdir(), 'agent-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

export function newFolder(): string {
  return fs.mkdtempSync(join(root, 'folder-'));
}

export function openLog(directory: string): MessageLog {
  return new MessageLog({
    fs,
    directory,
    origin: 'concordat/site/A',
    identity: site,
    now: () => new Date('2026-01-01T00:00:00Z'),
    randomBytes: (n) => randomBytes(n),
  });
}

const roster = Roster.encode({
  sites: [{ study: STUDY, key: site.publicKey }],
  minimumStudies: 1,
  masked: false,
}).finish();

export function headerOf(over: Partial<Header> = {}): Header {
  return {
    study: STUDY,
    run: RUN,
    analysis: '',
    round: 0,
    planDigest: sha256(PLAN),
    rosterDigest: sha256(roster),
    attempt: 0,
    inReplyTo: new Uint8Array(0),
    checkpoint: { size: 0, root: sha256() },
    ...over,
  };
}

export function taskOf(
  payload: NonNullable<CoordinatorMessage['payload']>,
  header: Partial<Header> = {},
  identity = coordinator,
): SignedMessage {
  return signMessage(identity, CoordinatorMessage.encode({ header: headerOf(header), payload }).finish());
}

export function offer(plan: string = PLAN, header: Partial<Header> = {}): SignedMessage {
  return taskOf({ $case: 'planOffer', value: planOffer(plan, Roster.decode(roster)) }, header);
}
