import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from './address.ts';

test('names, addresses, and IPv6 addresses in brackets', () => {
  assert.deepEqual(parseAddress('coordinator.example.org:443'), {
    host: 'coordinator.example.org',
    port: 443,
  });
  assert.deepEqual(parseAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseAddress('[2001:db8::5]:443'), { host: '2001:db8::5', port: 443 });
});
