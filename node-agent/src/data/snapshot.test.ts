import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { newFolder } from '../testing.ts';
import { snapshotOf } from './snapshot.ts';

const secret = Uint8Array.from({ length: 32 }, (_, i) => 3 * i + 1);
const keyOf = (...cells: readonly (string | null)[]): number[] => {
  const text = cells.map((cell) => cell ?? '\u001e').join('\u001f');
  const digest = createHmac('sha256', secret).update(text).digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
};

test('a row’s key is the HMAC-SHA-256 of its whole content, in the file’s order', async () => {
  const file = join(newFolder(), 'records.csv');
  writeFileSync(file, 'id,name,x\n1,"é,b",2.50\n2,NA,\n1,"é,b",2.50\n');
  const { keys } = await snapshotOf(file, secret);
  assert.deepEqual(
    [...keys],
    [...keyOf('1', 'é,b', '2.50'), ...keyOf('2', null, null), ...keyOf('1', 'é,b', '2.50')],
  );
});

test('a file that changed has another snapshot, and the same content the same', async () => {
  const folder = newFolder();
  const [one, two] = [join(folder, 'one.csv'), join(folder, 'two.csv')];
  writeFileSync(one, 'a,b\n1,2\n3,4\n');
  writeFileSync(two, 'a,b\n1,2\n3,4\n');
  const first = await snapshotOf(one, secret);
  assert.equal((await snapshotOf(two, secret)).id, first.id);
  writeFileSync(one, 'a,b\n1,2\n3,5\n');
  const second = await snapshotOf(one, secret);
  assert.notEqual(second.id, first.id);
  assert.deepEqual([...second.keys.subarray(0, 2)], [...first.keys.subarray(0, 2)]);
  const other = await snapshotOf(one, secret.with(0, 99));
  assert.notDeepEqual([...other.keys], [...second.keys]);
});
