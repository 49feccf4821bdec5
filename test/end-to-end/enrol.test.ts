/** From `coordinator init` to a result, with the commands that people use; and what the commands refuse. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeAuthority } from '@concordat/cli/local/keys.ts';
import { Coordinator, done } from './coordinator.ts';
import {
  AGREEMENT,
  concordat,
  entriesOf,
  freePort,
  newFolder,
  PLAN,
  resultOf,
  until,
  writeTrials,
  type Program,
} from './federation.ts';

const data = newFolder();
writeTrials(data, ['A', 'B', 'C']);
const started: Program[] = [];
after(async () => {
  await Promise.all(started.map((program) => program.kill()));
});

function start(argv: readonly string[]): Program {
  const program = concordat(argv);
  started.push(program);
  return program;
}

async function run(argv: readonly string[]): Promise<{ status: number | null; output: string }> {
  const program = concordat(argv);
  return { status: await program.exit, output: program.output };
}

async function refused(argv: readonly string[], code: RegExp): Promise<void> {
  const { status, output } = await run(argv);
  assert.equal(status, 2, output);
  assert.match(output, code);
}

class Site {
  readonly dir: string;
  readonly study: string;

  constructor(study: string) {
    this.study = study;
    this.dir = join(newFolder(), study);
  }

  async join(invitation: string, template = PLAN): Promise<void> {
    await done(['agent', 'join', invitation, '--dir', this.dir, '--data', join(data, `${this.study}.csv`)]);
    fs.writeFileSync(join(this.dir, 'plan.yaml'), template);
    fs.writeFileSync(join(this.dir, 'agreement.yaml'), JSON.stringify(AGREEMENT));
  }

  serve(): Program {
    return start(['agent', '--config', join(this.dir, 'agent.yaml')]);
  }
}

/** Every file in the folder and below it. */
function filesIn(folder: string): readonly string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A private key as it could be written: the secret's bytes, in hex, and in base64 whatever stands before it. */
function spellings(pem: string): readonly Buffer[] {
  const { d } = createPrivateKey(pem).export({ format: 'jwk' });
  const secret = Buffer.from(d!, 'base64url');
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), secret])
      .toString('base64')
      .slice(4, 40),
  );
  return [secret, Buffer.from(secret.toString('hex')), ...base64.map((text) => Buffer.from(text))];
}

test('init, invite, join, run: the plan waits for the sites that it names, and no private key goes anywhere', async () => {
  const coordinator = await Coordinator.init();
  const text = `${PLAN}studies: [A, B]\n`;
  const plan = coordinator.run(text);
  await until(() => plan.ended || plan.output.includes('waiting for sites'), 'the plan to wait');
  assert.match(plan.output, /"waiting for sites","missing":\["A","B"\],"needed":2/);
  const sites = [new Site('A'), new Site('B')];
  const invitations: string[] = [];
  for (const site of sites) {
    const invitation = await coordinator.invite(site.study);
    invitations.push(invitation);
    await site.join(invitation, text);
  }
  await until(() => plan.ended || plan.output.includes('"round"'), 'the run to begin');
  const agents = sites.map((site) => site.serve());
  assert.equal(await plan.exit, 0, plan.output);
  const { run: result } = resultOf(join(coordinator.dir, 'out'));
  assert.deepEqual(
    result.sites.map(({ study, status }) => [study, status]),
    [
      ['A', 'answered'],
      ['B', 'answered'],
    ],
  );
  for (const agent of agents) assert.equal(await agent.kill('SIGTERM'), 0);
  assert.deepEqual(
    entriesOf(join(coordinator.dir, 'log'))
      .filter(({ kind }) => kind === 'decision')
      .map(({ peer, detail }) => [peer, detail?.['decision']]),
    [
      ['A', 'enrolled'],
      ['B', 'enrolled'],
    ],
  );
  assert.equal(entriesOf(join(sites[0]!.dir, 'log'))[0]?.detail?.['decision'], 'joined');

  const folders = [coordinator.dir, ...sites.map(({ dir }) => dir)];
  const keys = folders.flatMap(filesIn).filter((file) => file.endsWith('.key'));
  assert.equal(keys.length, 3 + 2 * 2);
  for (const file of folders.flatMap(filesIn)) {
    const { mode } = fs.statSync(file);
    if (keys.includes(file)) assert.equal(mode & 0o777, 0o600, file);
  }
  for (const folder of folders) assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
  const written = folders
    .flatMap(filesIn)
    .filter((file) => !keys.includes(file))
    .map((file) => [file, fs.readFileSync(file)] as const);
  const printed = [plan, ...agents].map(({ output }) => ['output', Buffer.from(output)] as const);
  const secrets = keys.flatMap((key) => spellings(fs.readFileSync(key, 'utf8')));
  // The invitations' own secrets are kept nowhere either.
  secrets.push(...invitations.map((line) => Buffer.from(line.slice(-120, -60))));
  for (const [place, bytes] of [...written, ...printed])
    for (const secret of secrets) assert.ok(!bytes.includes(secret), place);
});

test('nothing is overwritten: a second init, and a join where a site is', async () => {
  const coordinator = await Coordinator.init();
  const before = filesIn(coordinator.dir).map((file) => fs.readFileSync(file, 'utf8'));
  const again = ['coordinator', 'init', '--dir', coordinator.dir, '--host', 'localhost'];
  await refused(again, /^enrolment\/exists at .*coordinator\.yaml/m);
  assert.deepEqual(
    filesIn(coordinator.dir).map((file) => fs.readFileSync(file, 'utf8')),
    before,
  );
  const server = await coordinator.serve();
  const [first, second] = [await coordinator.invite('A'), await coordinator.invite('B')];
  const site = new Site('A');
  await site.join(first);
  const key = fs.readFileSync(join(site.dir, 'tls.key'), 'utf8');
  await refused(['agent', 'join', second, '--dir', site.dir], /^enrolment\/exists at .*agent\.yaml/m);
  assert.equal(fs.readFileSync(join(site.dir, 'tls.key'), 'utf8'), key);
  await refused(['coordinator', 'invite', 'A', ...coordinator.config], /^enrolment\/exists at A: /m);
  assert.equal(await server.kill('SIGTERM'), 0);
});

test('an invitation that was used, cut, or is for another coordinator; a certificate of another study', async () => {
  const [coordinator, other] = [await Coordinator.init(), await Coordinator.init()];
  const server = await coordinator.serve();
  const invitation = await coordinator.invite('A');
  const site = new Site('A');
  const to = (line: string): string[] => ['agent', 'join', line, '--dir', join(newFolder(), 'site')];
  await refused(to(invitation.slice(0, -9)), /^enrolment\/invitation: the invitation was cut/m);
  await refused(to('hello'), /^enrolment\/invitation: /m);
  await site.join(invitation);
  await refused(to(invitation), /^enrolment\/used at /m);
  // The other coordinator on the first one's address: as a machine in the middle would be.
  await server.kill('SIGTERM');
  const text = fs.readFileSync(join(other.dir, 'coordinator.yaml'), 'utf8');
  fs.writeFileSync(
    join(other.dir, 'coordinator.yaml'),
    text.replaceAll(`127.0.0.1:${other.port}`, `127.0.0.1:${coordinator.port}`),
  );
  const invited = await coordinator.invite('B');
  await new Coordinator(other.dir, coordinator.port).serve();
  await refused(to(invited), /^network\/intercepted at .*issued by CN=Concordat authority/m);

  const config = join(site.dir, 'agent.yaml');
  fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('study: "A"', 'study: "B"'));
  await refused(['agent', '--config', config], /^enrolment\/wrong-site at .*site\.crt: /m);
});

test('a site that is revoked while a run waits for it gets nothing, and the run ends without it', async () => {
  const coordinator = await Coordinator.init();
  const server = await coordinator.serve();
  const sites = [new Site('A'), new Site('B'), new Site('C')];
  for (const site of sites) await site.join(await coordinator.invite(site.study));
  assert.equal(await server.kill('SIGTERM'), 0);
  const plan = coordinator.run(PLAN.replace('minimum_studies: 2', 'minimum_studies: 2\ntime_limit: 8'));
  await until(() => plan.ended || plan.output.includes('"round"'), 'the run to begin');
  const [a, b] = [sites[0]!.serve(), sites[1]!.serve()];
  await until(() => plan.output.includes('"planAccepted"'), 'a site to accept');
  await coordinator.revoke('C');
  const c = sites[2]!.serve();
  await until(() => c.output.includes('enrolment/revoked'), 'the revoked site to be told');
  assert.equal(await plan.exit, 0, plan.output);
  assert.deepEqual(
    resultOf(join(coordinator.dir, 'out')).run.sites.map(({ study, status }) => [study, status]),
    [
      ['A', 'answered'],
      ['B', 'answered'],
      ['C', 'unreachable'],
    ],
  );
  const log = entriesOf(join(coordinator.dir, 'log'));
  assert.ok(!log.some(({ kind, peer }) => kind === 'received' && peer === 'C'));
  assert.ok(log.some(({ peer, detail }) => peer === 'C' && detail?.['decision'] === 'revoked'));
  assert.ok(!entriesOf(join(sites[2]!.dir, 'log')).some(({ kind }) => kind === 'received'));
  const listed = await done(['coordinator', 'sites', ...coordinator.config]);
  assert.match(listed, /^A {2}enrolled .*\nB {2}enrolled .*\nC {2}revoked /m);
  for (const agent of [a, b, c]) assert.equal(await agent.kill('SIGTERM'), 0);
});

test('a coordinator that is restored from a copy of its folder keeps its authority, and its sites', async () => {
  const coordinator = await Coordinator.init();
  const server = await coordinator.serve();
  const site = new Site('A');
  await site.join(await coordinator.invite('A'));
  const agent = site.serve();
  await until(() => server.output.includes('"site"'), 'the site to call');
  assert.equal(await server.kill('SIGTERM'), 0);
  const copy = join(newFolder(), 'restored');
  fs.cpSync(coordinator.dir, copy, { recursive: true });
  fs.rmSync(coordinator.dir, { recursive: true });
  const restored = new Coordinator(copy, coordinator.port);
  const again = await restored.serve();
  await until(() => again.output.includes('"site"'), 'the same site to call again');
  await refused(['coordinator', 'init', '--dir', copy, '--host', '127.0.0.1'], /^enrolment\/exists /m);
  // Whoever was invited before the copy was made, and whoever is invited by the copy, can join.
  await new Site('B').join(await restored.invite('B'));
  assert.equal(await agent.kill('SIGTERM'), 0);
  assert.equal(await again.kill('SIGTERM'), 0);
});

test('a PKI of the consortium’s own: no key of an authority, and sites that are admitted by name', async () => {
  const folder = newFolder();
  const pki = await makeAuthority(folder);
  await pki.issue('server', 'server', { hosts: ['127.0.0.1'] });
  const { publicKey } = await pki.issue('A', 'A', null);
  const at = (name: string): string => join(folder, name);
  const coordinator = new Coordinator(join(folder, 'coordinator'), await freePort());
  await done([
    'coordinator',
    'init',
    '--dir',
    coordinator.dir,
    '--host',
    '127.0.0.1',
    '--listen',
    `127.0.0.1:${coordinator.port}`,
    '--authority',
    at('ca.crt'),
    '--certificate',
    at('server.crt'),
    '--key',
    at('server.tls.key'),
  ]);
  assert.deepEqual(fs.readdirSync(coordinator.dir).sort(), ['coordinator.signing.key', 'coordinator.yaml']);
  await refused(
    ['coordinator', 'invite', 'A', ...coordinator.config],
    /^usage\/invalid .*issues no certificates/m,
  );
  await done(['coordinator', 'admit', 'A', '--key', publicKey, ...coordinator.config]);
  const server = await coordinator.serve();
  const signing = createPublicKey(
    createPrivateKey(fs.readFileSync(join(coordinator.dir, 'coordinator.signing.key'))),
  ).export({ format: 'der', type: 'spki' });
  fs.writeFileSync(
    at('agent.yaml'),
    JSON.stringify({
      agent: 1,
      study: 'A',
      coordinator: `127.0.0.1:${coordinator.port}`,
      coordinator_key: signing.subarray(-32).toString('hex'),
      tls: { ca: 'ca.crt', certificate: 'A.crt', key: 'A.tls.key' },
      signing_key: 'A.signing.key',
      data: join(data, 'A.csv'),
      agreement: 'agreement.yaml',
      log: 'log',
    }),
  );
  fs.writeFileSync(at('agreement.yaml'), JSON.stringify(AGREEMENT));
  fs.writeFileSync(at('plan.yaml'), PLAN);
  const agent = start(['agent', '--config', at('agent.yaml')]);
  await until(() => server.output.includes('"site","study":"A"'), 'the site to call');
  await coordinator.revoke('A');
  await agent.kill('SIGTERM');
  const again = start(['agent', '--config', at('agent.yaml')]);
  await until(() => again.output.includes('enrolment/revoked'), 'the site to be told');
  assert.equal(await again.kill('SIGTERM'), 0);
});
