import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, mock, test } from 'node:test';
import { watchFolder } from './watch.ts';

const folder = fs.mkdtempSync(join(tmpdir(), 'watch-'));
after(() => fs.rmSync(folder, { recursive: true }));
afterEach(() => {
  mock.restoreAll();
  syncBuiltinESMExports();
});

function replaceWatch(by: () => unknown): void {
  mock.method(fs, 'watch', by);
  syncBuiltinESMExports();
}

const exhausted = (): Error => Object.assign(new Error('no more watches'), { code: 'ENOSPC' });

test('a change in the folder is told, until it is ended', async () => {
  let end = (): void => undefined;
  await new Promise<void>((resolve, reject) => {
    end = watchFolder(folder, resolve, reject);
    fs.writeFileSync(join(folder, 'statement'), '');
  });
  end();
});

test('a folder that the system does not let watch is told, and nothing is thrown', () => {
  replaceWatch(() => {
    throw exhausted();
  });
  const failures: (string | undefined)[] = [];
  const end = watchFolder(
    folder,
    () => undefined,
    ({ code }) => failures.push(code),
  );
  assert.deepEqual(failures, ['ENOSPC']);
  end();
});

test('a watch that fails later is told, and ended', () => {
  const close = mock.fn();
  const watcher = Object.assign(new EventEmitter(), { close });
  replaceWatch(() => watcher);
  const failures: (string | undefined)[] = [];
  watchFolder(
    folder,
    () => undefined,
    ({ code }) => failures.push(code),
  );
  watcher.emit('error', exhausted());
  assert.deepEqual(failures, ['ENOSPC']);
  assert.equal(close.mock.callCount(), 1);
});
