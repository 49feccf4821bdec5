/** Tiny federations of real processes with configuration files, as sites would have them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { createInterface } from 'node:readline';
import { makeAuthority, type Authority } from '@concordat/cli/local/keys.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { hasBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';

const repository = resolve(import.meta.dirname, '../..');
const MAIN = join(repository, 'cli/src/main.ts');
/** The coordinator's name where it is not dialled by its address. */
export const HOST = 'coordinator.example.org';
/** Several agents in one process, as `concordat local` runs them. */
const AGENTS = join(repository, 'cli/src/local/agents.ts');
/** Milliseconds after which something that a test waits for counts as never coming. */
const PATIENCE = 120_000;

/** Two analyses; the levels of `centre` are agreed first. */
export const PLAN = `plan: 1
id: tiny
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
minimum_studies: 2
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian, adjust: [age]}}
  - {id: by-centre, approach: two-stage, model: {family: gaussian, adjust: [factor(centre)]}}
`;

/** What asks no more than the test's plan needs nobody's approval. */
export const AGREEMENT = {
  agreement: 1,
  name: 'test',
  until: '9999-12-31',
  approval: 'matching-template',
  templates: ['plan.yaml'],
  variables: 'all',
  outcomes: 'all',
  families: 'all',
} as const;

/** A trial of 48 participants, the same whenever it is asked for: arm, age, centre, y. */
export function trial(study: string): string {
  let state = Number.parseInt(createHash('sha256').update(study).digest('hex').slice(0, 8), 16);
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const rows = Array.from({ length: 48 }, (_, i) => {
    const arm = i % 2;
    const age = 40 + Math.floor(40 * random());
    const centre = ['north', 'south', 'west'][Math.floor(i / 2) % 3]!;
    return `${arm},${age},${centre},${(120 + 0.2 * age - 5 * arm + 10 * (random() - 0.5)).toFixed(3)}`;
  });
  return `arm,age,centre,y\n${rows.join('\n')}\n`;
}

const root = fs.mkdtempSync(join(tmpdir(), 'end-to-end-'));
const running = new Set<ChildProcess>();
const endAll = (): void => {
  for (const child of running) child.kill('SIGKILL');
};
// Of a test that failed; they would keep its process alive.
after(endAll);
process.once('exit', () => {
  endAll();
  fs.rmSync(root, { recursive: true, force: true });
});

export function newFolder(): string {
  return fs.mkdtempSync(join(root, 'folder-'));
}

export function writeTrials(folder: string, studies: readonly string[]): void {
  fs.mkdirSync(folder, { recursive: true });
  for (const study of studies) fs.writeFileSync(join(folder, `${study}.csv`), trial(study));
}

/** Resolves when the condition holds; fails loudly where it never does. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

export class Program {
  readonly #child: ChildProcess;
  #output = '';
  /** Exit status; null where it was killed. */
  readonly exit: Promise<number | null>;
  ended = false;

  constructor(script: string, argv: readonly string[], onLine: (line: string) => void = () => undefined) {
    this.#child = spawn(process.execPath, [script, ...argv], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(repository, '.cache/compile') },
    });
    running.add(this.#child);
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#output += `${line}\n`;
      onLine(line);
    });
    this.#child.stderr!.on('data', (data: Buffer) => (this.#output += data.toString('latin1')));
    this.exit = new Promise((done) => {
      this.#child.once('close', (status) => {
        running.delete(this.#child);
        this.ended = true;
        done(status);
      });
    });
  }

  /** Everything it wrote to standard output and standard error. */
  get output(): string {
    return this.#output;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal);
    return this.exit;
  }
}

export const concordat = (argv: readonly string[], onLine?: (line: string) => void): Program =>
  new Program(MAIN, argv, onLine);

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const address = server.address();
  await new Promise((closed) => {
    server.close(closed);
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Keys, certificates and configuration files of one coordinator and its sites, in one folder. */
export class Federation {
  readonly folder: string;
  readonly port: number;
  readonly authority: Authority;
  readonly coordinatorHealth: number;
  readonly agentHealth: number;

  private constructor(folder: string, authority: Authority, ports: readonly number[]) {
    this.folder = folder;
    this.authority = authority;
    [this.port, this.coordinatorHealth, this.agentHealth] = ports as [number, number, number];
  }

  /** `data`: each study's records; the first study's agent has a health endpoint. */
  static async make(data: Readonly<Record<string, string>>, plan: string = PLAN): Promise<Federation> {
    const folder = newFolder();
    const authority = await makeAuthority(folder);
    const federation = new Federation(folder, authority, [
      await freePort(),
      await freePort(),
      await freePort(),
    ]);
    const own = await authority.issue('coordinator', 'coordinator', { hosts: ['127.0.0.1', HOST] });
    const sites = [];
    for (const [i, [study, path]] of Object.entries(data).entries()) {
      const { publicKey, fingerprint } = await authority.issue(study, study, null);
      sites.push({ study, key: publicKey, certificate: fingerprint });
      federation.write(`${study}.yaml`, {
        agent: 1,
        study,
        coordinator: `127.0.0.1:${federation.port}`,
        coordinator_key: own.publicKey,
        tls: { ca: 'ca.crt', certificate: `${study}.crt`, key: `${study}.tls.key` },
        signing_key: `${study}.signing.key`,
        data: path,
        agreement: 'agreement.yaml',
        state: `state/${study}`,
        log: `log/${study}`,
        ...(i === 0 ? { health: `127.0.0.1:${federation.agentHealth}` } : {}),
      });
    }
    federation.write('coordinator.yaml', {
      coordinator: 1,
      listen: `127.0.0.1:${federation.port}`,
      health: `127.0.0.1:${federation.coordinatorHealth}`,
      tls: { ca: 'ca.crt', certificate: 'coordinator.crt', key: 'coordinator.tls.key' },
      signing_key: 'coordinator.signing.key',
      state: 'journal.sqlite',
      log: 'log/coordinator',
      sites,
    });
    fs.writeFileSync(federation.path('plan.yaml'), plan);
    federation.write('agreement.yaml', AGREEMENT);
    return federation;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A configuration file; JSON is YAML. */
  write(name: string, config: object): void {
    fs.writeFileSync(this.path(name), JSON.stringify(config));
  }

  coordinator(onEvent: (event: Record<string, unknown>) => void = () => undefined): Program {
    const argv = [
      '--config',
      this.path('coordinator.yaml'),
      '--plan',
      this.path('plan.yaml'),
      '--out',
      this.path('out'),
    ];
    return concordat(['coordinator', ...argv, '--json'], (line) =>
      onEvent(JSON.parse(line) as Record<string, unknown>),
    );
  }

  agent(study: string): Program {
    return concordat(['agent', '--config', this.path(`${study}.yaml`)]);
  }

  /** Several agents in one process. */
  agents(studies: readonly string[]): Program {
    return new Program(
      AGENTS,
      studies.map((study) => this.path(`${study}.yaml`)),
    );
  }

  log(name: string): string {
    return this.path(`log/${name}`);
  }
}

export interface Logged extends LogEntry {
  /** The message as it went over the wire; null where the entry has none. */
  readonly message: SignedMessage | null;
}

export function entriesOf(log: string): readonly Logged[] {
  const folder = new LogFolder(fs, log);
  return folder.entries().map((entry) => {
    // Agreements, statements and refusals are no messages.
    const isMessage = hasBody(entry) && entry.task !== undefined && entry.kind !== 'decision';
    return {
      ...entry,
      message: isMessage && entry.type !== 'refusals' ? SignedMessage.decode(folder.body(entry)) : null,
    };
  });
}

interface Analyses {
  readonly analyses: Readonly<
    Record<
      string,
      { readonly status: string; readonly studies: readonly { status: string; reason?: { code: string } }[] }
    >
  >;
  readonly run: { readonly sites: readonly { study: string; status: string }[] };
}

export function resultOf(out: string): Analyses {
  return JSON.parse(fs.readFileSync(join(out, 'result.json'), 'utf8')) as Analyses;
}
