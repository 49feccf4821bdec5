import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { combinations, type Bitmap } from './combinations.ts';

const bitmap = (records: readonly number[], size = 200): Bitmap => {
  const words = new Uint32Array(Math.ceil(size / 32));
  for (const record of records) words[record >>> 5]! |= 1 << (record & 31);
  return words;
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const shown = (sets: readonly (readonly number[])[], limit = 10): readonly number[] =>
  combinations(
    sets.map((set) => bitmap(set)),
    null,
    limit,
  );

test('all less any number of parts show those who are in none', () => {
  const parts = [range(0, 30), range(30, 60), range(60, 90), range(90, 118)];
  assert.deepEqual(shown([range(0, 120), ...parts]), [2]);
  assert.deepEqual(shown([range(0, 120), ...parts.slice(0, 3)]), []);
  assert.deepEqual(shown([range(0, 118), ...parts]), []);
  // Ten are no few.
  assert.deepEqual(shown([range(0, 128), ...parts]), []);
});

test('A − B − C + D shows those who are missing both', () => {
  const all = range(0, 150);
  const [first, second] = [range(0, 22), range(20, 45)];
  const without = (...gone: number[][]): number[] => all.filter((record) => !gone.flat().includes(record));
  assert.deepEqual(shown([all, without(first), without(second)]), []);
  assert.deepEqual(shown([all, without(first), without(second), without(first, second)]), [2]);
});

test('sets that overlap in a few people show nobody by themselves', () => {
  assert.deepEqual(shown([range(0, 60), range(57, 120)]), []);
});

test('rows of one participant are one', () => {
  const owner = Int32Array.from(range(0, 200), (record) => (record >= 100 && record < 112 ? 1 : -1));
  const sets = [bitmap(range(0, 112)), bitmap(range(0, 50)), bitmap(range(50, 100))];
  assert.deepEqual(combinations(sets, owner, 10), [1]);
  assert.deepEqual(combinations(sets, null, 10), []);
});

test('property: whatever sums and differences show fewer than the limit is found', () => {
  const size = 40;
  // Blocks of records that are wholly in or out of a set, some of few and some of many.
  const set = fc.array(fc.boolean(), { minLength: 7, maxLength: 7 });
  const blocks = [
    range(0, 1),
    range(1, 3),
    range(3, 5),
    range(5, 15),
    range(15, 25),
    range(25, 33),
    range(33, 40),
  ];
  const weights = (k: number): number[][] =>
    k === 0 ? [[]] : weights(k - 1).flatMap((w) => [-1, 0, 1].map((last) => [...w, last]));
  fc.assert(
    fc.property(fc.array(set, { minLength: 2, maxLength: 4 }), (held) => {
      const sets = held.map((inside) => blocks.flatMap((block, b) => (inside[b] ? block : [])));
      const found = combinations(
        sets.map((records) => bitmap(records, size)),
        null,
        4,
      );
      for (const w of weights(sets.length)) {
        const few = range(0, size).filter(
          (record) => sets.reduce((sum, records, j) => sum + (records.includes(record) ? w[j]! : 0), 0) !== 0,
        );
        if (few.length > 0 && few.length < 4) {
          assert.ok(found.length > 0);
          return;
        }
      }
    }),
    { numRuns: 300 },
  );
});
