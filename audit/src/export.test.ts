import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { signMessage } from '@concordat/shared/wire/signing.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { exported, type ExportFormat } from './export.ts';
import { LOG_IDENTITY } from './page/testing.ts';
import { shown, shownLines } from './show.ts';

const HEADER = {
  study: 'A',
  run: new Uint8Array(16).fill(1),
  analysis: 'cvd',
  round: 2,
  planDigest: new Uint8Array(32),
  rosterDigest: new Uint8Array(32),
  attempt: 0,
  inReplyTo: new Uint8Array(32),
  checkpoint: { size: 1, root: new Uint8Array(32) },
};

function logged(payload: NonNullable<SiteMessage['payload']>): Uint8Array {
  const body = SiteMessage.encode({ header: HEADER, payload }).finish();
  return SignedMessage.encode(signMessage(LOG_IDENTITY, body)).finish();
}

function entryOf(n: number, over: Partial<LogEntry>, body: AuditedEntry['body']): AuditedEntry {
  const place = { run: '01'.repeat(16), analysis: 'cvd', round: 2, body: 'ab'.repeat(32), at: 0 };
  const entry = { n, time: '2026-01-01T00:00:00.000Z', kind: 'sent', ...place, ...over } as const;
  return { entry, leaf: new Uint8Array(32), body };
}

const ENTRIES: readonly AuditedEntry[] = [
  entryOf(
    0,
    { type: 'objectiveValue' },
    logged({ $case: 'objectiveValue', value: { values: [-1234.5, 0.1] } }),
  ),
  entryOf(
    1,
    { type: 'factorLevels', peer: '=HYPERLINK("http://x")' },
    logged({
      $case: 'factorLevels',
      value: {
        variables: [{ variable: '@sum', levels: [{ code: { $case: 'text', value: '-1+cmd|"a",b\n' } }] }],
      },
    }),
  ),
  entryOf(
    2,
    { kind: 'refused', type: 'refusals' },
    Buffer.from('[{"rule":"participants","threshold":20,"observed":7}]'),
  ),
  entryOf(3, { type: 'stageOneEstimate' }, 'erased'),
  entryOf(4, { type: 'stageOneEstimate' }, 'withheld'),
  entryOf(5, { type: 'stageOneEstimate' }, Buffer.from('not a message')),
];
const text = (format: ExportFormat): string => [...exported(ENTRIES, format)].join('');

test('numbers are exported as they are, and no text can be a formula of a spreadsheet', () => {
  const csv = text('csv');
  assert.match(csv, /,values\[0\],,-1234\.5\r\n/);
  assert.match(csv, /,"'=HYPERLINK\(""http:\/\/x""\)",/);
  assert.match(csv, /,variables\[0\]\.variable,,'@sum\r\n/);
  assert.match(csv, /,"'-1\+cmd\|""a"",b\n"\r\n/);
  assert.doesNotMatch(csv, /(^|,)"?[=+@]/m);
  assert.match(csv, /,erased,,,\r\n/);
});

test('JSON and JSON by line hold the same, an object an entry', () => {
  const whole = JSON.parse(text('json')) as { n: number; state: string; values: unknown[] }[];
  const lines = text('ndjson')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  assert.deepEqual(lines, whole);
  assert.deepEqual(
    whole.map(({ n, state, values }) => [n, state, values.length]),
    [
      [0, 'there', 2],
      [1, 'there', 2],
      [2, 'there', 3],
      [3, 'erased', 0],
      [4, 'withheld', 0],
      [5, 'there', 0],
    ],
  );
});

test('what left is shown with what was decided; filters find others; what is not there is said', () => {
  const numbers = (selection: Parameters<typeof shown>[1]): number[] =>
    [...shown(ENTRIES, selection)].map(({ entry }) => entry.n);
  assert.deepEqual(numbers({}), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(numbers({ sent: true }), [0, 1, 3, 4, 5]);
  assert.deepEqual(numbers({ type: 'refusals' }), [2]);
  assert.deepEqual(numbers({ entry: 4, run: '0101' }), [4]);
  assert.deepEqual(numbers({ round: 3 }), []);
  assert.deepEqual(numbers({ run: '02' }), []);
  const lines = [...shownLines(shown(ENTRIES, {}))].join('\n');
  for (const told of ['participants', '-1234.5', 'erased', 'not handed over', 'cannot be read'])
    assert.ok(lines.includes(told), told);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(lines, /[\u0000-\u0009\u000b-\u001f]/);
});
