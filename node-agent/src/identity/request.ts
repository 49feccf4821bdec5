/** A certificate request (PKCS#10): this site's TLS public key and its study, signed by that key. */
import 'reflect-metadata';

import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';

import { Name, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// The library's own declaration of Crypto is the browser's; Node's implementation is the same interface.
const provider = webcrypto as unknown as Parameters<typeof Pkcs10CertificateRequestGenerator.create>[1];

/** `key`: PEM of a P-256 key. Returns DER. */
export async function certificateRequest(study: string, key: string): Promise<Uint8Array> {
  const privateKey = createPrivateKey(key);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      // Typed: of plain text the library takes #, quotation marks and backslashes for notation.
      name: new Name([{ CN: [{ utf8String: study }] }]),
      keys: {
        privateKey: privateKey.toCryptoKey(ALGORITHM, false, ['sign']),
        publicKey: createPublicKey(privateKey).toCryptoKey(ALGORITHM, true, ['verify']),
      },
      signingAlgorithm: ALGORITHM,
    },
    provider,
  );
  return new Uint8Array(request.rawData);
}
