/**
 * What an issuer's certificate says of the chains below it, which Node's reader of certificates does not tell. Only the way to the
 * extensions is read of its DER: OpenSSL has read the whole before.
 */
import type { X509Certificate } from 'node:crypto';

import { toHex } from '@concordat/shared/wire/digest.ts';

/** Object identifiers in DER, hex (RFC 5280, 4.2.1.9 and 4.2.1.10). */
const BASIC_CONSTRAINTS = '551d13';
const NAME_CONSTRAINTS = '551d1e';

const INTEGER = 0x02;
/** The certificate's field [3]. */
const EXTENSIONS = 0xa3;

export interface IssuerLimits {
  /** Issuers that may stand between this one and a site's certificate; Infinity where it does not say. */
  readonly pathLength: number;
  readonly nameConstraints: boolean;
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

export function issuerLimits({ raw }: X509Certificate): IssuerLimits {
  const extensions = new Map(extensionsOf(raw).map(([id, value]) => [toHex(id), value.content]));
  const basic = extensions.get(BASIC_CONSTRAINTS);
  const pathLength =
    basic === undefined ? undefined : elements(first(basic)).find(({ tag }) => tag === INTEGER)?.content;
  return {
    pathLength: pathLength === undefined ? Infinity : Number(`0x${toHex(pathLength)}`),
    nameConstraints: extensions.has(NAME_CONSTRAINTS),
  };
}

/** Identifier and value of each; what may stand between them says whether it is critical. */
function extensionsOf(certificate: Uint8Array): readonly (readonly [Uint8Array, Element])[] {
  const toBeSigned = first(first(certificate));
  const field = elements(toBeSigned).find(({ tag }) => tag === EXTENSIONS);
  if (field === undefined) return [];
  return elements(first(field.content)).map(({ content }) => [first(content), elements(content).at(-1)!]);
}

/** The content of the first of the elements in `der`. */
function first(der: Uint8Array): Uint8Array {
  const [element] = elements(der);
  if (element === undefined) throw new RangeError('an element of a certificate is empty');
  return element.content;
}

/** The elements that stand one after the other in `der`; their tags and lengths are as long as certificates have them. */
function elements(der: Uint8Array): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < der.length;) {
    const [tag = 0, short = 0] = der.subarray(at, at + 2);
    at += 2;
    // From 0x80 on it tells how many bytes of length follow.
    const more = short < 0x80 ? 0 : short - 0x80;
    const length = more === 0 ? short : Number(`0x${toHex(der.subarray(at, at + more))}`);
    at += more;
    if (!(at + length <= der.length)) throw new RangeError('an element of a certificate is cut');
    found.push({ tag, content: der.subarray(at, at + length) });
    at += length;
  }
  return found;
}
