/** A hospital's network in miniature, for tests: authorities, CONNECT proxies of every temper, a line that can be cut, a coordinator. */
import 'reflect-metadata';

import { randomBytes, webcrypto } from 'node:crypto';
import { createServer as createHttp, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, createServer, isIP, type LookupFunction, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';

import { Server as GrpcServer, ServerCredentials, status, type sendUnaryData } from '@grpc/grpc-js';
import {
  BasicConstraintsExtension,
  Name,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { ExchangeRequest, ExchangeResponse } from '@concordat/proto/concordat/v1/exchange.ts';
import { EXCHANGE_PATH, negotiate } from '@concordat/shared/wire/protocol.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const provider = webcrypto as unknown as Parameters<typeof X509CertificateGenerator.create>[1];
const DAY = 86_400_000;

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export interface IssueOptions {
  readonly from?: Date;
  readonly until?: Date;
  /** Common name; the first host where it is not given. */
  readonly name?: string;
}

export interface TestAuthority {
  readonly ca: string;
  /** For these host names and addresses; none: a client's. */
  issue(hosts: readonly string[], options?: IssueOptions): Promise<Pair>;
}

export async function testAuthority(name: string): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const validity = {
    notBefore: new Date(Date.now() - 1000 * DAY),
    notAfter: new Date(Date.now() + 1000 * DAY),
  };
  const root = await X509CertificateGenerator.createSelfSigned(
    {
      name: new Name([{ CN: [{ utf8String: name }] }]),
      keys,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    },
    provider,
  );
  return {
    ca: root.toString('pem'),
    issue: async (
      hosts,
      {
        from = new Date(Date.now() - DAY),
        until = new Date(Date.now() + 30 * DAY),
        name: subject = hosts[0] ?? 'A',
      } = {},
    ) => {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const names = hosts.map((value) => ({
        type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
        value,
      }));
      const certificate = await X509CertificateGenerator.create(
        {
          subject: `CN=${subject}`,
          serialNumber: randomBytes(8).toString('hex'),
          issuer: root.subject,
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: ALGORITHM,
          notBefore: from,
          notAfter: until,
          extensions: names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)],
        },
        provider,
      );
      const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey));
      const key = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`;
      return { certificate: certificate.toString('pem'), key };
    },
  };
}

interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

async function listen(server: Server | HttpServer, sockets: Set<Duplex>): Promise<Listening> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

export interface ProxyOptions {
  /** An `https:` proxy. */
  readonly tls?: Pair;
  /** `user:password` that basic sign-in wants. */
  readonly credentials?: string;
  /** Refuses everything so. */
  readonly refuse?: { readonly status: number; readonly headers?: readonly string[] };
  /** Answers with this text and closes. */
  readonly garbage?: string;
  /** Takes the request and says nothing. */
  readonly stalls?: boolean;
  /** Ends connections that were still for so many milliseconds. */
  readonly idle?: number;
  /** Terminates TLS itself, with this certificate. */
  readonly intercepts?: Pair;
  /** The resolver: where the host really is. */
  readonly resolve?: (host: string, port: number) => { readonly host: string; readonly port: number };
}

export interface TestProxy extends Listening {
  /** What was asked for, as `host:port`. */
  readonly asked: readonly string[];
  readonly open: () => number;
}

export async function testProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const server =
    options.tls === undefined
      ? createHttp()
      : createHttps({ cert: options.tls.certificate, key: options.tls.key });
  server.on('connect', (request: IncomingMessage, client: Duplex) => {
    asked.push(request.url ?? '');
    client.on('error', () => undefined);
    const { refuse, garbage, credentials, intercepts } = options;
    if (options.stalls === true) return;
    if (garbage !== undefined) return void client.end(garbage);
    if (refuse !== undefined) {
      return void client.end(
        [`HTTP/1.1 ${refuse.status} No`, ...(refuse.headers ?? []), 'Content-Length: 0', '', ''].join('\r\n'),
      );
    }
    const wanted = `Basic ${Buffer.from(credentials ?? '').toString('base64')}`;
    if (credentials !== undefined && request.headers['proxy-authorization'] !== wanted) {
      return void client.end(
        'HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
      );
    }
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (intercepts !== undefined) {
      const secureContext = createSecureContext({ cert: intercepts.certificate, key: intercepts.key });
      const tls = new TLSSocket(client, { isServer: true, secureContext, ALPNProtocols: ['h2'] });
      tls.on('error', () => undefined);
      return;
    }
    const { hostname, port } = new URL(`http://${request.url ?? ''}`);
    const { resolve = (host, at) => ({ host, port: at }) } = options;
    const upstream = connect(resolve(hostname.replace(/^\[|\]$/g, ''), Number(port)));
    join(client, upstream);
    sockets.add(upstream);
    if (options.idle !== undefined) {
      const cut = (): void => void client.destroy();
      upstream.setTimeout(options.idle, cut);
    }
  });
  const listening = await listen(server, sockets);
  return { ...listening, asked, open: () => sockets.size };
}

function join(a: Duplex, b: Duplex): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => undefined);
    one.once('close', () => other.destroy());
    one.pipe(other);
  }
}

export interface Relay extends Listening {
  /** Connections so far. */
  readonly connections: () => number;
  /** Ends every connection. */
  cut(): void;
  /** Connections stay, and nothing passes any more; new ones too, until `mend`. */
  freeze(): void;
  mend(): void;
  /** Ends each connection, once, after so many bytes to the server. */
  cutAfter(bytes: number): void;
}

/** A line to `target`, which may be another one at each connection. */
export async function relay(target: () => number): Promise<Relay> {
  const sockets = new Set<Duplex>();
  let frozen = false;
  let count = 0;
  let budget = Infinity;
  const server = createServer((client) => {
    count++;
    const upstream = connect(target(), '127.0.0.1');
    sockets.add(upstream);
    upstream.on('error', () => undefined);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => client.destroy());
    client.on('data', (data) => {
      if (frozen) return;
      if (data.length > budget) {
        upstream.write(data.subarray(0, budget));
        budget = Infinity;
        return void upstream.end(() => client.destroy());
      }
      budget -= data.length;
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!frozen) client.write(data);
    });
  });
  return {
    ...(await listen(server, sockets)),
    connections: () => count,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    freeze: () => (frozen = true),
    mend: () => (frozen = false),
    cutAfter: (bytes) => (budget = bytes),
  };
}

/** A resolver that knows these names alone. */
export function lookupOf(names: ReadonlyMap<string, readonly string[]>): LookupFunction {
  return (host, { all }, callback) => {
    const found = names.get(host) ?? [];
    const [first] = found;
    if (first === undefined) {
      const error = Object.assign(new Error('no such name'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' });
      return callback(error, '');
    }
    if (all === true)
      callback(
        null,
        found.map((address) => ({ address, family: isIP(address) })),
      );
    else callback(null, first, isIP(first));
  };
}

export interface TestCoordinator {
  readonly port: number;
  /** What came, in its order. */
  readonly requests: readonly ExchangeRequest[];
  /** Answers every held call. */
  answer(): void;
  stop(): Promise<void>;
}

export interface CoordinatorOptions {
  /** Holds each call until `answer`. */
  readonly hold?: boolean;
  /** Takes connections without a client certificate. */
  readonly open?: boolean;
  readonly refuse?: { readonly code: keyof typeof status; readonly details: string };
  readonly port?: number;
}

/** Answers an exchange at once with no task, or holds it; or refuses with these details. */
export async function testCoordinator(
  ca: string,
  pair: Pair,
  { hold = false, open = false, refuse, port = 0 }: CoordinatorOptions = {},
): Promise<TestCoordinator> {
  const server = new GrpcServer();
  const requests: ExchangeRequest[] = [];
  const held = new Set<() => void>();
  const serialise = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const own = { oldest: 1, newest: 1 };
  server.addService(
    {
      exchange: {
        path: EXCHANGE_PATH,
        requestStream: false,
        responseStream: false,
        requestSerialize: serialise,
        requestDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
        responseSerialize: serialise,
        responseDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
      },
    },
    {
      exchange: (call: { readonly request: Uint8Array }, callback: sendUnaryData<Uint8Array>) => {
        const request = ExchangeRequest.decode(call.request);
        requests.push(request);
        if (refuse !== undefined) return callback({ ...refuse, code: status[refuse.code] });
        const protocol = negotiate(own, { oldest: request.protocolOldest, newest: request.protocolNewest });
        const answer = (): void =>
          callback(
            null,
            ExchangeResponse.encode({
              protocol,
              protocolOldest: 1,
              protocolNewest: 1,
              tasks: [],
              witness: undefined,
            }).finish(),
          );
        if (hold && protocol !== 0) held.add(answer);
        else answer();
      },
    },
  );
  const credentials = ServerCredentials.createSsl(
    Buffer.from(ca),
    [{ private_key: Buffer.from(pair.key), cert_chain: Buffer.from(pair.certificate) }],
    !open,
  );
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, at) =>
      error === null ? resolve(at) : reject(error),
    );
  });
  return {
    port: bound,
    requests,
    answer: () => {
      for (const go of held) go();
      held.clear();
    },
    stop: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}
