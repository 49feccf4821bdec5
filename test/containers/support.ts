/** What the container tests share: networks without a way out, proxies, and programs confined as `deploy/` confines them. */
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import {
  GenericContainer,
  getContainerRuntimeClient,
  StartupCheckStrategy,
  Wait,
  type StartedTestContainer,
} from 'testcontainers';

const client = await getContainerRuntimeClient();
/** Where the programs keep everything. */
const FOLDER = '/var/lib/concordat';
/** Of the image, or whoever runs the tests where that is not root: the folders are theirs. */
const USER = process.getuid?.() === 0 ? 10001 : (process.getuid?.() ?? 10001);

const directory = mkdtempSync(join(tmpdir(), 'concordat-containers-'));
const cleanup: (() => Promise<unknown>)[] = [];

/** Stops what was started, last first. */
export async function tearDown(): Promise<void> {
  for (const clean of cleanup.splice(0)) await clean().catch((error: unknown) => console.error(error));
  rmSync(directory, { recursive: true, force: true });
}

/** A network that no packet leaves; its name. */
export async function closedNetwork(name: string): Promise<string> {
  const full = `concordat-${name}-${process.pid}`;
  const network = await client.network.create({ Name: full, Internal: true });
  cleanup.push(() => client.network.remove(network));
  return full;
}

/** An empty folder on this machine. */
export function hostFolder(name: string): string {
  const folder = join(directory, name);
  mkdirSync(folder);
  return folder;
}

/** A file for a container to read; its path on this machine. */
export function hostFile(name: string, content: string): string {
  const file = join(directory, name);
  writeFileSync(file, content, { mode: 0o644 });
  return file;
}

/** One of the two programs, the folder that it writes to, and where it stands. */
export interface Party {
  readonly name: string;
  readonly image: 'concordat-node-agent' | 'concordat-coordinator';
  /** On this machine. */
  readonly folder: string;
  readonly network: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Files of this machine, by where the container reads them. */
  readonly mounts: Readonly<Record<string, string>>;
}

export function party(given: Omit<Party, 'folder'>): Party {
  const folder = join(directory, given.name);
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, USER, USER);
  return { ...given, folder };
}

/** Writes as the party's owner would, with an editor. */
export function edit(of: Party, name: string, content: string): void {
  const file = join(of.folder, name);
  writeFileSync(file, content, { mode: 0o600 });
  chownSync(file, USER, USER);
}

const bindings = ({ folder, mounts }: Party): string[] => [
  `${folder}:${FOLDER}`,
  ...Object.entries(mounts).map(([target, source]) => `${source}:${target}:ro`),
];

export interface Ended {
  readonly exitCode: number;
  /** Standard output and standard error. */
  readonly output: string;
}

/** Runs one command of the party's program to its end, in a container of its own; `entrypoint`: another program of the image. */
export async function command(of: Party, args: readonly string[], entrypoint?: string): Promise<Ended> {
  const out = new PassThrough();
  const output = text(out);
  const [{ StatusCode: exitCode }] = (await client.container.dockerode.run(of.image, [...args], [out, out], {
    Env: Object.entries(of.environment).map(([key, value]) => `${key}=${value}`),
    User: `${USER}:${USER}`,
    ...(entrypoint === undefined ? {} : { Entrypoint: [entrypoint] }),
    HostConfig: {
      AutoRemove: true,
      Binds: bindings(of),
      CapDrop: ['ALL'],
      NetworkMode: of.network,
      ReadonlyRootfs: true,
      SecurityOpt: ['no-new-privileges:true'],
      Tmpfs: { '/tmp': 'size=64m' },
    },
  })) as [{ StatusCode: number }];
  out.end();
  return { exitCode, output: await output };
}

class Confined extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.withDroppedCapabilities('ALL');
    this.withSecurityOpt('no-new-privileges:true');
    this.withTmpFs({ '/tmp': 'size=64m' });
  }
}

/** Asks at once, and again, what the image has asked every half minute. */
class Healthy extends StartupCheckStrategy {
  async checkStartupState(_dockerode: unknown, id: string): Promise<'SUCCESS' | 'PENDING' | 'FAIL'> {
    const container = client.container.getById(id);
    const { State, Config } = await client.container.inspect(container);
    if (!State.Running) return 'FAIL';
    const [, ...check] = Config.Healthcheck?.Test ?? [];
    return (await client.container.exec(container, check)).exitCode === 0 ? 'SUCCESS' : 'PENDING';
  }
}

/** Starts the party's program; it is there once the health check of its image says so. */
export async function start(of: Party, args: readonly string[]): Promise<StartedTestContainer> {
  const container = await new Confined(of.image)
    .withCommand([...args])
    .withUser(`${USER}:${USER}`)
    .withEnvironment(of.environment)
    .withBindMounts(
      bindings(of).map((binding) => {
        const [source = '', target = '', mode = 'rw'] = binding.split(':');
        return { source, target, mode: mode as 'rw' | 'ro' };
      }),
    )
    .withNetworkMode(of.network)
    .withNetworkAliases(of.name)
    .withWaitStrategy(new Healthy())
    .start();
  cleanup.unshift(() => container.stop({ timeout: 0 }));
  return container;
}

/**
 * A hospital's proxy: `deploy/squid.conf`, on its own network and on that of the coordinator. `password`: one `user:hash` for
 * basic authentication, as htpasswd writes it.
 */
export async function startProxy(
  name: string,
  networks: readonly [string, ...string[]],
  password: string | null,
): Promise<StartedTestContainer> {
  const shipped = await readFile(new URL('../../deploy/squid.conf', import.meta.url), 'utf8');
  const configuration =
    password === null
      ? shipped
      : shipped.replace(
          'http_access allow CONNECT coordinator https',
          `auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/passwords
acl known proxy_auth REQUIRED
http_access allow CONNECT coordinator https known`,
        );
  const [own, ...others] = networks;
  const proxy = await new Confined('concordat-squid')
    .withNetworkMode(own)
    .withNetworkAliases(name)
    .withBindMounts([
      { source: hostFile(`${name}.conf`, configuration), target: '/etc/squid/squid.conf', mode: 'ro' },
      { source: hostFile(`${name}.passwords`, `${password}\n`), target: '/etc/squid/passwords', mode: 'ro' },
    ])
    .withWaitStrategy(Wait.forLogMessage('Accepting HTTP Socket connections'))
    .start();
  cleanup.unshift(() => proxy.stop({ timeout: 0 }));
  for (const network of others) {
    await client.container.connectToNetwork(engineContainer(proxy), client.network.getById(network), []);
  }
  return proxy;
}

const engineContainer = (container: StartedTestContainer): ReturnType<typeof client.container.getById> =>
  client.container.getById(container.getId());

/** As a power failure ends it; the container stays, and `revive` starts it again. */
export async function kill(container: StartedTestContainer): Promise<void> {
  await engineContainer(container).kill({ signal: 'SIGKILL' });
}

export async function revive(container: StartedTestContainer): Promise<void> {
  await engineContainer(container).start();
}

/** Packets stop on every connection, and no end of a connection is told of it. */
export async function pause(container: StartedTestContainer): Promise<void> {
  await engineContainer(container).pause();
}

export async function unpause(container: StartedTestContainer): Promise<void> {
  await engineContainer(container).unpause();
}

/** Asks again until the answer is there, a minute at most. */
export async function until<T>(what: string, ask: () => Promise<T | null> | T | null): Promise<T> {
  for (let tries = 0; tries < 60; tries += 1) {
    const answer = await ask();
    if (answer !== null) return answer;
    await delay(1000);
  }
  throw new Error(`not within a minute: ${what}`);
}

/** Exit status of a container's program, once it ends. */
export async function exitOf(container: StartedTestContainer): Promise<number> {
  return (await engineContainer(container).wait()).StatusCode;
}

/** What a container's program printed up to now. */
export async function logOf(container: StartedTestContainer): Promise<string> {
  const stream = await engineContainer(container).logs({ stdout: true, stderr: true, follow: false });
  return stream.toString('utf8');
}

/** Of an image, in bytes, as `docker image inspect` tells it. */
export async function sizeOf(image: string): Promise<number> {
  return (await client.container.dockerode.getImage(image).inspect()).Size;
}
