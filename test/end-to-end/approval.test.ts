/** Custodians at the command line, beside agents that run: what they see, sign and stop. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { concordat, entriesOf, Federation, newFolder, resultOf, until, writeTrials } from './federation.ts';

const STUDIES = ['A', 'B', 'C'];
const PASSPHRASE = 'correct horse battery staple';

/** Sites whose custodians decide; the keys are made by the command, as a custodian would. */
async function federationOf(approval: string, more: object = {}): Promise<Federation> {
  const data = newFolder();
  writeTrials(data, STUDIES);
  const federation = await Federation.make(
    Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)])),
  );
  fs.writeFileSync(federation.path('passphrase'), `${PASSPHRASE}\n`);
  const config = JSON.parse(fs.readFileSync(federation.path('A.yaml'), 'utf8')) as object;
  federation.write('A.yaml', { ...config, agreement: 'A.agreement.yaml' });
  federation.write('A.agreement.yaml', {
    agreement: 1,
    name: 'DSA 2026-014',
    until: '9999-12-31',
    approval,
    variables: ['arm', 'age', 'centre'],
    outcomes: ['y'],
    families: ['gaussian'],
    ...more,
  });
  await agent(federation, 'custodian', 'Vera Oak', '--passphrase-file', federation.path('passphrase'));
  return federation;
}

/** A command of A's custodian; resolves to what it printed. */
async function agent(federation: Federation, command: string, ...argv: string[]): Promise<string> {
  const program = concordat(['agent', command, '--config', federation.path('A.yaml'), ...argv]);
  const status = await program.exit;
  assert.equal(status, 0, program.output);
  return program.output;
}

const signed = (federation: Federation): string[] => ['--passphrase-file', federation.path('passphrase')];
const digestIn = (output: string): string => /^([0-9a-f]{12}) {2}waiting/m.exec(output)![1]!;

test('a plan waits for the custodian, who sees what it asks and what would leave, and approves it; the run goes on', async () => {
  const federation = await federationOf('each-plan');
  const events: string[] = [];
  const coordinator = federation.coordinator((event) => {
    if (event['event'] === 'custodian') events.push(String(event['study']));
  });
  const agents = STUDIES.map((study) => federation.agent(study));
  await until(() => events.includes('A'), 'the coordinator to know that A waits');

  const plans = await agent(federation, 'plans');
  for (const told of ['waiting', 'age', 'centre', 'linear model', 'A, B and C'])
    assert.ok(plans.includes(told), plans);
  const digest = digestIn(plans);
  const preview = await agent(federation, 'preview', digest);
  for (const told of ['effect', 'by-centre', 'treatment', 'age']) assert.ok(preview.includes(told), preview);
  assert.ok(!entriesOf(federation.log('A')).some(({ type }) => type === 'stageOneEstimate'));

  const said = await agent(federation, 'approve', digest, ...signed(federation), '--note', 'as discussed');
  assert.match(said, /sites: 3 sites \(A, B and C\)[^]*agreement: DSA 2026-014, SHA-256 [0-9a-f]{12}…/);
  assert.match(said, /Signed as Vera Oak, and taken by the agent/);
  // No passphrase is asked for: nothing is signed.
  assert.match(
    await agent(federation, 'approve', digest),
    /^Vera Oak approved this plan on .* nothing more is signed/m,
  );
  assert.equal(entriesOf(federation.log('A')).filter(({ type }) => type === 'statement').length, 1);
  assert.equal(await coordinator.exit, 0);
  const sites = resultOf(federation.path('out')).run.sites;
  assert.ok(sites.every(({ status }) => status === 'answered'));
  const over = await agent(federation, 'plans');
  assert.match(
    over,
    new RegExp(`^${digest} {2}approved \\(Vera Oak\\), run closed  offered .*\\(tiny\\)$`, 'm'),
  );
  assert.ok(!over.includes('linear model'), over);
  assert.match(await agent(federation, 'plans', digest), /linear model/);
  const sent = entriesOf(federation.log('A')).filter(({ kind }) => kind === 'sent');
  assert.ok(sent.length >= 4);
  for (const running of agents) await running.kill('SIGTERM');
});

test('refused with an objection: the run goes on without the site, and says why', async () => {
  const federation = await federationOf('each-plan');
  const waiting: unknown[] = [];
  const coordinator = federation.coordinator((event) => {
    if (event['event'] === 'custodian') waiting.push(event);
  });
  const agents = STUDIES.map((study) => federation.agent(study));
  await until(() => waiting.length > 0, 'the coordinator to know that A waits');
  const digest = digestIn(await agent(federation, 'plans'));
  await agent(
    federation,
    'refuse',
    digest,
    '--objection',
    'variables',
    '--note',
    'SECRET',
    ...signed(federation),
  );
  assert.equal(await coordinator.exit, 0);
  const out = fs.readFileSync(federation.path('out/result.json'), 'utf8');
  assert.match(out, /"code": "custodian"/);
  assert.match(out, /the site's custodian refused: the variables/);
  assert.ok(!out.includes('SECRET'));

  assert.match(await agent(federation, 'plans'), /refused \(Vera Oak\), run closed/);
  const again = concordat([
    'agent',
    'refuse',
    digest,
    '--objection',
    'other',
    '--config',
    federation.path('A.yaml'),
    ...signed(federation),
  ]);
  assert.equal(await again.exit, 2);
  assert.match(again.output, /^approval\/unknown .*refused \(Vera Oak\)/);
  const replaced = await agent(federation, 'approve', digest, ...signed(federation));
  assert.match(replaced, /taken by the agent\.\s+This replaces the refusal of Vera Oak: .*the next run/);
  assert.match(await agent(federation, 'plans'), /approved \(Vera Oak\), run closed/);
  for (const running of agents) await running.kill('SIGTERM');
});

test('each-release: every answer is shown before it leaves; a wrong passphrase signs nothing', async () => {
  const federation = await federationOf('each-release');
  const waiting: string[] = [];
  const coordinator = federation.coordinator((event) => {
    if (event['event'] === 'custodian') waiting.push(String(event['analysis']));
  });
  const agents = STUDIES.map((study) => federation.agent(study));
  await until(() => waiting.length > 0, 'the offer to wait');
  const digest = digestIn(await agent(federation, 'plans'));
  fs.writeFileSync(federation.path('wrong'), 'another passphrase');
  const wrong = concordat([
    'agent',
    'approve',
    digest,
    '--config',
    federation.path('A.yaml'),
    '--passphrase-file',
    federation.path('wrong'),
  ]);
  assert.equal(await wrong.exit, 2);
  assert.match(wrong.output, /^approval\/passphrase/m);
  await agent(federation, 'approve', digest, ...signed(federation));
  // The levels of `centre`, then the two analyses: what is asked next may be held before the last is seen to have left.
  for (const answers of [1, 2]) {
    await until(() => heldIn(federation).length === answers, `${answers} answers to be held`);
    const shown = await agent(federation, 'releases');
    const tasks = [...shown.matchAll(/^([0-9a-f]{12}) {2}/gm)].map((task) => task[1]!);
    assert.equal(tasks.length, answers);
    for (const task of tasks) await agent(federation, 'release', task, ...signed(federation));
    const left = (task: string): boolean => !heldIn(federation).some((held) => held.startsWith(task));
    await until(() => tasks.every(left), 'the answers to leave');
  }
  assert.equal(await coordinator.exit, 0);
  for (const running of agents) await running.kill('SIGTERM');
});

/** Tasks of A whose answer is held and has not left. */
function heldIn(federation: Federation): readonly string[] {
  const entries = entriesOf(federation.log('A'));
  const left = new Set(entries.flatMap(({ kind, task }) => (kind === 'sent' ? (task ?? []) : [])));
  return entries.flatMap(({ detail, task }) =>
    detail?.['held'] !== undefined && task !== undefined && !left.has(task) ? [task] : [],
  );
}
