/** What the page's tests share: a desk that keeps its plans and messages in memory, keys and passphrases, a clock to set, a visitor. */
import type { TestContext } from 'node:test';

import { memoryAudit } from '@concordat/audit/page/testing.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import type { CustodianKey } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import {
  CUSTODIAN,
  LOOPBACK,
  memoryLog,
  memorySignIn,
  surroundings,
  Visitor,
  type Started,
} from '@concordat/web/testing.ts';

import type { PlanExplanation } from '../../agreement/explain.ts';
import type { Payload } from '../../fit/draft.ts';
import {
  isApprovable,
  isRefusable,
  type CustodianDesk,
  type Decision,
  type LeftMessage,
  type OfferedPlan,
  type PreviewedRelease,
  type StandingApproval,
  type WaitingRelease,
} from '../desk.ts';
import { custodianPage } from './app.ts';
import type { CustodianPageParts } from './context.ts';
import type { AgentStatus } from './status.ts';

export const HEADER: Header = {
  study: 'ALDER',
  run: new Uint8Array(16).fill(1),
  analysis: 'cvd',
  round: 3,
  planDigest: new Uint8Array(32).fill(2),
  rosterDigest: new Uint8Array(32).fill(3),
  attempt: 4,
  inReplyTo: new Uint8Array(32).fill(5),
  checkpoint: { size: 9, root: new Uint8Array(32).fill(6) },
};

export const RUN = 'ab'.repeat(16);
export const DIGEST = 'cd'.repeat(32);
export const TASK = 'ef'.repeat(32);
export const OFFER = '01'.repeat(32);
/** Seal of the records. */
export const RECORDS = '23'.repeat(32);
export const HELD = '45'.repeat(32);

export const EXPLANATION: PlanExplanation = {
  id: 'hypertension-cvd',
  title: 'Intensive blood-pressure lowering and time to first cardiovascular event',
  registration: 'PROSPERO CRD42026000001',
  asker: 'Bo Lind, statistician of the consortium',
  sites: ['ALDER', 'BIRCH-2', 'CURLEW'],
  minimumSites: 3,
  outcome: 'the time `cvd_days` to the event `cvd_event`',
  population: '`age >= 18`',
  variables: [
    { variable: 'treat', uses: ['the treatment'] },
    { variable: 'age', uses: ['a covariate of cvd-adjusted', 'the population'] },
  ],
  levels: ['the codes found in `sex`, of at least 5 participants each; counts do not leave'],
  analyses: [
    {
      id: 'cvd',
      model: 'Two stages: Cox regression of the time to the first event, Efron ties.',
      terms: ['treatment'],
      leaves: ['1 estimate with its variance', 'participants and events of each arm', 'in 1 round'],
    },
    {
      id: 'cvd-adjusted',
      model: 'Two stages: the same, adjusted for age and sex.',
      terms: ['treatment', 'age', 'sex'],
      leaves: ['3 estimates with 6 variances and covariances', 'participants and events of each arm'],
    },
  ],
  faults: [],
  differences: ['the analysis `cvd-adjusted` is new'],
};

export const ESTIMATE: Payload = {
  $case: 'stageOneEstimate',
  value: {
    counts: {
      participants: [1502, 1510],
      events: [131, 117],
      notInPopulation: 4,
      otherTreatment: 0,
      missingTreatment: 0,
      missingOutcome: 2,
      missingCovariate: 0,
    },
    estimable: [true],
    estimates: [-0.12109090234],
    vcov: [0.0161823],
    logLikelihoodNull: -1961.25,
    logLikelihood: -1960.75,
    residualVariance: 0,
    modifierMeans: [],
    rounds: 4,
    badlyScaled: [],
  },
};

export function offeredPlan(over: Partial<OfferedPlan> = {}): OfferedPlan {
  return {
    run: RUN,
    digest: DIGEST,
    offer: OFFER,
    agreement: { name: 'ALDER data-sharing agreement', digest: '12'.repeat(32) },
    received: '2026-11-20T08:30:00.000Z',
    decision: null,
    decidedBy: null,
    open: true,
    explanation: EXPLANATION,
    text: 'plan: 1\nid: hypertension-cvd\n',
    ...over,
  };
}

export const RELEASE: WaitingRelease = {
  task: TASK,
  run: RUN,
  planDigest: DIGEST,
  analysis: 'cvd',
  round: 2,
  terms: ['treatment'],
  asked: 'Fit the analysis to your own records',
  payload: ESTIMATE,
  held: HELD,
};

export interface DeskContent {
  readonly plans?: readonly OfferedPlan[];
  readonly releases?: readonly WaitingRelease[];
  /** Newest first. */
  readonly left?: readonly LeftMessage[];
  readonly previews?: readonly PreviewedRelease[];
}

/** Takes decisions as the agent does: signed, about something that waits, once. */
export class MemoryDesk implements CustodianDesk {
  readonly decisions: { readonly decision: Decision; readonly by: string; readonly signature: string }[] = [];
  #plans: readonly OfferedPlan[];
  #releases: readonly WaitingRelease[];
  readonly #left: readonly LeftMessage[];
  readonly #previews: readonly PreviewedRelease[];

  constructor({ plans = [], releases = [], left = [], previews = [] }: DeskContent) {
    this.#plans = plans;
    this.#releases = releases;
    this.#left = left;
    this.#previews = previews;
  }

  plans(): readonly OfferedPlan[] {
    return this.#plans;
  }

  plan(run: string, digest: string): OfferedPlan | null {
    return this.#plans.find((plan) => plan.run === run && plan.digest === digest) ?? null;
  }

  releases(): readonly WaitingRelease[] {
    return this.#releases;
  }

  left(from: number, count: number): { messages: readonly LeftMessage[]; total: number } {
    return { messages: this.#left.slice(from, from + count), total: this.#left.length };
  }

  async preview(_digest: string): Promise<readonly PreviewedRelease[]> {
    return this.#previews;
  }

  async standingApproval({
    run,
    digest,
  }: Pick<OfferedPlan, 'run' | 'digest'>): Promise<StandingApproval | null> {
    const found = this.plan(run, digest);
    return found?.decision === 'approved' ? { custodian: `${found.decidedBy}`, time: found.received } : null;
  }

  async records(): Promise<string> {
    return RECORDS;
  }

  async decide(decision: Decision, custodian: CustodianKey): Promise<string> {
    if (decision.kind === 'approve' || decision.kind === 'refuse') {
      const found = this.#plans.find(({ run, digest }) => run === decision.run && digest === decision.plan);
      const may = decision.kind === 'approve' ? isApprovable : isRefusable;
      if (found === undefined || !may(found)) {
        throw new ConcordatError('approval/unknown', 'no such plan waits', {
          remedy: 'look whether another custodian was first',
        });
      }
      this.#plans = this.#plans.map((plan): OfferedPlan => {
        if (plan !== found) return plan;
        const word = decision.kind === 'approve' ? 'approved' : 'refused';
        // A site that refuses is no longer in the run.
        return { ...plan, decision: word, decidedBy: custodian.name, open: plan.open && word === 'approved' };
      });
    } else this.#releases = this.#releases.filter(({ task }) => task !== decision.task);
    const signature = toHex(custodian.sign(Buffer.from(JSON.stringify(decision))));
    this.decisions.push({ decision, by: custodian.name, signature });
    return toHex(sha256(signature));
  }
}

export const STATUS: AgentStatus = {
  study: 'ALDER',
  coordinator: 'coordinator.example.org:443',
  connected: true,
  since: '2026-11-25T04:00:00.000Z',
  failure: {
    time: '2026-11-25T03:58:00.000Z',
    code: 'network/unreachable',
    remedy: 'ask whether the firewall lets this machine reach the coordinator',
  },
  certificateNotAfter: '2026-12-20T00:00:00.000Z',
  agreement: {
    name: 'ALDER data-sharing agreement',
    until: '2027-12-31',
    digest: '12'.repeat(32),
    lines: ['Plans are approved one by one.', 'Variables: treat, age, sex.'],
    faults: [],
    text: 'agreement: 1\nname: ALDER data-sharing agreement\n',
  },
  log: { size: 45, root: '34'.repeat(32) },
  versions: { agent: '0.1.0', protocol: '2', node: '24.21.0' },
};

const LOG: readonly LogEntry[] = Array.from({ length: 45 }, (_, n) => ({
  n,
  time: '2026-11-25T04:00:00.000Z',
  kind: n % 2 === 0 ? 'received' : 'sent',
  type: n % 2 === 0 ? 'StageOneQuestion' : 'StageOneEstimate',
  analysis: 'cvd',
  round: n,
  detail: { number: n },
}));

/** A page's parts around a desk; `clock.now` is what time it is. */
export function pageParts(
  desk: CustodianDesk,
  over: Partial<CustodianPageParts> = {},
): { parts: CustodianPageParts; clock: { now: number }; logged: string[] } {
  const { clock, now, logged, note } = surroundings();
  const parts: CustodianPageParts = {
    study: STATUS.study,
    desk,
    signIn: memorySignIn('custodian', 'auditor'),
    status: () => STATUS,
    log: { ...memoryLog(), entries: LOG },
    audit: memoryAudit(LOG, ['refusals']),
    taken: async () => null,
    logger: {
      info: (fields) => note('info', fields),
      warn: (fields) => note('warn', fields),
      error: (fields) => note('error', fields),
    },
    now,
    ...over,
  };
  return { parts, clock, logged };
}

export const PLAN = `/plans/${RUN}/${DIGEST}`;
export const message = (n: number, over = {}) => ({
  n,
  time: '2026-11-24T10:00:00.000Z',
  run: RUN,
  analysis: 'cvd',
  round: n,
  type: 'StageOneEstimate',
  task: TASK,
  header: HEADER,
  terms: ['treatment'],
  payload: ESTIMATE,
  ...over,
});

/** A page over a desk, without a port, and someone who visits it. */
export async function start(
  t: TestContext,
  desk = new MemoryDesk({}),
  over: Partial<CustodianPageParts> = {},
): Promise<Started & { readonly desk: MemoryDesk }> {
  const { parts, clock, logged } = pageParts(desk, over);
  const app = await custodianPage(parts, LOOPBACK);
  t.after(() => app.close());
  return { app, desk, clock, logged, visitor: new Visitor(app, CUSTODIAN) };
}

/** A desk with something of everything. */
export const waiting = (): MemoryDesk =>
  new MemoryDesk({
    plans: [offeredPlan()],
    releases: [RELEASE],
    left: [message(30), message(20), message(10)],
    previews: [
      {
        analysis: 'cvd',
        terms: ['treatment'],
        payload: ESTIMATE,
        remarks: ['no rule is near its threshold'],
      },
    ],
  });

/** Every page that who is signed in may see. */
export const PLACES = [
  '/',
  '/plans',
  PLAN,
  `${PLAN}/preview`,
  '/releases',
  '/left',
  '/left/20',
  '/agreement',
  '/connection',
  '/log',
];
