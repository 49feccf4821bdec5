/** Sites that are absent or late, with the commands and configuration files that real sites use; and both health endpoints. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { entriesOf, Federation, newFolder, PLAN, resultOf, until, writeTrials } from './federation.ts';

const STUDIES = ['A', 'B', 'C'];
const data = newFolder();
writeTrials(data, STUDIES);

async function get(port: number, path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

for (const { minimum, status } of [
  { minimum: 2, status: 0 },
  { minimum: 3, status: 3 },
]) {
  test(`one of three sites never calls, and the plan asks for ${minimum}: exit status ${status}`, async () => {
    // The time that the two others have to call, too: long enough for a busy machine.
    const plan = PLAN.replace('minimum_studies: 2', `minimum_studies: ${minimum}\ntime_limit: 6`);
    const federation = await Federation.make(
      Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)])),
      plan,
    );
    const agents = ['A', 'B'].map((study) => federation.agent(study));
    await until(
      () => agents.every(({ output }) => output.includes('unreachable')),
      'the agents to look for their coordinator',
    );
    assert.equal((await get(federation.agentHealth, '/ready')).status, 503);
    const coordinator = federation.coordinator();
    await until(() => coordinator.output.includes('"planAccepted"'), 'a site to accept');
    assert.deepEqual((await get(federation.coordinatorHealth, '/health')).body, { status: 'alive' });
    const ready = (await get(federation.coordinatorHealth, '/ready')).body;
    assert.equal((ready['sites'] as { lastSeen: string | null }[])[2]!.lastSeen, null);
    await until(() => entriesOf(federation.log('A')).some(({ kind }) => kind === 'sent'), 'A to answer');
    assert.deepEqual((await get(federation.agentHealth, '/ready')).body, {
      status: 'ready',
      agents: { A: 'connected' },
    });

    await until(() => coordinator.ended || coordinator.output.includes('no answer'), 'the time limit');
    assert.equal(await coordinator.exit, status);
    const { analyses, run } = resultOf(federation.path('out'));
    assert.deepEqual(
      run.sites.map(({ study, status: state }) => [study, state]),
      [
        ['A', 'answered'],
        ['B', 'answered'],
        ['C', 'unreachable'],
      ],
    );
    for (const analysis of Object.values(analyses)) {
      assert.equal(analysis.status, minimum === 2 ? 'done' : 'failed');
      assert.deepEqual(
        analysis.studies.map(({ status: state }) => state),
        ['included', 'included', 'unreachable'],
      );
    }
    for (const agent of agents) assert.equal(await agent.kill('SIGTERM'), 0);
  });
}
