/**
 * What the coordinator adds to a round of a one-stage fit: 50 sites in one process (engine, journal, log on disk, frames
 * and signatures; the sites' answers computed before), and 20 sites behind a round trip of 160 ms.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

import { Desk } from '@concordat/coordinator/exchange/desk.ts';
import { Witnesses } from '@concordat/coordinator/exchange/witnesses.ts';
import { RunEngine, type Progress } from '@concordat/coordinator/runs/engine.ts';
import { Journal } from '@concordat/coordinator/store/journal.ts';
import { RefusedReplies } from '@concordat/coordinator/store/refused-replies.ts';
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ExchangeRequest, ExchangeResponse, SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { PeerLog } from '@concordat/shared/log/peer-log.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import {
  generateSigningKey,
  signingIdentity,
  signMessage,
  type SigningIdentity,
} from '@concordat/shared/wire/signing.ts';

import { siteOf, type Payload } from './sites.ts';

/** Ten parameters: eight coefficients and two standard deviations. */
const PARAMETERS = 10;
const RUNS = 4;
const RULE = { protocolOldest: 1, protocolNewest: 1 };
const PLAN = `plan: 1
id: rounds
treatment: {variable: treatment, control: 0, active: 1}
outcome: {kind: binary, variable: event}
analyses:
  - id: mixed
    approach: one-stage
    model: {family: binomial, adjust: [age, sex, sbp, bmi, smoker, diabetes], intercept: random, treatment_effect: random}
`;

/** One round about parameters, in milliseconds: in all, at the sites, waiting for the disk, and as the witness of the sites' logs. */
interface Measured {
  readonly wall: number;
  readonly sites: number;
  readonly disk: number;
  readonly witness: number;
}

export async function benchRounds(folder: string): Promise<void> {
  const answers = new Map<string, Payload>();
  let up = 0;
  const near: Measured[] = [];
  for (let i = 0; i <= RUNS; i++) {
    const played = await play(join(folder, `near-${i}`), 50, 0, answers);
    up = played.up;
    // The first computes the answers.
    if (i > 0) near.push(...played.rounds);
  }
  const far = new Map<string, Payload>();
  await play(join(folder, 'far-warm'), 20, 0, far);
  const latent = (await play(join(folder, 'far'), 20, 160, far)).rounds;
  const own = median(near.map(({ wall, sites }) => wall - sites));
  const eight = (latent.reduce((sum, { wall }) => sum + wall, 0) / latent.length) * 8;
  const limit = 8 * (1 + PARAMETERS + (PARAMETERS * (PARAMETERS + 1)) / 2) + 512;
  console.log(
    `\nRounds of a one-stage fit, ${PARAMETERS} parameters\n\n| what | measured | goal |\n|---|---|---|`,
  );
  console.log(
    `| coordinator, a round of 50 sites (median of ${near.length}) | ${own.toFixed(1)} ms | ≤ 10 ms |`,
  );
  console.log(
    `| of it writing log and journal to this disk | ${median(near.map(({ disk }) => disk)).toFixed(1)} ms | |`,
  );
  console.log(
    `| of it as the witness of the sites' logs, and they of its own | ${median(near.map(({ witness }) => witness)).toFixed(1)} ms | |`,
  );
  console.log(`| 8 rounds of 20 sites behind 160 ms | ${(eight / 1000).toFixed(2)} s | < 2 s |`);
  console.log(`| bytes up, a site and round | ${up} | ≤ ${limit} |`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** One run; fills `answers` where they are not there yet. `up`: the largest answer about parameters, signed, bytes. */
async function play(
  folder: string,
  sites: number,
  latency: number,
  answers: Map<string, Payload>,
): Promise<{ readonly rounds: readonly Measured[]; readonly up: number }> {
  fs.mkdirSync(folder, { recursive: true });
  const studies = Array.from({ length: sites }, (_, i) => `T${String(i + 1).padStart(2, '0')}`);
  const identities = new Map(studies.map((study) => [study, signingIdentity(generateSigningKey(), study)]));
  const keys = new Map([...identities].map(([study, { publicKey }]) => [study, publicKey]));
  const roster = Roster.encode({
    sites: studies.map((study) => ({ study, key: keys.get(study)! })),
    minimumStudies: 1,
    masked: false,
  }).finish();
  const run = {
    id: new Uint8Array(randomBytes(16)),
    plan: PLAN,
    roster,
    started: '2026-01-01T00:00:00Z',
    signature: null,
  };
  const clock = { disk: 0, sites: 0, witness: 0 };
  const clocked = <R>(what: 'disk' | 'witness', work: () => R): R => {
    const start = performance.now();
    const value = work();
    clock[what] += performance.now() - start;
    return value;
  };
  const witnessing = <R>(work: () => R): R => clocked('witness', work);
  const timed =
    <A extends unknown[], R>(work: (...args: A) => R) =>
    (...args: A): R =>
      clocked('disk', () => work(...args));
  const whole = new Journal(join(folder, 'journal.sqlite'));
  whole.createRun(run);
  const journal = new Proxy(whole, {
    get: (target, name: keyof Journal) => {
      const method = (target[name] as (...args: unknown[]) => unknown).bind(target);
      return name === 'addTasks' || name === 'settle' ? timed(method) : method;
    },
  });
  const identity = signingIdentity(generateSigningKey(), 'coordinator');
  const log = new MessageLog({
    fs: { ...fs, fsyncSync: timed(fs.fsyncSync), renameSync: timed(fs.renameSync) },
    directory: join(folder, 'log'),
    origin: COORDINATOR_ORIGIN,
    identity,
    now: () => new Date(),
    randomBytes: (n) => randomBytes(n),
  });
  const desk = new Desk();
  const rounds: Measured[] = [];
  let from: Measured | null = null;
  const progress = (event: Progress): void => {
    if (event.event !== 'round') return;
    const now = { wall: performance.now(), ...clock };
    if (from !== null)
      rounds.push({
        wall: now.wall - from.wall,
        sites: now.sites - from.sites,
        disk: now.disk - from.disk,
        witness: now.witness - from.witness,
      });
    from = event.name === 'one stage' ? now : null;
  };
  const refused = new RefusedReplies(log);
  const engine = new RunEngine({ journal, log, refused, identity, keys, desk, progress }, run);
  const witnesses = new Witnesses({
    log,
    identity,
    now: () => new Date(),
    keyOf: (study) => keys.get(study) ?? null,
    told: () => undefined,
    warned: () => undefined,
  });
  const gone = new AbortController();
  let up = 0;
  const serve = async (study: string, i: number): Promise<void> => {
    const site = rememberedSite(study, i, answers);
    const key = identities.get(study)!;
    const { log: own, peer } = siteLog(folder, study, key, identity.publicKey);
    const requestWith = (replies: SignedMessage[]): Uint8Array =>
      encode(ExchangeRequest, { ...RULE, replies, waiting: [], witness: peer.offer() }, 'an exchange');
    let request = requestWith([]);
    while (!gone.signal.aborted) {
      await travel(latency / 2);
      const { replies: given, witness } = decode(ExchangeRequest, request, 'an exchange');
      const standpoint = witnessing(() => witnesses.take(study, witness));
      if (standpoint !== 'together') throw new Error(`${study}: ${standpoint}`);
      for (const reply of given) await engine.accept(study, reply);
      const tasks = await desk.collect(study, 60_000, gone.signal);
      const response = encode(
        ExchangeResponse,
        {
          protocol: 1,
          ...RULE,
          tasks: [...tasks],
          witness: witnessing(() => witnesses.offer(study, false)),
        },
        'an answer',
      );
      await travel(latency / 2);
      const start = performance.now();
      const answered = decode(ExchangeResponse, response, 'an answer');
      peer.take(answered.witness);
      const replies = answered.tasks.map(({ body }) => {
        const task = CoordinatorMessage.decode(body);
        const payload = site(task);
        const header = {
          ...task.header!,
          inReplyTo: sha256(body),
          checkpoint: { size: 1, root: sha256('') },
        };
        own.append({ kind: 'received', peer: 'coordinator' });
        own.append({ kind: 'sent', peer: 'coordinator' });
        const reply = signMessage(key, SiteMessage.encode({ header, payload }).finish());
        if (payload.$case === 'objectiveValue')
          up = Math.max(up, SignedMessage.encode(reply).finish().length);
        return reply;
      });
      request = requestWith(replies);
      clock.sites += performance.now() - start;
    }
  };
  const served = studies.map(serve);
  const outcome = await engine.run();
  gone.abort();
  await Promise.all(served);
  log.close();
  whole.close();
  const result = outcome.analyses['mixed'];
  if (result?.status !== 'done') throw new Error(`the fit failed: ${JSON.stringify(result)}`);
  return { rounds, up };
}

/** A site's log, not flushed, and its view of the coordinator's. */
function siteLog(
  folder: string,
  study: string,
  identity: SigningIdentity,
  key: Uint8Array,
): { readonly log: MessageLog; readonly peer: PeerLog } {
  const now = (): Date => new Date();
  const log = new MessageLog({
    fs: { ...fs, fsyncSync: () => undefined },
    directory: join(folder, study),
    origin: siteOrigin(study),
    identity,
    now,
    randomBytes: (n) => randomBytes(n),
  });
  const quiet = { told: () => undefined, warned: () => undefined };
  return {
    log,
    peer: new PeerLog({ log, identity, peer: 'coordinator', origin: COORDINATOR_ORIGIN, key, now, ...quiet }),
  };
}

/** What a site answers: computed at the first run, and remembered. */
function rememberedSite(
  study: string,
  i: number,
  answers: Map<string, Payload>,
): (task: CoordinatorMessage) => Payload {
  const compute = siteOf(PLAN, study, i, sha256('policy'));
  return (task) => {
    const { round, analysis } = task.header!;
    const key = `${study} ${round}`;
    const payload = answers.get(key) ?? compute(task, analysis);
    answers.set(key, payload);
    return payload;
  };
}

function travel(milliseconds: number): Promise<void> {
  return new Promise((arrived) => {
    if (milliseconds === 0) setImmediate(arrived);
    else setTimeout(arrived, milliseconds);
  });
}
