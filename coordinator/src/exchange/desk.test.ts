import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Desk, type PendingTask } from './desk.ts';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const task = (study: string, n: number): PendingTask => ({
  study,
  message: { body: Uint8Array.of(n), signature: new Uint8Array(64), key: new Uint8Array(32) },
});
const open = (): AbortSignal => new AbortController().signal;
const HOLD = 25_000;

test('a site is given its own unanswered tasks, the same each time, until they are answered', async () => {
  const desk = new Desk();
  desk.add('a1', task('A', 1));
  desk.add('a2', task('A', 2));
  desk.add('b1', task('B', 3));
  const bodies = async (study: string): Promise<number[]> =>
    (await desk.collect(study, HOLD, open())).map(({ body }) => body[0]!);
  assert.deepEqual(await bodies('A'), [1, 2]);
  assert.deepEqual(await bodies('A'), [1, 2]);
  desk.remove('A', 'a1');
  desk.remove('A', 'unknown');
  desk.remove('C', 'a2');
  assert.deepEqual(await bodies('A'), [2]);
  assert.deepEqual(await bodies('B'), [3]);
});

test('a task that waits at the site for its custodian is not sent again, and holds the call like none', async () => {
  const desk = new Desk();
  desk.add('a1', task('A', 1));
  desk.add('a2', task('A', 2));
  const rest = await desk.collect('A', HOLD, open(), new Set(['a1']));
  assert.deepEqual(
    rest.map(({ body }) => body[0]),
    [2],
  );
  const call = desk.collect('A', HOLD, open(), new Set(['a1', 'a2']));
  mock.timers.tick(HOLD);
  assert.deepEqual(await call, []);
});

test('a call with nothing to do is held until tasks come, and not woken by another site’s', async () => {
  const desk = new Desk();
  let answered = false;
  const call = desk.collect('A', HOLD, open()).then((tasks) => {
    answered = true;
    return tasks;
  });
  desk.add('b', task('B', 1));
  desk.wake(['B']);
  await Promise.resolve();
  assert.equal(answered, false);
  desk.add('a', task('A', 2));
  desk.wake(['A', 'B']);
  assert.equal((await call).length, 1);
});

test('a held call ends empty after its time, when it is cancelled, when a newer one comes, and when the desk closes', async () => {
  const desk = new Desk();
  const timed = desk.collect('A', HOLD, open());
  mock.timers.tick(HOLD);
  assert.deepEqual(await timed, []);

  const gone = new AbortController();
  const cancelled = desk.collect('A', HOLD, gone.signal);
  gone.abort();
  assert.deepEqual(await cancelled, []);
  assert.deepEqual(await desk.collect('A', HOLD, gone.signal), []);

  const older = desk.collect('A', HOLD, open());
  const newer = desk.collect('A', HOLD, open());
  assert.deepEqual(await older, []);
  desk.add('a', task('A', 1));
  desk.wake(['A']);
  assert.equal((await newer).length, 1);
  desk.remove('A', 'a');

  const last = desk.collect('A', HOLD, open());
  desk.close();
  assert.deepEqual(await last, []);
  assert.deepEqual(await desk.collect('B', HOLD, open()), []);
});
