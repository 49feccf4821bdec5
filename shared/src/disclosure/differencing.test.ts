import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asRecords, differenceOf, differences, Universe, type Bitmap } from './differencing.ts';

const bitmap = (...records: number[]): Bitmap => {
  const words = new Uint32Array(Math.ceil((Math.max(0, ...records) + 1) / 32));
  for (const record of records) words[record >>> 5]! |= 1 << (record & 31);
  return words;
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test('participants in one set and not the other, of sets of any length', () => {
  assert.equal(differenceOf([bitmap(...range(0, 100)), bitmap(...range(0, 97))], null, 10), 3);
  assert.equal(differenceOf([bitmap(...range(0, 100)), bitmap(...range(50, 100))], null, 10), 10);
  assert.equal(differenceOf([bitmap(1, 31, 32), bitmap(31, 64)], null, 10), 3);
  assert.equal(differenceOf([bitmap(5), bitmap(5)], null, 10), 0);
});

test('all, the women and the men leave those whose sex is missing', () => {
  const [all, women, men] = [bitmap(...range(0, 100)), bitmap(...range(0, 40)), bitmap(...range(40, 98))];
  assert.deepEqual(differences(men, [all, women], null, 10), [2]);
  assert.deepEqual(differences(bitmap(...range(40, 100)), [all, women], null, 10), []);
});

test('a set that is there already differs by nobody, whatever else is there', () => {
  const [a, b] = [bitmap(...range(0, 100)), bitmap(...range(0, 99))];
  assert.deepEqual(differences(a, [a, b], null, 10), []);
  assert.deepEqual(differences(b, [a], null, 10), [1]);
});

test('rows of one participant are one, and rows without an owner one each', () => {
  const owner = Int32Array.from([0, 0, 0, 1, 1, -1, -1]);
  assert.equal(differenceOf([bitmap(0, 1, 2, 3, 4), bitmap(0)], owner, 10), 2);
  assert.equal(differenceOf([bitmap(0, 1, 2, 5, 6), bitmap()], owner, 10), 3);
  assert.equal(differenceOf([bitmap(9), bitmap()], owner, 10), 1);
});

const keysOf = (rows: readonly number[]): Uint32Array =>
  Uint32Array.from(rows.flatMap((row) => [Math.imul(row, 0x9e3779b1) >>> 0, row]));

test('a row of a later file is the record of an earlier one with the same content, each once', () => {
  const universe = new Universe();
  assert.equal(universe.add(keysOf([7, 8, 8, 9])), null);
  assert.deepEqual([...universe.add(keysOf([8, 7, 8, 8, 10]))!], [1, 0, 2, 4, 5]);
  assert.equal(universe.size, 6);
  assert.deepEqual([...universe.add(keysOf([10, 9]))!], [5, 3]);
  assert.deepEqual([...asRecords(bitmap(0, 3), Uint32Array.of(8, 7, 6, 40), 41)], [1 << 8, 1 << 8]);
});

test('property: the order of the sets does not matter, and as sets of numbers they differ by as many', () => {
  const set = fc.uniqueArray(fc.nat({ max: 90 }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.array(set, { minLength: 1, maxLength: 4 }), (sets) => {
      const odd = range(0, 91).filter((r) => sets.filter((s) => s.includes(r)).length % 2 === 1).length;
      const maps = sets.map((s) => bitmap(...s));
      assert.equal(differenceOf(maps, null, 1000), odd);
      assert.equal(differenceOf(maps.toReversed(), null, 1000), odd);
    }),
  );
});

test('property: the order of the rows of a file does not matter', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 50 }).chain((rows) =>
        fc.tuple(
          fc.constant(rows),
          fc.shuffledSubarray(
            rows.map((_, i) => i),
            { minLength: rows.length, maxLength: rows.length },
          ),
        ),
      ),
      ([rows, order]) => {
        const universe = new Universe();
        universe.add(keysOf(rows));
        const records = universe.add(keysOf(order.map((i) => rows[i]!)));
        assert.deepEqual(
          [...records!].toSorted((a, b) => a - b),
          range(0, rows.length),
        );
      },
    ),
  );
});
