import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { fromHex } from '@concordat/shared/wire/digest.ts';
import { verifyBytes } from '@concordat/shared/wire/signing.ts';

import { makeSealedKey, openSealedKey, sealedKeys } from './sealed-keys.ts';

const base = mkdtempSync(join(tmpdir(), 'keys-'));
after(() => rmSync(base, { recursive: true }));

const PASSPHRASE = 'correct horse battery staple';

test('a key opens with its passphrase and no other, and signs as the key that the agreement names', async () => {
  const folder = join(base, 'first');
  const { publicKey } = await makeSealedKey(folder, 'Vera Oak', PASSPHRASE);
  const key = await openSealedKey(folder, 'Vera Oak', PASSPHRASE);
  assert.equal(key.publicKey, publicKey);
  const said = Buffer.from('yes');
  assert.ok(verifyBytes(fromHex(publicKey), 'concordat.v1 statement\n', said, key.sign(said)));
  for (const [name, passphrase] of [
    ['Vera Oak', `${PASSPHRASE} `],
    ['nobody', PASSPHRASE],
    ['../first/Vera Oak', PASSPHRASE],
  ])
    await assert.rejects(openSealedKey(folder, name!, passphrase!), { code: 'approval/passphrase' });
});

test('the file is its owner’s alone and holds neither passphrase nor private key; none is made over another', async () => {
  const folder = join(base, 'second');
  await makeSealedKey(folder, 'Vera', PASSPHRASE);
  const [name] = readdirSync(folder);
  const file = join(folder, name!);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const text = readFileSync(file, 'utf8');
  assert.ok(!text.includes(PASSPHRASE) && !text.includes('PRIVATE KEY'));
  await assert.rejects(makeSealedKey(folder, 'Vera', PASSPHRASE), { code: 'enrolment/exists' });
  await assert.rejects(makeSealedKey(folder, 'Ann', 'short'), { code: 'approval/passphrase' });
  assert.equal(readFileSync(file, 'utf8'), text);
});

test('who has a key in a folder is listed; what is no key there, and a folder that is not there, are none', async () => {
  const folder = join(base, 'third');
  assert.deepEqual(sealedKeys(folder), []);
  const { publicKey } = await makeSealedKey(folder, 'Zoë / Oak', PASSPHRASE);
  writeFileSync(join(folder, 'torn.json'), '{');
  writeFileSync(join(folder, 'README'), '');
  assert.deepEqual(sealedKeys(folder), [{ name: 'Zoë / Oak', key: publicKey }]);
});
