/**
 * Which way leads to the coordinator: directly, or through an HTTP CONNECT proxy. Where a proxy is named and this program
 * cannot use it, nothing is dialled: a direct connection would go round the institution's own rules.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';

import { ConcordatError } from '@concordat/shared/errors.ts';

/** `proxy` of agent.yaml, with paths resolved. */
export interface ProxyConfig {
  readonly url?: string;
  /** PEM file of the authority of an `https:` proxy's certificate. */
  readonly ca?: string;
  readonly no_proxy?: string;
  /** File with one line, `user:password`. */
  readonly credentials_file?: string;
}

export interface Proxy {
  readonly protocol: 'http:' | 'https:';
  /** An IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Value of the Proxy-Authorization header; null where no credentials are given. */
  readonly authorization: string | null;
  /** PEM text; null: the authorities that Node ships with, and those of NODE_EXTRA_CA_CERTS. */
  readonly ca: string | null;
  /** `scheme://host:port`, without the credentials. */
  readonly shown: string;
}

/** Null for `proxy`: a direct connection. `source`: what decided it, as a person would look for it. */
export interface Route {
  readonly proxy: Proxy | null;
  readonly source: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'] as const;

/**
 * Chooses the way to `host`. A proxy of agent.yaml comes with the `no_proxy` of agent.yaml alone; one of the environment with
 * that of agent.yaml where it is there, and otherwise with the environment's. Loopback is always direct.
 * Throws network/proxy where a proxy is named that cannot be used, config/invalid where its files cannot be read.
 */
export function routeTo(
  host: string,
  port: number,
  config: ProxyConfig | undefined,
  environment: Environment,
): Route {
  const named =
    config?.url === undefined
      ? fromEnvironment(environment)
      : { url: config.url, source: 'proxy.url in agent.yaml' };
  if (named === null) return { proxy: null, source: 'no proxy is configured' };
  if (isLoopback(host)) return { proxy: null, source: 'the coordinator is on this machine' };
  const lowerCase = environment['no_proxy'] === undefined ? 'NO_PROXY' : 'no_proxy';
  const exempt =
    config?.no_proxy === undefined && config?.url === undefined
      ? { list: environment[lowerCase] ?? '', source: lowerCase }
      : { list: config.no_proxy ?? '', source: 'proxy.no_proxy in agent.yaml' };
  if (isExempt(host, port, exempt.list)) return { proxy: null, source: exempt.source };
  return { proxy: parseProxy(named.url, named.source, config ?? {}), source: named.source };
}

function fromEnvironment(environment: Environment): { url: string; source: string } | null {
  const source = VARIABLES.find((name) => (environment[name] ?? '') !== '');
  return source === undefined ? null : { url: environment[source] ?? '', source };
}

function parseProxy(text: string, source: string, { ca, credentials_file }: ProxyConfig): Proxy {
  const fail = (message: string, remedy: string): ConcordatError =>
    // Never with the URL itself: it may hold a password.
    new ConcordatError('network/proxy', message, { place: source, remedy });
  // Environments often leave the scheme out; curl too takes it for http.
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(whole))
    throw fail('the proxy is not a URL', 'write it as http://proxy.hospital.example:3128');
  const url = new URL(whole);
  if (url.protocol.startsWith('pac') || url.protocol === 'file:' || /\.(pac|dat)$/i.test(url.pathname)) {
    throw fail(
      'a proxy auto-configuration file (PAC) is named, and these are not read',
      'name the proxy itself: open the PAC file and look for PROXY host:port, or ask the IT department',
    );
  }
  const { protocol } = url;
  if ((protocol !== 'http:' && protocol !== 'https:') || url.hostname === '') {
    throw fail(
      `${protocol}// proxies are not supported`,
      'name an HTTP proxy that allows CONNECT, as http://host:port or https://host:port; ask the IT department for it',
    );
  }
  const host = bare(url.hostname);
  const port = url.port === '' ? (protocol === 'http:' ? 80 : 443) : Number(url.port);
  return {
    protocol,
    host,
    port,
    authorization: authorizationOf(credentialsOf(url, credentials_file, fail)),
    ca: ca === undefined ? null : readText(ca, 'proxy.ca'),
    shown: `${protocol}//${url.hostname}:${port}`,
  };
}

function credentialsOf(
  url: URL,
  file: string | undefined,
  fail: (message: string, remedy: string) => ConcordatError,
): string | null {
  if (file !== undefined) {
    const line = readText(file, 'proxy.credentials_file').split(/\r?\n/)[0] ?? '';
    if (line.includes(':')) return line;
    throw new ConcordatError('config/invalid', 'the file does not hold user:password', {
      place: `proxy.credentials_file: ${file}`,
      remedy: 'write the user name, a colon and the password on its first line',
    });
  }
  if (url.username === '' && url.password === '') return null;
  try {
    return `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch {
    throw fail(
      "the credentials in the proxy's URL are not percent-encoded rightly",
      'write % as %25, @ as %40, : as %3A; or put user:password into a file and name it as proxy.credentials_file',
    );
  }
}

function authorizationOf(credentials: string | null): string | null {
  return credentials === null ? null : `Basic ${Buffer.from(credentials).toString('base64')}`;
}

function isLoopback(host: string): boolean {
  const name = normal(host);
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  return isIP(name) !== 0 && LOOPBACK.check(name, isIP(name) === 6 ? 'ipv6' : 'ipv4');
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * Whether `no_proxy` names the host: entries are apart by commas or spaces, each a host name (with its subdomains; a leading dot
 * or `*.` changes nothing), an address, a block of addresses (`10.0.0.0/8`, `2001:db8::/32`), or `*`, and any but a block may
 * end in `:port`. Addresses and blocks are compared with addresses alone: a name is not resolved. What cannot be read names nothing.
 */
export function isExempt(host: string, port: number, list: string): boolean {
  const name = normal(host);
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => names(entry, name, port));
}

function names(entry: string, host: string, port: number): boolean {
  if (entry.includes('/')) return isWithin(entry, host);
  const [name, only] = splitPort(entry);
  if (only !== null && only !== port) return false;
  if (name === '*') return true;
  const wanted = normal(name.replace(/^\*?\./, ''));
  if (wanted === '') return false;
  if (isIP(wanted) !== 0 || isIP(host) !== 0) return sameAddress(wanted, host);
  return host === wanted || host.endsWith(`.${wanted}`);
}

function isWithin(block: string, host: string): boolean {
  const [address = '', prefix = '', more] = block.replace(/[[\]]/g, '').split('/');
  const [kind, of] = [isIP(host), isIP(address)];
  const length = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
  if (kind === 0 || of === 0 || more !== undefined || length > (of === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(address, length, of === 6 ? 'ipv6' : 'ipv4');
  return list.check(host, kind === 6 ? 'ipv6' : 'ipv4');
}

function sameAddress(a: string, b: string): boolean {
  return isIP(a) !== 0 && isWithin(`${a}/${isIP(a) === 6 ? 128 : 32}`, b);
}

/** A port can only follow a name, an IPv4 address or brackets: `::1` ends in none. */
function splitPort(entry: string): readonly [string, number | null] {
  const [, name, port] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(entry) ?? [];
  return name === undefined || port === undefined ? [entry, null] : [name, Number(port)];
}

function normal(host: string): string {
  return bare(host.toLowerCase()).replace(/\.$/, '');
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function readText(file: string, key: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: `${key}: ${file}`,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}
