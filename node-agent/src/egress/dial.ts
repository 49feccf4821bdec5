/**
 * A byte stream to a host and port, dialled afresh each time: names are resolved again, so that a coordinator that moved is
 * found. Every failure is a ConcordatError: network/unresolved, network/unreachable, or network/proxy.
 */
import { lookup as systemLookup } from 'node:dns';
import { request as requestPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestSecure } from 'node:https';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';

import { ConcordatError } from '@concordat/shared/errors.ts';

import type { Proxy } from './proxy.ts';

/** As `dns.lookup`, which is the system's. */
export type Resolver = LookupFunction;

export type Dial = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

/** Tries a name's addresses in turn (happy eyeballs). Node's 250 ms are short of a connection to another continent. */
const FAMILIES = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_000 } as const;
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME', 'ENODATA']);

/** `lookup`: the system's resolver where it is not given. */
export function dialer(proxy: Proxy | null, lookup?: Resolver): Dial {
  const resolver = lookup === undefined ? {} : { lookup };
  return proxy === null
    ? (host, port, signal) => dialDirectly(host, port, signal, resolver)
    : (host, port, signal) => dialThrough(proxy, host, port, signal, resolver);
}

/** The addresses of a name, now; throws network/unresolved. */
export function resolveName(host: string, lookup: Resolver = systemLookup): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) return reject(unresolved(host, error));
      resolve(typeof found === 'string' ? [found] : found.map(({ address }) => address));
    });
  });
}

function dialDirectly(
  host: string,
  port: number,
  signal: AbortSignal,
  resolver: { readonly lookup?: Resolver },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(givenUp(host, port));
    const socket = connect({ host, port, ...FAMILIES, ...resolver });
    const abort = (): void => {
      socket.destroy();
      reject(givenUp(host, port));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(connectFault(error, host, port));
    });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

function dialThrough(
  proxy: Proxy,
  host: string,
  port: number,
  signal: AbortSignal,
  resolver: { readonly lookup?: Resolver },
): Promise<Socket> {
  const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const options: RequestOptions = {
    method: 'CONNECT',
    host: proxy.host,
    port: proxy.port,
    path: target,
    headers: {
      Host: target,
      ...(proxy.authorization === null ? {} : { 'Proxy-Authorization': proxy.authorization }),
    },
    agent: false,
    ...FAMILIES,
    ...resolver,
  };
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(stalled(proxy));
    const request =
      proxy.protocol === 'http:'
        ? requestPlain(options)
        : requestSecure({
            ...options,
            // Node would take the Host header's, which is the coordinator's.
            servername: isIP(proxy.host) === 0 ? proxy.host : '',
            ...(proxy.ca === null ? {} : { ca: proxy.ca }),
          });
    // Not the request's own option: that would end the stream too, whenever the signal fires.
    const abort = (): void => void request.destroy();
    signal.addEventListener('abort', abort, { once: true });
    request.once('connect', (response, stream, head) => {
      signal.removeEventListener('abort', abort);
      const socket: Socket = stream;
      if (response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 300) {
        socket.setNoDelay(true);
        // The far side may speak first, in the packet of the proxy's answer.
        if (head.length > 0) socket.unshift(head);
        return resolve(socket);
      }
      socket.destroy();
      reject(refusal(response, proxy));
    });
    request.once('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(signal.aborted ? stalled(proxy) : proxyFault(error, proxy));
    });
    request.end();
  });
}

function refusal({ statusCode = 0, headers }: IncomingMessage, proxy: Proxy): ConcordatError {
  const fail = (message: string, remedy: string): ConcordatError => proxyError(proxy, message, remedy);
  switch (statusCode) {
    case 407: {
      const schemes = challenges(headers['proxy-authenticate']);
      if (schemes.length > 0 && !schemes.includes('basic')) {
        return fail(
          `the proxy accepts ${schemes.map((scheme) => KNOWN_SCHEMES[scheme]).join(' and ')} sign-in alone (407), and only basic sign-in is supported`,
          "ask the IT department to allow the coordinator's host without sign-in from this machine, or for an account with basic sign-in; a local helper such as cntlm or px can also sign in for the agent",
        );
      }
      return proxy.authorization === null
        ? fail(
            'the proxy wants a user name and password (407)',
            'put user:password into a file and name it as proxy.credentials_file in agent.yaml',
          )
        : fail(
            'the proxy does not accept the user name and password (407)',
            'correct the credentials of the proxy; a password in a URL is percent-encoded',
          );
    }
    case 401:
    case 403:
    case 405:
      return fail(
        `the proxy does not allow the connection (${statusCode})`,
        "ask the IT department to allow CONNECT to the coordinator's host and port",
      );
    case 500:
    case 502:
    case 503:
    case 504:
      return fail(
        `the proxy does not reach the coordinator (${statusCode})`,
        "check the coordinator's host and port; ask the IT department whether the proxy may resolve and reach them",
      );
    default:
      return fail(
        `the proxy answers CONNECT with status ${statusCode}`,
        'check that the address is an HTTP proxy that allows CONNECT',
      );
  }
}

/** What a challenge is called is the proxy's to say; only these are repeated. */
const KNOWN_SCHEMES: Readonly<Record<string, string>> = {
  basic: 'basic',
  digest: 'Digest',
  ntlm: 'NTLM',
  negotiate: 'Negotiate (Kerberos)',
  bearer: 'Bearer',
};

/** Node joins repeated Proxy-Authenticate headers, or gives the first: parameters are told apart from schemes by name. */
function challenges(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  const words = text.toLowerCase().match(/(?<=^|,\s*)[a-z]+(?=\s|,|$)/g) ?? [];
  return [...new Set(words)].filter((word) => Object.hasOwn(KNOWN_SCHEMES, word));
}

function proxyFault(error: Error, proxy: Proxy): ConcordatError {
  const code = codeOf(error);
  if (UNRESOLVED.has(code)) return unresolved(proxy.host, error);
  if (code.startsWith('HPE_')) {
    return proxyError(
      proxy,
      'what answers is not an HTTP proxy',
      'check its host and port, and whether it is an http: or an https: proxy',
      error,
    );
  }
  if (CERTIFICATE.test(code)) {
    return proxyError(
      proxy,
      `the proxy's own certificate is not trusted (${code})`,
      "name the institution's authority as proxy.ca in agent.yaml",
      error,
    );
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return proxyError(
      proxy,
      'no TLS with the proxy',
      'most proxies are spoken to without TLS: try http:// in place of https://',
      error,
    );
  }
  if (code === 'ECONNRESET') {
    return proxyError(
      proxy,
      'the proxy closes the connection without an answer',
      "check that the address is an HTTP proxy, and that it allows CONNECT to the coordinator's port",
      error,
    );
  }
  return proxyError(
    proxy,
    `no connection to the proxy${shownCode(code)}`,
    "check the proxy's host and port, and that this machine may reach it",
    error,
  );
}

const CERTIFICATE = /CERT|SIGNATURE|ISSUER|ALTNAME/;

function stalled(proxy: Proxy): ConcordatError {
  return proxyError(
    proxy,
    'the proxy does not answer in time',
    'ask the IT department whether it is working',
  );
}

function proxyError(proxy: Proxy, message: string, remedy: string, cause?: unknown): ConcordatError {
  return new ConcordatError('network/proxy', message, { place: proxy.shown, remedy, cause });
}

function connectFault(error: Error, host: string, port: number): ConcordatError {
  const code = codeOf(error);
  if (UNRESOLVED.has(code)) return unresolved(host, error);
  return new ConcordatError('network/unreachable', `no connection${shownCode(code)}`, {
    place: `${host}:${port}`,
    remedy:
      code === 'ECONNREFUSED'
        ? 'nothing listens there: check the port, and ask whether the coordinator is running'
        : 'ask the IT department to allow outbound TCP to this host and port, or for the proxy to use',
    cause: error,
  });
}

function givenUp(host: string, port: number): ConcordatError {
  return new ConcordatError('network/unreachable', 'no connection in time', {
    place: `${host}:${port}`,
    remedy: 'ask the IT department to allow outbound TCP to this host and port, or for the proxy to use',
  });
}

function unresolved(host: string, cause: unknown): ConcordatError {
  return new ConcordatError('network/unresolved', 'the name has no address', {
    place: host,
    remedy: 'check the name, and the name server of this machine; behind a proxy, name the proxy',
    cause,
  });
}

/** Of several addresses, the last one's. */
function codeOf(error: unknown): string {
  const last = error instanceof AggregateError ? (error.errors as unknown[]).at(-1) : error;
  const code = (last as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

function shownCode(code: string): string {
  return code === '' ? '' : ` (${code})`;
}
