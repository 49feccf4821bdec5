/** `docs/for-custodians.md`, followed to the letter: its commands, and no others, lead from an invitation to a first approved release. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { generate } from '../../examples/hypertension/generate.ts';
import { Coordinator } from './coordinator.ts';
import { entriesOf, newFolder, until, type Program } from './federation.ts';

const repository = join(import.meta.dirname, '../..');
const PLAN = `plan: 1
id: hypertension-cvd
title: Intensive blood-pressure lowering and time to first cardiovascular event
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: cvd_days, event: cvd_event}
analyses:
  - {id: cvd, approach: two-stage, model: {family: cox, adjust: [age, sex]}, pool: {tau2: REML, ci: HKSJ}}
`;
/** What the custodian writes into the agreement. */
const ALLOWED: Readonly<Record<string, string>> = {
  until: '"9999-12-31"',
  outcomes: '[cvd_days, cvd_event]',
  variables: '[treat, age, sex]',
  families: '[cox]',
};

/** Commands of the section in their order; in a block that shows output, those after a prompt. */
function documented(): readonly string[] {
  const text = fs.readFileSync(join(repository, 'docs/for-custodians.md'), 'utf8');
  const [section = ''] = text
    .slice(text.indexOf('\n## From download to the first approved release') + 4)
    .split('\n## ');
  return [...section.matchAll(/^```\n([^]*?)^```$/gm)].flatMap(([, block]) => {
    const lines = block!.trimEnd().split('\n');
    const prompted = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
    return prompted.length > 0 ? prompted : lines;
  });
}

const isAssignment = (line: string): boolean => /^\w+=/.test(line);

test('ten commands lead a custodian from the download to the first approved release', async (t) => {
  const lines = documented();
  const commands = lines.filter((line) => !isAssignment(line));
  assert.ok(commands.length <= 10, commands.join('\n'));

  const own = newFolder();
  const [site, records, passphrase] = [join(own, 'alder'), join(own, 'alder.csv'), join(own, 'passphrase')];
  fs.writeFileSync(records, generate().find(({ file }) => file === 'ALDER.csv')!.text);
  fs.writeFileSync(passphrase, 'five words make a passphrase');
  const coordinator = await Coordinator.init();
  const serving = await coordinator.serve();
  const invitation = await coordinator.invite('ALDER');
  let digest = '';
  const script = (command: string): string =>
    ['npx() { shift; exec "$NODE" cli/src/main.ts "$@"; }', ...lines.filter(isAssignment), command]
      .join('\n')
      .replaceAll('/srv/concordat/alder', site)
      .replaceAll('/srv/trial/alder.csv', records)
      .replace('concordat-invitation-1.…', invitation)
      .replace(/(?<=preview |approve )[0-9a-f]{12}/, digest)
      // What is typed at a terminal comes from a file here.
      .replace(/agent (custodian|approve) .*/, `$& --passphrase-file ${passphrase}`);
  const options = { cwd: repository, env: { ...process.env, NODE: process.execPath } };
  const give = async (command: string): Promise<string> =>
    (await promisify(execFile)('bash', ['-c', script(command)], options)).stdout;

  const begun = performance.now();
  let run: Program | null = null;
  for (const command of commands) {
    // What the tests run from is installed.
    if (command === 'npm ci') continue;
    if (command.includes('agreement check')) fillIn(join(site, 'agreement.yaml'));
    if (command.startsWith('npx concordat agent --config')) {
      const agent = spawn('bash', ['-c', script(command)], { ...options, stdio: 'ignore' });
      t.after(() => agent.kill('SIGKILL'));
      await serving.kill('SIGTERM');
      run = coordinator.run(PLAN);
      // The custodian hears of a plan by looking.
      await until(() => entriesOf(join(site, 'log')).some(({ type }) => type === 'planOffer'), 'a plan');
    } else {
      const said = await give(command);
      digest ||= /^([0-9a-f]{12}) {2}waiting/m.exec(said)?.[1] ?? '';
    }
  }
  assert.equal(await run?.exit, 0, run?.output);
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  t.diagnostic(`${commands.length} commands; without installing they took this machine ${seconds} s`);
  assert.ok(
    entriesOf(join(site, 'log')).some(({ kind, type }) => kind === 'sent' && type === 'stageOneEstimate'),
  );
});

function fillIn(agreement: string): void {
  const text = Object.entries(ALLOWED).reduce(
    (written, [key, value]) => written.replace(new RegExp(`^${key}:.*$`, 'm'), `${key}: ${value}`),
    fs.readFileSync(agreement, 'utf8'),
  );
  fs.writeFileSync(agreement, text);
}
