import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { after, test } from 'node:test';

import { newFolder } from '../testing.ts';
import { dialer } from './dial.ts';
import { routeTo, type ProxyConfig } from './proxy.ts';
import { lookupOf, testAuthority, testProxy, type ProxyOptions } from './testing.ts';

const HOST = 'coordinator.example.org';
const institution = await testAuthority('Hospital authority');
const proxyPair = await institution.issue(['proxy.hospital.example', '127.0.0.1']);
const caFile = join(newFolder(), 'proxy-ca.crt');
writeFileSync(caFile, institution.ca);

const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
echo.listen(0, '127.0.0.1');
await once(echo, 'listening');
const echoPort = (echo.address() as { port: number }).port;
after(() => echo.close());
const here = (): { host: string; port: number } => ({ host: '127.0.0.1', port: echoPort });
const never = new AbortController().signal;

async function says(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [data] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return data.toString();
}

async function through(
  options: ProxyOptions,
  url: (port: number) => string = (port) => `http://127.0.0.1:${port}`,
  config: ProxyConfig = {},
  signal: AbortSignal = never,
): Promise<{ heard: string; asked: readonly string[] }> {
  const proxy = await testProxy({ resolve: here, ...options });
  try {
    const { proxy: chosen } = routeTo(HOST, 443, { url: url(proxy.port), ...config }, {});
    const heard = await says(await dialer(chosen)(HOST, 443, signal), 'hello');
    return { heard, asked: proxy.asked };
  } finally {
    await proxy.close();
  }
}

const asked = [`${HOST}:443`];

test('directly, names are resolved afresh at each dial', async () => {
  const names = new Map([[HOST, ['127.0.0.1']]]);
  const dial = dialer(null, lookupOf(names));
  assert.equal(await says(await dial(HOST, echoPort, never), 'hello'), 'hello');
  names.set(HOST, []);
  await assert.rejects(dial(HOST, echoPort, never), { code: 'network/unresolved', place: HOST });
  // The first address is dead: the next one is tried.
  names.set(HOST, ['::1', '127.0.0.1']);
  assert.equal(await says(await dial(HOST, echoPort, never), 'again'), 'again');
});

test('a refused port, and a dial that is given up, are unreachable', async () => {
  const closed = createServer();
  closed.listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as { port: number };
  closed.close();
  await once(closed, 'close');
  await assert.rejects(dialer(null)('127.0.0.1', port, never), { code: 'network/unreachable' });
  await assert.rejects(dialer(null)('127.0.0.1', echoPort, AbortSignal.abort()), {
    code: 'network/unreachable',
  });
});

test('through a proxy over http and https, with and without sign-in; the proxy resolves the name', async () => {
  assert.deepEqual(await through({}), { heard: 'hello', asked });
  assert.deepEqual(
    await through({ credentials: 'ward:p@ss' }, (port) => `http://ward:p%40ss@127.0.0.1:${port}`),
    { heard: 'hello', asked },
  );
  const secure = (port: number): string => `https://127.0.0.1:${port}`;
  assert.deepEqual(await through({ tls: proxyPair }, secure, { ca: caFile }), { heard: 'hello', asked });
  const file = join(newFolder(), 'credentials');
  writeFileSync(file, 'ward:p@ss\n');
  assert.deepEqual(
    await through({ tls: proxyPair, credentials: 'ward:p@ss' }, secure, {
      ca: caFile,
      credentials_file: file,
    }),
    { heard: 'hello', asked },
  );
});

test('every refusal of a proxy is named, with what to do', async () => {
  const refused = async (
    options: ProxyOptions,
    message: RegExp,
    remedy: RegExp,
    ...more: [((port: number) => string)?, ProxyConfig?, AbortSignal?]
  ): Promise<void> => {
    await assert.rejects(through(options, ...more), (error: Error & { code?: string; remedy?: string }) => {
      assert.equal(error.code, 'network/proxy');
      assert.match(error.message, message);
      assert.match(error.remedy ?? '', remedy);
      return true;
    });
  };
  await refused({ credentials: 'a:b' }, /wants a user name/, /credentials_file/);
  await refused(
    { credentials: 'a:b' },
    /does not accept/,
    /correct/,
    (port) => `http://a:c@127.0.0.1:${port}`,
  );
  await refused(
    { refuse: { status: 407, headers: ['Proxy-Authenticate: NTLM', 'Proxy-Authenticate: Negotiate'] } },
    /NTLM and Negotiate/,
    /cntlm/,
  );
  await refused(
    { refuse: { status: 407, headers: ['Proxy-Authenticate: Digest realm="a, basic"'] } },
    /Digest/,
    /basic/,
  );
  await refused({ refuse: { status: 403 } }, /does not allow/, /CONNECT/);
  await refused({ refuse: { status: 502 } }, /does not reach/, /resolve/);
  await refused({ refuse: { status: 302 } }, /302/, /CONNECT/);
  await refused({ garbage: 'SSH-2.0-OpenSSH_9.2\r\n' }, /not an HTTP proxy/, /port/);
  await refused({ garbage: '' }, /without an answer/, /CONNECT/);
  await refused({ stalls: true }, /in time/, /IT department/, undefined, undefined, AbortSignal.timeout(100));
  const secure = (port: number): string => `https://127.0.0.1:${port}`;
  await refused({ tls: proxyPair }, /not trusted/, /proxy\.ca/, secure);
  await refused({}, /no TLS|without an answer/, /./, secure);
});

test('a proxy that is not there, or whose name is unknown, leads to no direct connection', async () => {
  const names = new Map([[HOST, ['127.0.0.1']]]);
  const { proxy } = routeTo(HOST, 443, { url: 'http://proxy.hospital.example:3128' }, {});
  await assert.rejects(dialer(proxy, lookupOf(names))(HOST, echoPort, never), {
    code: 'network/unresolved',
    place: 'proxy.hospital.example',
  });
  names.set('proxy.hospital.example', ['127.0.0.1']);
  const gone = { ...proxy!, port: 1 };
  await assert.rejects(dialer(gone, lookupOf(names))(HOST, echoPort, never), { code: 'network/proxy' });
});
