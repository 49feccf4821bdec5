/**
 * Looks at the certificates that are presented in the coordinator's place, where the real connection does not trust them. Nothing
 * is sent but a TLS greeting and an empty request; no client certificate is shown.
 */
import { connect as connectHttp2 } from 'node:http2';
import { isIP } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';

import { ConcordatError } from '@concordat/shared/errors.ts';

import type { Dial } from './dial.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** PEM text: the authority that the agent trusts, alone. */
  readonly ca: string;
  readonly dial: Dial;
}

export interface Presented {
  /** Names as a person may read them, whatever the certificate holds. */
  readonly subject: string;
  readonly issuer: string;
  readonly from: Date;
  readonly until: Date;
}

export interface Inspection {
  /** Why it is not trusted, as OpenSSL or Node call it; null where it is. */
  readonly fault: string | null;
  /** TLS version, and the protocol agreed for inside it: `h2` of a coordinator. */
  readonly version: string | null;
  readonly inner: string | null;
  /** The server's own certificate first. */
  readonly certificates: readonly Presented[];
  /** Time of the other side by its HTTP Date header; null where it tells none. */
  readonly date: Date | null;
}

/** Clocks farther apart than this are at fault, milliseconds. */
export const CLOCK_TOLERANCE = 5 * 60_000;

/**
 * Throws what the dial throws, and network/unreachable where what answers does not speak TLS or is silent until `signal`.
 */
export async function inspect({ host, port, ca, dial }: Target, signal: AbortSignal): Promise<Inspection> {
  const socket = await dial(host, port, signal);
  const tls = connectTls({
    socket,
    host,
    ca,
    ALPNProtocols: ['h2'],
    // To see who is there; nothing is told to them.
    rejectUnauthorized: false,
  });
  const abort = (): void => void tls.destroy();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  tls.on('error', () => undefined);
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (cause?: unknown): void =>
        reject(
          new ConcordatError('network/unreachable', 'what answers does not speak TLS', {
            place: `${host}:${port}`,
            remedy: 'check host and port; something on the way may answer in the place of the coordinator',
            cause,
          }),
        );
      tls.once('secureConnect', resolve);
      tls.once('error', fail);
      tls.once('close', fail);
    });
    const fault = tls.authorized ? null : faultOf(tls);
    return {
      fault,
      version: tls.getProtocol(),
      inner: tls.alpnProtocol === false ? null : tls.alpnProtocol,
      certificates: chainOf(tls.getPeerX509Certificate()),
      date: DATE_FAULTS.has(fault ?? '') ? await dateOf(tls, host) : null,
    };
  } finally {
    signal.removeEventListener('abort', abort);
    tls.destroy();
  }
}

const DATE_FAULTS = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED']);

/** What an inspection means; null where the certificate is the coordinator's. */
export function judge(seen: Inspection, host: string, now: Date): ConcordatError | null {
  const [own] = seen.certificates;
  if (seen.fault === null) return null;
  const validity = own === undefined ? '' : ` (valid ${day(own.from)} to ${day(own.until)})`;
  if (DATE_FAULTS.has(seen.fault)) {
    const apart = seen.date === null ? null : now.getTime() - seen.date.getTime();
    if (apart !== null && Math.abs(apart) <= CLOCK_TOLERANCE) {
      return new ConcordatError(
        'enrolment/expired',
        `the coordinator's certificate is out of its dates${validity}`,
        {
          place: host,
          remedy: 'ask the consortium to renew it',
        },
      );
    }
    return new ConcordatError(
      'network/clock',
      `by this machine's clock (${minute(now)}) the coordinator's certificate is out of its dates${validity}`,
      {
        place: host,
        remedy:
          seen.date === null
            ? 'set the clock, by NTP for instance; if it is right, ask the consortium to renew the certificate'
            : `the other side's clock says ${minute(seen.date)}: set this one, by NTP for instance`,
      },
    );
  }
  if (seen.fault === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new ConcordatError(
      'wire/identity',
      "the certificate is of the pinned authority, but not for this host's name",
      {
        place: host,
        remedy:
          'check `coordinator` in agent.yaml, and ask the consortium for which names its certificate is',
      },
    );
  }
  const issuer = own === undefined ? 'nobody' : `"${own.issuer}"`;
  return new ConcordatError(
    'network/intercepted',
    `another certificate than the coordinator's is presented, issued by ${issuer} (${seen.fault})`,
    {
      place: host,
      remedy: `ask the IT department to exempt ${host} from TLS inspection; if the consortium has a new authority, compare fingerprints out of band`,
    },
  );
}

function faultOf({ authorizationError }: TLSSocket): string {
  // Declared as an error; Node gives its code.
  const fault: unknown = authorizationError;
  return typeof fault === 'string' ? plain(fault) : 'UNTRUSTED';
}

function chainOf(own: X509Certificate | undefined): readonly Presented[] {
  const chain: Presented[] = [];
  for (let at = own; at !== undefined && chain.length < 10; at = at.issuerCertificate) {
    chain.push({
      subject: plain(at.subject),
      issuer: plain(at.issuer),
      from: at.validFromDate,
      until: at.validToDate,
    });
  }
  return chain;
}

/** A certificate can hold anything; what is shown of it is short, and on one line. */
function plain(text: string): string {
  return text
    .replaceAll('\n', ', ')
    .replaceAll(/[^\p{L}\p{N} .,:'()=_*@/-]/gu, '?')
    .slice(0, 160);
}

/** What an unauthenticated side says the time is: for a hint, and nothing else. */
function dateOf(tls: TLSSocket, host: string): Promise<Date | null> {
  if (tls.alpnProtocol !== 'h2') return Promise.resolve(null);
  return new Promise((resolve) => {
    const session = connectHttp2(`https://${isIP(host) === 6 ? `[${host}]` : host}`, {
      createConnection: () => tls,
    });
    const none = (): void => resolve(null);
    session.once('error', none);
    session.once('close', none);
    const request = session.request({ ':method': 'HEAD', ':path': '/' });
    request.once('error', none);
    request.once('close', none);
    request.once('response', (headers) => {
      resolve(readDate(headers.date));
      session.close();
    });
    request.end();
  });
}

/** A Date header's time; null where there is none. */
export function readDate(header: unknown): Date | null {
  const time = typeof header === 'string' ? Date.parse(header) : Number.NaN;
  return Number.isNaN(time) ? null : new Date(time);
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function minute(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
