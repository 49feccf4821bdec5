/** This site's private keys: made here, written for their owner alone, and never sent. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { generateSigningKey } from '@concordat/shared/wire/signing.ts';

/** A P-256 key in PEM (PKCS#8), encrypted where there is a passphrase. */
export function newTlsKey(passphrase: string | null): string {
  return keyPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, passphrase);
}

/** An Ed25519 key in PEM (PKCS#8), encrypted where there is a passphrase. */
export function newSigningKey(passphrase: string | null): string {
  return keyPem(createPrivateKey(generateSigningKey()), passphrase);
}

function keyPem(key: KeyObject, passphrase: string | null): string {
  const encrypted = passphrase === null ? {} : { cipher: 'aes-256-cbc', passphrase };
  return key.export({ type: 'pkcs8', format: 'pem', ...encrypted }).toString();
}

/** The key's PEM as the libraries read it, decrypted in memory where it is encrypted. */
export function openKey(pem: string, passphrase: string | null, place: string): string {
  if (!pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')) return pem;
  if (passphrase === null) {
    throw new ConcordatError('config/invalid', 'the key is encrypted', {
      place,
      remedy: 'name the file of its passphrase as `key_passphrase_file`',
    });
  }
  try {
    return keyPem(createPrivateKey({ key: pem, passphrase }), null);
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the passphrase does not open the key', {
      place,
      remedy: 'check the file that `key_passphrase_file` names',
      cause,
    });
  }
}

/** The passphrase in a file; the line's end is no part of it. Null where no file is named. */
export function readPassphrase(file: string | undefined): string | null {
  if (file === undefined) return null;
  let text: string;
  try {
    text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the passphrase file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
  if (text === '')
    throw new ConcordatError('config/invalid', 'the passphrase file is empty', { place: file });
  return text;
}
