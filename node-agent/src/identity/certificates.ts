/** What this site's certificate says, and whether it goes with its key. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';

/** The study that a certificate is for: its subject's common name; null where there is none, or several. */
export function certificateStudy(certificate: X509Certificate): string | null {
  const { CN } = certificate.toLegacyObject().subject as { readonly CN?: string | readonly string[] };
  return typeof CN === 'string' ? CN : null;
}

/** `key`: PEM. */
export function hasKey(certificate: X509Certificate, key: string): boolean {
  return certificate.checkPrivateKey(createPrivateKey(key));
}

/** SHA-256 of the first certificate of a PEM text, hex. */
export function certificateFingerprint(pem: string): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}
