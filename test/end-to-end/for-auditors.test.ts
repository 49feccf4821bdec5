/** Follows docs/for-auditors.md: every command of its ten minutes, on the demo's main plan. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, test } from 'node:test';
import { generate } from '../../examples/hypertension/generate.ts';
import { newFolder } from './federation.ts';

const repository = resolve(import.meta.dirname, '../..');
const CONCORDAT = `"${process.execPath}" "${join(repository, 'cli/bin/concordat.mjs')}"`;
const folder = newFolder();
const document = readFileSync(join(repository, 'docs/for-auditors.md'), 'utf8');
const commands = [...document.matchAll(/```sh\n([^]*?)```/g)].map(([, text]) => text!.trim());

function run(command: string): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', command.replaceAll('npx concordat', CONCORDAT)],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  return { status, said: `${stdout}${stderr}` };
}

before(() => {
  symlinkSync(join(repository, 'examples'), join(folder, 'examples'));
  mkdirSync(join(folder, 'out/demo/data'), { recursive: true });
  for (const { file, text } of generate()) writeFileSync(join(folder, 'out/demo/data', file), text);
  const { status, said } = run(
    'npx concordat local --plan examples/hypertension/plan.yaml --data out/demo/data --out out/demo/plan',
  );
  assert.equal(status, 0, said);
});

/** What each command is to say, and how it ends. */
const EXPECTED: readonly (readonly [status: number, ...said: readonly RegExp[]])[] = [
  [0, /^Nothing was found in 11 logs/, /result is what the messages give, bit for bit/],
  [0, /participants\s+20\s+16/],
  [0, /Estimates by term/, /log hazard ratio/],
  [4, /^mutation: concordat\/site\/FULMAR, bodies\/000, entry \d+, byte \d+$/m],
  [4, /^result: out\/better\.json, .*analyses\.cvd\.pooled\[0\]\.estimate$/m],
  [0, /cvd-by-sex done; bit for bit what was published/],
  [0],
  [0, /that entry 12 is in the log/],
];

test('it has as many commands as are followed here', () => assert.equal(commands.length, EXPECTED.length));

for (const [i, [status, ...said]] of EXPECTED.entries())
  test(`${commands[i]}`, () => {
    const result = run(commands[i]!);
    assert.equal(result.status, status, result.said);
    for (const words of said) assert.match(result.said, words);
  });

test('the picture and the receipt are there', () => {
  for (const file of ['timeline.html', 'estimate.tlog-proof', 'estimate.entry.json', 'estimate.body'])
    assert.ok(existsSync(join(folder, 'out', file)), file);
});
