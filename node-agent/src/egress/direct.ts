/**
 * This version dials directly and uses no proxy. Where the machine's environment asks for one, a direct connection
 * would go round it, so the agent does not start.
 */
import { ConcordatError } from '@concordat/shared/errors.ts';

/** Throws config/invalid where `environment` names an HTTPS proxy for the host of `address` (host:port). */
export function assertDirect(
  address: string,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  const proxy = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'].find(
    (name) => (environment[name] ?? '') !== '',
  );
  const host = address.slice(0, address.lastIndexOf(':')).toLowerCase();
  if (
    proxy === undefined ||
    isLoopback(host) ||
    isExempt(host, environment['no_proxy'] ?? environment['NO_PROXY'] ?? '')
  )
    return;
  throw new ConcordatError(
    'config/invalid',
    `${proxy} is set, and this version cannot dial through a proxy`,
    {
      place: `coordinator: ${address}`,
      remedy: `if the institution allows a direct connection, add ${host} to no_proxy; otherwise wait for proxy support`,
    },
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.startsWith('127.');
}

/** `no_proxy` as curl reads it: names and their subdomains, with or without a leading dot, or `*`. */
function isExempt(host: string, list: string): boolean {
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => entry.replace(/^\*?\.|:\d+$/g, ''))
    .some((entry) => entry === '*' || host === entry || host.endsWith(`.${entry}`));
}
