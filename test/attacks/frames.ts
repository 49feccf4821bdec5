/**
 * **Crafted frames.** A message that two readers read differently hides something from one of them: what an auditor's decoder passes over,
 * the agent may act on. *Within*: fields that the contract does not have, a field given twice (the last wins), two members of a choice,
 * numbers written longer than they need be, a list of a million entries. *Around*: frames that are cut, longer than allowed, or
 * compressed (a gigabyte in a megabyte), and answers under a protocol version that the agent does not speak.
 *
 * What is counted is the frames whose task is taken: off, by the generated decoder alone, or in a sound frame of a spoken version.
 */
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import {
  ExchangeResponse,
  type SignedMessage,
  type Witness,
} from '@concordat/proto/concordat/v1/exchange.ts';
import { COORDINATOR_ORIGIN } from '@concordat/shared/log/note.ts';
import { FRAME_LIMIT } from '@concordat/shared/wire/protocol.ts';
import { signMessage, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { entriesOf, Federation, newFolder, until, writeTrials } from '../end-to-end/federation.ts';
import { frame, witnessOf } from '../end-to-end/raw.ts';
import type { Attack, Recovered } from './attack.ts';
import { planOf, two } from './plans.ts';
import { Run, Site, Tasks } from './site.ts';

const PLAN = planOf({
  outcome: '{kind: continuous, variable: y}',
  analyses: { a: two('family: gaussian, adjust: [age]', ', pool: {term: age}') },
});
const RECORDS = {
  age: Array.from({ length: 40 }, (_, i) => 40 + ((11 * i) % 37)),
  y: Array.from({ length: 40 }, (_, i) => 100 + ((13 * i) % 41)),
};

/** Bodies of an offer that are not its one canonical encoding. */
function crafted(body: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(body);
  const header = bytes.subarray(0, 2 + bytes[1]!);
  const payload = bytes.subarray(header.length);
  return [
    // A field 200 that the contract does not have.
    Buffer.concat([bytes, Buffer.from([0xc0, 0x0c, 0x2a])]),
    // The header twice.
    Buffer.concat([header, header, payload]),
    // The offer, and then a run's close: two members of one choice.
    Buffer.concat([bytes, Buffer.from([0x6a, 0x00])]),
    // The length of the header in two bytes where one does.
    Buffer.concat([bytes.subarray(0, 1), Buffer.from([bytes[1]! | 0x80, 0x00]), bytes.subarray(2)]),
    // Fields out of order.
    Buffer.concat([payload, header]),
  ];
}

async function within(strict: boolean): Promise<Recovered> {
  const site = new Site(RECORDS);
  const run = new Run(site, PLAN);
  const bodies = crafted(run.offer().body);
  let recovered = 0;
  for (const body of bodies) {
    if (!strict) {
      const { header, payload } = CoordinatorMessage.decode(body);
      recovered += header?.study === 'A' && payload !== undefined ? 1 : 0;
      continue;
    }
    await site.ask([signMessage(site.coordinator, body)]);
  }
  if (strict) recovered = site.log.entries.filter(({ kind }) => kind === 'received').length;
  await site.stop();
  return { recovered, of: bodies.length };
}

interface Response {
  readonly body: Uint8Array;
  readonly encoding?: string;
  /** The stream is closed before the frame is whole. */
  readonly cut?: boolean;
}

const responseOf = (tasks: readonly SignedMessage[], witness: Witness, protocol = 1): Uint8Array =>
  ExchangeResponse.encode({
    protocol,
    protocolOldest: 1,
    protocolNewest: 1,
    tasks: [...tasks],
    witness,
  }).finish();

function respond(stream: ServerHttp2Stream, { body, encoding, cut = false }: Response): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      ...(encoding === undefined ? {} : { 'grpc-encoding': encoding }),
    },
    { waitForTrailers: !cut },
  );
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.on('error', () => undefined);
  stream.end(body);
}

function hostile(task: SignedMessage, witness: Witness): readonly Response[] {
  const sound = responseOf([task], witness);
  const compressed = (message: Uint8Array): Buffer => {
    const bytes = frame(gzipSync(message));
    bytes[0] = 1;
    return bytes;
  };
  const long = Buffer.alloc(5);
  long.writeUInt32BE(FRAME_LIMIT + 1, 1);
  return [
    { body: frame(sound).subarray(0, -20), cut: true },
    { body: Buffer.concat([long, sound, Buffer.alloc(FRAME_LIMIT + 1 - sound.length)]) },
    // The task, and behind it zeros that are next to nothing compressed.
    { body: compressed(Buffer.concat([sound, Buffer.alloc(64 * 1024 * 1024)])), encoding: 'gzip' },
    { body: frame(Buffer.concat([sound, Buffer.from([0xc0, 0x0c, 0x2a])])) },
  ];
}

/** A real agent, whose coordinator's place somebody took who has its certificate and key, and answers in `responses`' way in turn. */
async function around(
  respondWith: (task: SignedMessage, witness: Witness) => readonly Response[],
): Promise<number> {
  const data = newFolder();
  writeTrials(data, ['A']);
  const federation = await Federation.make({ A: join(data, 'A.csv') });
  const file = (name: string): Buffer => readFileSync(federation.path(name));
  const key = file('coordinator.signing.key').toString();
  const coordinator = signingIdentity(key, 'coordinator');
  const identity = signingIdentity(file('A.signing.key').toString(), 'A');
  const task = new Tasks({ study: 'A', identity, coordinator }, PLAN).offer();
  const responses = respondWith(task, witnessOf(COORDINATOR_ORIGIN, key));
  let asked = 0;
  const server = createSecureServer({
    ca: file('ca.crt'),
    cert: file('coordinator.crt'),
    key: file('coordinator.tls.key'),
    requestCert: true,
  });
  server.on('stream', (stream) => {
    stream.resume();
    stream.on('end', () => {
      const response = responses[asked++];
      if (response !== undefined) respond(stream, response);
    });
    stream.on('error', () => undefined);
  });
  server.on('session', (session) => session.on('error', () => undefined));
  await new Promise<void>((listening) => {
    server.listen(federation.port, '127.0.0.1', listening);
  });
  const agent = federation.agent('A');
  // Either it asks once more than it was answered, or it ended.
  await until(() => asked > responses.length || agent.ended, 'the agent to have met every response');
  await agent.kill('SIGTERM');
  server.close();
  return entriesOf(federation.log('A')).filter(({ kind }) => kind === 'received').length;
}

export const attacks: readonly Attack[] = [
  {
    name: 'messages that two decoders read differently',
    rule: 'one canonical encoding',
    off: () => within(false),
    on: () => within(true),
  },
  {
    name: 'frames that are cut, too long, or compressed',
    rule: 'frame limit, canonical encoding',
    off: async () => ({
      recovered: await around((task, witness) => [{ body: frame(responseOf([task], witness)) }]),
      of: 1,
    }),
    on: async () => ({ recovered: await around(hostile), of: 1 }),
  },
  {
    name: 'tasks under a protocol version that is not spoken',
    rule: 'protocol version',
    off: async () => ({
      recovered: await around((task, witness) => [{ body: frame(responseOf([task], witness)) }]),
      of: 1,
    }),
    on: async () => ({
      recovered: await around((task, witness) =>
        [0, 2].map((version) => ({ body: frame(responseOf([task], witness, version)) })),
      ),
      of: 1,
    }),
  },
];
