/** What the tests of a custodian's word share: a site that is restarted at will, its custodian, and what a coordinator sends it. */
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage, type StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import {
  type CustodianKey,
  type ObjectionName,
  signStatement,
  type StatementBody,
} from '@concordat/shared/agreement/statements.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer, signPlan } from '@concordat/shared/wire/offers.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { Agent } from '../agent.ts';
import type { Draft, Payload, StudyAnswer, StudyQuestion } from '../fit/draft.ts';
import { AGREEMENT, newFolder, openLog, PLAN, site, situation, STUDY, taskOf } from '../testing.ts';
import { putStatement } from './statement-files.ts';

export function person(name: string): CustodianKey {
  const identity = signingIdentity(generateSigningKey(), name);
  return {
    name,
    publicKey: toHex(identity.publicKey),
    sign: (statement) => signBytes(identity, 'concordat.v1 statement\n', statement),
  };
}
export const vera = person('Vera');
export const party = ({ name, publicKey }: CustodianKey) => ({ name, key: publicKey });
export const DATA = toHex(sha256('records'));
export const RUN = (n: number): Uint8Array => new Uint8Array(16).fill(n);
export const planDigest = toHex(sha256(PLAN));

export const estimate: StageOneEstimate = {
  counts: {
    participants: [50, 51],
    events: [],
    notInPopulation: 0,
    otherTreatment: 0,
    missingTreatment: 0,
    missingOutcome: 0,
    missingCovariate: 0,
  },
  estimable: [true, true],
  estimates: [0.1, 0.2],
  vcov: [1, 0.1, 1],
  logLikelihoodNull: -50,
  logLikelihood: -49,
  residualVariance: 1,
  modifierMeans: [],
  rounds: 1,
  badlyScaled: [],
};
export const sound: Draft = {
  payload: { $case: 'stageOneEstimate', value: estimate },
  evidence: {
    kind: 'analysis-set',
    facts: {
      participants: 101,
      perArm: [50, 51],
      parameters: 2,
      effective: 101,
      events: null,
      eventFree: null,
      grouped: false,
      shares: [],
      cells: [],
      leverage: 0.02,
      rank: { deficient: false, nearDeficient: false },
    },
    set: '',
  },
};

/** A site with its state and log, restarted at will; the agreement, the records and the time are a test's to change. */
export class Site {
  readonly state = newFolder();
  readonly folder = newFolder();
  log: MessageLog = openLog(this.folder);
  agreement: Agreement | null;
  data = DATA;
  now = new Date('2026-01-01T00:00:00Z');
  template = PLAN;
  draft = sound;
  /** What happens while an answer is computed. */
  meanwhile = (): void => undefined;
  agent: Agent;
  readonly #known = new Map<string, Agreement>();

  constructor(over: Partial<Agreement> = {}) {
    this.agreement = { ...AGREEMENT, approval: 'each-plan', custodians: [party(vera)], ...over };
    this.agent = this.#start();
  }

  #start(): Agent {
    return new Agent({
      ...situation(),
      agreement: {
        current: () => {
          if (this.agreement !== null) this.#known.set(this.agreement.digest, this.agreement);
          return this.agreement;
        },
        of: (digest) => this.#known.get(digest) ?? null,
      },
      snapshot: () => Promise.resolve(this.data),
      template: () => ({
        plan: parsePlan(this.template, 'template'),
        digest: toHex(sha256(this.template)),
      }),
      state: this.state,
      now: () => this.now,
      client: {
        exchange: () => Promise.reject(new Error('no network')),
        interrupt: () => undefined,
        close: () => undefined,
      },
      log: this.log,
      workers: {
        ask: async (asked: StudyQuestion): Promise<StudyAnswer> => {
          this.meanwhile();
          return {
            drafts: (asked.kind === 'stage-one' ? asked.analyses : ['']).map(() => this.draft),
            problems: [],
          };
        },
      },
    });
  }

  restart(): void {
    this.log.close();
    this.log = openLog(this.folder);
    this.agent = this.#start();
  }

  async send(...tasks: SignedMessage[]): Promise<readonly Payload[]> {
    return (await this.agent.answerAll(tasks)).map(
      ({ message }) => SiteMessage.decode(message.body).payload!,
    );
  }

  /** Hands over a statement; resolves to what the agent then answers. */
  async say(body: StatementBody, by: CustodianKey = vera, study = STUDY): Promise<readonly Payload[]> {
    putStatement(this.state, signStatement(body, study, by, this.now));
    return this.afterStatements();
  }

  async afterStatements(): Promise<readonly Payload[]> {
    return (await this.agent.answerDecided()).map(({ message }) => SiteMessage.decode(message.body).payload!);
  }

  approval(over: Partial<Extract<StatementBody, { kind: 'approve' }>> = {}): StatementBody {
    return {
      kind: 'approve',
      run: toHex(RUN(1)),
      plan: planDigest,
      sites: [STUDY],
      minimum: 1,
      data: this.data,
      agreement: this.agreement?.digest ?? '',
      note: '',
      ...over,
    };
  }

  faults(): readonly unknown[] {
    return this.log.entries.flatMap(({ kind, detail }) =>
      kind === 'refused' ? (detail?.['fault'] ?? []) : [],
    );
  }
}

interface Offered {
  readonly plan?: string;
  readonly sites?: readonly string[];
  readonly minimum?: number;
  readonly attempt?: number;
  readonly signedBy?: ReturnType<typeof signingIdentity>;
}

export function offer(
  run: number,
  { plan = PLAN, sites = [STUDY], minimum = 1, attempt = 0, signedBy }: Offered = {},
): SignedMessage {
  const roster: Roster = {
    sites: sites.map((study) => ({ study, key: study === STUDY ? site.publicKey : new Uint8Array(32) })),
    minimumStudies: minimum,
    masked: false,
  };
  return taskOf(
    {
      $case: 'planOffer',
      value: planOffer(plan, roster, signedBy === undefined ? null : signPlan(plan, signedBy)),
    },
    {
      run: RUN(run),
      attempt,
      planDigest: sha256(plan),
      rosterDigest: sha256(Roster.encode(roster).finish()),
    },
  );
}

export function question(run: number, round = 2): SignedMessage {
  const roster = Roster.encode({
    sites: [{ study: STUDY, key: site.publicKey }],
    minimumStudies: 1,
    masked: false,
  }).finish();
  return taskOf(
    { $case: 'stageOneQuestion', value: { agreedLevels: [{ variable: 'centre', levels: [] }] } },
    { run: RUN(run), analysis: 'effect', round, rosterDigest: sha256(roster) },
  );
}

export const kinds = (payloads: readonly Payload[]): string[] =>
  payloads.map((payload) => (payload.$case === 'refusal' ? payload.value.rule : payload.$case));

export const refusal = (run: number, objection: ObjectionName = 'data-not-ready'): StatementBody => ({
  kind: 'refuse',
  run: toHex(RUN(run)),
  plan: planDigest,
  objection,
  note: 'ask the board',
});
