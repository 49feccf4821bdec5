/**
 * The coordinator's gRPC side: mutual TLS, one method. A site is who its pinned client certificate says;
 * every failure leaves as a status code without words.
 */
import { createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { Server, ServerCredentials, status, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import {
  ExchangeRequest,
  ExchangeResponse,
  type SignedMessage,
} from '@concordat/proto/concordat/v1/exchange.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import { cannotListen } from '@concordat/shared/plan/address.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import {
  EXCHANGE_PATH,
  FRAME_LIMIT,
  HOLD_MILLISECONDS,
  negotiate,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
} from '@concordat/shared/wire/protocol.ts';

import type { Desk } from './desk.ts';

export interface ExchangeServerOptions {
  /** host:port; port 0 lets the system choose. */
  readonly listen: string;
  /** PEM texts. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of a site's client certificate (hex) → its study. */
  readonly studies: ReadonlyMap<string, string>;
  readonly desk: Desk;
  /** Takes one reply of a site. One that is not durable yet when this resolves is asked for again after a crash. */
  readonly accept: (study: string, reply: SignedMessage) => Promise<void>;
  readonly seen: (study: string) => void;
  /** Tasks (digests, hex) that the site says wait there for its custodian. */
  readonly waiting: (study: string, tasks: ReadonlySet<string>) => void;
  readonly refused: (study: string | null, code: ErrorCode) => void;
}

export interface RunningServer {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startExchangeServer(options: ExchangeServerOptions): Promise<RunningServer> {
  const server = new Server({
    'grpc.max_receive_message_length': FRAME_LIMIT,
    'grpc.max_send_message_length': FRAME_LIMIT,
    'grpc.keepalive_time_ms': 30_000,
  });
  const service = {
    exchange: {
      path: EXCHANGE_PATH,
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      requestDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
      responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      responseDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
    },
  };
  server.addService(service, {
    exchange: (call: ServerUnaryCall<Uint8Array, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
      void handle(options, call).then(
        (bytes) => callback(null, bytes),
        (error: unknown) => callback({ code: statusOf(error), details: '' }),
      );
    },
  });
  const credentials = credentialsOf(options);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.listen, credentials, (error, bound) => {
      if (error === null) return resolve(bound);
      reject(cannotListen(options.listen, error));
    });
  });
  return {
    port,
    stop: async () => {
      options.desk.close();
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), 1_000);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      });
    },
  };
}

function credentialsOf({ ca, key, certificate }: ExchangeServerOptions): ServerCredentials {
  try {
    // The server itself would say so only when it binds, as if the address were at fault.
    createSecureContext({ ca, key, cert: certificate });
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the TLS key and certificates cannot be used', {
      place: 'tls',
      remedy: "check that each of the three files is PEM, and that the key is the certificate's own",
      cause,
    });
  }
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  return ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
}

async function handle(
  options: ExchangeServerOptions,
  call: ServerUnaryCall<Uint8Array, Uint8Array>,
): Promise<Uint8Array> {
  const study = studyOf(options, call);
  if (study === null) {
    options.refused(null, 'wire/identity');
    throw new ConcordatError('wire/identity', 'the client certificate is not one of an enrolled site');
  }
  const own = { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST };
  let request: ExchangeRequest;
  try {
    request = decode(ExchangeRequest, call.request, 'an exchange');
  } catch (error) {
    options.refused(study, error instanceof ConcordatError ? error.code : 'wire/malformed');
    throw error;
  }
  const protocol = negotiate(own, { oldest: request.protocolOldest, newest: request.protocolNewest });
  const ranges = { protocolOldest: own.oldest, protocolNewest: own.newest };
  if (protocol === 0) {
    options.refused(study, 'wire/version');
    return encode(ExchangeResponse, { protocol, ...ranges, tasks: [] }, 'an answer');
  }
  options.seen(study);
  for (const reply of request.replies) await options.accept(study, reply);
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const waiting = new Set(request.waiting.map(toHex));
  options.waiting(study, waiting);
  const tasks = await options.desk.collect(study, HOLD_MILLISECONDS, gone.signal, waiting);
  return encode(ExchangeResponse, { protocol, ...ranges, tasks: withinFrame(tasks) }, 'an answer');
}

/** As many tasks as one frame holds; the rest comes with the next call. */
function withinFrame(tasks: readonly SignedMessage[]): SignedMessage[] {
  let size = 0;
  return tasks.filter((task, i) => {
    size += task.body.length + 256;
    return i === 0 || size < FRAME_LIMIT / 2;
  });
}

function studyOf(
  options: ExchangeServerOptions,
  call: ServerUnaryCall<Uint8Array, Uint8Array>,
): string | null {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  if (raw === undefined) return null;
  return options.studies.get(createHash('sha256').update(raw).digest('hex')) ?? null;
}

function statusOf(error: unknown): status {
  const code = error instanceof ConcordatError ? error.code : null;
  if (code === 'wire/identity') return status.PERMISSION_DENIED;
  if (code?.startsWith('wire/') === true) return status.INVALID_ARGUMENT;
  return status.INTERNAL;
}
