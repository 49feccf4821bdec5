/** An auditor at the page of a coordinator that runs. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Coordinator, done } from './coordinator.ts';
import { entriesOf, freePort } from './federation.ts';
import { Visitor } from './visitor.ts';

const PASSPHRASE = 'correct horse battery staple';

test('an auditor is made, signs in and reads, and the log says so', async () => {
  const coordinator = await Coordinator.init();
  const port = await freePort();
  fs.appendFileSync(join(coordinator.dir, 'coordinator.yaml'), `audit_page: {listen: "127.0.0.1:${port}"}\n`);
  const serving = await coordinator.serve();
  // Made while it serves.
  const file = join(coordinator.dir, 'passphrase');
  fs.writeFileSync(file, `${PASSPHRASE}\n`);
  await done(['coordinator', 'auditor', 'Uma Audit', ...coordinator.config, '--passphrase-file', file]);
  const auditor = new Visitor(`http://127.0.0.1:${port}`);
  const overview = await auditor.submit('/sign-in', /sign-in/, { name: 'Uma Audit', passphrase: PASSPHRASE });
  assert.match(overview, /audit page of the coordinator/);
  const log = join(coordinator.dir, 'log');
  const entries = entriesOf(log);
  assert.match(overview, new RegExp(`<dt>Entries</dt>\\s*<dd>${entries.length}</dd>`));
  const { kind, detail } = entries.at(-1)!;
  assert.deepEqual([kind, detail?.['auditor'], detail?.['first']], ['decision', 'Uma Audit', true]);
  await serving.kill('SIGTERM');
});
