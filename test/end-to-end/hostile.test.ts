/** What comes from outside the agreement: strangers, garbage, forgeries, other versions. Nothing is taken, nothing is told. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority } from '@concordat/cli/local/keys.ts';
import { ExchangeResponse, type Witness } from '@concordat/proto/concordat/v1/exchange.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { FRAME_LIMIT } from '@concordat/shared/wire/protocol.ts';
import { generateSigningKey, signingIdentity, signMessage } from '@concordat/shared/wire/signing.ts';
import fc from 'fast-check';
import { entriesOf, Federation, newFolder, until, writeTrials, type Program } from './federation.ts';
import { call, frame, open, request, witnessOf, type RawAnswer } from './raw.ts';

const data = newFolder();
writeTrials(data, ['A', 'B']);
let federation: Federation;
let coordinator: Program;
let witness: Witness;
before(async () => {
  federation = await Federation.make({ A: join(data, 'A.csv'), B: join(data, 'B.csv') });
  await federation.authority.issue('stranger', 'A', null);
  witness = witnessOf(siteOrigin('A'), readFileSync(federation.path('A.signing.key'), 'utf8'));
  coordinator = federation.coordinator();
  await until(() => coordinator.output.includes('listening'), 'the coordinator to listen');
});
after(async () => {
  await coordinator.kill();
});

/** A failure is a status code: no message, no detail, no text of ours. */
function assertWordless({ status, words, body }: RawAnswer): void {
  assert.ok(status > 0, words);
  assert.doesNotMatch(words, /grpc-message: [^\n]|details|wire\/|certificate|Error/i);
  assert.equal(body.length, 0);
}

test('whoever is not an enrolled site gets a code of the closed list for every call, and nothing else', async () => {
  const folder = newFolder();
  const other = await makeAuthority(folder);
  await other.issue('A', 'A', null);
  const server = federation.path('coordinator');
  for (const [certificate, code] of [
    [null, 'wire/identity'],
    [join(folder, 'A'), 'enrolment/wrong-authority'],
    [federation.path('stranger'), 'wire/identity'],
    // The coordinator's own certificate is one for servers.
    [server, 'enrolment/wrong-authority'],
  ] as const) {
    const session = await open(federation, certificate);
    const { status, words, body } = await call(session, frame(request([], witness)));
    assert.equal(status, 7);
    assert.match(words, new RegExp(`grpc-message: ${code}$`, 'm'));
    assert.equal(body.length, 0);
    session.close();
  }
});

test('another protocol version: only the coordinator’s own range is told', async () => {
  const session = await open(federation, federation.path('A'));
  const answer = await call(session, frame(request([], witness, 7, 9)));
  assert.equal(answer.status, 0);
  assert.deepEqual(ExchangeResponse.decode(answer.body.subarray(5)), {
    protocol: 0,
    protocolOldest: 1,
    protocolNewest: 1,
    tasks: [],
    witness: undefined,
  });
  session.close();
});

test('fuzz: random and mutated frames get a status without words, or the site’s own tasks; none is taken', async () => {
  const session = await open(federation, federation.path('A'));
  const key = signingIdentity(generateSigningKey(), 'forger');
  const valid = request([signMessage(key, Uint8Array.of(1, 2, 3))], witness);
  const mutated = fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
    const bytes = Uint8Array.from(valid);
    bytes[at]! ^= change;
    return bytes;
  });
  const any = fc.uint8Array({ maxLength: 300 });
  const bodies = fc.oneof(
    any.map(frame),
    mutated.map(frame),
    fc.tuple(mutated, fc.nat(valid.length - 1)).map(([bytes, end]) => frame(bytes.subarray(0, end))),
    fc.constant(
      frame(
        request([{ body: new Uint8Array(0), signature: new Uint8Array(0), key: new Uint8Array(0) }], witness),
      ),
    ),
  );
  await fc.assert(
    fc.asyncProperty(bodies, async (bytes) => {
      const answer = await call(session, bytes);
      // An empty request speaks version 0; a forged reply is logged and dropped, and the site gets its own open tasks.
      if (answer.status !== 0) return assertWordless(answer);
      for (const { body } of ExchangeResponse.decode(answer.body.subarray(5)).tasks) {
        assert.ok(Buffer.from(body).includes('tiny'));
      }
    }),
    { numRuns: 150 },
  );
  const kinds = new Set(entriesOf(federation.log('coordinator')).map(({ kind }) => kind));
  assert.ok(!kinds.has('received'));
  assert.equal(coordinator.ended, false);
  session.close();
});

test('a frame that is cut, too long, or for another method ends without words, and the coordinator goes on', async () => {
  const long = Buffer.alloc(5);
  long.writeUInt32BE(FRAME_LIMIT + 1, 1);
  const cases: readonly (readonly [Uint8Array, string?])[] = [
    [Buffer.concat([long, Buffer.alloc(FRAME_LIMIT + 1)])],
    [frame(request([], witness)), '/concordat.v1.FederationService/Other'],
    [frame(request([], witness)), '/'],
  ];
  for (const [bytes, path] of cases) {
    const session = await open(federation, federation.path('A'));
    const answer = await call(session, bytes, path);
    assert.ok(answer.status > 0);
    assert.equal(answer.body.length, 0);
    assert.doesNotMatch(answer.words, /wire\/|certificate|at .*\.ts/);
    session.destroy();
  }
  const cut = await open(federation, federation.path('A'));
  // Half a message, and then nothing: the stream is dropped by its client.
  cut
    .request({
      ':method': 'POST',
      ':path': '/concordat.v1.FederationService/Exchange',
      'content-type': 'application/grpc',
    })
    .write(frame(request([], witness)).subarray(0, 3));
  cut.destroy();
  const session = await open(federation, federation.path('A'));
  assert.equal((await call(session, frame(request([], witness)))).status, 0);
  session.close();
});

test('an agent that meets a coordinator of another version says which side to upgrade, and ends', async () => {
  const server = createSecureServer(
    {
      ca: readFileSync(federation.path('ca.crt')),
      cert: readFileSync(federation.path('coordinator.crt')),
      key: readFileSync(federation.path('coordinator.tls.key')),
      requestCert: true,
    },
    (incoming, response) => {
      incoming.resume();
      response.writeHead(200, { 'content-type': 'application/grpc' });
      response.write(
        frame(
          ExchangeResponse.encode({
            protocol: 0,
            protocolOldest: 7,
            protocolNewest: 9,
            tasks: [],
            witness: undefined,
          }).finish(),
        ),
      );
      response.addTrailers({ 'grpc-status': '0' });
      response.end();
    },
  );
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const { port } = server.address() as { port: number };
  const config = JSON.parse(readFileSync(federation.path('B.yaml'), 'utf8')) as object;
  federation.write('later.yaml', { ...config, coordinator: `127.0.0.1:${port}`, log: 'log/later' });
  const agent = federation.agent('later');
  assert.equal(await agent.exit, 2);
  assert.match(agent.output, /wire\/version.*this side speaks 1 to 1, the coordinator speaks 7 to 9/);
  assert.match(agent.output, /upgrade this side/);
  assert.equal(entriesOf(federation.log('later')).at(-1)?.kind, 'stop');
  server.close();
});

test('an agent whose certificate is not enrolled is told so by its own log, and goes on trying; told to stop, it stops', async () => {
  const config = JSON.parse(readFileSync(federation.path('A.yaml'), 'utf8')) as { tls: object };
  const tls = { ca: 'ca.crt', certificate: 'stranger.crt', key: 'stranger.tls.key' };
  federation.write('unknown.yaml', {
    ...config,
    tls,
    log: 'log/unknown',
    state: 'state/unknown',
    health: undefined,
  });
  const agent = federation.agent('unknown');
  await until(() => agent.output.includes('wire/identity'), 'the agent to be turned away');
  assert.equal(agent.ended, false);
  assert.equal(await agent.kill('SIGTERM'), 0);
  const log = entriesOf(federation.log('unknown'));
  assert.deepEqual(
    log.map(({ kind }) => kind),
    ['start', 'decision', 'stop'],
  );
  const { raw } = new X509Certificate(readFileSync(federation.path('stranger.crt')));
  assert.equal(log[0]?.detail?.['certificate'], toHex(sha256(raw)));
});

test('an agent that does not trust the coordinator’s authority sends it nothing', async () => {
  const folder = newFolder();
  await makeAuthority(folder);
  writeFileSync(federation.path('wrong-ca.crt'), readFileSync(join(folder, 'ca.crt')));
  const config = JSON.parse(readFileSync(federation.path('B.yaml'), 'utf8')) as { tls: object };
  federation.write('wary.yaml', {
    ...config,
    tls: { ...config.tls, ca: 'wrong-ca.crt' },
    log: 'log/wary',
    state: 'state/wary',
  });
  const agent = federation.agent('wary');
  await until(() => agent.output.includes('network/intercepted'), 'the agent to say so');
  assert.equal(await agent.kill('SIGTERM'), 0);
  assert.ok(!entriesOf(federation.log('coordinator')).some(({ kind }) => kind === 'received'));
});
