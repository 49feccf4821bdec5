import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertDirect } from './direct.ts';

const PROXY = { https_proxy: 'http://proxy.hospital.example:3128' };
const refused = { code: 'config/invalid' };

test('without a proxy, and for loopback, the agent dials directly', () => {
  assertDirect('coordinator.example.org:443', {});
  assertDirect('coordinator.example.org:443', { https_proxy: '' });
  assertDirect('localhost:443', PROXY);
  assertDirect('127.0.0.1:443', PROXY);
});

test('a proxy in the environment is not gone round', () => {
  assert.throws(() => assertDirect('coordinator.example.org:443', PROXY), refused);
  assert.throws(() => assertDirect('coordinator.example.org:443', { ALL_PROXY: 'socks5://p:1' }), refused);
  assert.throws(
    () => assertDirect('coordinator.example.org:443', { ...PROXY, no_proxy: 'example.com,le.org' }),
    refused,
  );
});

test('no_proxy names hosts, domains, or all', () => {
  for (const no_proxy of [
    'coordinator.example.org',
    'example.org',
    '.example.org',
    '*.example.org',
    'a.b, EXAMPLE.org',
    '*',
  ]) {
    assertDirect('coordinator.example.org:443', { ...PROXY, no_proxy });
  }
});
