import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromHex } from '@concordat/shared/wire/digest.ts';
import { verifyBytes } from '@concordat/shared/wire/signing.ts';
import { newFolder } from '../testing.ts';
import { makeCustodianKey, openCustodianKey } from './custodian-keys.ts';

const PASSPHRASE = 'correct horse battery staple';

test('a key opens with its passphrase and no other, and signs as the key that the agreement names', async () => {
  const state = newFolder();
  const { publicKey } = await makeCustodianKey(state, 'Vera Oak', PASSPHRASE);
  const key = await openCustodianKey(state, 'Vera Oak', PASSPHRASE);
  assert.equal(key.publicKey, publicKey);
  const said = Buffer.from('yes');
  assert.ok(verifyBytes(fromHex(publicKey), 'concordat.v1 statement\n', said, key.sign(said)));
  for (const [name, passphrase] of [
    ['Vera Oak', `${PASSPHRASE} `],
    ['nobody', PASSPHRASE],
    ['../custodians/Vera Oak', PASSPHRASE],
  ])
    await assert.rejects(openCustodianKey(state, name!, passphrase!), { code: 'approval/passphrase' });
});

test('the file is its owner’s alone and holds neither passphrase nor private key; none is made over another', async () => {
  const state = newFolder();
  await makeCustodianKey(state, 'Vera', PASSPHRASE);
  const folder = join(state, 'custodians');
  const [name] = readdirSync(folder);
  const file = join(folder, name!);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const text = readFileSync(file, 'utf8');
  assert.ok(!text.includes(PASSPHRASE) && !text.includes('PRIVATE KEY'));
  await assert.rejects(makeCustodianKey(state, 'Vera', PASSPHRASE), { code: 'enrolment/exists' });
  await assert.rejects(makeCustodianKey(state, 'Ann', 'short'), { code: 'approval/passphrase' });
  assert.equal(readFileSync(file, 'utf8'), text);
});
