/** Logs of many one-stage runs, with the messages that agents and coordinator would have logged: one run is computed, and signed anew for each. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { parseAgreement } from '@concordat/shared/agreement/document.ts';
import { MessageLog, type LogItem } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { runProgram } from '@concordat/shared/runs/program.ts';
import type { RunTask } from '@concordat/shared/runs/rounds.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import {
  generateSigningKey,
  signingIdentity,
  signMessage,
  type SigningIdentity,
} from '@concordat/shared/wire/signing.ts';

import { siteOf, type Payload } from './sites.ts';

const STUDIES = ['A', 'B', 'C'] as const;
const COORDINATOR = 'coordinator';

const adjusted = (id: string, terms: string, effects: string): string =>
  `  - {id: ${id}, approach: one-stage, model: {family: binomial, adjust: [${terms}], ${effects}}}\n`;
const RANDOM = 'intercept: random, treatment_effect: random';
const STRATIFIED = 'intercept: stratified, treatment_effect: random';
/** About 150 questions a site. */
const planText = (id: string): string => `plan: 1
id: ${id}
treatment: {variable: treatment, control: 0, active: 1}
outcome: {kind: binary, variable: event}
minimum_studies: 2
analyses:
${['age, sex', 'age, sex, sbp, bmi, smoker, diabetes']
  .map((terms, i) => adjusted(`random-${i}`, terms, RANDOM) + adjusted(`stratified-${i}`, terms, STRATIFIED))
  .join('')}`;

const TEMPLATE = planText('template');
const AGREEMENT = `agreement: 1
name: bench
until: '9999-12-31'
approval: matching-template
templates: [template.yaml]
variables: all
outcomes: all
families: all
`;

interface Exchange {
  readonly task: RunTask;
  readonly answer: Payload;
}

export interface LongLogs {
  /** Folders, and keys in hex, by party. */
  readonly site: string;
  readonly coordinator: string;
  readonly keys: readonly string[];
}

/** A site's log, and the coordinator's, of at least `entries` entries each. */
export function writeLongLogs(folder: string, entries: number): LongLogs {
  const identities = new Map([COORDINATOR, ...STUDIES].map((party) => [party, newIdentity()]));
  const roster: Roster = {
    sites: STUDIES.map((study) => ({ study, key: identities.get(study)!.publicKey })),
    minimumStudies: 2,
    masked: false,
  };
  const agreement = parseAgreement(AGREEMENT, 'the agreement', { local: false });
  const policy = sha256(JSON.stringify(agreement.policy));
  const rounds = play(roster, policy);
  const open = (name: string, party: string, origin: string): MessageLog =>
    new MessageLog({
      fs: { ...fs, fsyncSync: () => undefined },
      directory: join(folder, name),
      origin,
      identity: identities.get(party)!,
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
  const site = open('site', STUDIES[0], siteOrigin(STUDIES[0]));
  const coordinator = open('coordinator', COORDINATOR, COORDINATOR_ORIGIN);
  site.append({ kind: 'start' });
  coordinator.append({ kind: 'start' });
  const terms = { agreement: agreement.digest, policy: toHex(policy), template: toHex(sha256(TEMPLATE)) };
  site.append(
    { kind: 'decision', type: 'agreement', detail: { agreement: terms.agreement } },
    Buffer.from(AGREEMENT),
  );
  site.append(
    {
      kind: 'decision',
      type: 'template',
      detail: { template_file: 'template.yaml', template: terms.template },
    },
    Buffer.from(TEMPLATE),
  );
  for (let i = 0; ; i++) {
    const logs = [
      ...(site.entries.length < entries ? [site] : []),
      ...(coordinator.entries.length < entries ? [coordinator] : []),
    ];
    if (logs.length === 0) break;
    const run = new Run(planText(`run-${i}`), roster, identities, terms);
    if (logs.includes(site)) run.atSite(site, rounds);
    if (logs.includes(coordinator)) run.atCoordinator(coordinator, rounds);
  }
  for (const log of [site, coordinator]) {
    log.append({ kind: 'stop' });
    log.close();
  }
  return {
    site: join(folder, 'site'),
    coordinator: join(folder, 'coordinator'),
    keys: [...identities].map(([party, { publicKey }]) => `${party}=${toHex(publicKey)}`),
  };
}

const newIdentity = (): SigningIdentity => signingIdentity(generateSigningKey(), 'bench');

function play(roster: Roster, policy: Uint8Array): readonly (readonly Exchange[])[] {
  const sites = new Map(STUDIES.map((study, i) => [study as string, siteOf(TEMPLATE, study, i, policy)]));
  const program = runProgram({
    plan: parsePlan(TEMPLATE, 'the plan'),
    studies: STUDIES,
    offer: { $case: 'planOffer', value: planOffer(TEMPLATE, roster, null) },
  });
  const rounds: Exchange[][] = [];
  let step = program.next();
  while (step.done !== true) {
    const round = step.value.tasks.map((task) => ({
      task,
      answer: sites.get(task.study)!(task, task.analysis),
    }));
    rounds.push(round);
    step = program.next(round.map(({ answer }) => ({ kind: 'reply', payload: answer })));
  }
  return rounds;
}

/** One run, told anew: its own id, plan and signatures. */
class Run {
  readonly #id = new Uint8Array(randomBytes(16));
  readonly #plan: string;
  readonly #roster: Roster;
  readonly #common: Pick<Header, 'run' | 'planDigest' | 'rosterDigest' | 'attempt'>;
  readonly #identities: ReadonlyMap<string, SigningIdentity>;
  readonly #terms: Readonly<Record<string, string>>;

  constructor(
    plan: string,
    roster: Roster,
    identities: ReadonlyMap<string, SigningIdentity>,
    terms: Readonly<Record<string, string>>,
  ) {
    this.#plan = plan;
    this.#roster = roster;
    this.#identities = identities;
    this.#terms = terms;
    this.#common = {
      run: this.#id,
      planDigest: sha256(plan),
      rosterDigest: sha256(Roster.encode(roster).finish()),
      attempt: 0,
    };
  }

  atSite(log: MessageLog, rounds: readonly (readonly Exchange[])[]): void {
    const study = STUDIES[0];
    rounds.forEach((exchanges, round) => {
      const own = exchanges.filter(({ task }) => task.study === study);
      const head = headOf(log);
      const tasks = own.map(({ task }) => this.#task(task, numberOf(round), head));
      log.appendAll(
        tasks.map(({ item }) => ({ ...item, entry: { ...item.entry, kind: 'received', peer: COORDINATOR } })),
      );
      own.forEach(({ task, answer }, i) => {
        const { name } = tasks[i]!;
        const run = toHex(this.#id);
        if (answer.$case === 'planAccepted')
          log.append({
            kind: 'approved',
            run,
            task: toHex(name),
            detail: {
              ...this.#terms,
              plan: toHex(this.#common.planDigest),
              data: toHex(sha256('records')),
              mode: 'template',
            },
          });
        if (answer.$case === 'oneStageEntry')
          log.append({
            kind: 'decision',
            run,
            analysis: task.analysis,
            detail: { set: toHex(sha256('set')) },
          });
        if (answer.$case === 'objectiveValue')
          log.append({
            kind: 'decision',
            run,
            analysis: task.analysis,
            task: toHex(name),
            detail: { taken: true },
          });
        const checkpoint = { size: log.entries.length, root: log.tree.root() };
        const { entry, body } = this.#reply({ task, answer }, numberOf(round), name, checkpoint);
        log.append({ ...entry, kind: 'sent', peer: COORDINATOR }, body);
      });
    });
  }

  atCoordinator(log: MessageLog, rounds: readonly (readonly Exchange[])[]): void {
    rounds.forEach((exchanges, at) => {
      const round = numberOf(at);
      const checkpoint = { size: log.entries.length, root: log.tree.root() };
      const tasks = exchanges.map(({ task }) => this.#task(task, round, checkpoint));
      log.appendAll(tasks.map(({ item }) => item));
      exchanges.forEach((exchange, i) => {
        const head = headOf(log);
        const { entry, body } = this.#reply(exchange, round, tasks[i]!.name, head);
        log.append({ ...entry, kind: 'received', peer: exchange.task.study }, body);
      });
    });
    log.append({ kind: 'result', run: toHex(this.#id), detail: { result: toHex(sha256('result')) } });
  }

  #task(
    { study, analysis, payload }: RunTask,
    round: number,
    checkpoint: NonNullable<Header['checkpoint']>,
  ): { readonly name: Uint8Array; readonly item: Required<LogItem> } {
    const header = { ...this.#common, study, analysis, round, inReplyTo: new Uint8Array(0), checkpoint };
    const own: RunTask['payload'] =
      payload.$case === 'planOffer'
        ? { $case: 'planOffer', value: planOffer(this.#plan, this.#roster, null) }
        : payload;
    const body = CoordinatorMessage.encode({ header, payload: own }).finish();
    const name = sha256(body);
    const entry = this.#entry(study, { analysis, round, type: payload.$case, task: toHex(name) });
    return { name, item: { entry, body: this.#signed(COORDINATOR, body) } };
  }

  #reply(
    { task: { study, analysis }, answer }: Exchange,
    round: number,
    name: Uint8Array,
    checkpoint: NonNullable<Header['checkpoint']>,
  ): Required<LogItem> {
    const header = { ...this.#common, study, analysis, round, inReplyTo: name, checkpoint };
    const body = SiteMessage.encode({ header, payload: answer }).finish();
    const entry = this.#entry(study, { analysis, round, type: answer.$case, task: toHex(name) });
    return { entry, body: this.#signed(study, body) };
  }

  #entry(
    peer: string,
    of: { readonly analysis: string; readonly round: number; readonly type: string; readonly task: string },
  ): LogItem['entry'] {
    return { kind: 'sent', peer, run: toHex(this.#id), ...of };
  }

  #signed(party: string, body: Uint8Array): Uint8Array {
    return SignedMessage.encode(signMessage(this.#identities.get(party)!, body)).finish();
  }
}

/** Rounds are numbered as the program does: the second, which agrees levels, is left out where no factor is without them. */
const numberOf = (at: number): number => (at === 0 ? 0 : at + 1);

/** Where the other side's log may have stood: any, as long as it never says two things of one size. */
const headOf = ({ entries: { length: size } }: MessageLog): NonNullable<Header['checkpoint']> => ({
  size,
  root: sha256(`${size}`),
});
