import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { status } from '@grpc/grpc-js';

import { ExchangeClient, type ConnectionOptions, type Timing } from './client.ts';
import { dialer, type Dial } from './dial.ts';
import { routeTo } from './proxy.ts';
import {
  lookupOf,
  relay,
  testAuthority,
  testCoordinator,
  testProxy,
  type TestCoordinator,
} from './testing.ts';

const HOST = 'coordinator.example.org';
const consortium = await testAuthority('Consortium');
const hospital = await testAuthority('Hospital "inspection"\n');
const server = await consortium.issue([HOST]);
const site = await consortium.issue([]);
/** Milliseconds; generous, and shorter where a test waits for one to pass. */
const TIMING: Timing = { call: 20_000, patience: 20_000, ping: 20_000, pong: 20_000 };

/** All names are here, at `port`, whatever port is asked for. */
const at =
  (port: () => number): Dial =>
  (_host, _port, signal) =>
    dialer(null)('127.0.0.1', port(), signal);

function clientOf(
  t: TestContext,
  dial: Dial,
  timing: Partial<Timing> = {},
  own: Partial<ConnectionOptions> = {},
): ExchangeClient {
  const client = new ExchangeClient(
    { address: `${HOST}:443`, ca: consortium.ca, ...site, dial, ...own },
    { ...TIMING, ...timing },
  );
  t.after(() => client.close());
  return client;
}

async function coordinatorOf(
  t: TestContext,
  options?: Parameters<typeof testCoordinator>[2],
  pair = server,
): Promise<TestCoordinator> {
  const coordinator = await testCoordinator(consortium.ca, pair, options);
  t.after(() => coordinator.stop());
  return coordinator;
}

const ok = { status: 'ok', tasks: [] };
const failed = (answer: { status: string; failure?: string }): string =>
  answer.status === 'failed' ? (answer.failure ?? '') : answer.status;

test('an exchange through the tunnel; what waits at the site is named', async (t) => {
  const { port, requests } = await coordinatorOf(t);
  const client = clientOf(
    t,
    at(() => port),
  );
  assert.deepEqual(await client.exchange([]), ok);
  assert.deepEqual(await client.exchange([], [new Uint8Array(32).fill(7)]), ok);
  assert.deepEqual(
    requests.map(({ waiting }) => waiting.map((digest) => digest.length)),
    [[], [32]],
  );
});

test('a greeting tells versions and clock, and takes no task', async (t) => {
  const { port, requests } = await coordinatorOf(t, { hold: true });
  const greeting = await clientOf(
    t,
    at(() => port),
  ).greet();
  assert.equal(greeting.status, 'ok');
  assert.deepEqual(greeting.status === 'ok' && greeting.versions, { oldest: 1, newest: 1 });
  assert.ok(greeting.status === 'ok' && greeting.date !== null);
  assert.deepEqual(
    requests.map(({ protocolNewest, replies }) => [protocolNewest, replies.length]),
    [[0, 0]],
  );
});

test('interrupt gives up the held call at once, and the next exchange uses the same connection', async (t) => {
  const coordinator = await coordinatorOf(t, { hold: true });
  const line = await relay(() => coordinator.port);
  t.after(() => line.close());
  const client = clientOf(
    t,
    at(() => line.port),
  );
  client.interrupt();
  const held = client.exchange([]);
  while (coordinator.requests.length === 0) await new Promise(setImmediate);
  client.interrupt();
  assert.deepEqual(await held, { status: 'interrupted' });
  const next = client.exchange([]);
  while (coordinator.requests.length === 1) await new Promise(setImmediate);
  coordinator.answer();
  assert.deepEqual(await next, ok);
  assert.equal(line.connections(), 1);
});

test('new credentials are used from the next exchange on, while the old call is held', async (t) => {
  const coordinator = await coordinatorOf(t, { hold: true });
  const line = await relay(() => coordinator.port);
  t.after(() => line.close());
  const client = clientOf(
    t,
    at(() => line.port),
  );
  const held = client.exchange([]);
  while (coordinator.requests.length === 0) await new Promise(setImmediate);
  client.use(await consortium.issue([]));
  assert.throws(() => client.use({ certificate: site.certificate, key: server.key }), {
    code: 'config/invalid',
  });
  coordinator.answer();
  assert.deepEqual(await held, ok);
  const next = client.exchange([]);
  while (coordinator.requests.length === 1) await new Promise(setImmediate);
  coordinator.answer();
  assert.deepEqual(await next, ok);
  assert.equal(line.connections(), 2);
});

test('close ends what is held, and leaves no socket behind', async (t) => {
  const coordinator = await coordinatorOf(t, { hold: true });
  const client = clientOf(
    t,
    at(() => coordinator.port),
  );
  const held = client.exchange([]);
  while (coordinator.requests.length === 0) await new Promise(setImmediate);
  client.close();
  assert.deepEqual(await held, { status: 'interrupted' });
  assert.deepEqual(await client.exchange([]), { status: 'interrupted' });
});

test("why there is no connection: the dial's own reason, and a certificate that is not the coordinator's", async (t) => {
  const reason = async (dial: Dial, own?: Partial<ConnectionOptions>): Promise<[string, string]> => {
    const answer = await clientOf(t, dial, {}, own).exchange([]);
    return [failed(answer), (answer.status === 'failed' && answer.detail) || ''];
  };
  const { port } = await coordinatorOf(t);
  assert.match(
    (await reason(dialer(null, lookupOf(new Map())))).join(),
    /^network\/unresolved,.*no address.*remedy/,
  );
  assert.match((await reason(at(() => 1))).join(), /^network\/unreachable,.*ECONNREFUSED/);
  const refusing = await testProxy({ credentials: 'a:b' });
  t.after(() => refusing.close());
  const { proxy } = routeTo(HOST, 443, { url: `http://127.0.0.1:${refusing.port}` }, {});
  assert.match((await reason(dialer(proxy))).join(), /^network\/proxy,.*407/);

  const inspecting = await testProxy({ intercepts: await hospital.issue([HOST]) });
  t.after(() => inspecting.close());
  const inspected = routeTo(HOST, 443, { url: `http://127.0.0.1:${inspecting.port}` }, {}).proxy;
  const [code, detail] = await reason(dialer(inspected));
  assert.equal(code, 'network/intercepted');
  assert.match(detail, /issued by "CN=Hospital \?+inspection\?+/);
  assert.doesNotMatch(detail, /\n/);

  const day = 86_400_000;
  const expired = await consortium.issue([HOST], {
    from: new Date(Date.now() - 9 * day),
    until: new Date(Date.now() - day),
  });
  const early = await consortium.issue([HOST], {
    from: new Date(Date.now() + day),
    until: new Date(Date.now() + 9 * day),
  });
  for (const pair of [expired, early]) {
    const coordinator = await coordinatorOf(t, {}, pair);
    // It shows no clock to those without a certificate: either clock, or the certificate, may be at fault.
    assert.equal((await reason(at(() => coordinator.port)))[0], 'network/clock');
  }
  const other = await coordinatorOf(t, {}, await consortium.issue(['other.example.org']));
  assert.equal((await reason(at(() => other.port)))[0], 'wire/identity');
  assert.equal(
    (
      await reason(
        at(() => port),
        { address: '127.0.0.1:443' },
      )
    )[0],
    'wire/identity',
  );
});

test("the coordinator's own reason is taken from the closed list, and nothing else of what it says", async (t) => {
  const told = async (code: keyof typeof status, details: string): Promise<string> => {
    const { port } = await coordinatorOf(t, { refuse: { code, details } });
    return failed(
      await clientOf(
        t,
        at(() => port),
      ).exchange([]),
    );
  };
  assert.equal(await told('PERMISSION_DENIED', 'enrolment/revoked'), 'enrolment/revoked');
  assert.equal(await told('UNAUTHENTICATED', 'enrolment/expired'), 'enrolment/expired');
  assert.equal(await told('UNAUTHENTICATED', 'network/clock'), 'network/clock');
  assert.equal(await told('PERMISSION_DENIED', 'enrolment/<script>'), 'not-admitted');
  assert.equal(await told('PERMISSION_DENIED', 'data/missing-column'), 'not-admitted');
  assert.equal(await told('INVALID_ARGUMENT', ''), 'rejected');
  assert.equal(await told('INTERNAL', 'at /srv/secret'), 'network/unreachable');
});

test('a coordinator that restarts, or moves, is found again', async (t) => {
  const names = new Map([[HOST, ['127.0.0.1']]]);
  let first = await coordinatorOf(t);
  const { port } = first;
  const dial = dialer(null, lookupOf(names));
  const client = clientOf(t, (host, _, signal) => dial(host, port, signal));
  assert.deepEqual(await client.exchange([]), ok);
  await first.stop();
  assert.equal(failed(await client.exchange([])), 'network/unreachable');
  names.set(HOST, []);
  assert.equal(failed(await client.exchange([])), 'network/unresolved');
  first = await coordinatorOf(t, { port });
  names.set(HOST, ['127.0.0.1']);
  assert.deepEqual(await client.exchange([]), ok);
});

test('a connection that goes dead while a call is held is found out by its missing sign of life', async (t) => {
  const coordinator = await coordinatorOf(t, { hold: true });
  const line = await relay(() => coordinator.port);
  t.after(() => line.close());
  const client = clientOf(
    t,
    at(() => line.port),
    { ping: 50, pong: 100 },
  );
  const held = client.exchange([]);
  while (coordinator.requests.length === 0) await new Promise(setImmediate);
  line.freeze();
  assert.equal(failed(await held), 'network/unreachable');
  line.mend();
  const next = client.exchange([]);
  while (coordinator.requests.length === 1) await new Promise(setImmediate);
  coordinator.answer();
  assert.deepEqual(await next, ok);
});

test('one that takes the connection and passes nothing on, or a proxy that stalls, does not hold up for long', async (t) => {
  const coordinator = await coordinatorOf(t);
  const line = await relay(() => coordinator.port);
  t.after(() => line.close());
  line.freeze();
  const client = clientOf(
    t,
    at(() => line.port),
    { patience: 100 },
  );
  assert.equal(failed(await client.exchange([])), 'network/unreachable');
  line.mend();
  assert.deepEqual(await client.exchange([]), ok);
  const stalling = await testProxy({ stalls: true });
  t.after(() => stalling.close());
  const { proxy } = routeTo(HOST, 443, { url: `http://127.0.0.1:${stalling.port}` }, {});
  assert.equal(failed(await clientOf(t, dialer(proxy), { patience: 100 }).exchange([])), 'network/proxy');
});

test('a still connection is kept from a proxy that cuts it', async (t) => {
  const coordinator = await coordinatorOf(t, { hold: true });
  const cutting = await testProxy({
    idle: 500,
    resolve: () => ({ host: '127.0.0.1', port: coordinator.port }),
  });
  t.after(() => cutting.close());
  const { proxy } = routeTo(HOST, 443, { url: `http://127.0.0.1:${cutting.port}` }, {});
  const lively = clientOf(t, dialer(proxy), { ping: 50 });
  const still = clientOf(t, dialer(proxy));
  const answers = [lively.exchange([]), still.exchange([])];
  while (coordinator.requests.length < 2) await new Promise(setImmediate);
  assert.equal(failed(await answers[1]!), 'network/unreachable');
  coordinator.answer();
  assert.deepEqual(await answers[0], ok);
});
