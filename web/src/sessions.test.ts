import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { Attempts } from './attempts.ts';
import { Sessions } from './sessions.ts';

const key = { name: 'Ada', publicKey: 'ab'.repeat(32), sign: () => new Uint8Array(64) };

test('a key is forgotten when its session is over, also where no one comes back', () => {
  let now = 0;
  const sessions = new Sessions(() => new Date(now), randomBytes);
  const first = sessions.open(key, 'custodian');
  now += 10 * 60_000;
  const second = sessions.open(key, 'auditor');
  assert.notEqual(first.id, second.id);
  assert.notEqual(first.csrf, second.csrf);
  now += 5 * 60_000;
  sessions.sweep();
  assert.equal(sessions.size, 1);
  assert.equal(sessions.use(first.id), null);
  assert.equal(sessions.use(second.id)?.key, key);
  sessions.close(second.id);
  assert.equal(sessions.size, 0);
});

test('names and addresses of failures are not remembered without end', () => {
  const attempts = new Attempts(() => new Date(0));
  for (let i = 0; i < 3; i++) attempts.begin('Ada', '10.0.0.1');
  assert.equal(attempts.wait('Ada', '10.0.0.2'), 1000);
  assert.equal(attempts.wait('Bo', '10.0.0.1'), 1000);
  assert.equal(attempts.wait('Bo', '10.0.0.2'), 0);
  for (let i = 0; i < 600; i++) attempts.begin(`name ${i}`, `address ${i}`);
  assert.equal(attempts.wait('Ada', '10.0.0.1'), 0);
});

test('a right passphrase forgives the failures before it', () => {
  const attempts = new Attempts(() => new Date(0));
  for (let i = 0; i < 5; i++) attempts.begin('Ada', '10.0.0.1');
  assert.equal(attempts.wait('Ada', '10.0.0.1'), 4000);
  attempts.succeed('Ada', '10.0.0.1');
  assert.equal(attempts.wait('Ada', '10.0.0.1'), 0);
});
