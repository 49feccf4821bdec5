import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withDatabase } from './database.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-database-'));
after(() => rmSync(folder, { recursive: true }));
const [own, other] = [join(folder, 'own.csv'), join(folder, 'other.csv')];
for (const path of [own, other]) writeFileSync(path, 'a\n1\n');

const run = (sql: string) => withDatabase({ files: [own] }, {}, (connection) => connection.run(sql));

test('the database opens the file that it was given', async () => {
  assert.equal((await run(`SELECT * FROM read_csv('${own}')`)).columnCount, 1);
});

for (const [what, sql] of [
  ['another file', `SELECT * FROM read_csv('${other}')`],
  ['a pattern of files', `SELECT * FROM read_csv('${folder}/*.csv')`],
  ['the network', `SELECT * FROM read_csv('https://example.org/a.csv')`],
  ['writing', `COPY (SELECT 1) TO '${join(folder, 'new.csv')}'`],
  ['another database', `ATTACH '${join(folder, 'x.db')}'`],
  ['extensions', 'INSTALL httpfs'],
  ['loosening', 'SET enable_external_access=true'],
  ['more files', `SET allowed_paths=['${other}']`],
] as const) {
  test(`and refuses ${what}`, async () => {
    await assert.rejects(run(sql), /Permission Error|Invalid Input Error|disabled|locked/i);
  });
}
