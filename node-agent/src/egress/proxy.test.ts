import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';

import { newFolder } from '../testing.ts';
import { isExempt, routeTo, type ProxyConfig } from './proxy.ts';

const HOST = 'coordinator.example.org';
const PROXY = { https_proxy: 'http://proxy.hospital.example:3128' };
const route = (
  environment: Readonly<Record<string, string>>,
  config?: ProxyConfig,
  host = HOST,
): string | null => routeTo(host, 443, config, environment).proxy?.shown ?? null;
const unusable = { code: 'network/proxy' };

test('without a proxy, and for loopback, the agent dials directly', () => {
  assert.equal(route({}), null);
  assert.equal(route({ https_proxy: '' }), null);
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '[::1]', '::1'])
    assert.equal(route(PROXY, undefined, host), null, host);
  assert.notEqual(route(PROXY, undefined, '128.0.0.1'), null);
  assert.notEqual(route(PROXY, undefined, 'localhost.example.org'), null);
});

test('agent.yaml goes before the environment, and each has its own no_proxy', () => {
  const url = 'http://other:8080';
  assert.equal(route(PROXY), 'http://proxy.hospital.example:3128');
  assert.equal(route({ ALL_PROXY: 'https://p' }), 'https://p:443');
  assert.equal(route({ HTTPS_PROXY: 'p:3128' }), 'http://p:3128');
  assert.equal(route(PROXY, { url }), url);
  assert.equal(route({ ...PROXY, no_proxy: '*' }, { url }), url);
  assert.equal(route(PROXY, { url, no_proxy: HOST }), null);
  assert.equal(route({ ...PROXY, NO_PROXY: 'example.org' }), null);
  assert.equal(route({ ...PROXY, no_proxy: '', NO_PROXY: '*' }), PROXY.https_proxy);
  assert.equal(route({ ...PROXY, no_proxy: '*' }, { no_proxy: '' }), PROXY.https_proxy);
  assert.equal(route(PROXY, { no_proxy: '*.example.org' }), null);
});

test('a proxy that cannot be used is never gone round, and no message repeats its password', () => {
  for (const url of [
    'socks5://user:secret@p:1080',
    'socks4a://p:1',
    'ftp://p',
    'pac+http://p/x',
    'http://p/proxy.pac',
    'file:///etc/wpad.dat',
    'http://',
    'http://user:sec%ret@p',
    'http://user:secret@p:99999',
  ]) {
    for (const config of [undefined, { url }]) {
      assert.throws(
        () => routeTo(HOST, 443, config, { ALL_PROXY: url }),
        (error: Error & { code?: string; describe?: () => string }) => {
          assert.equal(error.code, unusable.code, url);
          assert.doesNotMatch(error.describe?.() ?? '', /sec/);
          return true;
        },
      );
    }
  }
});

test('credentials come from the URL or from a file, and the URL that is shown has none', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  const file = join(newFolder(), 'proxy.txt');
  writeFileSync(file, 'ward:päss:word\n');
  const of = (config: ProxyConfig): (string | undefined | null)[] => {
    const { proxy } = routeTo(HOST, 443, config, {});
    return [proxy?.shown, proxy?.authorization];
  };
  assert.deepEqual(of({ url: 'http://a%40b:p%3Aq@p:8080' }), ['http://p:8080', basic('a@b:p:q')]);
  assert.deepEqual(of({ url: 'http://a:b@p:8080', credentials_file: file }), [
    'http://p:8080',
    basic('ward:päss:word'),
  ]);
  assert.deepEqual(of({ url: 'http://p:8080' }), ['http://p:8080', null]);
  writeFileSync(file, 'nothing');
  assert.throws(() => of({ url: 'http://p', credentials_file: file }), { code: 'config/invalid' });
  assert.throws(() => of({ url: 'http://p', ca: '/nowhere' }), { code: 'config/invalid' });
});

test('no_proxy names hosts, domains, ports, addresses, blocks, or all', () => {
  const yes = (host: string, list: string, port = 443): void =>
    assert.ok(isExempt(host, port, list), `${host}:${port} in ${list}`);
  const no = (host: string, list: string, port = 443): void =>
    assert.ok(!isExempt(host, port, list), `${host}:${port} not in ${list}`);
  for (const list of [
    HOST,
    'example.org',
    '.example.org',
    '*.example.org',
    'a.b, EXAMPLE.org',
    '*',
    `${HOST}:443`,
  ])
    yes(HOST, list);
  for (const list of [
    '',
    'le.org',
    'example.com,le.org',
    `${HOST}:8443`,
    '.',
    '*.',
    'coordinator',
    'org.example',
  ])
    no(HOST, list);
  yes(`${HOST}.`, 'example.org');
  yes('10.1.2.3', '10.0.0.0/8');
  yes('10.1.2.3', '192.168.0.0/16 10.1.2.3');
  yes('10.1.2.3', '10.1.2.3:443');
  no('10.1.2.3', '10.1.2.3:444');
  no('10.1.2.3', '10.1.2.0/33');
  no('10.1.2.3', '10.1.2.0/');
  no('10.1.2.3', '10.0.0.0/8/8');
  no('10.1.2.3', '2.3');
  no(HOST, '0.0.0.0/0');
  no('0.0.0.0.example.com', '0.0.0.0/0');
  yes('2001:db8::5', '2001:db8::/32');
  yes('[2001:db8::5]', '[2001:db8:0::5]:443');
  yes('2001:db8::5', '2001:DB8:0:0::5');
  no('2001:db8::5', '[2001:db8::5]:444');
  no('2001:db9::5', '2001:db8::/32');
  yes('::ffff:10.1.2.3', '10.0.0.0/8');
});

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const byte = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(byte, byte, byte, byte);
const list = fc.array(
  fc.oneof(
    name,
    address.map((bytes) => bytes.join('.')),
    fc.constantFrom('10.0.0.0/8', '::/0', 'x:1'),
  ),
);

test('of names: a domain names its hosts, wherever it stands in the list, and no host of another', () => {
  fc.assert(
    fc.property(
      label,
      name,
      list,
      fc.nat(),
      fc.constantFrom('', '.', '*.'),
      (first, domain, others, at, dot) => {
        const place = at % (others.length + 1);
        const entries = [...others.slice(0, place), `${dot}${domain}`, ...others.slice(place)].join(',');
        assert.ok(isExempt(`${first}.${domain}`, 443, entries));
        assert.ok(isExempt(domain.toUpperCase(), 443, entries));
        assert.ok(!isExempt(`${first}${domain}`, 443, domain));
        assert.ok(!isExempt(domain, 443, `${first}.${domain}`));
      },
    ),
  );
});

test('a longer list never takes an exemption away, and an entry with a port is for that port', () => {
  fc.assert(
    fc.property(name, list, list, fc.integer({ min: 1, max: 65_535 }), (host, some, more, port) => {
      if (isExempt(host, port, some.join(' '))) assert.ok(isExempt(host, port, [...some, ...more].join(' ')));
      assert.ok(isExempt(host, port, `${host}:${port}`));
      assert.ok(!isExempt(host, port === 1 ? 2 : 1, `${host}:${port}`));
    }),
  );
});

test('of addresses: a block holds exactly the addresses with its first bits', () => {
  const bits = (bytes: readonly number[]): string =>
    bytes.map((each) => each.toString(2).padStart(8, '0')).join('');
  fc.assert(
    fc.property(address, address, fc.integer({ min: 0, max: 32 }), (a, b, length) => {
      const same = bits(a).slice(0, length) === bits(b).slice(0, length);
      assert.equal(isExempt(b.join('.'), 443, `${a.join('.')}/${length}`), same);
    }),
  );
});
