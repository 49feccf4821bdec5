/**
 * Three institutions join a consortium, allow, refuse and leave: a coordinator and three agents in containers, each agent on a
 * network whose only way out is its institution's squid, one of them with a password. Connections are cut and programs killed on
 * the way. Needs a Docker engine and the images that `deploy/build-images.sh` and `deploy/squid-image.sh` make.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import type { StartedTestContainer } from 'testcontainers';
import { generate } from '../../examples/hypertension/generate.ts';
import {
  closedNetwork,
  command,
  edit,
  exitOf,
  hostFile,
  hostFolder,
  kill,
  logOf,
  party,
  pause,
  revive,
  start,
  startProxy,
  tearDown,
  unpause,
  until,
  type Party,
} from './support.ts';

const STUDIES = ['FULMAR', 'IBIS', 'ALDER'] as const;
type Study = (typeof STUDIES)[number];
/** The one whose proxy asks for a password: `hunter2:percent%`, and its hash by htpasswd. */
const LOCKED: Study = 'IBIS';
const HASH = 'institution:$apr1$concordt$Ge6gE/qQoOKGMPMs7Yz1//';
const PASSPHRASE = 'five words make a passphrase';

const PLAN = `plan: 1
id: institutions
title: Three institutions
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: cvd_days, event: cvd_event}
analyses:
  - {id: cvd, approach: two-stage, model: {family: cox, adjust: [age, sex]}, pool: {tau2: REML, ci: HKSJ}}
  - {id: cvd-one-stage, approach: one-stage, model: {family: cox, baseline: stratified, treatment_effect: random}}
`;
const SECOND_PLAN = PLAN.replace('id: institutions', 'id: again').replace('[age, sex]', '[age]');
const ALLOWED: Readonly<Record<string, string>> = {
  until: '"9999-12-31"',
  outcomes: '[cvd_days, cvd_event]',
  variables: '[treat, age, sex]',
  families: '[cox]',
};

const proxies = new Map<Study, StartedTestContainer>();
const sites = new Map<Study, Party>();
const agents = new Map<Study, StartedTestContainer>();
const data = hostFolder('data');
let consortium: Party;
let coordinator: StartedTestContainer;

const proxyName = (study: Study): string => `proxy-${study.toLowerCase()}`;
const site = (study: Study): Party => sites.get(study)!;
const agent = (study: Study): StartedTestContainer => agents.get(study)!;

before(async () => {
  const network = await closedNetwork('consortium');
  const mounts = {
    '/plans/plan.yaml': hostFile('plan.yaml', PLAN),
    '/plans/second.yaml': hostFile('second.yaml', SECOND_PLAN),
  };
  consortium = party({
    name: 'coordinator',
    image: 'concordat-coordinator',
    network,
    environment: {},
    mounts,
  });
  for (const study of STUDIES) {
    const own = await closedNetwork(study.toLowerCase());
    const locked = study === LOCKED;
    proxies.set(study, await startProxy(proxyName(study), [own, network], locked ? HASH : null));
    const credentials = locked ? 'institution:hunter2%3Apercent%25@' : '';
    const csv = generate().find(({ file }) => file === `${study}.csv`)!.text;
    sites.set(
      study,
      party({
        name: study.toLowerCase(),
        image: 'concordat-node-agent',
        network: own,
        environment: { https_proxy: `http://${credentials}${proxyName(study)}:3128` },
        mounts: {
          '/data/records.csv': hostFile(`data/${study}.csv`, csv),
          '/run/secrets/passphrase': hostFile('passphrase', PASSPHRASE),
        },
      }),
    );
  }
  await done(consortium, ['init', '--dir', '.', '--host', 'coordinator']);
  switchOnHealth(consortium, 'coordinator.yaml');
  coordinator = await start(consortium, ['--config', 'coordinator.yaml']);
});

after(tearDown);

/** Runs a command to its end, which has to be a good one; what it printed. */
async function done(of: Party, args: readonly string[]): Promise<string> {
  const { exitCode, output } = await command(of, args);
  assert.equal(exitCode, 0, `${args.join(' ')}: ${output}`);
  return output;
}

/** The same beside the program that runs. */
async function within(container: StartedTestContainer, args: readonly string[]): Promise<string> {
  const { exitCode, output } = await container.exec([...args]);
  assert.equal(exitCode, 0, `${args.join(' ')}: ${output}`);
  return output;
}

/** In the commented configuration that the program wrote. */
function switchOnHealth(of: Party, file: string): void {
  edit(of, file, textOf(of, file).replace(/^# (health: .*)$/m, '$1'));
}

const textOf = (of: Party, file: string): string => readFileSync(join(of.folder, file), 'utf8');

const invite = async (study: Study): Promise<string> =>
  /^concordat-invitation-1\.\S+$/m.exec(
    await within(coordinator, ['concordat-coordinator', 'invite', study, '--config', 'coordinator.yaml']),
  )![0];

const joining = (invitation: string): string[] => [
  'join',
  invitation,
  '--dir',
  '.',
  '--data',
  '/data/records.csv',
];

/** The digest of the plan that stands so at the site. */
const planAt = (study: Study, status: string): Promise<string> =>
  until(`a plan ${status} at ${study}`, async () => {
    const { output } = await agent(study).exec(['concordat-agent', 'plans']);
    return new RegExp(`^([0-9a-f]{12})  ${status}`, 'm').exec(output)?.[1] ?? null;
  });

const signed = (study: Study, ...args: readonly string[]): Promise<string> =>
  within(agent(study), ['concordat-agent', ...args, '--passphrase-file', '/run/secrets/passphrase']);

const entriesOf = (of: Party): readonly { readonly kind: string; readonly time: string }[] =>
  new LogFolder(fs, join(of.folder, 'log')).entries();

const resultOf = (folder: string): Result =>
  JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')) as Result;

/** At all sites at once, as it would be. */
const everywhere = (act: (study: Study) => Promise<void>): Promise<void[]> => Promise.all(STUDIES.map(act));

test('institutions join by an invitation, through their proxies; it serves once', async () => {
  await everywhere(async (study) => {
    const invitation = await invite(study);
    if (study === LOCKED) {
      const unlocked = { https_proxy: `http://${proxyName(study)}:3128` };
      const { exitCode, output } = await command(
        { ...site(study), environment: unlocked },
        joining(invitation),
      );
      assert.equal(exitCode, 2);
      assert.match(output, /network\/proxy/);
    }
    await done(site(study), joining(invitation));
    for (const file of readdirSync(site(study).folder).filter((name) => name.endsWith('.key')))
      assert.equal(statSync(join(site(study).folder, file)).mode & 0o777, 0o600, file);
    const other = party({ ...site(study), name: `${study.toLowerCase()}-other` });
    const { exitCode, output } = await command(other, joining(invitation));
    assert.equal(exitCode, 2);
    assert.match(output, /enrolment\/used/);
  });
});

test('a custodian states what is allowed; the doctor finds nothing amiss', async () => {
  await everywhere(async (study) => {
    await done(site(study), ['custodian', 'Custodian', '--passphrase-file', '/run/secrets/passphrase']);
    const text = Object.entries(ALLOWED).reduce(
      (written, [key, value]) => written.replace(new RegExp(`^${key}:.*$`, 'm'), `${key}: ${value}`),
      textOf(site(study), 'agreement.yaml'),
    );
    edit(site(study), 'agreement.yaml', text);
    switchOnHealth(site(study), 'agent.yaml');
    await done(site(study), ['agreement', 'check']);
    await done(site(study), ['doctor']);
    agents.set(study, await start(site(study), ['serve', '--config', 'agent.yaml']));
  });
});

test('a plan waits for each custodian, over cut connections and killed programs, and is answered once', async () => {
  // The agents see the coordinator go, and come back at another address.
  await coordinator.stop();
  coordinator = await start(consortium, [
    '--config',
    'coordinator.yaml',
    '--plan',
    '/plans/plan.yaml',
    '--out',
    'out',
  ]);
  const waiting = new Map<Study, string>();
  await everywhere(async (study) => void waiting.set(study, await planAt(study, 'waiting')));
  assert.equal(new Set(waiting.values()).size, 1);
  const digest = waiting.get('FULMAR')!;
  assert.match(
    await within(agent('FULMAR'), ['concordat-agent', 'preview', digest]),
    /Nothing is sent now[^]*treatment/,
  );
  for (const study of STUDIES) assert.ok(entriesOf(site(study)).every(({ kind }) => kind !== 'sent'));

  // One approves with the connection there; one while the proxy is gone; one after coordinator and agent were killed.
  await signed('FULMAR', 'approve', digest);
  await kill(proxies.get('IBIS')!);
  await signed('IBIS', 'approve', digest);
  await revive(proxies.get('IBIS')!);
  await pause(proxies.get('FULMAR')!);
  await kill(coordinator);
  await kill(agent('ALDER'));
  await revive(coordinator);
  await unpause(proxies.get('FULMAR')!);
  await revive(agent('ALDER'));
  await planAt('ALDER', 'waiting');
  await signed('ALDER', 'approve', digest);
  assert.equal(await exitOf(coordinator), 0);

  const { analyses } = resultOf(join(consortium.folder, 'out'));
  const own = hostFolder('own');
  await promisify(execFile)(
    process.execPath,
    [
      'cli/src/main.ts',
      'local',
      '--plan',
      consortium.mounts['/plans/plan.yaml']!,
      '--data',
      data,
      '--out',
      own,
    ],
    { cwd: new URL('../..', import.meta.url) },
  );
  // The same programs on one machine, where nothing is cut and nobody killed.
  assert.deepEqual(analyses, resultOf(own).analyses);
});

test('a custodian refuses; a site that is revoked is told so, and gets nothing more', async () => {
  await done(consortium, ['revoke', 'IBIS', '--config', 'coordinator.yaml']);
  const earlier = entriesOf(site('IBIS')).length;
  coordinator = await start(consortium, [
    '--config',
    'coordinator.yaml',
    '--plan',
    '/plans/second.yaml',
    '--out',
    'second',
  ]);
  await signed('FULMAR', 'refuse', await planAt('FULMAR', 'waiting'), '--objection', 'purpose');
  // While the run waits for the last custodian the coordinator is there to ask.
  const { output } = await command(site('IBIS'), ['doctor']);
  assert.match(output, /enrolment\/revoked/);
  await signed('ALDER', 'approve', await planAt('ALDER', 'waiting'));
  await exitOf(coordinator);

  const { run, analyses } = resultOf(join(consortium.folder, 'second'));
  assert.deepEqual(run.sites.map(({ study }) => study).toSorted(), ['ALDER', 'FULMAR']);
  assert.match(JSON.stringify(analyses['cvd']!.studies), /custodian/);
  const received = entriesOf(site('IBIS'))
    .slice(earlier)
    .filter(({ kind }) => kind === 'received');
  assert.deepEqual(received, []);
});

test('through the proxies went CONNECT to the coordinator, and nothing else', async () => {
  for (const study of STUDIES) {
    const log = await logOf(proxies.get(study)!);
    const requests = log.split('\n').filter((line) => /TCP_/.test(line));
    assert.ok(requests.length > 0);
    for (const line of requests) assert.match(line, / CONNECT coordinator:443 /);
  }
});
