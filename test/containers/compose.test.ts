/**
 * The compose files of `deploy/`: docker-compose takes them, they confine what they start, and the commands of its README lead to a
 * result. Needs a Docker engine, docker-compose and the images that `deploy/` builds.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { parse } from 'yaml';
import { generate } from '../../examples/hypertension/generate.ts';
import { until } from './support.ts';

const repository = new URL('../..', import.meta.url).pathname;
/** What the documented commands find: the compose files, the plan and the trials, where they would lie in the repository. */
const tree = mkdtempSync(join(tmpdir(), 'concordat-compose-'));
const deploy = join(tree, 'deploy');
mkdirSync(deploy);
for (const file of globSync('deploy/*.yaml', { cwd: repository }))
  copyFileSync(join(repository, file), join(tree, file));
cpSync(join(repository, 'examples/hypertension'), join(tree, 'examples/hypertension'), { recursive: true });
mkdirSync(join(tree, 'out/demo/data'), { recursive: true });
for (const { file, text } of generate()) writeFileSync(join(tree, 'out/demo/data', file), text);

type Name = 'institution' | 'consortium';

after(async () => {
  // The box first: its proxy is on the institution's network too.
  await compose('consortium', 'down', '--timeout', '0');
  await compose('institution', 'down', '--timeout', '0');
  rmSync(tree, { recursive: true });
});

const projectOf = (name: Name): string => `concordat-${name}-${process.pid}`;
const run = promisify(execFile);

async function compose(name: Name, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(
    'docker-compose',
    ['-p', projectOf(name), '-f', `compose.${name}.yaml`, ...args],
    { cwd: deploy, env: environmentOf(name) },
  );
  return stdout;
}

const environmentOf = (name: Name): NodeJS.ProcessEnv => ({
  ...process.env,
  COMPOSE_FILE: `compose.${name}.yaml`,
  PROJECT: projectOf(name),
  // Of the institution: its way out is the box's proxy, as if that were its own.
  https_proxy: 'http://proxy:3128',
});

interface Service {
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly privileged?: boolean;
  readonly ports?: readonly (string | { readonly host_ip?: string })[];
  readonly networks: Readonly<Record<string, unknown>>;
}

interface Composed {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
}

const composed = async (name: Name): Promise<Composed> => parse(await compose(name, 'config')) as Composed;

test('every service is confined', async () => {
  for (const name of ['institution', 'consortium'] as const) {
    for (const service of Object.values((await composed(name)).services)) {
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ['ALL']);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
      assert.equal(service.privileged, undefined);
    }
  }
});

test("an institution's page is published to its own machine alone", async () => {
  const { services } = await composed('institution');
  assert.deepEqual(services['agent']!.ports, ['127.0.0.1:8480:8480/tcp']);
});

test('in the box each institution has a network of its own, without a way out', async () => {
  const { services, networks } = await composed('consortium');
  assert.ok(Object.values(networks).every(({ internal }) => internal === true));
  for (const study of ['alder', 'fulmar', 'ibis'])
    assert.deepEqual(Object.keys(services[study]!.networks), [study]);
  assert.deepEqual(Object.keys(services['coordinator']!.networks), ['consortium']);
});

test('in a cluster the agent reaches one address and port, and the name service, and nothing reaches it', () => {
  const file = new URL('../../deploy/network-policy.yaml', import.meta.url);
  const { kind, spec } = parse(readFileSync(file, 'utf8')) as {
    kind: string;
    spec: {
      policyTypes: string[];
      ingress: unknown[];
      egress: { to: { ipBlock?: { cidr: string } }[]; ports: { protocol: string; port: number }[] }[];
    };
  };
  assert.equal(kind, 'NetworkPolicy');
  assert.deepEqual([spec.policyTypes, spec.ingress], [['Ingress', 'Egress'], []]);
  const [out, names] = spec.egress;
  assert.equal(spec.egress.length, 2);
  assert.match(out!.to[0]!.ipBlock!.cidr, /\/32$/);
  assert.deepEqual([out!.to.length, out!.ports.length], [1, 1]);
  assert.ok(names!.ports.every(({ port }) => port === 53));
});

/** The commands that `deploy/README.md` gives under a heading, block by block. */
function documented(heading: string): readonly string[] {
  const text = readFileSync(join(repository, 'deploy/README.md'), 'utf8');
  const [section = ''] = text.slice(text.indexOf(`\n## ${heading}`) + 4).split('\n## ');
  return [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, commands]) => commands!);
}

/** No terminal is there: what is typed at one is in a file of each site's folder. */
const WITHOUT_TERMINAL = `set -eu
docker() {
  shift
  local command=$1
  shift
  case "$command $1" in 'exec -T') ;; run* | exec*) set -- -T "$@" ;; esac
  case " $* " in *' custodian '* | *' approve '*) set -- "$@" --passphrase-file passphrase ;; esac
  docker-compose -p "$PROJECT" "$command" "$@"
}
`;
const PASSPHRASE = 'five words make a passphrase';
const BOXED = ['fulmar', 'ibis', 'alder'];
const APART = 'DUNLIN';

/** Gives documented commands as a reader would, in the repository's folder or in deploy/. */
async function follow(name: Name, commands: string, cwd = deploy): Promise<string> {
  const { stdout } = await run('bash', ['-c', `${WITHOUT_TERMINAL}${commands}`], {
    cwd,
    env: environmentOf(name),
  });
  return stdout;
}

/** In the log that the site keeps in its folder. */
const offered = (folder: string): Promise<true> =>
  until(`a plan is offered to ${folder}`, () =>
    readFileSync(join(folder, 'log/tile/entries/000.open'), 'utf8').includes('"planOffer"') ? true : null,
  );

test('the documented commands lead from nothing to a result, in the box and at an institution beside it', async (t) => {
  const started = performance.now();
  const passed = (what: string): void =>
    t.diagnostic(`${what}: after ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const inBox = (...path: string[]): string => join(tree, 'out/box', ...path);
  const [begin, join_, allow, runPlan, decide] = documented('A consortium in a box');

  // The trials are there.
  await follow('consortium', begin!.replace(/^npm ci .*$/m, ''), tree);
  await until('the coordinator listens', async () =>
    (await compose('consortium', 'logs', 'coordinator')).includes('"listening"') ? true : null,
  );
  for (const site of BOXED) writeFileSync(inBox(site, 'passphrase'), PASSPHRASE);
  await follow('consortium', join_!);
  passed('three institutions have joined');

  // A fourth, by the file of one institution.
  const [, prepare, joinOne, decideOne] = /^([^]*)^(.*\bagent join [^]*)^(.*\bagent plans[^]*)$/m.exec(
    documented('One institution')[0]!,
  )!;
  await follow('institution', prepare!, tree);
  copyFileSync(join(tree, 'out/demo/data', `${APART}.csv`), join(deploy, 'data/records.csv'));
  writeFileSync(join(deploy, 'site/passphrase'), PASSPHRASE);
  await compose('institution', 'up', '--no-start');
  const proxy = (await compose('consortium', 'ps', '-q', 'proxy')).trim();
  // The agent has the network's first address.
  const [network, address] = [`${projectOf('institution')}_agent`, '10.231.84.3'];
  await run('docker', ['network', 'connect', '--alias', 'proxy', '--ip', address, network, proxy]);
  const inviting = ['exec', '-T', 'coordinator', 'concordat-coordinator', 'invite', APART];
  const invited = await compose('consortium', ...inviting);
  const filling = /^sed -i -e 's\/\^until[^]*?agreement\.yaml$/m.exec(allow!)![0];
  await Promise.all([
    follow('consortium', allow!),
    follow(
      'institution',
      joinOne!
        .replace('concordat-invitation-1.…', /^concordat-invitation-1\.\S+$/m.exec(invited)![0])
        .replace(/^# fill in .*$/m, filling.replace('../out/box/*/', 'site/')),
    ),
  ]);
  passed('all four have said what they allow, and their agents serve');

  const decideInBox = async (): Promise<void> => {
    await Promise.all(BOXED.map((site) => offered(inBox(site))));
    assert.match(await follow('consortium', decide!, tree), /Nothing is sent now[^]*taken by the agent/);
  };
  const digest = /approve ([0-9a-f]{12})/.exec(decide!)![1]!;
  const decideApart = async (): Promise<void> => {
    await offered(join(deploy, 'site'));
    const said = await follow('institution', decideOne!.replaceAll(/\b[0-9a-f]{12}\b/g, digest));
    assert.match(said, /Nothing is sent now[^]*taken by the agent/);
  };
  await Promise.all([follow('consortium', runPlan!), decideInBox(), decideApart()]);
  passed('the run has ended');

  const result = JSON.parse(readFileSync(inBox('coordinator/out/result.json'), 'utf8')) as Result;
  assert.deepEqual(
    new Map(result.run.sites.map(({ study, status }) => [study, status])),
    new Map([APART, ...BOXED].map((site) => [site.toUpperCase(), 'answered'])),
  );
  for (const [id, { status }] of Object.entries(result.analyses)) assert.equal(status, 'done', id);
  assert.match(readFileSync(inBox('coordinator/out/report.html'), 'utf8'), /FULMAR/);
  assert.match(await compose('institution', 'exec', '-T', 'agent', 'concordat-agent', 'health'), /"/);
});
