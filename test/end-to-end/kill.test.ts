/** Processes killed at every step: the result is the undisturbed one, bit for bit, and both sides' logs agree. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  concordat,
  entriesOf,
  Federation,
  newFolder,
  PLAN,
  resultOf,
  until,
  writeTrials,
  type Program,
} from './federation.ts';
import { assertLogsAgree } from './logs.ts';
import { BINARY_PLAN, writeOneStageTrials } from './trials.ts';
import { writeFileSync } from 'node:fs';

const STUDIES = ['A', 'B', 'C'];
const data = newFolder();
writeTrials(data, STUDIES);
const files = Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)]));
const analysesOf = (out: string): string => JSON.stringify(resultOf(out).analyses);
const logsOf = (federation: Federation): Record<string, string> =>
  Object.fromEntries(STUDIES.map((study) => [study, federation.log(study)]));

async function playUndisturbed(plan: string, records: Readonly<Record<string, string>>): Promise<string> {
  const federation = await Federation.make(records, plan);
  const agents = federation.agents(STUDIES);
  assert.equal(await federation.coordinator().exit, 0);
  assert.equal(await agents.kill('SIGTERM'), 0);
  for (const study of STUDIES) assert.equal(entriesOf(federation.log(study)).at(-1)?.kind, 'stop');
  assertLogsAgree(federation.log('coordinator'), logsOf(federation));
  return analysesOf(federation.path('out'));
}
const undisturbed = playUndisturbed(PLAN, files);

/** Rounds 0 to 3 have 3, 3, 6 and 3 tasks; the coordinator is killed when it tells of this many answers. */
const STEPS: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 2],
  [2, 0],
  [2, 1],
  [2, 4],
  [3, 0],
  [3, 1],
];

test('the coordinator is killed after offer, levels, stage one, close, and between', async () => {
  await undisturbed;
  const federation = await Federation.make(files);
  const agents = federation.agents(STUDIES);
  let kills = 0;
  let reached = [-1, -1] as readonly number[];
  const later = ([round, answered]: readonly number[], step: readonly number[]): boolean =>
    round! > step[0]! || (round === step[0] && answered! >= step[1]!);
  for (let status: number | null = null; status === null;) {
    const next = STEPS.find((step) => !later(reached, step));
    const program: Program = federation.coordinator(({ event, round, answered }) => {
      if (event !== 'round' && event !== 'answer') return;
      reached = [round as number, answered as number];
      if (next === undefined || !later(reached, next) || program.ended) return;
      kills++;
      void program.kill();
    });
    status = await program.exit;
  }
  assert.ok(kills >= 4, `${kills} kills`);
  await agents.kill('SIGTERM');
  assert.equal(analysesOf(federation.path('out')), await undisturbed);
  assertLogsAgree(federation.log('coordinator'), logsOf(federation));
});

test('an agent is killed after each entry of its log', async () => {
  await undisturbed;
  const federation = await Federation.make(files);
  const others = federation.agents(['B', 'C']);
  const coordinator = federation.coordinator();
  const size = (): number => entriesOf(federation.log('A')).length;
  let kills = 0;
  for (let agent = federation.agent('A'), seen = 0; ; agent = federation.agent('A')) {
    const before = seen;
    // Its start, and one entry more, so that each life gets further.
    await until(() => coordinator.ended || size() > before + 1, 'the agent to go on');
    if (coordinator.ended) {
      await agent.kill('SIGTERM');
      break;
    }
    await agent.kill();
    kills++;
    seen = size();
  }
  assert.equal(await coordinator.exit, 0);
  await others.kill('SIGTERM');
  assert.ok(kills >= 4, `${kills} kills`);
  assert.equal(analysesOf(federation.path('out')), await undisturbed);
  assertLogsAgree(federation.log('coordinator'), logsOf(federation));
});

test('one-stage fits: coordinator and agents are killed in the middle, in turn', async () => {
  const records = writeOneStageTrials(STUDIES);
  const whole = await playUndisturbed(BINARY_PLAN, records);
  const federation = await Federation.make(records, BINARY_PLAN);
  let agents = federation.agents(STUDIES);
  /** Rounds from 3 on are about parameters; the coordinator is killed when it tells of so many answers there. */
  const rounds = [
    [3, 0],
    [4, 2],
    [6, 1],
  ] as const;
  let kills = 0;
  for (let status: number | null = null; status === null;) {
    const [round, answered] = rounds[kills] ?? [Infinity, 0];
    const program: Program = federation.coordinator((event) => {
      if (event['round'] === round && (event['answered'] as number) >= answered) void program.kill();
    });
    status = await program.exit;
    if (status !== null) assert.equal(status, 0);
    else if (++kills === 2) {
      await agents.kill();
      agents = federation.agents(STUDIES);
    }
  }
  assert.equal(kills, rounds.length);
  await agents.kill('SIGTERM');
  assert.equal(analysesOf(federation.path('out')), whole);
  assertLogsAgree(federation.log('coordinator'), logsOf(federation));
});

test('the local command is killed, and given again', async () => {
  const out = newFolder();
  const plan = join(newFolder(), 'plan.yaml');
  writeFileSync(plan, PLAN);
  const argv = ['local', '--plan', plan, '--data', data, '--out', out, '--json'];
  for (const round of [0, 2]) {
    const killed: Program = concordat(argv, (line) => {
      const event = JSON.parse(line) as { event: string; round?: number };
      if (event.event === 'round' && event.round! >= round) void killed.kill();
    });
    assert.equal(await killed.exit, null);
  }
  assert.equal(await concordat(argv).exit, 0);
  assert.equal(analysesOf(out), await undisturbed);
  assertLogsAgree(
    join(out, 'log/coordinator'),
    Object.fromEntries(STUDIES.map((study) => [study, join(out, 'log/sites', study)])),
  );
});
