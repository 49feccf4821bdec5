/** Where the page may be listened for, and under which names it answers. */
import { BlockList, isIP } from 'node:net';
import type { X509Certificate } from 'node:crypto';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** RFC 1918, RFC 4193 (unique local), RFC 3927 and RFC 4291 §2.5.6 (link-local). */
const institution = new BlockList();
institution.addSubnet('10.0.0.0', 8, 'ipv4');
institution.addSubnet('172.16.0.0', 12, 'ipv4');
institution.addSubnet('192.168.0.0', 16, 'ipv4');
institution.addSubnet('169.254.0.0', 16, 'ipv4');
institution.addSubnet('fc00::', 7, 'ipv6');
institution.addSubnet('fe80::', 10, 'ipv6');

export interface PageAddress {
  /** As `listen` takes it. */
  readonly host: string;
  readonly port: number;
  readonly loopback: boolean;
}

/**
 * `key`: of the configuration, under which `listen` stands.
 * @throws ConcordatError `config/invalid` where the address is neither this machine's own nor the institution's
 */
export function pageAddress(listen: string, key: string): PageAddress {
  const { host: written, port } = parseAddress(listen);
  const host = bare(written);
  if (host === 'localhost' || isWithin(loopback, host)) return { host, port, loopback: true };
  if (isWithin(institution, host)) return { host, port, loopback: false };
  throw new ConcordatError(
    'config/invalid',
    "a page may listen on this machine's own or on a private address of the institution only",
    {
      place: `${key}.listen: ${listen}`,
      remedy:
        'write 127.0.0.1:8480, and reach it through an SSH tunnel; or one private address of this machine (10.…, 172.16–31.…, 192.168.…, fd…), with `certificate` and `key`',
    },
  );
}

/**
 * Whether a request's Host header names this page. A page of another site that has its own name resolved to this address
 * (DNS rebinding) sends its own name: names are taken from the certificate alone, and addresses cannot be rebound.
 */
export function answersTo(
  header: string | undefined,
  address: PageAddress,
  certificate: X509Certificate | null,
): boolean {
  if (header === undefined || !URL.canParse(`http://${header}`)) return false;
  const host = bare(new URL(`http://${header}`).hostname);
  if (host === 'localhost' || host === address.host || isWithin(loopback, host)) return true;
  return (
    certificate !== null &&
    isIP(host) === 0 &&
    certificate.checkHost(host, { subject: 'never' }) !== undefined
  );
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
}

function isWithin(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host.replace(/%.*$/, ''), family === 6 ? 'ipv6' : 'ipv4');
}
