/**
 * Everything that a federation on this machine needs before it starts: each trial's own records, keys,
 * certificate and configuration, and the coordinator's. The same files that a real site would have.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';

import { readFolder } from '@concordat/node-agent/data/files.ts';
import { splitByStudy } from '@concordat/node-agent/data/split.ts';
import { parsePolicy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { stringify } from 'yaml';

import { readText } from '../files.ts';
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
  /** Holds keys, journal and configurations until the run has finished. */
  readonly state: string;
}

const OPEN_POLICY_FILE = resolve(import.meta.dirname, '../../../node-agent/policies/open.yaml');
const HOST = '127.0.0.1';

/** Where every agent's records are: files of the data folder, or parts of its one ipd file written to `scratch`. */
export async function studyFiles(data: string, scratch: string): Promise<ReadonlyMap<string, string>> {
  const folder = await readFolder(data);
  return folder.kind === 'one-each' ? folder.files : splitByStudy(folder.path, scratch);
}

export async function prepare(args: LocalArguments, planText: string, files: ReadonlyMap<string, string>): Promise<Federation> {
  const policy = args.policy === 'open' ? OPEN_POLICY_FILE : args.policy === undefined ? null : resolve(args.policy);
  if (policy !== null) parsePolicy(readText(policy, 'policy/invalid'), policy);
  const maps = mapFiles(args.map, [...files.keys()]);

  const state = join(resolve(args.out), '.concordat');
  const fingerprint = toHex(sha256(JSON.stringify([planText, [...files.keys()], policy === null ? '' : readText(policy, 'policy/invalid')])));
  if (existsSync(join(state, 'complete'))) {
    if (readFileSync(join(state, 'complete'), 'utf8') !== fingerprint) {
      throw new ConcordatError('run/conflict', 'the output folder holds an unfinished run of another plan, policy or set of trials', {
        place: args.out,
        remedy: `give the same command again to finish it, choose another --out, or remove ${state}`,
      });
    }
  } else {
    rmSync(state, { recursive: true, force: true });
    setAside(resolve(args.out));
    mkdirSync(state, { recursive: true, mode: 0o700 });
    await writeFederation(state, resolve(args.out), [...files.keys()]);
  }
  const agentConfigs = writeAgents(state, resolve(args.out), files, policy, maps);
  writeFileSync(join(state, 'complete'), fingerprint);
  return { coordinatorConfig: join(state, 'coordinator.yaml'), agentConfigs, state };
}

/** Results and logs of an earlier run in the same folder are kept, under its run id. */
function setAside(out: string): void {
  const result = join(out, 'result.json');
  if (!existsSync(result)) return;
  const { run } = JSON.parse(readFileSync(result, 'utf8')) as { run?: { id?: string } };
  const earlier = join(out, 'earlier', run?.id ?? 'unknown');
  mkdirSync(earlier, { recursive: true });
  for (const name of ['result.json', 'report.html', 'figures', 'log']) {
    if (existsSync(join(out, name))) renameSync(join(out, name), join(earlier, name));
  }
}

async function writeFederation(state: string, out: string, studies: readonly string[]): Promise<void> {
  const authority = await makeAuthority(state);
  const own = await authority.issue('coordinator', 'coordinator', { hosts: [HOST] });
  const sites = [];
  for (const study of studies) {
    const keys = await authority.issue(nameOf(study), study, null);
    sites.push({ study, key: keys.publicKey, certificate: keys.fingerprint });
  }
  writeFileSync(join(state, 'address'), `${HOST}:${await freePort()}`);
  writeFileSync(join(state, 'coordinator.pub'), own.publicKey);
  writeFileSync(
    join(state, 'coordinator.yaml'),
    stringify({
      coordinator: 1,
      listen: readFileSync(join(state, 'address'), 'utf8'),
      tls: { ca: 'ca.crt', certificate: 'coordinator.crt', key: 'coordinator.tls.key' },
      signing_key: 'coordinator.signing.key',
      state: 'journal.sqlite',
      log: join(out, 'log', 'coordinator'),
      sites,
    }),
  );
}

function writeAgents(
  state: string,
  out: string,
  files: ReadonlyMap<string, string>,
  policy: string | null,
  maps: ReadonlyMap<string, string>,
): readonly string[] {
  return [...files].map(([study, data]) => {
    const name = nameOf(study);
    const file = join(state, `${name}.yaml`);
    const map = maps.get(study);
    const config = {
      agent: 1,
      study,
      coordinator: readFileSync(join(state, 'address'), 'utf8'),
      coordinator_key: readFileSync(join(state, 'coordinator.pub'), 'utf8'),
      tls: { ca: 'ca.crt', certificate: `${name}.crt`, key: `${name}.tls.key` },
      signing_key: `${name}.signing.key`,
      data: resolve(data),
      ...(map === undefined ? {} : { map }),
      ...(policy === null ? {} : { policy }),
      log: join(out, 'log', 'sites', encodeURIComponent(study)),
    };
    writeFileSync(file, stringify(config), { mode: 0o600 });
    return file;
  });
}

/** Site files can never collide with the coordinator's, whatever a study is called. */
function nameOf(study: string): string {
  return `site-${encodeURIComponent(study)}`;
}

function mapFiles(folder: string | undefined, studies: readonly string[]): ReadonlyMap<string, string> {
  if (folder === undefined) return new Map();
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  } catch (cause) {
    throw new ConcordatError('map/invalid', 'the folder of harmonisation maps cannot be read', { place: folder, remedy: 'check the path', cause });
  }
  return new Map(
    names.map((name) => {
      const file = resolve(folder, name);
      const { study } = parseMap(readText(file, 'map/invalid'), file);
      if (!studies.includes(study)) {
        throw new ConcordatError('map/invalid', `the map is for the study ${study}, which is not among the data`, {
          place: file,
          remedy: `the studies are: ${studies.join(', ')}`,
        });
      }
      return [study, file];
    }),
  );
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
