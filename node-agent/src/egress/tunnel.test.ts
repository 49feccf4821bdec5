import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { dialer } from './dial.ts';
import { Tunnel } from './tunnel.ts';

const PATIENCE = 20_000;
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.once('close', () => resolve());
  });

/** A far side that reads nothing until it is told, and a near one. */
async function pairOf(t: TestContext): Promise<{ near: Socket; far: Socket; tunnel: Tunnel }> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const dial = dialer(null);
  const tunnel = await Tunnel.open({
    host: 'h',
    port: 443,
    dial: (_host, _port, signal) => dial('127.0.0.1', port, signal),
    patience: PATIENCE,
  });
  const near = connect(tunnel.path);
  near.on('error', () => undefined);
  const [far] = (await once(server, 'connection')) as [Socket];
  far.on('error', () => undefined);
  t.after(async () => {
    near.destroy();
    far.destroy();
    server.close();
    await tunnel.close();
  });
  return { near, far, tunnel };
}

test('a sender that is faster than the far side is held back, and every byte arrives', async (t) => {
  const { near, far } = await pairOf(t);
  const bytes = randomBytes(32 << 20);
  near.end(bytes);
  for (let turn = 0; turn < 2_000; turn++) await new Promise(setImmediate);
  assert.ok(near.writableLength > bytes.length / 2, `${near.writableLength} bytes wait at the sender`);
  const hash = createHash('sha256');
  far.on('data', (data) => hash.update(data));
  far.resume();
  await once(far, 'end');
  assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
});

test('whichever side ends, the other ends too', async (t) => {
  const one = await pairOf(t);
  one.far.destroy();
  await closed(one.near);
  assert.equal(one.tunnel.fault, null);
  const two = await pairOf(t);
  two.far.resume();
  two.near.destroy();
  await closed(two.far);
});

test('a half-closed connection is closed', async (t) => {
  const { near, far } = await pairOf(t);
  near.resume();
  far.end('the last word');
  await closed(near);
});

test("the socket's folder is the account's own, and goes with the tunnel and its connections", async (t) => {
  const { near, tunnel } = await pairOf(t);
  const folder = dirname(tunnel.path);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const end = closed(near);
  await tunnel.close();
  await end;
  assert.ok(!existsSync(folder));
});

test('a dial that fails ends the connection, and its reason is kept until one succeeds', async () => {
  const fault = new ConcordatError('network/unresolved', 'no such name');
  const tunnel = await Tunnel.open({
    host: 'h',
    port: 443,
    dial: () => Promise.reject(fault),
    patience: PATIENCE,
  });
  const near = connect(tunnel.path);
  near.on('error', () => undefined);
  await closed(near);
  assert.equal(tunnel.fault, fault);
  assert.equal(tunnel.connections, 0);
  await tunnel.close();
});
