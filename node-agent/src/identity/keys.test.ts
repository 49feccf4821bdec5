import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { newSigningKey, newTlsKey, openKey, readPassphrase } from './keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'keys-'));
after(() => rmSync(folder, { recursive: true }));
const invalid = (error: unknown): boolean =>
  error instanceof ConcordatError && error.code === 'config/invalid';

test('keys are PKCS#8, of P-256 and Ed25519; with a passphrase they open with it alone', () => {
  for (const [make, type] of [
    [newTlsKey, 'ec'],
    [newSigningKey, 'ed25519'],
  ] as const) {
    const plain = make(null);
    assert.equal(createPrivateKey(plain).asymmetricKeyType, type);
    assert.equal(openKey(plain, null, 'place'), plain);
    const encrypted = make('a passphrase');
    assert.match(encrypted, /^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
    assert.equal(createPrivateKey(openKey(encrypted, 'a passphrase', 'place')).asymmetricKeyType, type);
    for (const wrong of [null, 'another']) assert.throws(() => openKey(encrypted, wrong, 'place'), invalid);
  }
});

test('a passphrase is the file without the end of its line; a file that is missing or empty is a fault', () => {
  const file = join(folder, 'passphrase');
  assert.equal(readPassphrase(undefined), null);
  for (const [text, passphrase] of [
    ['two words\n', 'two words'],
    ['two words\r\n', 'two words'],
    [' kept ', ' kept '],
  ] as const) {
    writeFileSync(file, text);
    assert.equal(readPassphrase(file), passphrase);
  }
  writeFileSync(file, '\n');
  assert.throws(() => readPassphrase(file), invalid);
  assert.throws(() => readPassphrase(join(folder, 'gone')), invalid);
});
