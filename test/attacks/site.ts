/**
 * A site under attack: the real agent with its own loop, worker answers, gate and log, over records that a test invents; and a coordinator
 * that holds the pinned key and asks whatever it likes.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, type AgentOptions } from '@concordat/node-agent/agent.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { sealOf } from '@concordat/node-agent/agreement/seal.ts';
import { filesDigest } from '@concordat/node-agent/data/files-digest.ts';
import type { ExchangeAnswer } from '@concordat/node-agent/egress/client.ts';
import type { Released } from '@concordat/node-agent/egress/gate.ts';
import { Ledger } from '@concordat/node-agent/egress/ledger.ts';
import type { Payload, StudyAnswer, StudyQuestion } from '@concordat/node-agent/fit/draft.ts';
import { answer } from '@concordat/node-agent/fit/study.ts';
import { AGREEING, AGREEMENT } from '@concordat/node-agent/testing.ts';
import {
  CoordinatorMessage,
  Roster,
  type ObjectiveQuestion,
} from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SiteMessage, type StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import {
  generateSigningKey,
  signingIdentity,
  signMessage,
  type SigningIdentity,
} from '@concordat/shared/wire/signing.ts';

/** In memory where the system has a folder there. */
const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'attacks-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

export const newFolder = (): string => fs.mkdtempSync(join(root, 'folder-'));

/** Records by column; null: missing. */
export type Records = Readonly<Record<string, readonly (number | string | null)[]>>;

export function csvOf(records: Records): string {
  const names = Object.keys(records);
  const rows = records[names[0]!]!.map((_, i) => names.map((name) => records[name]![i] ?? '').join(','));
  return `${[names.join(','), ...rows].join('\n')}\n`;
}

/** The shipped policy but for some keys. */
export type Loosened = Readonly<Record<string, unknown>>;

export function policyWith(loosened: Loosened): Policy {
  const { participants, levels, ...rest } = loosened;
  return {
    ...DEFAULT_POLICY,
    ...rest,
    participants: { ...DEFAULT_POLICY.participants, ...(participants as object) },
    levels: { ...DEFAULT_POLICY.levels, ...(levels as object) },
  };
}

export interface SiteOptions {
  readonly study?: string;
  readonly policy?: Policy;
  readonly agreement?: Partial<Agreement>;
  readonly coordinator?: SigningIdentity;
  readonly logger?: AgentOptions['logger'];
  /** Texts of the agreement's templates, by path. */
  readonly templates?: Readonly<Record<string, string>>;
}

interface Turn {
  readonly tasks: readonly SignedMessage[];
  readonly done: (replies: readonly Released[]) => void;
}

export class Site {
  readonly study: string;
  readonly identity: SigningIdentity;
  readonly coordinator: SigningIdentity;
  readonly folder = newFolder();
  readonly file = join(this.folder, 'records.csv');
  readonly state = join(this.folder, 'state');
  agreement: Agreement;
  readonly #agreements = new Map<string, Agreement>();
  readonly #options: SiteOptions;
  #agent: Agent;
  #ledger: Ledger;
  #log: MessageLog;
  #logs = 0;
  /** What the agent waits in: its next exchange, and what the test gives it there. */
  #waiting: ((answer: ExchangeAnswer) => void) | null = null;
  #turn: Turn | null = null;
  #next: Turn[] = [];
  /** Flushes of the message log; counted, and left out to be fast. */
  flushes = 0;
  readonly #computed = new Map<string, Promise<StudyAnswer>>();
  /** Every byte that the agent handed to its client. */
  readonly sent: SignedMessage[] = [];

  constructor(records: Records | string, options: SiteOptions = {}) {
    this.#options = options;
    this.study = options.study ?? 'A';
    this.identity = signingIdentity(generateSigningKey(), this.study);
    this.coordinator = options.coordinator ?? signingIdentity(generateSigningKey(), 'coordinator');
    this.agreement = this.#inForce(options.policy ?? DEFAULT_POLICY, options.agreement ?? {});
    this.write(records);
    this.#log = this.#openLog();
    this.#ledger = this.#openLedger();
    this.#agent = this.#start();
  }

  #inForce(policy: Policy, over: Partial<Agreement>): Agreement {
    const written = { ...AGREEMENT, ...over, policy };
    const digest = Buffer.from(sha256(JSON.stringify(written))).toString('hex');
    const agreement = { ...written, digest };
    this.#agreements.set(digest, agreement);
    return agreement;
  }

  /** The custodian's next version of the records. */
  write(records: Records | string): void {
    // Under another name first, so that no state of the file is like the one before.
    fs.writeFileSync(`${this.file}.new`, typeof records === 'string' ? records : csvOf(records));
    fs.renameSync(`${this.file}.new`, this.file);
    this.#computed.clear();
  }

  /** Seal of the records as they are now. */
  async snapshot(): Promise<string> {
    return sealOf(this.identity, await filesDigest([this.file]));
  }

  /** The custodian changes the agreement's thresholds. */
  amend(policy: Policy): void {
    this.agreement = this.#inForce(policy, this.#options.agreement ?? {});
  }

  /** The agent is stopped and started again: from its log, or (what nobody should do) from an empty one. */
  async restart(from: 'log' | 'nothing' = 'log'): Promise<void> {
    await this.stop();
    if (from === 'nothing') this.#logs++;
    this.#log = this.#openLog();
    this.#ledger = this.#openLedger();
    this.#agent = this.#start();
  }

  get log(): MessageLog {
    return this.#log;
  }

  /** As old as the log. */
  #openLedger(): Ledger {
    return new Ledger(join(this.folder, `ledger-${this.#logs}`));
  }

  #openLog(): MessageLog {
    const files = { ...fs, fsyncSync: () => void this.flushes++ };
    return new MessageLog({
      fs: files,
      directory: join(this.folder, `log-${this.#logs}`),
      origin: `concordat/site/${this.study}`,
      identity: this.identity,
      now: () => new Date('2026-01-01T00:00:00Z'),
      randomBytes: (n) => new Uint8Array(randomBytes(n)),
    });
  }

  #ended: Promise<void> = Promise.resolve();

  #start(): Agent {
    const agent = new Agent({
      study: this.study,
      identity: this.identity,
      coordinatorKey: this.coordinator.publicKey,
      agreement: {
        current: () => this.agreement,
        of: (digest) => this.#agreements.get(digest) ?? null,
      },
      template: (path) => {
        const text = this.#options.templates?.[path];
        return text === undefined ? null : { plan: parsePlan(text, path), digest: toHex(sha256(text)) };
      },
      snapshot: () => this.snapshot(),
      source: { data: this.file, map: null, secret: this.#ledger.secret },
      ledger: this.#ledger,
      state: this.state,
      now: () => new Date('2026-01-01T00:00:00Z'),
      client: {
        exchange: (replies) => this.#exchange(replies),
        interrupt: () => this.#waiting?.({ status: 'interrupted' }),
        close: () => this.#waiting?.({ status: 'failed', failure: 'timed-out' }),
      },
      witness: AGREEING,
      log: this.#log,
      logger: this.#options.logger ?? silent,
      workers: { ask: (question) => this.#compute(question) },
    });
    const soon = (): Promise<void> => new Promise((done) => setImmediate(done));
    this.#ended = agent.run(soon, () => 0);
    return agent;
  }

  /** The same question about the same file is computed once. */
  #compute(question: StudyQuestion): Promise<StudyAnswer> {
    if (question.kind === 'objective') return answer(question);
    const key = JSON.stringify(question);
    const known = this.#computed.get(key) ?? answer(question);
    this.#computed.set(key, known);
    return known;
  }

  #exchange(replies: readonly Released[]): Promise<ExchangeAnswer> {
    this.sent.push(...replies.map(({ message }) => message));
    const turn = this.#turn;
    this.#turn = null;
    turn?.done(replies);
    return new Promise((resolve) => {
      this.#waiting = (answered) => {
        this.#waiting = null;
        resolve(answered);
      };
      this.#give();
    });
  }

  #give(): void {
    if (this.#waiting === null || this.#turn !== null) return;
    const turn = this.#next.shift();
    if (turn === undefined) return;
    this.#turn = turn;
    this.#waiting({ status: 'ok', tasks: turn.tasks });
  }

  /** What the agent sends back when it has dealt with these tasks. */
  exchange(tasks: readonly SignedMessage[]): Promise<readonly SignedMessage[]> {
    return new Promise((resolve) => {
      this.#next.push({ tasks, done: (replies) => resolve(replies.map(({ message }) => message)) });
      this.#give();
    });
  }

  /** The answer to each task; null where there is none. */
  async ask(tasks: readonly SignedMessage[]): Promise<readonly (Payload | null)[]> {
    const replies = (await this.exchange(tasks)).map(({ body }) => SiteMessage.decode(body));
    return tasks.map(({ body }) => {
      const digest = Buffer.from(sha256(body));
      return replies.find(({ header }) => digest.equals(header!.inReplyTo))?.payload ?? null;
    });
  }

  /** What the agent sends once it has looked at its custodians' statements. */
  decided(): Promise<readonly SignedMessage[]> {
    return new Promise((resolve) => {
      this.#turn = { tasks: [], done: (replies) => resolve(replies.map(({ message }) => message)) };
      this.#agent.decided();
    });
  }

  async stop(): Promise<void> {
    this.#agent.stop();
    await this.#ended;
  }
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export interface RunOptions {
  /** Other studies of the roster, with their keys. */
  readonly others?: readonly { readonly study: string; readonly key: Uint8Array }[];
  readonly minimum?: number;
  /** Who signs the tasks. */
  readonly signer?: SigningIdentity;
  /** Another run's, to be taken for it. */
  readonly id?: Uint8Array;
}

/** Whom tasks are for. */
type Addressee = Pick<Site, 'study' | 'identity' | 'coordinator'>;

/** The tasks of one run, as a coordinator without scruples writes them. */
export class Tasks {
  readonly plan: string;
  readonly #study: string;
  readonly id: Uint8Array;
  readonly roster: Roster;
  readonly #signer: SigningIdentity;

  constructor(to: Addressee, plan: string, { others = [], minimum = 1, signer, id }: RunOptions = {}) {
    this.id = id ?? new Uint8Array(randomBytes(16));
    this.plan = plan;
    this.#study = to.study;
    this.#signer = signer ?? to.coordinator;
    const own = { study: to.study, key: to.identity.publicKey };
    this.roster = { sites: [own, ...others], minimumStudies: minimum, masked: false };
  }

  offer(header: Partial<Header> = {}): SignedMessage {
    return this.task({ $case: 'planOffer', value: planOffer(this.plan, this.roster) }, header);
  }

  task(payload: NonNullable<CoordinatorMessage['payload']>, header: Partial<Header> = {}): SignedMessage {
    const whole: Header = {
      study: this.#study,
      run: this.id,
      analysis: '',
      round: 0,
      planDigest: sha256(this.plan),
      rosterDigest: sha256(Roster.encode(this.roster).finish()),
      attempt: 0,
      inReplyTo: new Uint8Array(0),
      checkpoint: { size: 0, root: sha256() },
      ...header,
    };
    return signMessage(this.#signer, CoordinatorMessage.encode({ header: whole, payload }).finish());
  }
}

/** One run at one site. */
export class Run extends Tasks {
  readonly site: Site;
  #round = 1;

  constructor(site: Site, plan: string, options: RunOptions = {}) {
    super(site, plan, options);
    this.site = site;
  }

  /** Offers the plan; the run where it was accepted. */
  static async open(site: Site, plan: string, options: RunOptions = {}): Promise<Run | null> {
    const run = new Run(site, plan, options);
    const [accepted] = await site.ask([run.offer()]);
    return accepted?.$case === 'planAccepted' ? run : null;
  }

  /** The site's own fits of these analyses. */
  async stageOne(analyses: readonly string[]): Promise<readonly (Payload | null)[]> {
    const round = this.#round++;
    return this.site.ask(
      analyses.map((analysis) =>
        this.task({ $case: 'stageOneQuestion', value: { agreedLevels: [] } }, { analysis, round }),
      ),
    );
  }

  async levels(variables: readonly string[]): Promise<Payload | null> {
    const value = { variables: [...variables] };
    const [told] = await this.site.ask([
      this.task({ $case: 'factorLevelsQuestion', value }, { round: this.#round++ }),
    ]);
    return told ?? null;
  }

  async enter(analysis: string): Promise<Payload | null> {
    const [entry] = await this.site.ask([
      this.task({ $case: 'entryQuestion', value: { agreedLevels: [] } }, { analysis, round: this.#round++ }),
    ]);
    return entry ?? null;
  }

  async question(analysis: string, value: ObjectiveQuestion): Promise<Payload | null> {
    const [told] = await this.site.ask([
      this.task({ $case: 'objectiveQuestion', value }, { analysis, round: this.#round++ }),
    ]);
    return told ?? null;
  }
}

/** Stage-one estimates of a new run of this plan, by analysis; nothing where the site gave none. */
export async function estimatesOf(
  site: Site,
  plan: string,
  analyses: readonly string[],
): Promise<ReadonlyMap<string, StageOneEstimate>> {
  const run = await Run.open(site, plan);
  if (run === null) return new Map();
  const payloads = await run.stageOne(analyses);
  return new Map(
    analyses.flatMap((id, i) => {
      const payload = payloads[i];
      return payload?.$case === 'stageOneEstimate' ? [[id, payload.value] as const] : [];
    }),
  );
}
