/** What the command line publishes, audited by the command line: honest, with one number changed, and with the attestation of another run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, test } from 'node:test';

import { schemaCheck } from '@concordat/shared/plan/document.ts';

import { newFolder } from '../end-to-end/federation.ts';
import { BINARY_PLAN, writeOneStageTrials } from '../end-to-end/trials.ts';

const repository = resolve(import.meta.dirname, '../..');
const folder = newFolder();
const [first, second] = [join(folder, 'first'), join(folder, 'second')];
const plan = join(folder, 'plan.yaml');

function concordat(...argv: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(repository, 'cli/bin/concordat.mjs'), ...argv], {
    encoding: 'utf8',
  });
}

const logs = (out: string): string[] => [
  ...readdirSync(join(out, 'log/sites')).flatMap((study) => ['--site', join(out, 'log/sites', study)]),
  '--coordinator',
  join(out, 'log/coordinator'),
];
const published = (out: string): string[] => [
  '--result',
  join(out, 'result.json'),
  '--attestation',
  join(out, 'result.intoto.json'),
];

interface Document {
  readonly found: boolean;
  readonly keys: readonly { readonly party: string; readonly key: string }[];
  readonly notes: readonly { readonly message: string }[];
  readonly findings: readonly { readonly kind: string; readonly place: { readonly field?: string } }[];
  readonly runs: readonly { readonly reproduced: boolean | null }[];
}

function verified(...argv: readonly string[]): Document {
  const { status, stdout, stderr } = concordat('audit', 'verify', '--json', ...argv);
  const document = JSON.parse(stdout) as Document;
  assert.equal(status, document.found ? 4 : 0, stderr);
  const docs = readFileSync(join(repository, 'docs/audit.md'), 'utf8');
  const schema = JSON.parse(/```json\n([^]*?)```/.exec(docs)![1]!) as object;
  assert.deepEqual(schemaCheck(schema)(document), []);
  return document;
}

before(() => {
  writeFileSync(plan, BINARY_PLAN);
  const [file = ''] = Object.values(writeOneStageTrials(['A', 'B', 'C']));
  for (const out of [first, second]) {
    const { status, stderr } = concordat('local', '--plan', plan, '--data', join(file, '..'), '--out', out);
    assert.equal(status, 0, stderr);
  }
});

test('what was published is what the messages give', () => {
  const { findings, runs } = verified(...logs(first), ...published(first), '--plan', plan);
  assert.deepEqual(findings, []);
  assert.deepEqual(
    runs.map(({ reproduced }) => reproduced),
    [true],
  );
});

test('the verdict in words says what it rests on', () => {
  const { status, stdout } = concordat('audit', 'verify', ...logs(first), ...published(first));
  assert.equal(status, 0);
  assert.match(stdout, /^Nothing was found in/);
  assert.match(stdout, /the coordinator: [0-9a-f]{64}, fingerprint ( ?[0-9a-f]{4}){8}/);
  assert.match(stdout, /bit for bit/);
});

test('a published number that the messages do not give is named', () => {
  const text = readFileSync(join(first, 'result.json'), 'utf8');
  const changed = join(folder, 'changed.json');
  writeFileSync(
    changed,
    text.replace(/"estimate": (-?\d+\.\d+)/, (_, number) => `"estimate": ${Number(number) + 0.01}`),
  );
  const { findings } = verified(
    ...logs(first),
    '--result',
    changed,
    '--attestation',
    join(first, 'result.intoto.json'),
  );
  assert.ok(
    findings.some(({ kind, place }) => kind === 'result' && place.field?.endsWith('estimate') === true),
  );
  assert.ok(findings.some(({ kind }) => kind === 'attestation'));
  const recomputed = concordat('audit', 'recompute', ...logs(first), '--result', changed);
  assert.equal(recomputed.status, 4);
  assert.match(recomputed.stdout, /estimate: published/);
});

test('an attestation of another run, and a plan that was not offered', () => {
  const other = verified(
    ...logs(first),
    ...published(first).slice(0, 2),
    '--attestation',
    join(second, 'result.intoto.json'),
  );
  assert.deepEqual([...new Set(other.findings.map(({ kind }) => kind))], ['attestation']);
  const another = join(folder, 'another.yaml');
  writeFileSync(another, `${BINARY_PLAN}# another\n`);
  const { findings } = verified(...logs(first), '--plan', another);
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ['approval'],
  );
});

test('logs without what their messages say, beside what was published', () => {
  const keys = verified(...logs(first)).keys.flatMap(({ party, key }) => ['--key', `${party}=${key}`]);
  const redacted = join(folder, 'redacted');
  cpSync(join(first, 'log'), join(redacted, 'log'), {
    recursive: true,
    filter: (from) => !from.endsWith('bodies'),
  });
  const argv = [...logs(redacted), ...keys];
  assert.deepEqual(verified(...argv, '--plan', plan, ...published(first)).findings, []);
  const { findings } = verified(...argv, ...published(second));
  assert.deepEqual(new Set(findings.map(({ kind }) => kind)), new Set(['result', 'attestation']));
  const own = keys[keys.findIndex((key) => key.startsWith('coordinator='))]!;
  const alone = verified(...logs(redacted).slice(-2), '--key', own, '--plan', plan, ...published(first));
  assert.deepEqual(alone.findings, []);
  assert.ok(alone.notes.some(({ message }) => message.includes('whether the plan was offered')));
});

test('without the coordinator, the sites together give the same result', () => {
  const out = join(folder, 'recomputed');
  const { status, stdout } = concordat(
    'audit',
    'recompute',
    ...logs(first).slice(0, -2),
    '--result',
    join(first, 'result.json'),
    '--out',
    out,
  );
  assert.equal(status, 0, stdout);
  assert.match(stdout, /bit for bit/);
  assert.equal(readdirSync(out).length, 1);
});

test('what is no log, or of the other side, is a matter of usage', () => {
  for (const argv of [
    ['audit', 'verify'],
    ['audit', 'verify', '--site', join(folder, 'nowhere')],
    ['audit', 'verify', '--site', join(first, 'log/coordinator')],
    ['audit', 'verify', ...logs(first), '--key', 'coordinator=12'],
  ])
    assert.equal(concordat(...argv).status, 2, argv.join(' '));
});
