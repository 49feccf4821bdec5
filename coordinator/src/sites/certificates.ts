/** X.509 certificates: an authority's own, those that it issues, and the requests for them. */
import { createPrivateKey, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Name, X509CertificateGenerator } from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// The library's own declaration of Crypto is the browser's; Node's implementation is the same interface.
const provider = webcrypto as unknown as Parameters<typeof X509CertificateGenerator.create>[1];

/** Loaded when a certificate is made: a coordinator whose sites are listed makes none. */
async function library() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

type Library = Awaited<ReturnType<typeof library>>;

/** PEM texts. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What an issued certificate is for: a site's calls, or the coordinator's server under these host names and addresses. */
export type Purpose =
  | { readonly kind: 'client' }
  | { readonly kind: 'server'; readonly hosts: readonly string[] };

/** A new authority: its certificate, signed by itself, and its key. */
export async function newAuthority(commonName: string, validity: Validity): Promise<KeyPair> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: nameOf(x509, commonName),
      keys,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    },
    provider,
  );
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    certificate: pemOf(new Uint8Array(certificate.rawData)),
    key: createPrivateKey({ key, format: 'der', type: 'pkcs8' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString(),
  };
}

/** `publicKey`: SubjectPublicKeyInfo of a P-256 key, DER. Returns the certificate in DER. */
export async function issue(
  authority: KeyPair,
  subject: { readonly commonName: string; readonly publicKey: Uint8Array },
  purpose: Purpose,
  validity: Validity,
): Promise<Uint8Array> {
  const x509 = await library();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: nameOf(x509, subject.commonName),
      issuer: nameOf(x509, commonNameOf(new X509Certificate(authority.certificate)) ?? ''),
      publicKey: createPublicKey({
        key: Buffer.from(subject.publicKey),
        format: 'der',
        type: 'spki',
      }).toCryptoKey(ALGORITHM, true, ['verify']),
      signingKey: createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ['sign']),
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          purpose.kind === 'client' ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
        ]),
        ...(purpose.kind === 'client'
          ? []
          : [new x509.SubjectAlternativeNameExtension(purpose.hosts.map(alternativeName))]),
      ],
    },
    provider,
  );
  return new Uint8Array(certificate.rawData);
}

export interface CertificateRequest {
  /** Of the subject. */
  readonly study: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/**
 * Reads a PKCS#10 request. Only the common name and the key are taken from it: extensions that it asks for are not.
 * @throws ConcordatError `wire/malformed` unless it is signed by its own P-256 key
 */
export async function readRequest(der: Uint8Array): Promise<CertificateRequest> {
  const malformed = (cause?: unknown): ConcordatError =>
    new ConcordatError('wire/malformed', 'not a certificate request of a P-256 key', { cause });
  const x509 = await library();
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der));
    const publicKey = new Uint8Array(request.publicKey.rawData);
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    const [study, another] = request.subjectName.getField('CN');
    if (
      key.asymmetricKeyDetails?.namedCurve !== 'prime256v1' ||
      study === undefined ||
      another !== undefined ||
      !(await request.verify(provider))
    )
      throw malformed();
    return { study, publicKey };
  } catch (cause) {
    // The library's words may quote the bytes.
    throw cause instanceof ConcordatError ? cause : malformed(cause);
  }
}

/** The subject's one common name; null where it has none, or several. */
export function commonNameOf(certificate: X509Certificate): string | null {
  const { CN } = certificate.toLegacyObject().subject as { readonly CN?: string | readonly string[] };
  return typeof CN === 'string' ? CN : null;
}

export function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

// Typed: of plain text the library takes #, quotation marks and backslashes for notation.
function nameOf(x509: Library, commonName: string): Name {
  return new x509.Name([{ CN: [{ utf8String: commonName }] }]);
}

function alternativeName(host: string): { type: 'ip' | 'dns'; value: string } {
  return { type: /^[0-9.]+$/.test(host) ? 'ip' : 'dns', value: host };
}
