/**
 * The agent's one call, over mutual TLS to the pinned coordinator. It sends only what the gate released.
 * Every failure is reduced to a code: a status message of the other side is never repeated.
 */
import {
  Client,
  credentials,
  Metadata,
  status,
  type ChannelCredentials,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  ExchangeRequest,
  ExchangeResponse,
  type SignedMessage,
} from '@concordat/proto/concordat/v1/exchange.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { admissionCode, type AdmissionCode } from '@concordat/shared/wire/enrolment.ts';
import {
  EXCHANGE_PATH,
  FRAME_LIMIT,
  HOLD_MILLISECONDS,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
  versionMismatch,
} from '@concordat/shared/wire/protocol.ts';

import { Released } from './gate.ts';

export interface ConnectionOptions {
  /** host:port */
  readonly address: string;
  /** PEM texts. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export type ExchangeFailure = 'unreachable' | 'not-admitted' | 'rejected' | 'timed-out';

export type ExchangeAnswer =
  | { readonly status: 'ok'; readonly tasks: readonly SignedMessage[] }
  | {
      readonly status: 'failed';
      readonly failure: ExchangeFailure;
      /** Why the coordinator did not admit the call, where it said so. */
      readonly code?: AdmissionCode;
    };

/** Time past the coordinator's hold after which a call is given up, milliseconds. */
const GRACE = 15_000;

export class ExchangeClient {
  readonly #options: ConnectionOptions;
  #client: Client;
  /** Takes the client's place at the next call. */
  #next: Client | null = null;
  /** The call in flight; the coordinator may hold it for long. */
  #call: ClientUnaryCall | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#client = clientOf(options);
  }

  /** Another certificate and key, from the next call on; the call in flight keeps its connection. */
  use(pair: Pick<ConnectionOptions, 'certificate' | 'key'>): void {
    const next = clientOf({ ...this.#options, ...pair });
    this.#next?.close();
    this.#next = next;
  }

  /** Sends as many replies as one frame holds: what is left over is asked for again, and given then. */
  exchange(replies: readonly Released[]): Promise<ExchangeAnswer> {
    for (const reply of replies) {
      if (!Released.check(reply)) {
        throw new ConcordatError('wire/not-releasable', 'only what the gate released can be sent');
      }
    }
    const request = encode(
      ExchangeRequest,
      {
        protocolOldest: PROTOCOL_OLDEST,
        protocolNewest: PROTOCOL_NEWEST,
        replies: withinFrame(replies.map((reply) => reply.message)),
        waiting: [],
      },
      'an exchange',
    );
    if (this.#next !== null) {
      this.#client.close();
      this.#client = this.#next;
      this.#next = null;
    }
    return new Promise((resolve, reject) => {
      this.#call = this.#client.makeUnaryRequest(
        EXCHANGE_PATH,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => new Uint8Array(bytes),
        request,
        new Metadata(),
        { deadline: Date.now() + HOLD_MILLISECONDS + GRACE },
        (error, bytes) => {
          if (error !== null || bytes === undefined) return resolve(failed(error));
          try {
            resolve({ status: 'ok', tasks: tasksOf(bytes) });
          } catch (cause) {
            if (cause instanceof ConcordatError && cause.code !== 'wire/version')
              resolve({ status: 'failed', failure: 'rejected' });
            else reject(cause);
          }
        },
      );
    });
  }

  /** Gives up the call in flight. */
  close(): void {
    this.#call?.cancel();
    this.#client.close();
    this.#next?.close();
  }
}

function clientOf(options: ConnectionOptions): Client {
  return new Client(options.address, credentialsOf(options), {
    'grpc.max_receive_message_length': FRAME_LIMIT,
    'grpc.max_send_message_length': FRAME_LIMIT,
    // grpc-js would fall back to a direct connection where it does not support the proxy's scheme.
    'grpc.enable_http_proxy': 0,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.initial_reconnect_backoff_ms': 100,
  });
}

function credentialsOf({ ca, key, certificate }: ConnectionOptions): ChannelCredentials {
  try {
    return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the TLS key and certificates cannot be used', {
      place: 'tls',
      remedy: "check that each of the three files is PEM, and that the key is the certificate's own",
      cause,
    });
  }
}

function withinFrame(messages: readonly SignedMessage[]): SignedMessage[] {
  let size = 0;
  return messages.filter(({ body }, i) => {
    size += body.length + 256;
    return i === 0 || size < FRAME_LIMIT - 1024;
  });
}

function tasksOf(bytes: Uint8Array): readonly SignedMessage[] {
  const response = decode(ExchangeResponse, bytes, "the coordinator's answer");
  if (response.protocol < PROTOCOL_OLDEST || response.protocol > PROTOCOL_NEWEST) {
    throw versionMismatch(
      { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST },
      { oldest: response.protocolOldest, newest: response.protocolNewest },
      'the coordinator',
    );
  }
  return response.tasks;
}

function failed(error: ServiceError | null): ExchangeAnswer {
  const code = admissionCode(error?.details ?? '');
  const failure = failureOf(error);
  return { status: 'failed', failure, ...(failure !== 'not-admitted' || code === null ? {} : { code }) };
}

function failureOf(error: ServiceError | null): ExchangeFailure {
  switch (error?.code) {
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return 'not-admitted';
    case status.INVALID_ARGUMENT:
    case status.RESOURCE_EXHAUSTED:
    case status.UNIMPLEMENTED:
      return 'rejected';
    case status.DEADLINE_EXCEEDED:
      return 'timed-out';
    default:
      return 'unreachable';
  }
}
