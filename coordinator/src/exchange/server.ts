/**
 * The coordinator's gRPC side: two methods. Who calls is what the connection's certificate says, checked at every call, before
 * its message is read. Every failure leaves as a status code without words, or with a code of the closed list of refusals.
 */
import {
  ResponderBuilder,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status,
  type ConnectionInjector,
  type ServerInterceptor,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { EnrolRequest, EnrolResponse } from '@concordat/proto/concordat/v1/enrolment.ts';
import {
  ExchangeRequest,
  ExchangeResponse,
  type SignedMessage,
  type Witness,
} from '@concordat/proto/concordat/v1/exchange.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import type { Standpoint } from '@concordat/shared/log/peer-log.ts';
import { divergenceCode, type DivergenceKind } from '@concordat/shared/log/witness.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import {
  admissionCode,
  admissionError,
  ENROL_FRAME_LIMIT,
  ENROL_PATH,
} from '@concordat/shared/wire/enrolment.ts';
import {
  EXCHANGE_PATH,
  FRAME_LIMIT,
  HOLD_MILLISECONDS,
  negotiate,
  PROTOCOL_NEWEST,
  PROTOCOL_OLDEST,
} from '@concordat/shared/wire/protocol.ts';

import { admit, type Admission, type Registered } from '../sites/admission.ts';
import { enrol, type EnrolmentOptions } from '../sites/enrol.ts';
import { AttemptLimit } from '../sites/limit.ts';
import type { Desk } from './desk.ts';
import { startFront, type Front, type ServerTls } from './front.ts';

export interface ExchangeServerOptions {
  /** host:port; port 0 lets the system choose. */
  readonly listen: string;
  readonly tls: ServerTls;
  readonly registered: Registered & {
    /** The site with this signing key; null where there is none. */
    ownerOf(key: Uint8Array): string | null;
  };
  /** Null where certificates are another authority's. */
  readonly enrolment: EnrolmentOptions | null;
  readonly now: () => Date;
  readonly desk: Desk;
  /** Takes one reply of a site. One that is not durable yet when this resolves is asked for again after a crash. */
  readonly accept: (study: string, reply: SignedMessage) => Promise<void>;
  /** What both sides make of each other's log. */
  readonly witness: {
    /** Throws wire/malformed, wire/length and wire/signature. */
    take(study: string, presented: Witness | undefined): Standpoint;
    offer(study: string, unproven: boolean): Witness;
    halted(study: string): DivergenceKind | null;
  };
  readonly seen: (study: string) => void;
  /** Tasks (digests, hex) that the site says wait there for its custodian. */
  readonly waiting: (study: string, tasks: ReadonlySet<string>) => void;
  readonly refused: (study: string | null, code: ErrorCode) => void;
}

export interface RunningServer {
  readonly port: number;
  /** Takes another certificate for the connections to come. */
  replace(tls: ServerTls): void;
  stop(): Promise<void>;
}

type Call = ServerUnaryCall<Uint8Array, Uint8Array>;

/** Enrolments from one address that failed or are under way, or renewals of one site: so many at once, then one in so many milliseconds. */
const ATTEMPTS = 10;
const ATTEMPT_INTERVAL = 6_000;

export async function startExchangeServer(options: ExchangeServerOptions): Promise<RunningServer> {
  const limit = new AttemptLimit(ATTEMPTS, ATTEMPT_INTERVAL);
  const admission = (peer: string): Admission =>
    admit(front.presented(peer), options.now().getTime(), options.registered);
  const handlers = {
    exchange: handler((call) => exchange(options, () => admission(call.getPeer()), call)),
    enrol: handler(async (call) => answerEnrolment(options, limit, () => admission(call.getPeer()), call)),
  };
  /** The status of a call that is not to be read; null for one of an admitted site. */
  const turnedAway = (peer: string): ReturnType<typeof statusOf> | null => {
    try {
      const caller = admission(peer);
      if (!('refused' in caller)) return null;
      options.refused(caller.of, caller.refused);
      return statusOf(admissionError(caller.refused));
    } catch (error) {
      return statusOf(error);
    }
  };
  const onlyAdmitted: ServerInterceptor = (method, call) =>
    new ServerInterceptingCall(
      call,
      new ResponderBuilder()
        .withStart((start) =>
          start(
            new ServerListenerBuilder()
              .withOnReceiveMetadata((metadata, next) => {
                const refusal = method.path === EXCHANGE_PATH ? turnedAway(call.getPeer()) : null;
                if (refusal === null) next(metadata);
                else call.sendStatus(refusal);
              })
              .build(),
          ),
        )
        .build(),
    );
  const members = grpcServer(FRAME_LIMIT, handlers, onlyAdmitted);
  // Whoever is not admitted has nothing long to say.
  const strangers = grpcServer(ENROL_FRAME_LIMIT, handlers, onlyAdmitted);
  const front: Front = await startFront({
    listen: options.listen,
    tls: options.tls,
    isMember: (presented) => 'study' in admit(presented, options.now().getTime(), options.registered),
    member: (socket) => members.connections.injectConnection(socket),
    stranger: (socket) => strangers.connections.injectConnection(socket),
  });
  return {
    port: front.port,
    replace: (tls) => front.replace(tls),
    stop: async () => {
      options.desk.close();
      await Promise.all([shutDown(members.server), shutDown(strangers.server)]);
      front.close();
    },
  };
}

const bytesOf = (message: Uint8Array): Buffer => Buffer.from(message);
const unary = (path: string): object => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: bytesOf,
  requestDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
  responseSerialize: bytesOf,
  responseDeserialize: (bytes: Buffer) => new Uint8Array(bytes),
});

function grpcServer(
  limit: number,
  handlers: Parameters<Server['addService']>[1],
  interceptor: ServerInterceptor,
): { readonly server: Server; readonly connections: ConnectionInjector } {
  const server = new Server({
    'grpc.max_receive_message_length': limit,
    'grpc.max_send_message_length': FRAME_LIMIT,
    'grpc.keepalive_time_ms': 30_000,
    interceptors: [interceptor],
  });
  server.addService(
    { exchange: unary(EXCHANGE_PATH), enrol: unary(ENROL_PATH) } as Parameters<Server['addService']>[0],
    handlers,
  );
  // The connections are TLS already.
  return { server, connections: server.createConnectionInjector(ServerCredentials.createInsecure()) };
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, 1_000);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

function handler(answer: (call: Call) => Promise<Uint8Array>) {
  return (call: Call, callback: sendUnaryData<Uint8Array>): void => {
    answer(call).then(
      (bytes) => callback(null, bytes),
      (error: unknown) => callback(statusOf(error)),
    );
  };
}

async function exchange(
  options: ExchangeServerOptions,
  admission: () => Admission,
  call: Call,
): Promise<Uint8Array> {
  const admitted = (): string => {
    const caller = admission();
    if (!('refused' in caller)) return caller.study;
    options.refused(caller.of, caller.refused);
    throw admissionError(caller.refused);
  };
  const study = admitted();
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
    return encode(ExchangeResponse, { protocol, ...ranges, tasks: [], witness: undefined }, 'an answer');
  }
  for (const { key } of request.replies) {
    const owner = options.registered.ownerOf(key);
    if (owner === null || owner === study) continue;
    options.refused(study, 'enrolment/wrong-site');
    throw admissionError('enrolment/wrong-site');
  }
  options.seen(study);
  const standpoint = witnessed(options, study, request.witness);
  const answer = (tasks: readonly SignedMessage[]): Uint8Array => {
    const witness = options.witness.offer(study, standpoint === 'unproven');
    return encode(ExchangeResponse, { protocol, ...ranges, tasks: withinFrame(tasks), witness }, 'an answer');
  };
  if (standpoint !== 'together') return answer([]);
  for (const reply of request.replies) await options.accept(study, reply);
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const waiting = new Set(request.waiting.map(toHex));
  options.waiting(study, waiting);
  const tasks = await options.desk.collect(study, HOLD_MILLISECONDS, gone.signal, waiting);
  // While the call was held, the site may have been revoked; of one that is gone nothing is known, and nobody is told.
  if (!gone.signal.aborted) admitted();
  // Another call may have shown meanwhile that a log is not what it was.
  return answer(options.witness.halted(study) === null ? tasks : []);
}

/** What the site's checkpoint and its view of this side's come to; said where nothing of the exchange is to be used. */
function witnessed(
  { witness, refused }: ExchangeServerOptions,
  study: string,
  presented: Witness | undefined,
): Standpoint {
  try {
    const standpoint = witness.take(study, presented);
    if (standpoint === 'rollback' || standpoint === 'split-view') refused(study, divergenceCode(standpoint));
    return standpoint;
  } catch (error) {
    if (error instanceof ConcordatError) refused(study, error.code);
    throw error;
  }
}

async function answerEnrolment(
  options: ExchangeServerOptions,
  limit: AttemptLimit,
  admission: () => Admission,
  call: Call,
): Promise<Uint8Array> {
  const now = options.now();
  const caller = admission();
  const study = 'study' in caller ? caller.study : null;
  const peer = call.getPeer();
  const who = study === null ? `address ${peer.slice(0, peer.lastIndexOf(':'))}` : `site ${study}`;
  if (options.enrolment === null) throw new NotServed(status.UNIMPLEMENTED);
  if (!limit.take(who, now.getTime())) throw new NotServed(status.RESOURCE_EXHAUSTED);
  try {
    const request = decode(EnrolRequest, call.request, 'an enrolment');
    const response = await enrol(options.enrolment, request, admission, now);
    // A renewal makes a certificate, also where nothing failed.
    if (study === null) limit.giveBack(who, now.getTime());
    return encode(EnrolResponse, response, 'a certificate');
  } catch (error) {
    options.refused(study, error instanceof ConcordatError ? error.code : 'wire/malformed');
    throw error;
  }
}

/** As many tasks as one frame holds; the rest comes with the next call. */
function withinFrame(tasks: readonly SignedMessage[]): SignedMessage[] {
  let size = 0;
  return tasks.filter((task, i) => {
    size += task.body.length + 256;
    return i === 0 || size < FRAME_LIMIT / 2;
  });
}

class NotServed extends Error {
  readonly status: status;

  constructor(code: status) {
    super();
    this.status = code;
  }
}

function statusOf(error: unknown): { code: status; details: string } {
  if (error instanceof NotServed) return { code: error.status, details: '' };
  const code = error instanceof ConcordatError ? error.code : null;
  const refusal = code === null ? null : admissionCode(code);
  if (refusal !== null) return { code: status.PERMISSION_DENIED, details: refusal };
  return {
    code: code?.startsWith('wire/') === true ? status.INVALID_ARGUMENT : status.INTERNAL,
    details: '',
  };
}
