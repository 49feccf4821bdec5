/**
 * Keys of people: an Ed25519 key each, sealed with a key that Argon2id (RFC 9106, its second recommended setting) makes of the
 * passphrase, by AES-256-GCM, in a file each of the folder of their role. No program has the passphrase; whoever signs in, or signs,
 * opens the key for as long as it takes.
 */
import { argon2, createCipheriv, createDecipheriv, createPrivateKey, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';

const KDF = { memory: 65_536, passes: 3, parallelism: 4 } as const;
/** A passphrase of fewer characters is guessed from a stolen file. */
const SHORTEST_PASSPHRASE = 12;
const EXTENSION = '.json';

/** A key, opened with its passphrase. */
export interface OpenedKey {
  readonly name: string;
  /** 64 hexadecimal digits. */
  readonly publicKey: string;
  sign(statement: Uint8Array): Uint8Array;
}

interface SealedKey {
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

/** Makes a key, sealed into the folder. Throws `enrolment/exists` where the name has one. */
export async function makeSealedKey(
  folder: string,
  name: string,
  passphrase: string,
): Promise<{ readonly publicKey: string }> {
  const file = fileOf(folder, name);
  if (existsSync(file)) {
    throw new ConcordatError('enrolment/exists', `${name} has a key already`, {
      place: file,
      remedy: 'use it; or give the new one another name, and take the old one away from where it is named',
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
  const publicKey = toHex(signingIdentity(pem, name).publicKey);
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', await derive(passphrase, salt, KDF), nonce);
  cipher.setAAD(Buffer.from(publicKey));
  const sealed = Buffer.concat([cipher.update(pem), cipher.final(), cipher.getAuthTag()]);
  const content: SealedKey = {
    key: publicKey,
    kdf: { name: 'argon2id', ...KDF },
    salt: salt.toString('base64'),
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return { publicKey };
}

/** Opens a key. Throws `approval/passphrase`, also where there is no such key: which names exist is not told. */
export async function openSealedKey(folder: string, name: string, passphrase: string): Promise<OpenedKey> {
  const stored = read(fileOf(folder, name));
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
      name,
    );
    return {
      name,
      publicKey: toHex(identity.publicKey),
      sign: (statement) => signBytes(identity, 'concordat.v1 statement\n', statement),
    };
  } catch {
    throw new ConcordatError('approval/passphrase', `the passphrase does not open a key of ${name}`, {
      remedy: 'type it again; nobody can recover it',
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

/** Who has a key in the folder, by name, with its public key (64 hexadecimal digits). */
export function sealedKeys(folder: string): readonly { readonly name: string; readonly key: string }[] {
  let files: readonly string[];
  try {
    files = readdirSync(folder);
  } catch {
    // None was made here yet.
    return [];
  }
  return files
    .filter((file) => file.endsWith(EXTENSION))
    .flatMap((file) => {
      const key = read(join(folder, file))?.key;
      return key === undefined ? [] : [{ name: decodeURIComponent(file.slice(0, -EXTENSION.length)), key }];
    });
}

function fileOf(folder: string, name: string): string {
  return join(folder, `${encodeURIComponent(name)}${EXTENSION}`);
}
