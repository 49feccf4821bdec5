import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { readAgentConfig } from '../../app.ts';
import { newFolder } from '../../testing.ts';

test('what is configured: paths are relative to the file, an address without a port is a fault', () => {
  const file = join(newFolder(), 'agent.yaml');
  const [certificate, key] = ['page.crt', 'page.key'].map((name) => join(dirname(file), name));
  const write = (page: string): void =>
    writeFileSync(
      file,
      `agent: 1
study: A
coordinator: c:443
coordinator_key: ${'ab'.repeat(32)}
tls: {ca: ca.crt, certificate: a.crt, key: a.key}
signing_key: s.key
data: d.csv
agreement: agreement.yaml
log: log
page: ${page}
`,
    );
  write('{listen: "[fd00::1]:8480", certificate: page.crt, key: page.key}');
  assert.deepEqual(readAgentConfig(file).page, { listen: '[fd00::1]:8480', certificate, key });
  write('{listen: 127.0.0.1:8480}');
  assert.deepEqual(readAgentConfig(file).page, { listen: '127.0.0.1:8480' });
  for (const page of ['{listen: 127.0.0.1}', '{}', '{listen: 127.0.0.1:8480, port: 1}']) {
    write(page);
    assert.throws(() => readAgentConfig(file), { code: 'config/invalid' }, page);
  }
});
