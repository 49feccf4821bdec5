/** Keys and certificates of a federation on one machine: an authority of its own, used once. */
import { createHash, createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { issue, newAuthority, pemOf } from '@concordat/coordinator/sites/certificates.ts';
import { newSigningKey, newTlsKey } from '@concordat/node-agent/identity/keys.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

const DAY = 86_400_000;

export interface PartyKeys {
  /** Public signing key, hex. */
  readonly publicKey: string;
  /** SHA-256 of the TLS certificate, hex. */
  readonly fingerprint: string;
}

export interface Authority {
  /** Writes `<name>.{crt,tls.key,signing.key}` into the folder, readable by its owner alone. */
  issue(
    name: string,
    subject: string,
    server: { readonly hosts: readonly string[] } | null,
  ): Promise<PartyKeys>;
}

/** Makes an authority, and writes its certificate to `<folder>/ca.crt`; its own key is never written. */
export async function makeAuthority(folder: string): Promise<Authority> {
  const validity = { notBefore: new Date(Date.now() - DAY), notAfter: new Date(Date.now() + 30 * DAY) };
  const authority = await newAuthority('Concordat local authority', validity);
  writeFileSync(join(folder, 'ca.crt'), authority.certificate, { mode: 0o600 });
  return {
    issue: async (name, subject, server) => {
      const key = newTlsKey(null);
      const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
      const certificate = await issue(
        authority,
        { commonName: subject, publicKey },
        server === null ? { kind: 'client' } : { kind: 'server', hosts: server.hosts },
        validity,
      );
      const signing = newSigningKey(null);
      const write = (extension: string, text: string): void =>
        writeFileSync(join(folder, `${name}.${extension}`), text, { mode: 0o600 });
      write('crt', pemOf(certificate));
      write('tls.key', key);
      write('signing.key', signing);
      return {
        publicKey: toHex(signingIdentity(signing, name).publicKey),
        fingerprint: createHash('sha256').update(certificate).digest('hex'),
      };
    },
  };
}
