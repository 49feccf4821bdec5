/**
 * The agent's one call, over mutual TLS to the pinned coordinator. It sends only what the gate released.
 * Every failure is reduced to a code: a status message of the other side is never repeated.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls';

import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import {
  ExchangeRequest,
  ExchangeResponse,
  type SignedMessage,
  type Witness,
} from '@concordat/proto/concordat/v1/exchange.ts';
import { ConcordatError, ERROR_CODES, type ErrorCode } from '@concordat/shared/errors.ts';
import { parseAddress } from '@concordat/shared/plan/address.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import {
  EXCHANGE_PATH,
  FRAME_LIMIT,
  HOLD_MILLISECONDS,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
  versionMismatch,
  type VersionRange,
} from '@concordat/shared/wire/protocol.ts';

import type { Dial } from './dial.ts';
import { Released } from './gate.ts';
import { inspect, judge, readDate } from './inspect.ts';
import { Tunnel } from './tunnel.ts';

export interface ConnectionOptions {
  /** host:port */
  readonly address: string;
  /** PEM texts. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly dial: Dial;
}

/** Milliseconds. */
export interface Timing {
  /** Time for a call: the coordinator's hold, and a grace past it. */
  readonly call: number;
  /** For a connection, for the far side's first word on it, and for a look at a certificate that is not trusted. */
  readonly patience: number;
  /** A connection that was still for so long is asked for a sign of life, and given so long for it. */
  readonly ping: number;
  readonly pong: number;
}

/** Firewalls and proxies cut what is still for 60 s, some for 30 s. */
const TIMING: Timing = {
  call: HOLD_MILLISECONDS + 15_000,
  patience: 15_000,
  ping: 10_000,
  pong: 10_000,
};

type CodeOf<Room extends string> = Extract<ErrorCode, `${Room}/${string}`>;
export type ExchangeFailure =
  | CodeOf<'network'>
  | CodeOf<'enrolment'>
  | 'wire/identity'
  | 'log/rollback'
  | 'log/split-view'
  | 'not-admitted'
  | 'rejected'
  | 'timed-out';

/** `detail`: place, cause and remedy in words, for this site's own log. */
interface Failed {
  readonly status: 'failed';
  readonly failure: ExchangeFailure;
  readonly detail?: string;
}

/** `interrupted`: given up by `interrupt` or `close`; what was sent may have arrived, and is to be sent again. */
interface Interrupted {
  readonly status: 'interrupted';
}

export type ExchangeAnswer =
  | { readonly status: 'ok'; readonly tasks: readonly SignedMessage[]; readonly witness?: Witness }
  | Failed
  | Interrupted;

/** What the coordinator tells a certificate that it admits: its protocol versions and its clock. */
export type Greeting =
  | { readonly status: 'ok'; readonly versions: VersionRange; readonly date: Date | null }
  | Failed
  | Interrupted;

type Answered = { readonly status: 'ok'; readonly bytes: Uint8Array; readonly date: Date | null };
type Unanswered = { readonly status: 'error'; readonly error: ServiceError | null };

export class ExchangeClient {
  readonly #options: ConnectionOptions;
  readonly #timing: Timing;
  readonly #host: string;
  readonly #port: number;
  #context: SecureContext;
  #tunnel: Promise<Tunnel> | null = null;
  #client: { readonly grpc: Client; readonly context: SecureContext } | null = null;
  /** The call in flight; the coordinator may hold it for long. */
  #attempt: AbortController | null = null;
  /** The number of the connection whose certificate was last found to be the coordinator's. */
  #verified = 0;
  #closed = false;

  /** Throws config/invalid where the certificates and the key cannot be used together. */
  constructor(options: ConnectionOptions, timing: Timing = TIMING) {
    this.#options = options;
    this.#timing = timing;
    const { host, port } = parseAddress(options.address);
    this.#host = host;
    this.#port = port;
    this.#context = contextOf(options);
  }

  /**
   * Sends as many replies as one frame holds: what is left over is asked for again, and given then. `waiting`: digests of tasks
   * that wait here for the custodian. Rejects only with what no retry mends: wire/version, and config/invalid of a temporary
   * folder that cannot be used.
   */
  exchange(
    replies: readonly Released[],
    waiting: readonly Uint8Array[] = [],
    witness?: Witness,
  ): Promise<ExchangeAnswer> {
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
        waiting: [...waiting],
        witness,
      },
      'an exchange',
    );
    return this.#ask(request, (bytes) => answerOf(bytes));
  }

  /** Asks for nothing: names no protocol version, so that the coordinator only tells its own, and gives out no task. */
  greet(): Promise<Greeting> {
    const nothing = { protocolOldest: 0, protocolNewest: 0, replies: [], waiting: [], witness: undefined };
    const request = encode(ExchangeRequest, nothing, 'a greeting');
    return this.#ask(request, (bytes, date) => {
      const { protocolOldest, protocolNewest } = decode(ExchangeResponse, bytes, "the coordinator's answer");
      return { status: 'ok', versions: { oldest: protocolOldest, newest: protocolNewest }, date };
    });
  }

  /** Another certificate and key for this site: from the next exchange on; one in flight ends on the old ones. Throws config/invalid as the constructor does. */
  use(own: Pick<ConnectionOptions, 'certificate' | 'key'>): void {
    this.#context = contextOf({ ca: this.#options.ca, ...own });
  }

  /** Gives up the exchange in flight, which resolves with status `interrupted`; nothing where there is none. */
  interrupt(): void {
    this.#attempt?.abort();
  }

  /** As `interrupt`, and for good. */
  close(): void {
    this.#closed = true;
    this.interrupt();
    this.#hangUp();
    this.#tunnel?.then(
      (tunnel) => tunnel.close(),
      () => undefined,
    );
  }

  async #ask<T>(
    request: Uint8Array,
    read: (bytes: Uint8Array, date: Date | null) => T,
  ): Promise<T | Failed | Interrupted> {
    if (this.#closed) return { status: 'interrupted' };
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      this.#tunnel ??= Tunnel.open({
        host: this.#host,
        port: this.#port,
        dial: this.#options.dial,
        patience: this.#timing.patience,
      });
      const tunnel = await this.#tunnel;
      if (attempt.signal.aborted) return { status: 'interrupted' };
      if (this.#client?.context !== this.#context) this.#hangUp();
      this.#client ??= { grpc: this.#connect(tunnel), context: this.#context };
      const answer = await unary(this.#client.grpc, request, this.#timing.call, attempt.signal);
      if (answer.status === 'interrupted') return answer;
      if (answer.status === 'ok') return this.#read(answer, read);
      const failed = await this.#explain(answer.error, tunnel, attempt.signal);
      // The next call dials afresh, whatever state this connection is in: gRPC would wait in its own time.
      this.#hangUp();
      tunnel.drop();
      return attempt.signal.aborted ? { status: 'interrupted' } : failed;
    } finally {
      if (this.#attempt === attempt) this.#attempt = null;
    }
  }

  #hangUp(): void {
    this.#client?.grpc.close();
    this.#client = null;
  }

  #read<T>({ bytes, date }: Answered, read: (bytes: Uint8Array, date: Date | null) => T): T | Failed {
    try {
      return read(bytes, date);
    } catch (cause) {
      if (!(cause instanceof ConcordatError) || cause.code === 'wire/version') throw cause;
      return { status: 'failed', failure: 'rejected', detail: `the answer is not understood: ${cause.code}` };
    }
  }

  #connect(tunnel: Tunnel): Client {
    const host = this.#host;
    const verified = (): void => {
      this.#verified = tunnel.connections;
    };
    const trust = credentials.createFromSecureContext(this.#context, {
      // gRPC's own name for a unix socket is localhost.
      checkServerIdentity: (_, certificate) => {
        const fault = checkServerIdentity(host, certificate);
        if (fault === undefined) verified();
        return fault;
      },
    });
    return new Client(`unix:${tunnel.path}`, trust, {
      'grpc.max_receive_message_length': FRAME_LIMIT,
      'grpc.max_send_message_length': FRAME_LIMIT,
      'grpc.default_authority': this.#options.address,
      // An address is no server name (RFC 6066).
      ...(isIP(host) === 0 ? { 'grpc.ssl_target_name_override': host } : {}),
      // The tunnel knows of the proxy; gRPC must not look for one of its own.
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
      // An exchange is repeated by the agent alone.
      'grpc.enable_retries': 0,
      'grpc.keepalive_time_ms': this.#timing.ping,
      'grpc.keepalive_timeout_ms': this.#timing.pong,
      // While records are read and fits computed, the way stays open.
      'grpc.keepalive_permit_without_calls': 1,
    });
  }

  async #explain(error: ServiceError | null, tunnel: Tunnel, signal: AbortSignal): Promise<Failed> {
    const told = toldCode(error);
    if (told !== null) return { status: 'failed', failure: told };
    switch (error?.code) {
      case status.UNAUTHENTICATED:
      case status.PERMISSION_DENIED:
        return { status: 'failed', failure: 'not-admitted' };
      case status.INVALID_ARGUMENT:
      case status.RESOURCE_EXHAUSTED:
      case status.UNIMPLEMENTED:
        return { status: 'failed', failure: 'rejected' };
      case status.DEADLINE_EXCEEDED:
        return { status: 'failed', failure: 'timed-out' };
      default:
    }
    if (tunnel.fault !== null) return failedBy(tunnel.fault);
    // A connection was made, and its certificate not trusted: whose is it?
    if (this.#verified !== tunnel.connections) {
      const fault = await this.#look(signal);
      if (fault !== null) return failedBy(fault);
    }
    return { status: 'failed', failure: 'network/unreachable' };
  }

  async #look(given: AbortSignal): Promise<ConcordatError | null> {
    const signal = AbortSignal.any([given, AbortSignal.timeout(this.#timing.patience)]);
    const { ca, dial } = this.#options;
    try {
      const seen = await inspect({ host: this.#host, port: this.#port, ca, dial }, signal);
      return judge(seen, this.#host, new Date());
    } catch (error) {
      if (error instanceof ConcordatError) return error;
      throw error;
    }
  }
}

/** One unary call; resolves at once where `signal` gives it up. */
function unary(
  client: Client,
  request: Uint8Array,
  milliseconds: number,
  signal: AbortSignal,
): Promise<Answered | Unanswered | Interrupted> {
  return new Promise((resolve) => {
    let date: Date | null = null;
    const call = client.makeUnaryRequest(
      EXCHANGE_PATH,
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes) => new Uint8Array(bytes),
      request,
      new Metadata(),
      { deadline: Date.now() + milliseconds },
      (error, bytes) => {
        signal.removeEventListener('abort', giveUp);
        resolve(
          error === null && bytes !== undefined ? { status: 'ok', bytes, date } : { status: 'error', error },
        );
      },
    );
    const giveUp = (): void => {
      resolve({ status: 'interrupted' });
      call.cancel();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    call.on('metadata', (metadata: Metadata) => {
      date = readDate(metadata.get('date')[0]);
    });
  });
}

function contextOf({
  ca,
  key,
  certificate,
}: Pick<ConnectionOptions, 'ca' | 'key' | 'certificate'>): SecureContext {
  try {
    return createSecureContext({ ca, key, cert: certificate, minVersion: 'TLSv1.3' });
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
    return i === 0 || size < FRAME_LIMIT - 32 * 1024;
  });
}

function answerOf(bytes: Uint8Array): ExchangeAnswer {
  const response = decode(ExchangeResponse, bytes, "the coordinator's answer");
  if (response.protocol < PROTOCOL_OLDEST || response.protocol > PROTOCOL_NEWEST) {
    throw versionMismatch(
      { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST },
      { oldest: response.protocolOldest, newest: response.protocolNewest },
      'the coordinator',
    );
  }
  const { tasks, witness } = response;
  return { status: 'ok', tasks, ...(witness === undefined ? {} : { witness }) };
}

/** The coordinator's own reason, where its status holds a code of the closed list; anything else in it is dropped. */
function toldCode(error: ServiceError | null): ExchangeFailure | null {
  return ERROR_CODES.filter(isTold).find((code) => code === error?.details) ?? null;
}

function isTold(code: ErrorCode): code is CodeOf<'enrolment'> | 'network/clock' | 'wire/identity' {
  return code.startsWith('enrolment/') || code === 'network/clock' || code === 'wire/identity';
}

function isFailure(code: ErrorCode): code is CodeOf<'network'> | CodeOf<'enrolment'> | 'wire/identity' {
  return code.startsWith('network/') || code.startsWith('enrolment/') || code === 'wire/identity';
}

function failedBy({ code, place, message, remedy }: ConcordatError): Failed {
  const detail = [place, message].filter((part) => part !== undefined).join(': ');
  return {
    status: 'failed',
    failure: isFailure(code) ? code : 'network/unreachable',
    detail: remedy === undefined ? detail : `${detail}; remedy: ${remedy}`,
  };
}
