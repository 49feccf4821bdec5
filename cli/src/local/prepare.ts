/**
 * Everything that a federation on this machine needs before it starts: each trial's own records, keys,
 * certificate and configuration, and the coordinator's. The same files that a real site would have.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';

import { readFolder } from '@concordat/node-agent/data/files.ts';
import { splitByStudy } from '@concordat/node-agent/data/split.ts';
import { DEFAULT_POLICY, parsePolicy, type Policy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { refuseReservedStudy } from '@concordat/shared/plan/names.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { parse, stringify } from 'yaml';

import { readText } from '@concordat/coordinator/process.ts';
import { makeAuthority } from './keys.ts';

export interface LocalArguments {
  readonly plan: string;
  readonly data: string;
  readonly out: string;
  readonly policy?: string;
  readonly map?: string;
}

export interface Federation {
  readonly coordinatorConfig: string;
  /** One a trial. */
  readonly agentConfigs: readonly string[];
  /** Holds keys, journal, configurations and parts of an ipd file until the run has finished. */
  readonly state: string;
}

const OPEN_POLICY_FILE = resolve(import.meta.dirname, '../../../node-agent/policies/open.yaml');
const HOST = '127.0.0.1';

/**
 * Prepares a new federation in `<out>/.concordat`, or finds the one that an interrupted run of the same plan, data and
 * policy left there. Nothing of an earlier result is touched before everything that was given is known to be valid.
 */
export async function prepare(args: LocalArguments, planText: string): Promise<Federation> {
  const out = resolve(args.out);
  const state = join(out, '.concordat');
  const policy =
    args.policy === 'open' ? OPEN_POLICY_FILE : args.policy === undefined ? null : resolve(args.policy);
  const policyText = policy === null ? '' : readText(policy, 'policy/invalid');
  const thresholds = policy === null ? DEFAULT_POLICY : parsePolicy(policyText, policy);
  const identity = toHex(
    sha256(
      JSON.stringify([
        planText,
        resolve(args.data),
        policyText,
        args.map === undefined ? null : resolve(args.map),
      ]),
    ),
  );

  if (!isComplete(state)) {
    makeFolder(state, args.out);
    try {
      await makeFederation(state, out, args, planText, thresholds);
    } catch (error) {
      rmSync(state, { recursive: true, force: true });
      throw error;
    }
    setAside(out);
    writeFileSync(join(state, 'complete'), identity);
  } else if (readFileSync(join(state, 'complete'), 'utf8') !== identity) {
    throw new ConcordatError(
      'run/conflict',
      'the output folder holds an unfinished run of another plan, policy, data folder or map folder',
      {
        place: args.out,
        remedy: `finish it by giving its own command again, choose another --out, or remove ${state}`,
      },
    );
  }
  await chooseAddress(state);
  return {
    coordinatorConfig: join(state, 'coordinator.yaml'),
    agentConfigs: readdirSync(state)
      .filter((name) => name.startsWith('site-') && name.endsWith('.yaml'))
      .toSorted()
      .map((name) => join(state, name)),
    state,
  };
}

/**
 * Keeps what the agents logged for their operators in `<out>/log/agents.log`, and removes the rest. Marked as ended first:
 * what a crash leaves behind is never taken for a run to be resumed.
 */
export function endFederation({ state }: Federation, out: string): void {
  const logs = readdirSync(state).filter((name) => /^agents-\d+\.log$/.test(name));
  writeFileSync(
    join(out, 'log', 'agents.log'),
    logs
      .toSorted()
      .map((name) => readFileSync(join(state, name), 'utf8'))
      .join(''),
    { mode: 0o600 },
  );
  rmSync(join(state, 'complete'));
  rmSync(state, { recursive: true, force: true });
}

function isComplete(state: string): boolean {
  return existsSync(join(state, 'complete'));
}

async function makeFederation(
  state: string,
  out: string,
  args: LocalArguments,
  planText: string,
  policy: Policy,
): Promise<void> {
  const folder = await readFolder(args.data);
  const files =
    folder.kind === 'one-each' ? folder.files : await splitByStudy(folder.path, join(state, 'records'));
  checkStudies(args, planText, [...files.keys()]);
  const maps = mapFiles(args.map, [...files.keys()]);
  const authority = await makeAuthority(state);
  const own = await authority.issue('coordinator', 'coordinator', { hosts: [HOST] });
  // Here custodian and statistician are one, so that nobody is asked.
  const { policy: _version, ...disclosure } = policy;
  write(state, 'agreement.yaml', {
    agreement: 1,
    name: 'concordat local',
    until: '9999-12-31',
    approval: 'automatic',
    variables: 'all',
    outcomes: 'all',
    families: 'all',
    disclosure,
  });
  const sites = [];
  for (const [study, data] of files) {
    const name = nameOf(study);
    const map = maps.get(study);
    const keys = await authority.issue(name, study, null);
    sites.push({ study, key: keys.publicKey, certificate: keys.fingerprint });
    write(state, `${name}.yaml`, {
      agent: 1,
      study,
      coordinator: `${HOST}:0`,
      coordinator_key: own.publicKey,
      tls: { ca: 'ca.crt', certificate: `${name}.crt`, key: `${name}.tls.key` },
      signing_key: `${name}.signing.key`,
      data: resolve(data),
      ...(map === undefined ? {} : { map }),
      agreement: 'agreement.yaml',
      state: `${name}.state`,
      log: join(out, 'log', 'sites', encodeURIComponent(study)),
    });
  }
  write(state, 'coordinator.yaml', {
    coordinator: 1,
    listen: `${HOST}:0`,
    tls: { ca: 'ca.crt', certificate: 'coordinator.crt', key: 'coordinator.tls.key' },
    signing_key: 'coordinator.signing.key',
    state: 'journal.sqlite',
    log: join(out, 'log', 'coordinator'),
    sites,
  });
}

/** The data hold every study that the plan names. */
function checkStudies(args: LocalArguments, planText: string, found: readonly string[]): void {
  for (const study of found) refuseReservedStudy(study, args.data);
  const { studies = 'all' } = parsePlan(planText, args.plan);
  const absent = studies === 'all' ? [] : studies.filter((study) => !found.includes(study));
  if (absent.length === 0) return;
  throw new ConcordatError(
    'plan/inconsistent',
    `the data hold no study ${absent.map((study) => `"${study}"`).join(', ')}`,
    {
      place: `${args.plan} studies`,
      remedy: `the studies in ${args.data} are: ${found.join(', ')}`,
    },
  );
}

/** A port that is free now, in every configuration: a resumed run may find its earlier one taken. */
async function chooseAddress(state: string): Promise<void> {
  const address = `${HOST}:${await freePort()}`;
  for (const name of readdirSync(state).filter((entry) => /^(coordinator|site-.*)\.yaml$/.test(entry))) {
    const config = parse(readFileSync(join(state, name), 'utf8')) as Record<string, unknown>;
    write(state, name, { ...config, [name === 'coordinator.yaml' ? 'listen' : 'coordinator']: address });
  }
}

/** Whole or not at all: a run that is killed here is resumed from these files. */
function write(folder: string, name: string, config: object): void {
  const file = join(folder, name);
  writeFileSync(`${file}.part`, stringify(config), { mode: 0o600 });
  renameSync(`${file}.part`, file);
}

/** An empty folder in place of whatever was there. */
function makeFolder(state: string, out: string): void {
  try {
    rmSync(state, { recursive: true, force: true });
    mkdirSync(state, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new ConcordatError('usage/invalid', 'the output folder cannot be written', {
      place: out,
      remedy: 'give a folder that you may write to with --out; it is made where it does not exist',
      cause,
    });
  }
}

/** Results and logs of an earlier run in the same folder are kept, under its run id; also the logs of one without a result. */
function setAside(out: string): void {
  const found = ['result.json', 'result.intoto.json', 'report.html', 'figures', 'log'].filter((name) =>
    existsSync(join(out, name)),
  );
  if (found.length === 0) return;
  const base = join(out, 'earlier', runOf(join(out, 'result.json')));
  let earlier = base;
  for (let n = 2; existsSync(earlier); n++) earlier = `${base}-${n}`;
  mkdirSync(earlier, { recursive: true });
  for (const name of found) renameSync(join(out, name), join(earlier, name));
}

function runOf(result: string): string {
  if (!existsSync(result)) return 'unfinished';
  try {
    const { run } = JSON.parse(readFileSync(result, 'utf8')) as { run?: { id?: unknown } };
    if (typeof run?.id === 'string' && /^[0-9a-f]{32}$/.test(run.id)) return run.id;
  } catch {
    // A file of another program, or of a changed result: kept under a name of its own.
  }
  return 'unknown';
}

/** Site files can never collide with the coordinator's, whatever a study is called. */
function nameOf(study: string): string {
  return `site-${encodeURIComponent(study)}`;
}

function mapFiles(folder: string | undefined, studies: readonly string[]): ReadonlyMap<string, string> {
  if (folder === undefined) return new Map();
  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name))
      .toSorted();
  } catch (cause) {
    throw new ConcordatError('map/invalid', 'the folder of harmonisation maps cannot be read', {
      place: folder,
      remedy: 'check the path',
      cause,
    });
  }
  const maps = new Map<string, string>();
  for (const name of names) {
    const file = resolve(folder, name);
    const { study } = parseMap(readText(file, 'map/invalid'), file);
    const fail = (message: string, remedy: string): ConcordatError =>
      new ConcordatError('map/invalid', message, { place: file, remedy });
    if (!studies.includes(study)) {
      throw fail(
        `the map is for the study ${study}, which is not among the data`,
        `the studies are: ${studies.join(', ')}`,
      );
    }
    if (maps.has(study)) throw fail(`another map is for the study ${study} too`, 'keep one of them');
    maps.set(study, file);
  }
  return maps;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolvePort) => {
    server.listen(0, HOST, resolvePort);
  });
  const address = server.address();
  await new Promise((closed) => {
    server.close(closed);
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}
