/**
 * What an agent's container can reach and change, as `deploy/` runs it: its proxy, which lets CONNECT to the coordinator through,
 * and its own folder. Needs a Docker engine and the images that `deploy/build-images.sh` and `deploy/squid-image.sh` make.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { closedNetwork, command, party, sizeOf, startProxy, tearDown, type Party } from './support.ts';

/** `user:hash` of `institution` and `hunter2:percent%`. */
const PASSWORD = 'institution:$apr1$concordt$Ge6gE/qQoOKGMPMs7Yz1//';
const CREDENTIALS = 'institution:hunter2:percent%';

let agent: Party;
let withPassword: Party;
/** Addresses on networks that the first agent is not on. */
let elsewhere: string[];

before(async () => {
  const consortium = await closedNetwork('consortium');
  const [first, second] = [await closedNetwork('first'), await closedNetwork('second')];
  // A host that the proxies reach; to them it is the coordinator.
  const coordinator = await startProxy('coordinator', [consortium], null);
  await startProxy('open-proxy', [first, consortium], null);
  const closed = await startProxy('closed-proxy', [second, consortium], PASSWORD);
  elsewhere = [coordinator.getIpAddress(consortium), closed.getIpAddress(second)];
  const image = 'concordat-node-agent';
  agent = party({ name: 'first-agent', image, network: first, environment: {}, mounts: {} });
  withPassword = party({ name: 'second-agent', image, network: second, environment: {}, mounts: {} });
});

after(tearDown);

/** Runs a script in the party's container that prints one JSON value. */
async function inside(of: Party, script: string): Promise<unknown> {
  const { output } = await command(of, ['-e', script], 'node');
  return JSON.parse(output);
}

/** How a connection from inside ends: `connected`, or the code of the failure. */
const dial = (of: Party, host: string, port: number): Promise<unknown> =>
  inside(
    of,
    `const s = require('node:net').connect({ host: '${host}', port: ${port}, timeout: 1000 });
    const end = (word) => { console.log(JSON.stringify(word)); process.exit(); };
    s.on('connect', () => end('connected')).on('timeout', () => end('ETIMEDOUT')).on('error', (e) => end(e.code));`,
  );

/** The proxy's status for a CONNECT, and for the same host asked by GET. */
const ask = (of: Party, proxy: string, target: string, credentials = ''): Promise<unknown> =>
  inside(
    of,
    `const { request } = require('node:http');
    const headers = ${JSON.stringify(credentials)} === '' ? {} :
      { 'Proxy-Authorization': 'Basic ' + Buffer.from(${JSON.stringify(credentials)}).toString('base64') };
    const status = (method, path) => new Promise((resolve) => request({ host: '${proxy}', port: 3128, method, path, headers })
      .on('connect', (r) => resolve(r.statusCode)).on('response', (r) => resolve(r.statusCode))
      .on('error', (e) => resolve(e.code)).end());
    (async () => {
      console.log(JSON.stringify([await status('CONNECT', '${target}'), await status('GET', 'http://${target}/')]));
      process.exit();
    })();`,
  );

const NOWHERE = /^(ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)$/;

test('from an agent nothing can be reached but its proxy', async () => {
  assert.equal(await dial(agent, 'open-proxy', 3128), 'connected');
  for (const host of ['192.0.2.1', ...elsewhere])
    assert.match(String(await dial(agent, host, 3128)), NOWHERE);
});

test('the proxy opens a tunnel to the coordinator alone, and with a password where it asks for one', async () => {
  // 503: squid dialled and nothing listens at that port, which is for the coordinator to do.
  assert.deepEqual(await ask(agent, 'open-proxy', 'coordinator:443'), [503, 403]);
  assert.deepEqual(await ask(agent, 'open-proxy', 'coordinator:22'), [403, 403]);
  assert.deepEqual(await ask(agent, 'open-proxy', 'other.example:443'), [403, 403]);
  assert.deepEqual(await ask(withPassword, 'closed-proxy', 'coordinator:443'), [407, 403]);
  assert.deepEqual(await ask(withPassword, 'closed-proxy', 'coordinator:443', CREDENTIALS), [503, 403]);
});

test('a program in the image has no rights, no shell, and one folder to write to', async () => {
  const seen = await inside(
    agent,
    `const fs = require('node:fs');
    const end = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
    const status = fs.readFileSync('/proc/self/status', 'utf8');
    console.log(JSON.stringify([
      process.getuid() !== 0, /CapBnd:\\s*(.*)/.exec(status)[1], /NoNewPrivs:\\s*(.*)/.exec(status)[1],
      end(() => require('node:child_process').execFileSync('/bin/sh', ['-c', 'true'])),
      end(() => fs.readdirSync('/opt/concordat/coordinator/src')),
      end(() => fs.appendFileSync('/opt/concordat/shared/src/errors.ts', '')),
      end(() => fs.writeFileSync('/etc/concordat', '')), end(() => fs.writeFileSync('/var/lib/concordat/own', '')),
    ]));`,
  );
  const readOnly = ['EACCES', 'EROFS'];
  const [user, capabilities, privileges, shell, other, program, etc, own] = seen as string[];
  assert.deepEqual([user, capabilities, privileges], [true, '0000000000000000', '1']);
  assert.deepEqual([shell, other, own], ['ENOENT', 'ENOENT', 'done']);
  assert.ok(readOnly.includes(program!) && readOnly.includes(etc!), `${program} ${etc}`);
});

test('the images are as small as is said', async () => {
  assert.ok((await sizeOf('concordat-node-agent')) <= 250e6);
  assert.ok((await sizeOf('concordat-coordinator')) <= 175e6);
});
