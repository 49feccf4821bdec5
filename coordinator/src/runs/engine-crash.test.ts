/** The coordinator's process dies, and is started again over what it had written. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { Journal } from '../store/journal.ts';
import {
  analysesOf,
  behave,
  Federation,
  refusals,
  undisturbed,
  type Behaviour,
  type Setting,
} from './engine-testing.ts';
import { STAGING_LIMIT } from './engine.ts';
import { newFolder, newRun } from './testing.ts';

// Time stands still unless a test moves it: no round ends because the machine is slow.
beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

class Crash extends Error {}

/** Lets the process die at its n-th durable step: nothing is written from then on. Counts steps where n is infinite. */
function dyingAt(
  n: number,
  torn: boolean,
): Pick<Setting, 'files' | 'wrap'> & { readonly steps: () => number } {
  let step = 0;
  const dies = (): boolean => ++step >= n;
  const files: Setting['files'] = {
    ...fs,
    // A killed process loses nothing that it wrote: the flushes are left out to be fast.
    fsyncSync: () => undefined,
    writeFileSync: (file, data) => {
      if (dies()) {
        // Of a batch of lines, most are whole.
        if (torn && step === n) {
          const bytes = Buffer.from(data as Uint8Array);
          fs.writeFileSync(file, bytes.subarray(0, bytes.length * 0.7));
        }
        throw new Crash();
      }
      fs.writeFileSync(file, data);
    },
  };
  const wrap = (journal: Journal): Journal =>
    new Proxy(journal, {
      get: (target, name: keyof Journal) => {
        const method = target[name] as (...args: unknown[]) => unknown;
        if (!['addTasks', 'settle'].includes(name)) return method.bind(target);
        return (...args: unknown[]) => {
          if (dies()) throw new Crash();
          const value = method.apply(target, args);
          if (dies()) throw new Crash();
          return value;
        };
      },
    });
  return { files, wrap, steps: () => step };
}

/** Replies that become durable together: all of a round; each alone; as it comes. */
const BATCHES: Readonly<Record<string, (reply: number) => boolean>> = {
  'a round': () => false,
  'one reply': () => true,
  'some replies': (reply) => reply % 3 === 0 || reply % 4 === 0,
};
for (const [what, ends] of Object.entries(BATCHES)) {
  test(`killed at any durable step, torn in the middle of a write too, the run resumes to the same result; a batch is ${what}`, async () => {
    /** Ends a batch after some of the replies. */
    const batched = (): Behaviour => {
      let reply = 0;
      return (study, task) => {
        if (ends(reply++)) mock.timers.tick(STAGING_LIMIT);
        return behave(study, task);
      };
    };
    const counting = dyingAt(Infinity, false);
    const whole = new Federation({ folder: newFolder(), run: newRun(), ...counting });
    assert.equal(analysesOf(await whole.play(batched())), undisturbed);
    const steps = counting.steps();
    whole.close();
    assert.ok(steps >= 40, `${steps} steps`);
    for (let n = 1; n <= steps; n++) {
      const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
      const first = new Federation({ ...setting, ...dyingAt(n, n % 2 === 0) });
      await assert.rejects(first.play(batched()), Crash);
      first.close();
      const second = new Federation({ ...setting, files: { ...fs, fsyncSync: () => undefined } });
      assert.equal(analysesOf(await second.play()), undisturbed, `step ${n}`);
      assert.deepEqual(refusals(second), [], `step ${n}`);
      assertOnce(second.log, `step ${n}`);
      second.close();
      setting.journal?.close();
    }
  });
}

/** Each site is asked one thing in a round of an analysis, and answers once, however often the coordinator was killed. */
function assertOnce({ entries }: MessageLog, where: string): void {
  for (const kind of ['sent', 'received']) {
    const places = entries
      .filter((entry) => entry.kind === kind)
      .map(({ peer, round, analysis }) => JSON.stringify([peer, round, analysis]));
    assert.equal(new Set(places).size, places.length, `${where}: ${kind}`);
  }
}

test('what cannot be written ends the run, and nothing is taken after it', async () => {
  const federation = new Federation({ folder: newFolder(), run: newRun(), ...dyingAt(20, false) });
  const kept: [string, SignedMessage][] = [];
  const playing = federation.play((study, task) => {
    const replies = behave(study, task);
    kept.push(...replies.map((reply): [string, SignedMessage] => [study, reply]));
    return replies;
  });
  await assert.rejects(playing, Crash);
  const { length } = federation.log.entries;
  for (const [study, reply] of kept) await assert.rejects(federation.engine.accept(study, reply), Crash);
  assert.equal(federation.log.entries.length, length);
  federation.close();
});

test('killed between log and journal, the reply that was logged is the answer, and is not asked for again', async () => {
  const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
  let settled = 0;
  const dying = (journal: Journal): Journal =>
    new Proxy(journal, {
      get: (target, name: keyof Journal) => {
        if (name === 'settle' && ++settled === 3) throw new Crash();
        return (target[name] as (...args: unknown[]) => unknown).bind(target);
      },
    });
  const first = new Federation({ ...setting, wrap: dying });
  await assert.rejects(first.play(), Crash);
  first.close();
  const logged = first.log.entries.at(-1);
  assert.equal(logged?.type, 'stageOneEstimate');
  const second = new Federation(setting);
  const asked: (string | undefined)[] = [];
  const outcome = await second.play((study, task) => {
    asked.push(toHex(sha256(task.body)));
    return behave(study, task);
  });
  assert.equal(analysesOf(outcome), undisturbed);
  assert.ok(!asked.includes(logged.task), 'asked again for what the log holds');
  assert.equal(
    second.log.entries.filter(({ kind, task }) => kind === 'received' && task === logged.task).length,
    1,
  );
  second.close();
});

test('a coordinator that was down for longer than the time limit still gives its sites that time', async () => {
  const setting: Setting = { folder: newFolder(), run: newRun(), journal: new Journal(':memory:') };
  const first = new Federation({ ...setting, ...dyingAt(24, false) });
  await assert.rejects(first.play(), Crash);
  first.close();
  mock.timers.tick(10_000_000);
  const second = new Federation(setting);
  assert.equal(analysesOf(await second.play()), undisturbed);
  second.close();
});
