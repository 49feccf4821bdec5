import { ConcordatError } from '../errors.ts';

/** host:port, as the configuration files write it; an IPv6 address is in brackets there, and without them here. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(address.slice(colon + 1)),
  };
}

/** What to say of an address that cannot be listened on. */
export function cannotListen(address: string, cause: unknown): ConcordatError {
  return new ConcordatError('config/invalid', 'the address cannot be listened on', {
    place: address,
    remedy: 'choose a free port, or stop the program that uses it',
    cause,
  });
}
