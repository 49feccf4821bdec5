import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import { readColumns } from './read.ts';
import { codeAt, columnOf, numericValues, type Table } from './table.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-read-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function written(content: string | Uint8Array, extension = '.csv'): string {
  const path = join(folder, `f${files++}${extension}`);
  writeFileSync(path, content);
  return path;
}

const values = (table: Table, name: string) =>
  Array.from({ length: table.rows }, (_, row) => codeAt(columnOf(table, name), row));

async function fails(work: Promise<unknown>, code: ErrorCode, place: RegExp = /./): Promise<ConcordatError> {
  const error = await work.then(
    () => assert.fail(`no error where ${code} was due`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ConcordatError, String(error));
  assert.equal(error.code, code);
  assert.match(error.place ?? '', place);
  assert.notEqual(error.remedy, undefined);
  assert.equal(error.cause, undefined);
  return error;
}

const ABC = 'a,b,c\n1,x,2.5\nNA,,-1e3\n3,"y, ""z""\nw",\n';

test('reads only the columns asked for, in row order, with missing cells', async () => {
  const table = await readColumns(written(ABC), ['c', 'b', 'a']);
  assert.equal(table.rows, 3);
  assert.deepEqual(values(table, 'a'), [1, null, 3]);
  assert.deepEqual(values(table, 'b'), ['x', null, 'y, "z"\nw']);
  assert.deepEqual(values(table, 'c'), [2.5, -1000, null]);
  assert.deepEqual([...(await readColumns(written(ABC), ['a'])).columns.keys()], ['a']);
});

for (const [what, content, extension] of [
  ['CRLF', 'a,b\r\n1,x\r\n2,y\r\n'],
  ['CR', 'a,b\r1,x\r2,y\r'],
  ['no last line end', 'a,b\n1,x\n2,y'],
  ['blank lines', 'a,b\n1,x\n\n2,y\n\n'],
  ['a byte-order mark', '\uFEFFa,b\n1,x\n2,y\n'],
  ['semicolons', 'a;b\n1;x\n2;y\n'],
  ['tabs', 'a\tb\n1\tx\n2\ty\n'],
  ['bars', 'a|b\n1|x\n2|y\n'],
  ['TSV with commas', 'a\tb\n1\tx\n2\ty\n', '.tsv'],
  ['quoted names', '"a","b"\n"1","x"\n2,y\n'],
  ['spaces', 'a, b\n 1, x \n2 ,y\n'],
  ['gzip', gzipSync('a,b\n1,x\n2,y\n'), '.csv.gz'],
  ['JSON', '[{"a":1,"b":"x"},{"b":"y","a":2}]', '.json'],
  ['NDJSON', '{"a":1,"b":"x"}\n{"b":"y","a":2}\n', '.ndjson'],
  ['JSON lines', '{"a":"1","b":"x"}\n{"b":"y","a":"2"}\n', '.jsonl'],
] as const) {
  test(`reads ${what}`, async () => {
    const table = await readColumns(written(content, extension), ['a', 'b']);
    assert.deepEqual(
      [values(table, 'a'), values(table, 'b')],
      [
        [1, 2],
        ['x', 'y'],
      ],
    );
  });
}

test('reads Parquet: numbers, nulls, NaN, logical values, text and dates', async () => {
  const path = join(folder, 'types.parquet');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(`COPY (SELECT * FROM (VALUES
    (1::TINYINT, 9007199254740991::BIGINT, 1.25::DECIMAL(6,2), 'nan'::DOUBLE, true, 'x', DATE '2020-02-01', [1]),
    (NULL, 2, NULL, 0.1, NULL, NULL, NULL, [2])) t(i, big, dec, d, l, s, day, list)) TO '${path}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
  const table = await readColumns(path, ['i', 'big', 'dec', 'd', 'l', 's', 'day']);
  assert.deepEqual(
    ['i', 'big', 'dec', 'd', 'l', 's', 'day'].map((name) => values(table, name)),
    [
      [1, null],
      [9007199254740991, 2],
      [1.25, null],
      [null, 0.1],
      [1, null],
      ['x', null],
      ['2020-02-01', null],
    ],
  );
  await fails(readColumns(path, ['list']), 'data/malformed', /"list"/);
});

test('JSON nulls and absent keys are missing; nested values are refused', async () => {
  const path = written('[{"a":1,"b":null},{"a":null,"b":"u"},{"b":"v","n":{"k":1}}]', '.json');
  const table = await readColumns(path, ['a', 'b']);
  assert.deepEqual(
    [values(table, 'a'), values(table, 'b')],
    [
      [1, null, null],
      [null, 'u', 'v'],
    ],
  );
  await fails(readColumns(path, ['n']), 'data/malformed', /"n"/);
});

test('TRUE and FALSE are 1 and 0', async () => {
  const table = await readColumns(written('a,b\nTRUE,True\nFALSE,NA\n'), ['a', 'b']);
  assert.deepEqual(
    [values(table, 'a'), values(table, 'b')],
    [
      [1, 0],
      [1, null],
    ],
  );
});

test('a text in a column of numbers is located, not shown', async () => {
  const table = await readColumns(written('age\n41\n52\nsecret\n'), ['age']);
  assert.throws(
    () => numericValues(table, 'age'),
    (error) =>
      error instanceof ConcordatError &&
      error.code === 'data/not-numeric' &&
      error.place === 'column "age", row 3' &&
      !error.describe().includes('secret'),
  );
});

for (const text of ['1_000', '0x10', 'Inf', 'NaN', '1e999', '1,5', '1 000', '١']) {
  test(`"${text}" is not a number`, async () => {
    const table = await readColumns(written(`a;b\n1;1\n${text};1\n`), ['a']);
    assert.throws(() => numericValues(table, 'a'), { code: 'data/not-numeric', place: 'column "a", row 2' });
  });
}

test('decimal commas are named', async () => {
  const table = await readColumns(written('a;b\n1,5;1\n'), ['a']);
  assert.throws(() => numericValues(table, 'a'), /decimal commas/);
});

test('every fault of a file has its code and place', async () => {
  await fails(readColumns(join(folder, 'absent.csv'), ['a']), 'data/unreadable');
  await fails(readColumns(written('a\n1\n', '.xlsx'), ['a']), 'data/unreadable');
  await fails(readColumns(folder, ['a']), 'data/unreadable');
  await fails(readColumns(join(folder, '*.csv'), ['a']), 'data/unreadable');
  await fails(readColumns(written(''), ['a']), 'data/empty');
  await fails(readColumns(written('\n\na\n1\n'), ['a']), 'data/empty', /line 1/);
  await fails(readColumns(written('a,b\n'), ['a']), 'data/empty');
  await fails(readColumns(written('[]', '.json'), ['a']), 'data/malformed');
  await fails(readColumns(written('a,b,a\n1,2,3\n'), ['b']), 'data/duplicate-header', /line 1/);
  await fails(readColumns(written('a,b\n1,2\n1,2,3\n'), ['a']), 'data/malformed', /line 3/);
  await fails(readColumns(written('a,b,c\n1,2,3\n1,2\n'), ['a']), 'data/malformed', /line 3/);
  await fails(readColumns(written('a,b\n1,"2\n3,4\n'), ['a']), 'data/malformed', /line 2/);
  await fails(readColumns(written('"a,b\n1,2\n'), ['a']), 'data/missing-column');
  await fails(
    readColumns(written(Buffer.from('a,b\n1,caf\xe9\n', 'latin1')), ['a', 'b']),
    'data/encoding',
    /line 2/,
  );
  await fails(
    readColumns(written(Buffer.from('a,caf\xe9\n1,2\n', 'latin1')), ['a']),
    'data/encoding',
    /line 1/,
  );
  await fails(readColumns(written(Buffer.from('\uFEFFa,b\n1,2\n', 'utf16le')), ['a']), 'data/encoding');
  await fails(readColumns(written(Buffer.from('a,b\n1,2\n', 'utf16le')), ['a']), 'data/encoding');
  await fails(readColumns(written('not parquet', '.parquet'), ['a']), 'data/malformed');
  await fails(readColumns(written('{"a": [', '.json'), ['a']), 'data/malformed');
  await fails(readColumns(written('a,b\n1,2\n', '.csv.gz'), ['a']), 'data/unreadable');
  await fails(readColumns(written(`a,b\n1,${'x'.repeat(3e6)}\n`), ['a']), 'data/too-large', /line 2/);
  const near = await fails(
    readColumns(written('Treat,age\n1,2\n'), ['treat', 'sex']),
    'data/missing-column',
    /"treat", "sex"/,
  );
  assert.match(near.message, /has "Treat"/);
});

test('names of files and columns are never SQL', async () => {
  const path = join(folder, "a'); DROP TABLE x; --.csv");
  writeFileSync(path, `"x' OR 1=1; --","b""c"\n1,2\n`);
  const table = await readColumns(path, ["x' OR 1=1; --", 'b"c']);
  assert.deepEqual(values(table, 'b"c'), [2]);
  const json = join(folder, "it's.json");
  writeFileSync(json, JSON.stringify([{ 'x"; SELECT 1 --': 4, Age: 1, age: 2 }]));
  assert.deepEqual(values(await readColumns(json, ['x"; SELECT 1 --']), 'x"; SELECT 1 --'), [4]);
});

test('column names differ by case', async () => {
  const table = await readColumns(written('Age,age\n1,2\n'), ['age', 'Age']);
  assert.deepEqual([values(table, 'age'), values(table, 'Age')], [[2], [1]]);
});

test('a file of many rows and one of many columns keep their order', async () => {
  const rows = 30_000;
  const long = written(
    `i,s\n${Array.from({ length: rows }, (_, i) => `${i},${i % 7 === 0 ? 'NA' : `s${i % 5}`}`).join('\n')}\n`,
  );
  const table = await readColumns(long, ['i', 's']);
  assert.ok(numericValues(table, 'i').every((value, i) => value === i));
  assert.equal(codeAt(columnOf(table, 's'), 29_998), 's3');
  const names = Array.from({ length: 3000 }, (_, i) => `v${i}`);
  const wide = await readColumns(written(`${names.join()}\n${names.map((_, i) => i).join()}\n`), [
    'v2999',
    'v1',
  ]);
  assert.deepEqual([values(wide, 'v2999'), values(wide, 'v1')], [[2999], [1]]);
});

test('property: what was written as numbers and quoted text is read back', async () => {
  const text = fc
    .string({ maxLength: 8 })
    .filter((s) => !/[\0\r]/.test(s))
    .map((s) => `k${s}.`);
  const row = fc.tuple(
    fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0)),
    text,
  );
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (data) => {
      const lines = data.map(([x, s]) => `${x ?? ''},"${s.replaceAll('"', '""')}"`);
      const table = await readColumns(written(`x,s\n${lines.join('\n')}\n`), ['x', 's']);
      assert.deepEqual(
        [values(table, 'x'), values(table, 's')],
        [data.map(([x]) => x), data.map(([, s]) => s)],
      );
    }),
    { numRuns: 40 },
  );
});

test('property: damaged bytes give a table or a typed data error', async () => {
  const whole = Buffer.from(
    'study,treat,age,"note, x"\r\nA,1,54.5,"said ""no"""\r\nA,0,NA,plain\r\nB,1,61,"two\r\nlines"\r\n',
  );
  const change = fc.record({
    at: fc.nat(whole.length - 1),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0x22, 0x2c, 0x0a, 0x0d, 0x00, 0xff)),
    kind: fc.constantFrom('set', 'insert', 'cut'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      let bytes = Buffer.from(whole);
      for (const { at, byte, kind } of changes) {
        const here = Math.min(at, bytes.length);
        bytes = Buffer.concat([
          bytes.subarray(0, here),
          Buffer.from(kind === 'cut' ? [] : [byte]),
          bytes.subarray(kind === 'insert' ? here : here + 1),
        ]);
      }
      const error = await readColumns(written(bytes), ['treat', 'age']).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      assert.ok(
        error === null || (error instanceof ConcordatError && error.code.startsWith('data/')),
        String(error),
      );
    }),
    { numRuns: 60 },
  );
});
