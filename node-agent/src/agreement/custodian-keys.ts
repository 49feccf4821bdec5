/**
 * Custodians' keys: an Ed25519 key each, sealed with a key that Argon2id (RFC 9106, its second recommended setting) makes of the
 * passphrase, by AES-256-GCM. The agent never has the passphrase; whoever signs opens the key for as long as it takes.
 */
import { argon2, createCipheriv, createDecipheriv, createPrivateKey, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { CustodianKey } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';

const KDF = { memory: 65_536, passes: 3, parallelism: 4 } as const;
/** A passphrase of fewer characters is guessed from a stolen file. */
const SHORTEST_PASSPHRASE = 12;

interface SealedKey {
  readonly custodian: string;
  /** 64 hexadecimal digits. */
  readonly key: string;
  readonly kdf: {
    readonly name: 'argon2id';
    readonly memory: number;
    readonly passes: number;
    readonly parallelism: number;
  };
  /** Base64. */
  readonly salt: string;
  readonly nonce: string;
  readonly sealed: string;
}

/** Makes a key, sealed into `<state>/custodians/`. Throws `enrolment/exists` where the custodian has one. */
export async function makeCustodianKey(
  state: string,
  custodian: string,
  passphrase: string,
): Promise<{ readonly publicKey: string }> {
  const file = fileOf(state, custodian);
  if (existsSync(file)) {
    throw new ConcordatError('enrolment/exists', `${custodian} has a key already`, {
      place: file,
      remedy: 'use it; or give the new one another name, and take the old one out of the agreement',
    });
  }
  if (passphrase.length < SHORTEST_PASSPHRASE) {
    throw new ConcordatError(
      'approval/passphrase',
      `the passphrase has fewer than ${SHORTEST_PASSPHRASE} characters`,
      {
        remedy: 'choose a longer one, such as five words',
      },
    );
  }
  const pem = generateSigningKey();
  const publicKey = toHex(signingIdentity(pem, custodian).publicKey);
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', await derive(passphrase, salt, KDF), nonce);
  cipher.setAAD(Buffer.from(publicKey));
  const sealed = Buffer.concat([cipher.update(pem), cipher.final(), cipher.getAuthTag()]);
  const content: SealedKey = {
    custodian,
    key: publicKey,
    kdf: { name: 'argon2id', ...KDF },
    salt: salt.toString('base64'),
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  };
  mkdirSync(join(state, 'custodians'), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return { publicKey };
}

/** Opens a custodian's key. Throws `approval/passphrase`, also where there is no such key: which names exist is not told. */
export async function openCustodianKey(
  state: string,
  custodian: string,
  passphrase: string,
): Promise<CustodianKey> {
  const stored = read(fileOf(state, custodian));
  try {
    // Work of the same length where there is nothing to open.
    const { kdf, salt, nonce, sealed, key } = stored ?? ABSENT;
    const secret = await derive(passphrase, Buffer.from(salt, 'base64'), kdf);
    const bytes = Buffer.from(sealed, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', secret, Buffer.from(nonce, 'base64'));
    decipher.setAAD(Buffer.from(key));
    decipher.setAuthTag(bytes.subarray(-16));
    const pem = Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]);
    const identity = signingIdentity(
      createPrivateKey(pem).export({ format: 'pem', type: 'pkcs8' }).toString(),
      custodian,
    );
    return {
      name: custodian,
      publicKey: toHex(identity.publicKey),
      sign: (statement) => signBytes(identity, 'concordat.v1 statement\n', statement),
    };
  } catch {
    throw new ConcordatError('approval/passphrase', "the passphrase does not open the custodian's key", {
      remedy: 'type it again; `concordat agent custodian NAME` makes a key',
    });
  }
}

function derive(
  passphrase: string,
  salt: Uint8Array,
  { memory, passes, parallelism }: Omit<SealedKey['kdf'], 'name'>,
): Promise<Buffer> {
  return promisify(argon2)('argon2id', {
    message: passphrase.normalize('NFC'),
    nonce: salt,
    memory,
    passes,
    parallelism,
    tagLength: 32,
  });
}

const ABSENT: SealedKey = {
  custodian: '',
  key: '',
  kdf: { name: 'argon2id', ...KDF },
  salt: Buffer.alloc(16).toString('base64'),
  nonce: Buffer.alloc(12).toString('base64'),
  sealed: Buffer.alloc(32).toString('base64'),
};

function read(file: string): SealedKey | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as SealedKey;
  } catch {
    return null;
  }
}

function fileOf(state: string, custodian: string): string {
  return join(state, 'custodians', `${encodeURIComponent(custodian)}.json`);
}
