/** The command as a user gives it: what it prints, how it exits, what it leaves behind. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { OPEN_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { readPlanSignature } from '@concordat/coordinator/plan-signature.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { isPlanSigned } from '@concordat/shared/wire/offers.ts';
import { generateSigningKey } from '@concordat/shared/wire/signing.ts';

const repository = resolve(import.meta.dirname, '../..');
const root = mkdtempSync(join(tmpdir(), 'command-'));
after(() => rmSync(root, { recursive: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function concordat(...argv: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(repository, 'cli/bin/concordat.mjs'), ...argv],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NODE_COMPILE_CACHE: join(repository, '.cache/compile') },
    },
  );
  return { status, stdout, stderr };
}

const PLAN = `plan: 1
id: command
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian}}
`;
const file = (name: string, text: string): string => {
  writeFileSync(join(root, name), text);
  return join(root, name);
};
const plan = file('plan.yaml', PLAN);
const invalid = file('invalid.yaml', PLAN.replace('gaussian', 'gausian').replace('control: 0, ', ''));
const data = join(root, 'data');
mkdirSync(data);
for (const study of ['A', 'B']) {
  const rows = Array.from(
    { length: 40 },
    (_, i) => `${i % 2},${100 + ((i * 7 + study.charCodeAt(0)) % 13) - 4 * (i % 2)}`,
  );
  writeFileSync(join(data, `${study}.csv`), `arm,y\n${rows.join('\n')}\n`);
}

test('--help and --version: status 0', () => {
  const help = concordat('--help');
  assert.equal(help.status, 0);
  for (const command of ['demo', 'local', 'plan', 'coordinator', 'agent'])
    assert.match(help.stdout, new RegExp(`^  ${command}`, 'm'));
  assert.match(concordat('--version').stdout, /^\d+\.\d+\.\d+\n$/);
});

test('usage that is wrong: status 2, and what to look at', () => {
  for (const argv of [
    ['local', '--plna', plan],
    ['unknown'],
    ['local', '--plan', plan],
    ['plan', 'schema', '--of', 'x'],
  ]) {
    const { status, stderr } = concordat(...argv);
    assert.equal(status, 2, argv.join(' '));
    assert.match(stderr, /error: /);
  }
});

test('a plan that is invalid or not there: status 2 with every fault, no process started, no folder made', () => {
  const out = join(root, 'none');
  const { status, stdout, stderr } = concordat(
    'local',
    '--plan',
    invalid,
    '--data',
    data,
    '--out',
    out,
    '--json',
  );
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /^plan\/schema/);
  assert.match(stderr, /gausian/);
  assert.match(stderr, /control/);
  assert.ok(!existsSync(out));
  assert.equal(concordat('plan', 'check', invalid, '--json').status, 2);
  assert.equal(concordat('plan', 'check', join(root, 'absent.yaml')).status, 2);
});

test('plan check says what the plan asks; --json for machines', () => {
  assert.match(concordat('plan', 'check', plan).stdout, /effect: two-stage gaussian/);
  const { status, stdout } = concordat('plan', 'check', plan, '--json');
  assert.equal(status, 0);
  const checked = JSON.parse(stdout) as { valid: boolean; analyses: { id: string; pooled: string[] }[] };
  assert.equal(checked.valid, true);
  assert.deepEqual(
    checked.analyses.map(({ id, pooled }) => [id, pooled]),
    [['effect', ['treatment']]],
  );
});

test('plan schema prints the published schemas', () => {
  for (const document of ['plan', 'result', 'policy', 'agreement', 'map']) {
    const { status, stdout } = concordat('plan', 'schema', '--of', document);
    assert.equal(status, 0);
    assert.equal(stdout, readFileSync(join(repository, `shared/schema/${document}.schema.json`), 'utf8'));
  }
});

test('plan sign: a signature beside the plan, found by the coordinator, and no good for another plan', () => {
  const folder = mkdtempSync(join(root, 'sign-'));
  const [key, signed] = [join(folder, 'ada.key'), join(folder, 'plan.yaml')];
  writeFileSync(signed, readFileSync(plan));
  const made = concordat('plan', 'key', key);
  assert.equal(made.status, 0);
  assert.equal(statSync(key).mode & 0o777, 0o600);
  assert.match(concordat('plan', 'key', key).stderr, /^enrolment\/exists/);
  assert.equal(concordat('plan', 'sign', signed, '--key', key).status, 0);
  const text = readFileSync(signed, 'utf8');
  const signature = readPlanSignature(signed, text)!;
  assert.ok(made.stdout.includes(toHex(signature.key)));
  assert.ok(isPlanSigned(text, signature));
  assert.throws(() => readPlanSignature(signed, `${text} `), { code: 'plan/inconsistent' });
});

test('open thresholds and automatic approval are for concordat local alone: an agent refuses them', () => {
  const { policy: _version, ...open } = OPEN_POLICY;
  const all = {
    agreement: 1,
    name: 'test',
    until: '9999-12-31',
    variables: 'all',
    outcomes: 'all',
    families: 'all',
  };
  for (const agreement of [
    {
      ...all,
      approval: 'matching-template',
      templates: ['plan.yaml'],
      disclosure: { ...open, name: 'ours' },
    },
    { ...all, approval: 'automatic' },
  ]) {
    const config = {
      agent: 1,
      study: 'A',
      coordinator: '127.0.0.1:1',
      coordinator_key: '0'.repeat(64),
      tls: { ca: 'x', certificate: 'x', key: 'x' },
      signing_key: file('signing.key', generateSigningKey()),
      data: 'x',
      agreement: file('agreement.yaml', JSON.stringify(agreement)),
      log: join(root, 'agent-log'),
    };
    const { status, stderr } = concordat('agent', '--config', file('agent.yaml', JSON.stringify(config)));
    assert.equal(status, 2);
    assert.match(stderr, /^agreement\/invalid/);
    assert.ok(!existsSync(join(root, 'agent-log')));
  }
});

test('agent agreement: a template is printed, does not pass until it is filled in, and is then explained', () => {
  const { status, stdout } = concordat('agent', 'agreement', 'template', '--study', 'A');
  assert.equal(status, 0);
  const begun = file('begun.yaml', stdout);
  const refused = concordat('agent', 'agreement', 'check', '--file', begun);
  assert.equal(refused.status, 2);
  assert.match(
    refused.stderr,
    /^agreement\/invalid .*: 2 faults[^]*begun\.yaml:\d+ until: [^]*begun\.yaml:\d+ approval: /,
  );
  const custodian = `custodians: [{name: Ada, key: "${'ab'.repeat(32)}"}]`;
  const filled = file(
    'filled.yaml',
    stdout.replace('until:', 'until: "9999-12-31"').replace('custodians: []', custodian),
  );
  const checked = concordat('agent', 'agreement', 'check', '--file', filled);
  assert.equal(checked.status, 0, checked.stderr);
  assert.match(checked.stdout, /filled\.yaml is valid[^]*Worth a second look:[^]*every plan is refused/);
  const explained = concordat('agent', 'agreement', 'explain', '--file', filled);
  assert.equal(explained.status, 0, explained.stderr);
  assert.match(explained.stdout, /^Data-sharing agreement for A\n[^]*approve and refuse here: Ada/);
});

test('local: status 0 and JSON lines; given again for a finished run, the earlier one is set aside', () => {
  const out = join(root, 'out');
  const argv = ['local', '--plan', plan, '--data', data, '--out', out, '--json'];
  const { status, stdout, stderr } = concordat(...argv);
  assert.equal(status, 0, stderr);
  const events = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string });
  assert.equal(events[0]?.event, 'prepared');
  assert.equal(events.at(-1)?.event, 'result');
  const idOf = (path: string): string =>
    (JSON.parse(readFileSync(path, 'utf8')) as { run: { id: string } }).run.id;
  const first = idOf(join(out, 'result.json'));
  assert.equal(concordat(...argv).status, 0);
  assert.notEqual(idOf(join(out, 'result.json')), first);
  assert.equal(idOf(join(out, 'earlier', first, 'result.json')), first);
  assert.deepEqual(readdirSync(join(out, 'earlier', first)).toSorted(), [
    'figures',
    'log',
    'report.html',
    'result.intoto.json',
    'result.json',
  ]);
  assert.ok(!existsSync(join(out, '.concordat')));
});

test('local: status 3 where an analysis failed, and the result says why', () => {
  const strict = file('strict.yaml', `${PLAN}minimum_studies: 3\n`);
  const { status, stdout } = concordat(
    'local',
    '--plan',
    strict,
    '--data',
    data,
    '--out',
    join(root, 'strict'),
  );
  assert.equal(status, 3);
  assert.match(stdout, /effect: failed: 2 of 2 studies gave an estimate; the plan asks for at least 3/);
});

test('local: an unfinished run of another plan is run/conflict, and stays as it is', () => {
  const state = join(root, 'busy', '.concordat');
  mkdirSync(state, { recursive: true });
  writeFileSync(join(state, 'complete'), 'another');
  const { status, stderr } = concordat('local', '--plan', plan, '--data', data, '--out', join(root, 'busy'));
  assert.equal(status, 2);
  assert.match(stderr, /^run\/conflict/);
  assert.deepEqual(readdirSync(state), ['complete']);
});

test('a coordinator that cannot write its result: where its own words are, and the same command goes on', () => {
  const out = join(root, 'blocked');
  mkdirSync(join(out, 'report.html.part'), { recursive: true });
  const argv = ['local', '--plan', plan, '--data', data, '--out', out];
  const blocked = concordat(...argv);
  assert.equal(blocked.status, 3);
  assert.match(blocked.stderr, /^process\/failed at .*coordinator\.log: .*\n {2}remedy: /m);
  rmSync(join(out, 'report.html.part'), { recursive: true });
  assert.equal(concordat(...argv).status, 0);
  assert.ok(existsSync(join(out, 'result.json')));
});
