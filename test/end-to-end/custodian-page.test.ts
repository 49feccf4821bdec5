/** A custodian at the page of an agent that runs: signs in, sees, approves, releases. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  concordat,
  entriesOf,
  Federation,
  freePort,
  newFolder,
  resultOf,
  until,
  writeTrials,
} from './federation.ts';
import { Visitor } from './visitor.ts';

const STUDIES = ['A', 'B', 'C'];
const PASSPHRASE = 'correct horse battery staple';

test('a run in which every answer is approved and released on the page', async () => {
  const data = newFolder();
  writeTrials(data, STUDIES);
  const federation = await Federation.make(
    Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)])),
  );
  fs.writeFileSync(federation.path('passphrase'), `${PASSPHRASE}\n`);
  const port = await freePort();
  const config = JSON.parse(fs.readFileSync(federation.path('A.yaml'), 'utf8')) as object;
  const page = { listen: `127.0.0.1:${port}` };
  federation.write('A.yaml', { ...config, agreement: 'A.agreement.yaml', page });
  federation.write('A.agreement.yaml', {
    agreement: 1,
    name: 'DSA 2026-014',
    until: '9999-12-31',
    approval: 'each-release',
    variables: ['arm', 'age', 'centre'],
    outcomes: ['y'],
    families: ['gaussian'],
  });
  const made = concordat([
    'agent',
    'custodian',
    'Vera Oak',
    '--config',
    federation.path('A.yaml'),
    '--passphrase-file',
    federation.path('passphrase'),
  ]);
  assert.equal(await made.exit, 0, made.output);
  let waits = false;
  const coordinator = federation.coordinator((event) => {
    waits ||= event['event'] === 'custodian' && event['study'] === 'A';
  });
  const agents = STUDIES.map((study) => federation.agent(study));
  await until(() => waits, 'the coordinator to know that A waits');

  const visitor = new Visitor(`http://127.0.0.1:${port}`);
  const wrong = await visitor.submit('/sign-in', /sign-in/, { name: 'Vera Oak', passphrase: 'wrong' });
  assert.match(wrong, /<title>Not done/);
  const overview = await visitor.submit('/sign-in', /sign-in/, { name: 'Vera Oak', passphrase: PASSPHRASE });
  assert.match(overview, /1 plan to approve or refuse/);
  const plan = /href="(\/plans\/[0-9a-f]{32}\/[0-9a-f]{64})"/.exec(overview)![1]!;
  const preview = await visitor.get(`${plan}/preview`);
  for (const told of ['effect', 'by-centre', 'Estimates by term', 'Nothing of it was sent'])
    assert.ok(preview.includes(told), preview);
  assert.ok(!entriesOf(federation.log('A')).some(({ type }) => type === 'stageOneEstimate'));
  const approved = await visitor.submit(plan, /approve$/, { read: 'yes', note: 'SECRET' });
  assert.match(approved, /<title>Approved/);
  assert.match(approved, /<strong>approved<\/strong>/);

  let running = true;
  const ended = coordinator.exit.then((status) => {
    running = false;
    return status;
  });
  const released: string[] = [];
  while (running) {
    await until(() => !running || heldIn(federation) > 0, 'an answer to wait, or the end');
    if (running) released.push(await visitor.submit('/releases', /release$/, { read: 'yes' }));
  }
  assert.equal(await ended, 0);
  assert.ok(released.length > 0);
  for (const answer of released) assert.match(answer, /<title>Released/);
  const { sites } = resultOf(federation.path('out')).run;
  assert.ok(sites.every(({ status }) => status === 'answered'));
  const estimates = entriesOf(federation.log('A')).filter(
    ({ kind, type }) => kind === 'sent' && type === 'stageOneEstimate',
  );
  const left = await visitor.get('/left');
  for (const { n } of estimates) {
    assert.ok(left.includes(`/left/${n}"`));
    assert.match(await visitor.get(`/left/${n}`), /Estimates by term/);
  }
  for (const place of ['/', '/agreement', '/connection', '/log', '/plans']) {
    assert.doesNotMatch(await visitor.get(place), /This did not work|NaN|undefined/, place);
  }
  await audited(federation, `http://127.0.0.1:${port}`);
  for (const agent of agents) await agent.kill('SIGTERM');
});

/** How many of A's answers are held and have not left. */
function heldIn(federation: Federation): number {
  const entries = entriesOf(federation.log('A'));
  const left = new Set(entries.flatMap(({ kind, task }) => (kind === 'sent' ? (task ?? []) : [])));
  return entries.filter(({ detail, task }) => detail?.['held'] !== undefined && !left.has(task ?? '')).length;
}

/** An auditor whose key is made beside the running agent reads its log, is named in it, and is shown nothing else. */
async function audited(federation: Federation, base: string): Promise<void> {
  const secret = ['--passphrase-file', federation.path('passphrase')];
  const command = ['agent', 'auditor', 'Uma Audit', '--config', federation.path('A.yaml'), ...secret];
  const made = concordat(command);
  assert.equal(await made.exit, 0, made.output);
  const taken = concordat(command.with(2, 'Vera Oak'));
  assert.equal(await taken.exit, 2);
  assert.match(taken.output, /enrolment\/exists/);
  const auditor = new Visitor(base);
  const log = await auditor.submit('/sign-in', /sign-in/, { name: 'Uma Audit', passphrase: PASSPHRASE });
  assert.match(log, /<h1>Log<\/h1>/);
  assert.doesNotMatch(log, /href="\/plans"/);
  assert.match(await auditor.get('/plans'), /This is not for auditors/);
  const { detail } = entriesOf(federation.log('A')).at(-1)!;
  assert.deepEqual([detail?.['auditor'], detail?.['first']], ['Uma Audit', true]);
}
