import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { newFolder, newRun } from '../runs/testing.ts';
import { Journal, type Settlement } from './journal.ts';

const bytes = (n: number): Uint8Array => Uint8Array.of(n);
const replied = (n: number, message: number): Settlement => ({
  digest: bytes(n),
  reply: bytes(message),
  decision: null,
});
const lost = (n: number): Settlement => ({ digest: bytes(n), reply: null, decision: 'unreachable' });
const task = (study: string, n: number) => ({
  round: 0,
  study,
  analysis: '',
  digest: bytes(n),
  message: bytes(n),
});

test('what was written is there after the file is opened again', () => {
  const file = join(newFolder(), 'journal.sqlite');
  const run = newRun();
  const journal = new Journal(file);
  assert.equal(journal.unfinishedRun(), null);
  journal.createRun(run);
  journal.addTasks(run.id, [task('A', 1), task('B', 2)]);
  journal.settle([replied(1, 9), lost(2)]);
  journal.close();

  const again = new Journal(file);
  const unfinished = again.unfinishedRun();
  assert.deepEqual(unfinished && { ...unfinished }, run);
  assert.deepEqual(
    again.tasks(run.id, 0).map(({ study, reply, decision }) => ({ study, reply, decision })),
    [
      { study: 'A', reply: bytes(9), decision: null },
      { study: 'B', reply: null, decision: 'unreachable' },
    ],
  );
  assert.deepEqual(again.tasks(run.id, 1), []);
  again.close();
});

test('nobody else can read it, nor what SQLite writes beside it', () => {
  const file = join(newFolder(), 'journal.sqlite');
  const journal = new Journal(file);
  journal.createRun(newRun());
  for (const name of [file, `${file}-wal`]) assert.equal(statSync(name).mode & 0o777, 0o600);
  journal.close();
});

test('the first reply or decision stays', () => {
  const journal = new Journal(join(newFolder(), 'journal.sqlite'));
  const run = newRun();
  journal.createRun(run);
  journal.addTasks(run.id, [task('A', 1), task('B', 2)]);
  journal.settle([replied(1, 3)]);
  journal.settle([replied(1, 4), lost(1), lost(2), replied(2, 5), replied(7, 5)]);
  assert.deepEqual(
    journal.tasks(run.id, 0).map(({ reply, decision }) => [reply?.[0], decision]),
    [
      [3, null],
      [undefined, 'unreachable'],
    ],
  );
  journal.close();
});

test('tasks are added all or none', () => {
  const journal = new Journal(join(newFolder(), 'journal.sqlite'));
  const run = newRun();
  journal.createRun(run);
  assert.throws(() => journal.addTasks(run.id, [task('A', 1), task('A', 2)]));
  assert.deepEqual(journal.tasks(run.id, 0), []);
  journal.addTasks(run.id, [task('A', 1)]);
  journal.close();
});

test('replies are settled all or none', () => {
  const journal = new Journal(join(newFolder(), 'journal.sqlite'));
  const run = newRun();
  journal.createRun(run);
  journal.addTasks(run.id, [task('A', 1), task('B', 2)]);
  assert.throws(() =>
    journal.settle([replied(1, 3), { ...replied(2, 4), reply: Symbol('no bytes') as unknown as Uint8Array }]),
  );
  assert.deepEqual(
    journal.tasks(run.id, 0).map(({ reply }) => reply),
    [null, null],
  );
  journal.close();
});

test('the end is kept as it was first given; a run is unfinished until its result is published', () => {
  const journal = new Journal(join(newFolder(), 'journal.sqlite'));
  const [first, second] = [newRun(), newRun()];
  journal.createRun(first);
  journal.createRun(second);
  assert.deepEqual(journal.unfinishedRun()?.id, second.id);
  assert.equal(journal.finishRun(second.id, 'once'), 'once');
  assert.equal(journal.finishRun(second.id, 'twice'), 'once');
  assert.deepEqual(journal.unfinishedRun()?.id, second.id);
  journal.markPublished(second.id);
  assert.deepEqual(journal.unfinishedRun()?.id, first.id);
  journal.close();
});

test('one process at a time: an open journal is run/conflict, a closed one is free', () => {
  const file = join(newFolder(), 'journal.sqlite');
  const journal = new Journal(file);
  assert.throws(
    () => new Journal(file),
    (error: unknown) =>
      error instanceof ConcordatError && error.code === 'run/conflict' && error.place === file,
  );
  journal.close();
  new Journal(file).close();
});

test('a file that is no journal, or of a newer version, is store/corrupt', () => {
  const folder = newFolder();
  const newer = join(folder, 'newer.sqlite');
  const db = new DatabaseSync(newer);
  db.exec('PRAGMA user_version = 3');
  db.close();
  const text = join(folder, 'text.sqlite');
  writeFileSync(text, 'no database, but long enough to be read as the header of one: '.repeat(4));
  for (const file of [newer, text, join(folder, 'absent', 'journal.sqlite')]) {
    assert.throws(
      () => new Journal(file),
      (error: unknown) =>
        error instanceof ConcordatError && error.code === 'store/corrupt' && error.place === file,
    );
  }
});
