import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { generate } from './generate.ts';

/** Smallest count among the cells of two or three columns, over rows where none of them is missing. */
function smallestCell(text: string, columns: readonly string[]): number {
  const [header, ...lines] = text.trimEnd().split('\n');
  const index = columns.map((column) => header!.split(',').indexOf(column));
  const keys = lines.map((line) => index.map((i) => line.split(',')[i]!)).filter((key) => !key.includes(''));
  return Math.min(
    ...Map.groupBy(keys, (key) => key.join())
      .values()
      .map((rows) => rows.length),
  );
}

test('the same bytes on every machine', () => {
  const hash = createHash('sha256');
  for (const { file, text } of generate()) hash.update(`${file}\n${text}`);
  assert.equal(hash.digest('hex'), '4498f132f60e6aa15cb90109c837f5a2bb47d51bbf8a2daebcd521345a5dc7b1');
});

test('ten trials, of which the default disclosure policy refuses one', () => {
  const files = generate();
  const sizes = files.map(({ text }) => text.trimEnd().split('\n').length - 1);
  assert.equal(sizes.length, 10);
  assert.deepEqual(
    sizes.filter((size) => size < 20),
    [16],
  );
  for (const { file, text } of files.filter((_, i) => sizes[i]! >= 20)) {
    for (const cell of [
      ['treat', 'cvd_event'],
      ['sex', 'treat', 'cvd_event'],
      ['treat', 'controlled'],
      ['region', 'treat', 'cvd_event'],
    ]) {
      assert.ok(smallestCell(text, cell) >= 5, `${file}: ${cell.join(' × ')}`);
    }
  }
});
