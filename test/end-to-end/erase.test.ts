/** What messages of a closed run say is erased on both sides; the logs verify as before, and both sides go on. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';

import { concordat, Federation, newFolder, PLAN, resultOf, writeTrials, type Program } from './federation.ts';

const STUDIES = ['A', 'B', 'C'];
const LATER = '2999-12-31';

async function command(argv: readonly string[], status = 0): Promise<string> {
  const program: Program = concordat(argv);
  assert.equal(await program.exit, status, program.output);
  return program.output;
}

test('erased on both sides: nothing of the numbers is left, the logs verify, and another plan runs', async () => {
  const data = newFolder();
  writeTrials(data, STUDIES);
  const federation = await Federation.make(
    Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)])),
  );
  const configOf = (who: string): string[] => ['--config', federation.path(`${who}.yaml`)];
  let agents = STUDIES.map((study) => federation.agent(study));
  assert.equal(await federation.coordinator().exit, 0);
  const erasing = ['--before', LATER, '--reason', 'the agreed term is over'];
  assert.match(
    await command(['agent', 'erase', ...configOf('A'), ...erasing, '--yes'], 2),
    /another agent works with this folder/,
  );
  for (const agent of agents) await agent.kill('SIGTERM');

  assert.match(
    await command(['agent', 'erase', ...configOf('A'), ...erasing]),
    /stageOneEstimate[^]*nothing is erased yet/,
  );
  assert.match(
    await command(['agent', 'erase', ...configOf('A'), '--before', '2020-01-01', '--reason', 'x']),
    /no run/,
  );
  await command(['agent', 'erase', ...configOf('A'), '--before', 'yesterday', '--reason', 'x'], 2);
  for (const study of STUDIES)
    assert.match(
      await command(['agent', 'erase', ...configOf(study), ...erasing, '--yes']),
      /bodies are erased/,
    );
  assert.match(
    await command(['coordinator', 'erase', ...configOf('coordinator'), ...erasing, '--yes']),
    /bodies are erased/,
  );
  assert.match(
    await command(['coordinator', 'erase', ...configOf('coordinator'), ...erasing, '--yes']),
    /nothing is left of it[^]*^0 bodies/m,
  );
  const journal = new DatabaseSync(federation.path('journal.sqlite'), { readOnly: true });
  assert.deepEqual(journal.prepare('SELECT count(*) AS n FROM tasks').get(), { n: 0, __proto__: null });
  journal.close();

  for (const log of [...STUDIES, 'coordinator']) {
    const shown = await command(['audit', 'show', federation.log(log), '--type', 'stageOneEstimate']);
    assert.match(shown, /What it said was erased/);
    assert.doesNotMatch(shown, /Standard error/);
  }
  const sites = STUDIES.flatMap((study) => ['--site', federation.log(study)]);
  const verdict = await command([
    'audit',
    'verify',
    ...sites,
    '--coordinator',
    federation.log('coordinator'),
  ]);
  assert.match(verdict, /Nothing was found/);

  assert.match(await command(['agent', 'left', ...configOf('A')]), /accepted/);
  fs.writeFileSync(federation.path('plan.yaml'), PLAN.replace('id: tiny', 'id: second'));
  agents = STUDIES.map((study) => federation.agent(study));
  assert.equal(await federation.coordinator().exit, 0);
  assert.ok(resultOf(federation.path('out')).run.sites.every(({ status }) => status === 'answered'));
  for (const agent of agents) await agent.kill('SIGTERM');
});
