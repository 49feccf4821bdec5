import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex } from '../linalg/symmetric.ts';
import { patternsOf } from './mmrm-patterns.ts';
import { makeRecords, studyOf, unscaled } from './mmrm-testing.ts';

const records = makeRecords(3, 12, 3, 0.3);
const data = studyOf(records, 3);

test('without own columns the crossproducts are those of the rows, by who was seen when', () => {
  const { patterns, rows, own, common } = patternsOf(data, [], unscaled(9));
  assert.deepEqual([rows, own, common], [records.y.length, 0, 9]);
  const participants = new Map<string, number[]>();
  for (const subject of new Set(records.subject)) {
    const at = records.subject.flatMap((s, i) => (s === subject ? [i] : []));
    const key = at.map((i) => records.visit[i]).join(' ');
    participants.set(key, [...(participants.get(key) ?? []), subject]);
  }
  assert.equal(patterns.length, participants.size);
  for (const { visits, participants: count, products } of patterns) {
    const subjects = participants.get(visits.join(' '))!;
    assert.equal(count, subjects.length);
    const row = (subject: number, visit: number) =>
      records.subject.findIndex((s, i) => s === subject && records.visit[i] === visit);
    const z = (i: number, a: number) => (a < 9 ? data.columns[a]![i]! : records.y[i]!);
    visits.forEach((s, i) =>
      visits.slice(0, i + 1).forEach((t, j) => {
        for (let a = 0; a < 10; a++) {
          for (let b = 0; b <= a; b++) {
            let sum = 0;
            for (const subject of subjects) {
              const [u, v] = [row(subject, s), row(subject, t)];
              sum += z(u, a) * z(v, b) + (i === j ? 0 : z(v, a) * z(u, b));
            }
            const found = products[packedIndex(i, j)]![packedIndex(a, b)]!;
            assert.ok(Math.abs(found - sum) < 1e-10);
          }
        }
      }),
    );
  }
});

test('own columns that others determine, or of a visit that the study has not, are left out', () => {
  const without = { ...records };
  const kept = records.visit.flatMap((v, i) => (v === 1 ? [] : [i]));
  for (const key of ['y', 'subject', 'visit', 'x', 'treat'] as const)
    without[key] = kept.map((i) => records[key][i]!);
  assert.equal(patternsOf(studyOf(without, 3), [0, 1, 2], unscaled(9)).own, 2);
  const twice = { ...data, columns: [...data.columns, data.columns[0]!], terms: [...data.terms, 'again'] };
  assert.equal(patternsOf(twice, [0, 1, 2, 9], unscaled(10)).own, 3);
});

test('an outcome far from 0 keeps its digits where own means take it off', () => {
  const far = { ...records, y: records.y.map((value) => value + 2 ** 30) };
  const [near, distant] = [records, far].map((one) => patternsOf(studyOf(one, 3), [0, 1, 2], unscaled(9)));
  near!.patterns.forEach(({ products }, k) =>
    products.forEach((product, pair) => {
      const [one, other] = [product.at(-1)!, distant!.patterns[k]!.products[pair]!.at(-1)!];
      assert.ok(Math.abs(one - other) < 1e-4, `${one} and ${other}`);
    }),
  );
});

test('a visit twice, a visit beyond the last and another response are refused', () => {
  const one = { y: [1, 2], subject: [0, 0], x: [0, 0], treat: [0, 0] };
  const code = { code: 'numerics/invalid-input' };
  assert.throws(() => patternsOf(studyOf({ ...one, visit: [1, 1] }, 2), [], unscaled(6)), code);
  assert.throws(() => patternsOf(studyOf({ ...one, visit: [0, 2] }, 2), [], unscaled(6)), code);
  const other = { ...data, response: { kind: 'count', y: new Float64Array(data.n) } } as const;
  assert.throws(() => patternsOf(other, [], unscaled(9)), code);
});
