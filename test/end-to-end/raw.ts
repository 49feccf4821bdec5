/** gRPC by hand over HTTP/2, so that a test can send what no client would. */
import { readFileSync } from 'node:fs';
import { connect, type ClientHttp2Session } from 'node:http2';
import { ExchangeRequest, type SignedMessage, type Witness } from '@concordat/proto/concordat/v1/exchange.ts';
import { signCheckpoint } from '@concordat/shared/log/note.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { EXCHANGE_PATH } from '@concordat/shared/wire/protocol.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';
import type { Federation } from './federation.ts';

export interface RawAnswer {
  readonly status: number;
  /** Of the status, headers and trailers: every word that came back. */
  readonly words: string;
  readonly body: Buffer;
}

/** A connection with the certificate `<certificate>.crt` and its key; null for none. */
export function open(federation: Federation, certificate: string | null): Promise<ClientHttp2Session> {
  const own =
    certificate === null
      ? {}
      : { cert: readFileSync(`${certificate}.crt`), key: readFileSync(`${certificate}.tls.key`) };
  const keys = { ca: readFileSync(federation.path('ca.crt')), ...own };
  return new Promise((resolve, reject) => {
    const session = connect(`https://127.0.0.1:${federation.port}`, keys);
    session.once('remoteSettings', () => resolve(session));
    session.once('error', reject);
  });
}

export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** What a side's first exchange carries: a checkpoint of the log of that origin, signed with its key (PEM). */
export function witnessOf(origin: string, key: string): Witness {
  const head = { origin, size: 1, root: sha256('') };
  const checkpoint = signCheckpoint(head, signingIdentity(key, origin));
  return { checkpoint, from: 0, proof: [], kept: '', standing: 'STANDING_UNSPECIFIED' };
}

export function request(
  replies: readonly SignedMessage[],
  witness: Witness | undefined,
  oldest = 1,
  newest = 1,
): Uint8Array {
  return ExchangeRequest.encode({
    protocolOldest: oldest,
    protocolNewest: newest,
    replies: [...replies],
    waiting: [],
    witness,
  }).finish();
}

/** One call; `bytes` are the body as sent, frame header included. */
export function call(
  session: ClientHttp2Session,
  bytes: Uint8Array,
  path = EXCHANGE_PATH,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const words: string[] = [];
    let status = -1;
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      words.push(...Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`));
      if (headers['grpc-status'] !== undefined) status = Number(headers['grpc-status']);
    };
    const chunks: Buffer[] = [];
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => resolve({ status, words: words.join('\n'), body: Buffer.concat(chunks) }));
    stream.end(bytes);
  });
}
