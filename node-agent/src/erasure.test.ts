/** What an agent does once answers of closed runs are erased. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import { erasableRuns, eraseRuns } from '@concordat/shared/log/erasable.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';

import { Agent } from './agent.ts';
import { LogIndex } from './custodian/log-index.ts';
import { newFolder, offer, openLog, situation, taskOf } from './testing.ts';

const agentOf = (log: MessageLog): Agent =>
  new Agent({
    ...situation(),
    client: {
      exchange: () => Promise.reject(new Error('not called')),
      interrupt: () => undefined,
      close: () => undefined,
    },
    log,
    workers: {
      ask: async () => ({
        drafts: [
          {
            payload: { $case: 'dataProblem', value: { problem: 'PROBLEM_ENCODING' } },
            evidence: { kind: 'none' },
          },
        ],
        problems: [],
      }),
    },
  });
const levels = (): SignedMessage =>
  taskOf({ $case: 'factorLevelsQuestion', value: { variables: ['centre'] } }, { round: 1 });

test('a question whose answer was erased is noted once and gets none; the rest of the run is as before', async () => {
  const directory = newFolder();
  const log = openLog(directory);
  const before = agentOf(log);
  await before.answerAll([offer()]);
  await before.answerAll([levels()]);
  await before.answerAll([taskOf({ $case: 'runClosed', value: {} }, { round: 3 })]);
  // Of this run no answer has a number: any is taken for one.
  const sent = log.entries.find(({ kind, round }) => kind === 'sent' && round === 1)!;
  assert.equal(
    eraseRuns(log, [{ run: '', closed: '', last: '', entries: [sent].filter(hasBody) }], 'the term is over'),
    1,
  );
  log.close();

  const reopened = openLog(directory);
  const after = agentOf(reopened);
  assert.deepEqual(await after.answerAll([levels()]), []);
  assert.deepEqual(await after.answerAll([levels()]), []);
  const noted = reopened.entries.filter(({ detail }) => detail?.['code'] === 'log/erased');
  assert.equal(noted.length, 1);
  assert.equal(noted[0]!.kind, 'refused');
  assert.equal((await after.answerAll([offer()])).length, 1);
  assert.equal(reopened.entries.filter(({ kind, round }) => kind === 'sent' && round === 1).length, 1);

  const index = new LogIndex({
    entries: () => reopened.entries,
    body: (entry) => reopened.body(entry),
  }).update();
  assert.ok(!index.sent.some(({ n }) => n === sent.n));
  assert.ok(index.sent.length > 0);
});

test('runs are erasable once they are over, by the day they were, and what was agreed in them is not', () => {
  const body = { body: 'ab'.repeat(32), at: 0 };
  const at = (day: number): string => `2026-01-0${day}T10:00:00.000Z`;
  const entries = [
    { n: 0, time: at(1), kind: 'received', run: 'a', type: 'planOffer', ...body },
    { n: 1, time: at(1), kind: 'decision', run: 'a', type: 'statement', ...body },
    { n: 2, time: at(1), kind: 'sent', run: 'a', type: 'stageOneEstimate', ...body },
    { n: 3, time: at(1), kind: 'refused', run: 'a', type: 'refusals', ...body },
    { n: 4, time: at(2), kind: 'received', run: 'a', type: 'runClosed', ...body },
    { n: 5, time: at(2), kind: 'sent', run: 'b', type: 'stageOneEstimate', ...body },
    { n: 6, time: at(3), kind: 'refused', run: 'a', ...body },
    { n: 7, time: at(3), kind: 'sent', run: 'c', type: 'objectiveValue', ...body },
    { n: 8, time: at(3), kind: 'erased', detail: { entries: '2', reason: '' } },
    { n: 9, time: at(3), kind: 'received', run: 'c', type: 'runClosed', ...body },
  ] as const;
  const told = (before: string): unknown =>
    erasableRuns(entries, before, (entry) => entry.type === 'runClosed').map(({ run, entries: found }) => [
      run,
      found.map(({ n }) => n),
    ]);
  assert.deepEqual(told('2026-01-02'), []);
  // Nobody closed b, and nothing was heard of it since.
  assert.deepEqual(told('2026-01-03'), [
    ['a', [3, 6]],
    ['b', [5]],
  ]);
  assert.deepEqual(told('2026-01-04'), [
    ['a', [3, 6]],
    ['b', [5]],
    ['c', [7]],
  ]);
});
