/**
 * The coordinator's TLS side. It takes connections with any client certificate, or none, and hands each on with what its
 * certificate says: who may do what is decided call by call. Strangers are few at a time, and not for long.
 */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, createServer, type Server, type TLSSocket } from 'node:tls';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';

import { readPresented, type Authorities, type Presented } from '../sites/admission.ts';

/** PEM texts. */
export interface ServerTls {
  /** The authorities of the sites' certificates; null where there is none of that kind. */
  readonly ca: { readonly [kind in keyof Authorities]: string | null };
  /** The server's own, with those behind it. */
  readonly certificate: string;
  readonly key: string;
}

export interface FrontOptions {
  /** host:port; port 0 lets the system choose. */
  readonly listen: string;
  readonly tls: ServerTls;
  readonly isMember: (presented: Presented) => boolean;
  readonly member: (connection: TLSSocket) => void;
  readonly stranger: (connection: TLSSocket) => void;
}

export interface Front {
  readonly port: number;
  /** What the connection from that address and port presented; null for nothing. */
  presented(peer: string): Presented | null;
  /** For the connections to come. */
  replace(tls: ServerTls): void;
  close(): void;
}

/** Milliseconds. */
const HANDSHAKE_LIMIT = 10_000;
const STRANGER_LIMIT = 60_000;
/** Connections of strangers at once: in all, and from one address. */
const STRANGERS = 64;
const STRANGERS_OF_ADDRESS = 16;

export async function startFront(options: FrontOptions): Promise<Front> {
  let authorities = authoritiesOf(options.tls);
  const server = createServer({
    ...contextOf(options.tls),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_LIMIT,
  });
  const peers = new Map<string, Presented | null>();
  const sockets = new Set<TLSSocket>();
  const strangers = new Map<TLSSocket, string>();
  const isCrowded = (address: string): boolean =>
    strangers.size >= STRANGERS ||
    [...strangers.values()].filter((other) => other === address).length >= STRANGERS_OF_ADDRESS;
  server.on('secureConnection', (socket) => {
    const address = socket.remoteAddress ?? '';
    const peer = `${address}:${socket.remotePort}`;
    socket.on('error', () => undefined);
    // Two connections of one peer could not be told apart: the server may listen on several addresses.
    if (socket.alpnProtocol !== 'h2' || peers.has(peer)) return void socket.destroy();
    let presented: Presented | null;
    let isMember: boolean;
    try {
      presented = presentedBy(socket, authorities);
      isMember = presented !== null && options.isMember(presented);
    } catch {
      // A certificate that cannot even be read, or a registry that cannot be: no one is admitted.
      return void socket.destroy();
    }
    if (!isMember && isCrowded(address)) return void socket.destroy();
    peers.set(peer, presented);
    sockets.add(socket);
    const leave = isMember ? undefined : setTimeout(() => socket.destroy(), STRANGER_LIMIT);
    if (!isMember) strangers.set(socket, address);
    socket.once('close', () => {
      clearTimeout(leave);
      strangers.delete(socket);
      peers.delete(peer);
      sockets.delete(socket);
    });
    if (isMember) options.member(socket);
    else options.stranger(socket);
  });
  const port = await listen(server, options.listen);
  return {
    port,
    presented: (peer) => peers.get(peer) ?? null,
    replace: (tls) => {
      server.setSecureContext(contextOf(tls));
      authorities = authoritiesOf(tls);
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Every certificate of a PEM text. */
export function certificatesOf(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw unusable(cause);
  }
}

function authoritiesOf({ ca }: ServerTls): Authorities {
  return { enrolled: certificatesOf(ca.enrolled ?? ''), listed: certificatesOf(ca.listed ?? '') };
}

function presentedBy(socket: TLSSocket, authorities: Authorities): Presented | null {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return null;
  const chain: [X509Certificate, ...X509Certificate[]] = [leaf];
  for (
    let next = leaf.issuerCertificate;
    next !== undefined && chain.length < 8;
    next = next.issuerCertificate
  )
    chain.push(next);
  return readPresented(chain, authorities);
}

/** As what is listened with; said here, and not when it is bound, as if the address were at fault. */
function contextOf({ ca, certificate, key }: ServerTls): {
  ca: string;
  cert: string;
  key: string;
  secureOptions: number;
} {
  // A resumed session would not bring the certificates that were presented between a site's and its authority.
  const texts = [ca.enrolled, ca.listed].filter((text) => text !== null);
  const context = { ca: texts.join('\n'), cert: certificate, key, secureOptions: constants.SSL_OP_NO_TICKET };
  try {
    createSecureContext(context);
  } catch (cause) {
    throw unusable(cause);
  }
  if (texts.some((text) => certificatesOf(text).length === 0)) throw unusable();
  return context;
}

function unusable(cause?: unknown): ConcordatError {
  return new ConcordatError('config/invalid', 'the TLS key and certificates cannot be used', {
    place: 'tls',
    remedy: "check that each of the files is PEM, and that the key is the certificate's own",
    cause,
  });
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(address, error)));
    server.listen(parseAddress(address), () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
}
