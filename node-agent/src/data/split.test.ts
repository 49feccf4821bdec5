import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { findStudyFile, readFolder } from './files.ts';
import { readColumns } from './read.ts';
import { splitByStudy } from './split.ts';
import { codeAt, columnOf } from './table.ts';

const root = mkdtempSync(join(tmpdir(), 'concordat-split-'));
after(() => rmSync(root, { recursive: true }));

let folders = 0;
function folderOf(files: Record<string, string | Uint8Array>): string {
  const folder = join(root, `d${folders++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}
const out = () => join(root, `out${folders++}`);

test('one file each: names are study ids, other files are passed over', async () => {
  const folder = folderOf({
    'De Fronzo (1995).csv': 'a\n1\n',
    'B.parquet': '',
    'C.csv.gz': '',
    'D.json': ' [{"a":1}]',
    'truth.json': '{"a":1}',
    'README.md': '',
    '.hidden.csv': '',
  });
  const found = await readFolder(folder);
  assert.ok(found.kind === 'one-each');
  assert.deepEqual([...found.files.keys()], ['B', 'C', 'D', 'De Fronzo (1995)']);
  assert.equal(await findStudyFile(folder, 'C'), join(folder, 'C.csv.gz'));
  await assert.rejects(findStudyFile(folder, 'E'), { code: 'data/unreadable' });
});

test('studies stand in the order in which people count', async () => {
  const found = await readFolder(
    folderOf({ '10.csv': '', '2.csv': '', 'Zürich.csv': '', 'École.csv': '', 'b.csv': '', 'A.csv': '' }),
  );
  assert.ok(found.kind === 'one-each');
  assert.deepEqual([...found.files.keys()], ['2', '10', 'A', 'b', 'École', 'Zürich']);
});

test('a folder that can be read in two ways is refused', async () => {
  for (const files of [{ 'A.csv': '', 'A.tsv': '' }, { 'ipd.csv': '', 'A.csv': '' }, { 'README.md': '' }]) {
    await assert.rejects(readFolder(folderOf(files)), { code: 'data/unreadable' });
  }
  await assert.rejects(readFolder(join(root, 'absent')), { code: 'data/unreadable' });
});

test('a CSV file is split byte for byte', async () => {
  const header = '\uFEFFid,"study",note\r\n';
  const records = {
    'De Fronzo (1995)': [
      '1,De Fronzo (1995),"two\r\nlines, ""quoted"""\r\n',
      '3,"De Fronzo (1995)", NA \r\n',
    ],
    '../B/é': ['2,../B/é,x"y\r\n', '5,"../B/é",'],
    ipd: ['4, ipd ,007\r\n'],
  };
  const all = [
    header,
    records['De Fronzo (1995)'][0],
    records['../B/é'][0],
    '\r\n',
    records['De Fronzo (1995)'][1],
    records.ipd[0],
    records['../B/é'][1],
  ].join('');
  for (const folder of [folderOf({ 'ipd.csv': all }), folderOf({ 'ipd.csv.gz': gzipSync(all) })]) {
    const found = await readFolder(folder);
    assert.ok(found.kind === 'ipd');
    const files = await splitByStudy(found.path, out());
    assert.deepEqual([...files.keys()], Object.keys(records));
    for (const [study, rows] of Object.entries(records)) {
      assert.equal(readFileSync(files.get(study)!, 'utf8'), header + rows.join(''));
    }
    assert.deepEqual(
      [...files.values()].map((file) => basename(file)),
      ['De Fronzo (1995).csv', '%2E.%2FB%2F%C3%A9.csv', '%69pd.csv'],
    );
  }
});

test('study ids that differ only by case keep files of their own', async () => {
  const files = await splitByStudy(join(folderOf({ 'ipd.csv': 'study,x\na,1\nA,2\n' }), 'ipd.csv'), out());
  assert.equal(new Set([...files.values()].map((file) => file.toLowerCase())).size, 2);
  assert.equal(readFileSync(files.get('A')!, 'utf8'), 'study,x\nA,2\n');
});

test('Parquet stays Parquet and JSON becomes NDJSON, with the same values', async () => {
  const folder = folderOf({
    'ipd.json': '[{"study":"A","x":1},{"study":"B\'s","x":2.5},{"study":"A","x":null}]',
  });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const parquet = join(root, 'ipd.parquet');
  await connection.run(
    `COPY (SELECT * FROM (VALUES ('A', 1), ('B''s', 2.5), ('A', NULL)) t(study, x)) TO '${parquet}'`,
  );
  connection.closeSync();
  instance.closeSync();
  for (const [path, extension] of [
    [join(folder, 'ipd.json'), /\.ndjson$/],
    [parquet, /\.parquet$/],
  ] as const) {
    const files = await splitByStudy(path, out());
    assert.deepEqual([...files.keys()], ['A', "B's"]);
    assert.match(files.get('A')!, extension);
    const x = columnOf(await readColumns(files.get('A')!, ['x']), 'x');
    assert.deepEqual([codeAt(x, 0), codeAt(x, 1)], [1, null]);
    assert.equal(codeAt(columnOf(await readColumns(files.get("B's")!, ['x']), 'x'), 0), 2.5);
  }
});

test('ids that look like numbers are those of the file, in Parquet and JSON too', async () => {
  const json = folderOf({
    'ipd.json': '[{"study":"007","x":1},{"study":"3.0","x":2},{"study":"A","x":3},{"study":" 7","x":4}]',
  });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const write = async (ids: string, type: string) => {
    const path = join(folderOf({}), 'ipd.parquet');
    await connection.run(
      `COPY (SELECT study::${type} AS study, 1 AS x FROM (VALUES ${ids}) t(study)) TO '${path}'`,
    );
    return path;
  };
  const cases: readonly [string, readonly string[]][] = [
    [join(json, 'ipd.json'), ['007', '3.0', 'A', '7']],
    [await write("('007'), ('10'), ('2')", 'VARCHAR'), ['007', '10', '2']],
    [await write('(10), (2), (1.5)', 'DOUBLE'), ['10', '2', '1.5']],
    [await write('(10), (2)', 'INTEGER'), ['10', '2']],
  ];
  connection.closeSync();
  instance.closeSync();
  for (const [path, ids] of cases) {
    const files = await splitByStudy(path, out());
    assert.deepEqual([...files.keys()], ids);
    for (const file of files.values()) assert.equal((await readColumns(file, ['x'])).rows, 1);
  }
});

test('rows without a study, and files without the column, are errors', async () => {
  const split = (content: string) => splitByStudy(join(folderOf({ 'ipd.csv': content }), 'ipd.csv'), out());
  await assert.rejects(split('study,x\nA,1\nNA,2\n'), { code: 'data/malformed', place: /row 2$/ });
  await assert.rejects(split('trial,x\nA,1\n'), { code: 'data/missing-column' });
  await assert.rejects(split('study,x\n'), { code: 'data/empty' });
  await assert.rejects(split(`study,x\n${'y'.repeat(300)},1\n`), { code: 'data/malformed' });
});

test('property: splitting loses, adds and moves no row', async () => {
  const cell = fc.constantFrom('1', 'x', '', '"q,q"', '"l\nl"', '"d""d"', 'NA');
  const row = fc.tuple(fc.constantFrom('A', 'B', '"C,c"'), cell, cell);
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 30 }),
      fc.constantFrom('\n', '\r\n'),
      async (rows, end) => {
        const lines = rows.map(([study, a, b]) => `${a},${study},${b}${end}`);
        const heading = `a,study,b${end}`;
        const path = join(folderOf({ 'ipd.csv': heading + lines.join('') }), 'ipd.csv');
        for (const [study, file] of await splitByStudy(path, out())) {
          const mine = lines.filter((_, i) => rows[i]![0].replaceAll('"', '') === study);
          assert.equal(readFileSync(file, 'utf8'), heading + mine.join(''));
        }
      },
    ),
    { numRuns: 30 },
  );
});
