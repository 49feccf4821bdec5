/**
 * A federation in one process: the real engine, journal, agents and logs, without network and worker threads. Each side
 * can be made to die at its n-th write, and is then started again from what it had written.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Desk } from '@concordat/coordinator/exchange/desk.ts';
import { Witnesses } from '@concordat/coordinator/exchange/witnesses.ts';
import { RunEngine } from '@concordat/coordinator/runs/engine.ts';
import type { RunOutcome } from '@concordat/shared/runs/program.ts';
import { Journal, type RunRecord } from '@concordat/coordinator/store/journal.ts';
import { RefusedReplies } from '@concordat/coordinator/store/refused-replies.ts';
import { Agent } from '@concordat/node-agent/agent.ts';
import { AgreementInForce } from '@concordat/node-agent/agreement/in-force.ts';
import { TemplateFiles } from '@concordat/node-agent/agreement/template-files.ts';
import { filesDigest } from '@concordat/node-agent/data/files-digest.ts';
import { answer } from '@concordat/node-agent/fit/study.ts';
import type { StudyAnswer, StudyQuestion } from '@concordat/node-agent/fit/draft.ts';
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';
import type { Divergence } from '@concordat/shared/log/divergence.ts';
import { MessageLog, type LogOptions } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { assemble } from '@concordat/shared/runs/assemble.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { PeerLog } from '@concordat/shared/log/peer-log.ts';
import { generateSigningKey, signingIdentity, type SigningIdentity } from '@concordat/shared/wire/signing.ts';
import { stringify } from 'yaml';

/** In memory where the system has a folder there. */
const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'in-process-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

class Crash extends Error {}

/** The writes of one process's life: it dies at the n-th, which is torn where `torn`. */
export class Life {
  readonly #dies: number;
  readonly #torn: boolean;
  writes = 0;

  constructor(dies = Infinity, torn = false) {
    this.#dies = dies;
    this.#torn = torn;
  }

  get isOver(): boolean {
    return this.writes >= this.#dies;
  }

  step(torn: () => void = () => undefined): void {
    if (++this.writes < this.#dies) return;
    if (this.#torn && this.writes === this.#dies) torn();
    throw new Crash();
  }

  readonly files: LogOptions['fs'] = {
    ...fs,
    // A killed process loses nothing that it wrote: the flushes are left out to be fast.
    fsyncSync: () => undefined,
    writeFileSync: (file, data) => {
      const bytes = Buffer.from(data as Uint8Array);
      this.step(() => fs.writeFileSync(file, bytes.subarray(0, bytes.length * 0.7)));
      fs.writeFileSync(file, bytes);
    },
  };

  journal(whole: Journal): Journal {
    return new Proxy(whole, {
      get: (target, name: keyof Journal) => {
        const method = target[name] as (...args: unknown[]) => unknown;
        if (name !== 'addTasks' && name !== 'settle') return method.bind(target);
        return (...args: unknown[]) => {
          this.step();
          method.apply(target, args);
          this.step();
        };
      },
    });
  }
}

export interface Setting {
  readonly plan: string;
  /** Study → its records' file. */
  readonly data: Readonly<Record<string, string>>;
  readonly policy?: Policy;
}

const noDivergence = (_event: string, { kind }: Divergence): never => {
  throw new Error(`a false alarm: ${kind}`);
};
const noWarning = (warning: string): never => {
  throw new Error(`a false alarm: ${warning}`);
};
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const COORDINATOR = 'coordinator';
/** What was computed from a file, as long as the test does not change it. */
const computed = new Map<string, Promise<StudyAnswer>>();

interface Running {
  readonly agent: Agent;
  readonly log: MessageLog;
  readonly witness: PeerLog;
  readonly life: Life;
}

export class InProcess {
  readonly folder = fs.mkdtempSync(join(root, 'federation-'));
  readonly studies: readonly string[];
  readonly run: RunRecord;
  readonly #setting: Setting;
  readonly #identities: ReadonlyMap<string, SigningIdentity>;
  readonly #journal = new Journal(':memory:');
  /** Processes' next lives, by study or `coordinator`. */
  readonly #lives: Readonly<Record<string, Life[]>>;
  /** Writes of the lives that have begun, by study or `coordinator`. */
  readonly begun: Record<string, Life[]> = {};
  /** Of a life that is over. */
  readonly #agents = new Map<string, Running>();
  /** Each look at the clock is later by this, so that checkpoints are cosigned now and then. */
  #clock = Date.parse('2026-01-01T00:00:00Z');
  readonly #now = (): Date => new Date((this.#clock += 300));

  constructor(setting: Setting, lives: Readonly<Record<string, Life[]>> = {}) {
    this.#setting = setting;
    this.#lives = lives;
    this.studies = Object.keys(setting.data);
    this.#identities = new Map(
      [COORDINATOR, ...this.studies].map((name) => [name, signingIdentity(generateSigningKey(), name)]),
    );
    const roster = Roster.encode({
      sites: this.studies.map((study) => ({ study, key: this.#identities.get(study)!.publicKey })),
      minimumStudies: 2,
      masked: false,
    }).finish();
    const id = new Uint8Array(randomBytes(16));
    this.run = { id, plan: setting.plan, roster, started: '2026-01-01T00:00:00Z', signature: null };
    this.#journal.createRun(this.run);
    const { policy: _version, ...disclosure } = setting.policy ?? DEFAULT_POLICY;
    const agreement = {
      agreement: 1,
      name: 'test',
      until: '9999-12-31',
      approval: 'matching-template',
      templates: ['plan.yaml'],
      variables: 'all',
      outcomes: 'all',
      families: 'all',
      disclosure,
    };
    fs.writeFileSync(join(this.folder, 'agreement.yaml'), stringify(agreement));
    fs.writeFileSync(join(this.folder, 'plan.yaml'), setting.plan);
  }

  log(name: string): string {
    return join(this.folder, name);
  }

  /** The signing identity of a study, or of the coordinator. */
  identity(name: string): SigningIdentity {
    return this.#identities.get(name)!;
  }

  /** The result as its file would hold it; the coordinator's log names it. */
  publish(outcome: RunOutcome): string {
    const { id, plan, started } = this.run;
    const result = assemble(outcome, plan, {
      id: toHex(id),
      started,
      finished: started,
      software: 'concordat test',
    });
    const text = `${JSON.stringify(result, null, 2)}\n`;
    const log = this.#openLog(COORDINATOR, new Life());
    log.append({ kind: 'result', run: toHex(id), detail: { result: toHex(sha256(text)) } });
    log.append({ kind: 'stop' });
    log.close();
    for (const study of this.studies) this.stop(study);
    return text;
  }

  /** From offer to close, through every death; resolves to the outcome. */
  async play(): Promise<RunOutcome> {
    for (;;) {
      const life = this.#beginLife(COORDINATOR);
      let log: MessageLog | null = null;
      const gone = new AbortController();
      try {
        log = this.#openLog(COORDINATOR, life);
        const desk = new Desk();
        const keys = new Map(this.studies.map((study) => [study, this.#identities.get(study)!.publicKey]));
        const identity = this.#identities.get(COORDINATOR)!;
        const engine = new RunEngine(
          {
            journal: life.journal(this.#journal),
            log,
            refused: new RefusedReplies(log),
            identity,
            keys,
            desk,
            progress: () => undefined,
          },
          this.run,
        );
        const witnesses = new Witnesses({
          log,
          identity,
          now: this.#now,
          keyOf: (study) => keys.get(study) ?? null,
          told: (_study, ...event) => noDivergence(...event),
          warned: (_study, warning) => noWarning(warning),
        });
        const sites = this.studies.map((study) =>
          this.#serve(study, { desk, engine, witnesses }, gone.signal),
        );
        return await Promise.race([engine.run(), ...sites]);
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      } finally {
        gone.abort();
        log?.close();
      }
    }
  }

  /** What a site's agent does while one life of the coordinator lasts; rejects with what the coordinator dies of. */
  async #serve(
    study: string,
    { desk, engine, witnesses }: { desk: Desk; engine: RunEngine; witnesses: Witnesses },
    gone: AbortSignal,
  ): Promise<never> {
    let replies: Awaited<ReturnType<Agent['answerAll']>> = [];
    for (let unproven = 0; ;) {
      const offered = await this.#living(study, ({ witness }) => witness.offer());
      if (gone.aborted) return new Promise(() => undefined);
      if (offered === null) continue;
      const standpoint = witnesses.take(study, offered);
      assert.ok(standpoint === 'together' || (standpoint === 'unproven' && ++unproven < 3), standpoint);
      let tasks: Awaited<ReturnType<Desk['collect']>> = [];
      if (standpoint === 'together') {
        unproven = 0;
        for (const { message } of replies) await engine.accept(study, message);
        await new Promise(setImmediate);
        tasks = await desk.collect(study, 60_000, gone);
        if (gone.aborted) return new Promise(() => undefined);
      }
      const answered = witnesses.offer(study, standpoint === 'unproven');
      const next = await this.#living(study, ({ agent, witness }) => {
        assert.equal(witness.take(answered), standpoint);
        return standpoint === 'together' ? agent.answerAll(tasks) : replies;
      });
      // What one that died had not sent is asked again.
      replies = next ?? [];
    }
  }

  /** What a site's agent does; null where it dies of it. */
  async #living<T>(study: string, work: (running: Running) => T | Promise<T>): Promise<T | null> {
    let running: Running | null = null;
    try {
      running = this.#agent(study);
      return await work(running);
    } catch (error) {
      // What goes on beside what died finds the log as that left it.
      if (!(error instanceof Crash) && running?.life.isOver !== true) throw error;
      if (running === null || this.#agents.get(study) === running) this.stop(study);
      return null;
    }
  }

  /** Ends an agent; it is started again when it is asked. */
  stop(study: string): void {
    this.#agents.get(study)?.log.close();
    this.#agents.delete(study);
  }

  #agent(study: string): Running {
    const running = this.#agents.get(study);
    if (running !== undefined) return running;
    const { data } = this.#setting;
    const life = this.#beginLife(study);
    const log = this.#openLog(study, life);
    const templates = new TemplateFiles(this.folder, log);
    const witness = new PeerLog({
      log,
      identity: this.#identities.get(study)!,
      peer: COORDINATOR,
      origin: COORDINATOR_ORIGIN,
      key: this.#identities.get(COORDINATOR)!.publicKey,
      now: this.#now,
      told: noDivergence,
      warned: noWarning,
    });
    const agent = new Agent({
      study,
      identity: this.#identities.get(study)!,
      coordinatorKey: this.#identities.get(COORDINATOR)!.publicKey,
      agreement: new AgreementInForce(
        join(this.folder, 'agreement.yaml'),
        { local: false },
        log,
        () => undefined,
      ),
      template: (path) => templates.at(path),
      snapshot: () => filesDigest([data[study]!]),
      state: join(this.folder, `${study}.state`),
      now: () => new Date('2026-01-01T00:00:00Z'),
      source: { data: data[study]!, map: null },
      client: {
        exchange: () => Promise.reject(new Error('no network')),
        interrupt: () => undefined,
        close: () => undefined,
      },
      witness,
      log,
      logger: silent,
      workers: { ask: compute },
    });
    const started = { agent, log, witness, life };
    this.#agents.set(study, started);
    return started;
  }

  #beginLife(name: string): Life {
    const life = this.#lives[name]?.shift() ?? new Life();
    (this.begun[name] ??= []).push(life);
    return life;
  }

  #openLog(name: string, { files }: Life): MessageLog {
    const log = new MessageLog({
      fs: files,
      directory: this.log(name),
      origin: name === COORDINATOR ? COORDINATOR_ORIGIN : siteOrigin(name),
      identity: this.#identities.get(name)!,
      now: () => new Date('2026-01-01T00:00:00Z'),
      randomBytes: (n) => new Uint8Array(randomBytes(n)),
    });
    log.append({ kind: 'start' });
    return log;
  }
}

/** A question and a file have one answer: it is computed once, and given to every federation of the test. */
function compute(question: StudyQuestion): Promise<StudyAnswer> {
  const key = JSON.stringify(question, (_, value: unknown) =>
    value instanceof Float64Array ? [...value] : value,
  );
  const known = computed.get(key) ?? answer(question);
  computed.set(key, known);
  return known;
}
