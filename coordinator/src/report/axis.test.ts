import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeAxis, type Interval } from './axis.ts';

const labels = (axis: ReturnType<typeof makeAxis>): string[] => axis.ticks.map(({ label }) => label);

function interval(estimate: number, half: number): Interval {
  return { estimate, low: estimate - half, high: estimate + half };
}

test('ratio axes have round ticks around 1', () => {
  assert.deepEqual(labels(makeAxis([interval(-0.3, 0.9), interval(0.2, 1)], [0], true)), ['0.5', '1', '2']);
  assert.ok(labels(makeAxis([interval(0.01, 0.05), interval(-0.02, 0.04)], [0], true)).includes('1.00'));
  assert.ok(labels(makeAxis([interval(-8, 3), interval(6, 3)], [0], true)).includes('1'));
});

test('difference axes have round ticks with a minus sign', () => {
  assert.deepEqual(labels(makeAxis([interval(-8, 3), interval(-2, 4)], [0], false)), [
    '−10',
    '−8',
    '−6',
    '−4',
    '−2',
    '0',
    '2',
  ]);
});

test('a fit that ran away leaves a finite axis', () => {
  const axis = makeAxis([interval(15, 4000)], [0], true);
  assert.ok(axis.ticks.length >= 2 && Number.isFinite(Math.exp(axis.high)));
});

test('one very imprecise study does not squeeze the others', () => {
  const usual = Array.from({ length: 9 }, (_, i) => interval(-0.5 + i / 10, 0.4));
  const axis = makeAxis([...usual, interval(3, 40)], [0], true);
  assert.ok(axis.high - axis.low < 4);
});

test('for any studies the axis is finite, ordered, with at least two ticks inside, and shows what it must', () => {
  const studies = fc.array(
    fc
      .tuple(fc.double({ min: -20, max: 20, noNaN: true }), fc.double({ min: 1e-4, max: 20, noNaN: true }))
      .map(([estimate, half]) => interval(estimate, half)),
    { maxLength: 20 },
  );
  const always = fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { maxLength: 4 });
  fc.assert(
    fc.property(studies, always, fc.boolean(), (rows, must, isRatio) => {
      const axis = makeAxis(rows, must, isRatio);
      assert.ok(Number.isFinite(axis.low) && Number.isFinite(axis.high) && axis.low < axis.high);
      for (const value of must) assert.ok(value >= axis.low && value <= axis.high);
      assert.ok(axis.ticks.length >= 2 && axis.ticks.length <= 12, `${axis.ticks.length} ticks`);
      const slack = 1e-6 * (axis.high - axis.low);
      for (const [i, tick] of axis.ticks.entries()) {
        assert.ok(tick.at >= axis.low - slack && tick.at <= axis.high + slack);
        if (i > 0) assert.ok(tick.at > (axis.ticks[i - 1]?.at ?? Infinity));
      }
      assert.equal(new Set(axis.ticks.map(({ label }) => label)).size, axis.ticks.length);
    }),
    { numRuns: 500, seed: 1 },
  );
});
