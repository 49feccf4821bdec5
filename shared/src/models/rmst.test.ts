import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { rmst, rmstStudy } from './rmst.ts';
import type { StudyData } from './types.ts';

const fixture = new URL('../../../test/fixtures/survival/cases.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly data: Readonly<Record<string, readonly number[]>>;
  readonly rmst: Readonly<Record<'control' | 'controlSe' | 'active' | 'activeSe', number>>;
};
const column = (name: string): Float64Array => Float64Array.from(cases.data[name]!);

function study(time: ArrayLike<number>, event: ArrayLike<number>, ...arms: ArrayLike<number>[]): StudyData {
  return {
    n: time.length,
    columns: arms.map((arm) => Float64Array.from(arm)),
    terms: arms.map((_, k) => `treatment${k + 1}`),
    response: {
      kind: 'time-to-event',
      time: Float64Array.from(time),
      event: Float64Array.from(event),
      entry: null,
      stratum: null,
    },
    offset: null,
  };
}

function close(actual: number, expected: number, tolerance = 1e-12): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1e-300, Math.abs(expected)),
    `${actual} ≠ ${expected}`,
  );
}

const whole = study(column('time'), column('event'), column('treatment'));
const { control, controlSe, active, activeSe } = cases.rmst;

test('difference and log ratio as survfit’s rmean', () => {
  const difference = rmstStudy(whole, 8, 'difference');
  assert.ok(difference.status === 'fitted');
  close(difference.estimates[0]!, active - control, 1e-10);
  close(difference.vcov[0]!, activeSe ** 2 + controlSe ** 2, 1e-10);
  assert.equal(difference.logLikelihood, null);
  const ratio = rmstStudy(whole, 8, 'ratio');
  assert.ok(ratio.status === 'fitted');
  close(ratio.estimates[0]!, Math.log(active / control), 1e-10);
  close(ratio.vcov[0]!, (activeSe / active) ** 2 + (controlSe / control) ** 2, 1e-10);
});

test('by hand: ties, censoring at an event time, all at risk with the event', () => {
  // S: ¾ from 1 on, then of the two left at 2 one has the event: ⅜; at 4 the last one: 0.
  const { mean, variance } = rmst(Float64Array.of(1, 1, 2, 4), Float64Array.of(1, 0, 1, 1), 5);
  close(mean, 1 + 0.75 + 2 * 0.375);
  close(variance, 1.5 ** 2 / 12 + 0.75 ** 2 / 2);
});

test('late entry: at risk from then on', () => {
  const entry = Float64Array.of(0, 0, 1);
  const { mean } = rmst(Float64Array.of(1, 3, 2), Float64Array.of(1, 0, 1), 3, entry);
  close(mean, 1 + 0.5 + 0.25);
});

test('without censoring it is the mean of min(T, τ)', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 13 }),
      (times, tau) => {
        const { mean } = rmst(Float64Array.from(times), new Float64Array(times.length).fill(1), tau);
        close(mean, times.reduce((sum, t) => sum + Math.min(t, tau), 0) / times.length, 1e-11);
      },
    ),
  );
});

test('several arms share the control arm', () => {
  const time = [3, 6, 9, 2, 7, 9, 1, 5, 9];
  const event = [1, 1, 0, 1, 1, 0, 1, 1, 0];
  const first = [0, 0, 0, 1, 1, 1, 0, 0, 0];
  const second = [0, 0, 0, 0, 0, 0, 1, 1, 1];
  const outcome = rmstStudy(study(time, event, first, second), 8, 'difference');
  assert.ok(outcome.status === 'fitted');
  const arms = [0, 3, 6].map((at) =>
    rmst(Float64Array.from(time.slice(at, at + 3)), Float64Array.of(1, 1, 0), 8),
  );
  outcome.estimates.forEach((value, k) => close(value, arms[k + 1]!.mean - arms[0]!.mean));
  close(outcome.vcov[1]!, arms[0]!.variance);
  close(outcome.vcov[2]!, arms[0]!.variance + arms[2]!.variance);
  const absent = rmstStudy(study(time, event, second, new Float64Array(9)), 8, 'ratio');
  assert.ok(absent.status === 'fitted');
  assert.deepEqual(absent.estimable, [true, false]);
  assert.equal(absent.estimates.length, 1);
});

test('what is not estimable says why', () => {
  const diagnosis = (data: StudyData, tau: number) => {
    const outcome = rmstStudy(data, tau, 'difference');
    return outcome.status === 'not-estimable' ? outcome.diagnosis : null;
  };
  const at = (tau: number, time: number[], event: number[], arm: number[]) =>
    diagnosis(study(time, event, arm), tau);
  assert.deepEqual(at(5, [], [], []), { code: 'no-participants', terms: [] });
  assert.deepEqual(at(5, [6, 7], [0, 1], [1, 1]), { code: 'single-arm', terms: [0] });
  assert.deepEqual(at(5, [6, 7], [0, 1], [0, 0]), { code: 'single-arm', terms: [0] });
  assert.deepEqual(at(5, [4, 6, 7, 2], [1, 0, 1, 1], [0, 1, 1, 0]), { code: 'short-follow-up', terms: [0] });
  assert.deepEqual(at(5, [6, 8], [1, 1], [0, 1]), { code: 'no-events', terms: [] });
  assert.throws(() => rmstStudy(study([6, 8], [1, 1], [0, 2]), 5, 'ratio'), {
    code: 'numerics/invalid-input',
  });
  assert.throws(() => rmstStudy(whole, 0, 'ratio'), { code: 'numerics/invalid-input' });
});
