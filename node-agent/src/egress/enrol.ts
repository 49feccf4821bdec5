/**
 * Asks the coordinator for a certificate, in one call over one connection whose other end is checked before anything is sent:
 * the certificates that are presented must hold the pinned authority, and the server's must be of it and for the host name.
 * Keys leave, and nothing else: no message of a run passes here.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2';
import { isIP } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { EnrolRequest, EnrolResponse } from '@concordat/proto/concordat/v1/enrolment.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';
import {
  admissionCode,
  admissionError,
  CLOCK_TOLERANCE,
  ENROL_FRAME_LIMIT,
  ENROL_PATH,
  enrolmentStatement,
} from '@concordat/shared/wire/enrolment.ts';
import { PROTOCOL_NEWEST, PROTOCOL_OLDEST, versionMismatch } from '@concordat/shared/wire/protocol.ts';
import { signBytes, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { certificateStudy, hasKey } from '../identity/certificates.ts';
import { certificateRequest } from '../identity/request.ts';
import type { Dial } from './dial.ts';

export interface Enrolment {
  /** host:port */
  readonly address: string;
  /** SHA-256 of the authority's certificate. */
  readonly authority: Uint8Array;
  readonly study: string;
  /** PEM of the P-256 key that the certificate is for. */
  readonly tlsKey: string;
  readonly identity: SigningIdentity;
  /** What allows it: an invitation, or the present certificate with its key (PEM). */
  readonly by:
    | { readonly id: Uint8Array; readonly secret: Uint8Array }
    | { readonly certificate: string; readonly key: string };
}

export interface Enrolled {
  /** PEM. */
  readonly certificate: string;
  readonly authority: string;
}

export interface EnrolmentCapabilities {
  readonly dial: Dial;
  readonly now: () => Date;
  /** Gives the attempt up. */
  readonly signal: AbortSignal;
}

/** An attempt takes no longer, milliseconds. */
const LIMIT = 30_000;

/** @throws ConcordatError `enrolment/…`, `network/…`, `wire/…` */
export async function requestCertificate(
  enrolment: Enrolment,
  { dial, now, signal }: EnrolmentCapabilities,
): Promise<Enrolled> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT)]);
  const { address, by } = enrolment;
  const body = await requestOf(enrolment);
  const { host, port } = parseAddress(address);
  const socket = await dial(host, port, limit);
  const own = 'certificate' in by ? { cert: by.certificate, key: by.key } : {};
  const connection = await handshake(
    connectTls({
      socket,
      ...own,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ALPNProtocols: ['h2'],
      // Checked below, against the pinned authority alone: no authority of the machine has a say.
      rejectUnauthorized: false,
    }),
    address,
    limit,
  );
  try {
    const authority = checkPresented(presentedBy(connection), enrolment.authority, host, address, now());
    const response = decode(EnrolResponse, await call(connection, body, address, limit), 'a certificate');
    if (response.protocol < PROTOCOL_OLDEST || response.protocol > PROTOCOL_NEWEST) {
      throw versionMismatch(
        { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST },
        { oldest: response.protocolOldest, newest: response.protocolNewest },
        'the coordinator',
      );
    }
    if (Math.abs(response.time * 1000 - now().getTime()) > CLOCK_TOLERANCE)
      throw admissionError('network/clock', `coordinator ${new Date(response.time * 1000).toISOString()}`);
    return { certificate: checkIssued(response, enrolment, authority), authority: authority.toString() };
  } finally {
    connection.destroy();
  }
}

async function requestOf({ study, tlsKey, identity, by }: Enrolment): Promise<Uint8Array> {
  const request = await certificateRequest(study, tlsKey);
  const none = new Uint8Array(0);
  const { id, secret } = 'id' in by ? by : { id: none, secret: none };
  return encode(
    EnrolRequest,
    {
      protocolOldest: PROTOCOL_OLDEST,
      protocolNewest: PROTOCOL_NEWEST,
      invitation: id,
      secret,
      request,
      key: identity.publicKey,
      signature: signBytes(identity, 'concordat.v1 enrolment\n', enrolmentStatement(id, request)),
    },
    'an enrolment',
  );
}

function handshake(connection: TLSSocket, address: string, limit: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      connection.destroy();
      reject(unreachable(address, cause));
    };
    const give = (): void => fail(limit.reason);
    if (limit.aborted) return give();
    limit.addEventListener('abort', give, { once: true });
    connection.once('close', () => fail(undefined));
    connection.on('error', fail);
    connection.once('secureConnect', () => {
      limit.removeEventListener('abort', give);
      resolve(connection);
    });
  });
}

/** The server's certificate, and those behind it, as they were presented. */
function presentedBy(connection: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (
    let next = connection.getPeerX509Certificate();
    next !== undefined && chain.length < 8;
    next = next.issuerCertificate
  )
    chain.push(next);
  return chain;
}

/**
 * The pinned authority's certificate, which is among those presented and has issued the first of them for this host.
 * @throws ConcordatError `network/intercepted` naming who issued what was presented, or `network/clock`
 */
function checkPresented(
  chain: readonly X509Certificate[],
  pinned: Uint8Array,
  host: string,
  place: string,
  now: Date,
): X509Certificate {
  const [leaf] = chain;
  const authority = chain.find(({ raw }) => sameBytes(createHash('sha256').update(raw).digest(), pinned));
  const named =
    leaf !== undefined && (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
  if (leaf === undefined || authority === undefined || !isIssuedBy(leaf, authority) || !named) {
    const seen = leaf?.issuer.replaceAll(/\s*\n\s*/g, ', ') ?? 'nobody';
    throw new ConcordatError(
      'network/intercepted',
      authority === undefined
        ? `the certificate presented is not the coordinator's: it was issued by ${seen}`
        : `the certificate presented is not one of the coordinator's authority for ${host}: it was issued by ${seen}`,
      {
        place,
        remedy:
          'if your institution inspects TLS, ask for the host to be exempted; otherwise compare the fingerprint with the consortium',
      },
    );
  }
  if (now < leaf.validFromDate || now > leaf.validToDate) {
    throw new ConcordatError(
      'network/clock',
      `by this machine's clock (${now.toISOString()}) the coordinator's certificate is ${now < leaf.validFromDate ? 'not valid yet' : 'expired'}`,
      { place, remedy: "set this machine's clock, by NTP for instance; or the consortium's has to renew" },
    );
  }
  return authority;
}

function isIssuedBy(leaf: X509Certificate, authority: X509Certificate): boolean {
  return authority.ca && leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}

/** The certificate in PEM, where it is the authority's, for this key and this study. */
function checkIssued(
  { chain }: EnrolResponse,
  { tlsKey, study }: Enrolment,
  authority: X509Certificate,
): string {
  let certificate: X509Certificate | null;
  try {
    certificate = chain[0] === undefined ? null : new X509Certificate(chain[0]);
  } catch {
    certificate = null;
  }
  if (
    certificate === null ||
    !isIssuedBy(certificate, authority) ||
    !hasKey(certificate, tlsKey) ||
    certificateStudy(certificate) !== study
  ) {
    throw new ConcordatError(
      'wire/malformed',
      'the coordinator sent a certificate that is not for these keys',
      {
        remedy: 'run the same version on both sides',
      },
    );
  }
  return certificate.toString();
}

/** One unary call of gRPC over HTTP/2. */
function call(
  connection: TLSSocket,
  message: Uint8Array,
  place: string,
  limit: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const session: ClientHttp2Session = connectHttp2(`https://${place}`, {
      createConnection: () => connection,
    });
    const fail = (cause: unknown): void => reject(unreachable(place, cause));
    session.on('error', fail);
    const stream = session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: ENROL_PATH,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc+proto',
        [constants.HTTP2_HEADER_TE]: 'trailers',
      },
      { signal: limit },
    );
    const chunks: Buffer[] = [];
    let size = 0;
    let trailers: Readonly<Record<string, unknown>> = {};
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers['grpc-status'] !== undefined) trailers = headers;
    };
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > ENROL_FRAME_LIMIT) stream.destroy();
      else chunks.push(chunk);
    });
    stream.on('error', fail);
    stream.on('close', () => {
      const { 'grpc-status': status, 'grpc-message': details } = trailers;
      const bytes = Buffer.concat(chunks);
      session.close();
      if (status === '0' && bytes.length >= 5 && bytes[0] === 0 && bytes.readUInt32BE(1) === bytes.length - 5)
        return resolve(new Uint8Array(bytes.subarray(5)));
      reject(refused(String(status), typeof details === 'string' ? details : '', place));
    });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  });
}

/** The other side's words are never repeated: only a code of the closed list is read. */
function refused(status: string, details: string, place: string): ConcordatError {
  const code = admissionCode(details);
  if (code !== null) return admissionError(code, place);
  if (status === '8') {
    return new ConcordatError(
      'network/unreachable',
      'the coordinator takes no more attempts from here for now',
      {
        place,
        remedy: 'wait a minute, and try again with the right invitation',
      },
    );
  }
  if (status === '12') {
    return new ConcordatError('wire/identity', 'this coordinator issues no certificates', {
      place,
      remedy: "get one from the consortium's PKI",
    });
  }
  return unreachable(place, undefined);
}

function unreachable(place: string, cause: unknown): ConcordatError {
  if (cause instanceof ConcordatError) return cause;
  return new ConcordatError('network/unreachable', 'the connection to the coordinator broke off', {
    place,
    remedy: 'check firewall and port, and that the coordinator is running; then try again',
    cause,
  });
}
