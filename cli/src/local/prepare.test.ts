import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { endFederation, prepare } from './prepare.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-prepare-'));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, 'data'));
for (const study of ['A', 'B']) writeFileSync(join(folder, 'data', `${study}.csv`), 'treat,y\n0,1\n1,2\n');

const planOf = (studies: string): string => `
plan: 1
id: small
studies: ${studies}
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian}}
`;
const args = { plan: 'plan.yaml', data: join(folder, 'data'), out: join(folder, 'out') };

test('a study that the data do not hold is a fault of the plan, and leaves nothing to be resumed', async () => {
  await assert.rejects(prepare(args, planOf('[A, Z]')), {
    code: 'plan/inconsistent',
    place: 'plan.yaml studies',
    message: /"Z"/,
    remedy: /A, B/,
  });
  assert.ok(!existsSync(join(args.out, '.concordat')));
});

test('a run of other maps is not gone on with; what the agents logged outlives the federation', async () => {
  const federation = await prepare(args, planOf('all'));
  mkdirSync(join(folder, 'maps'));
  await assert.rejects(prepare({ ...args, map: join(folder, 'maps') }, planOf('all')), {
    code: 'run/conflict',
  });
  mkdirSync(join(args.out, 'log'));
  writeFileSync(join(federation.state, 'agents-1.log'), 'a line\n');
  endFederation(federation, args.out);
  assert.ok(!existsSync(federation.state));
  assert.equal(readFileSync(join(args.out, 'log', 'agents.log'), 'utf8'), 'a line\n');
});

test('an output folder that cannot be made, and two maps for a study, are faults of the command', async () => {
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(prepare({ ...args, out: join(folder, 'file') }, planOf('all')), {
    code: 'usage/invalid',
  });
  const map = join(folder, 'two');
  mkdirSync(map);
  for (const name of ['a.yaml', 'b.yaml'])
    writeFileSync(join(map, name), 'map: 1\nstudy: A\nvariables: {y: {from: y}}\n');
  await assert.rejects(prepare({ ...args, out: join(folder, 'other'), map }, planOf('all')), {
    code: 'map/invalid',
    place: join(map, 'b.yaml'),
  });
});
