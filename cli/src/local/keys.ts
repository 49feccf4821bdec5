/** Keys and certificates of a federation on one machine: an authority of its own, used once. */
import 'reflect-metadata';

import { createHash, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// The library's own declaration of Crypto is the browser's; Node's implementation is the same interface.
const provider = webcrypto as unknown as Parameters<typeof X509CertificateGenerator.create>[1];
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
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - DAY), notAfter: new Date(Date.now() + 30 * DAY) };
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=Concordat local authority',
      keys,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    provider,
  );
  writeFileSync(join(folder, 'ca.crt'), ca.toString('pem'), { mode: 0o600 });
  return {
    issue: async (name, subject, server) => {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await X509CertificateGenerator.create(
        {
          // Typed: of plain text the library takes #, quotation marks and backslashes for notation.
          subject: new Name([{ CN: [{ utf8String: subject }] }]),
          issuer: ca.subject,
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: ALGORITHM,
          ...validity,
          extensions: [
            new BasicConstraintsExtension(false, undefined, true),
            new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
            new ExtendedKeyUsageExtension([
              server === null ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
            ]),
            ...(server === null
              ? []
              : [new SubjectAlternativeNameExtension(server.hosts.map(alternativeName))]),
          ],
        },
        provider,
      );
      const signing = generateSigningKey();
      const write = (extension: string, text: string): void =>
        writeFileSync(join(folder, `${name}.${extension}`), text, { mode: 0o600 });
      write('crt', certificate.toString('pem'));
      write('tls.key', pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', own.privateKey)));
      write('signing.key', signing);
      return {
        publicKey: toHex(signingIdentity(signing, name).publicKey),
        fingerprint: fingerprint(certificate),
      };
    },
  };
}

function alternativeName(host: string): { type: 'ip' | 'dns'; value: string } {
  return { type: /^[0-9.]+$/.test(host) ? 'ip' : 'dns', value: host };
}

function fingerprint(certificate: X509Certificate): string {
  return createHash('sha256').update(new Uint8Array(certificate.rawData)).digest('hex');
}

function pem(label: string, der: ArrayBuffer): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replaceAll(/(.{64})/g, '$1\n')
    .trimEnd();
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}
