import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedLength } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { alongGenerically, conditional, emptyExpansion, expandNumerically } from './expansion.ts';
import { families } from './registry.ts';
import type { ConditionalObjective } from './conditional.ts';
import type { Objective, Response, StudyData } from './types.ts';

const n = 40;
const wave = (f: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => f(i));
const columns = [
  wave(() => 1),
  wave((i) => i % 2),
  wave((i) => Math.sin(3 * i)),
  wave((i) => Math.cos(i) + 2),
];
const offset = wave((i) => 0.2 * Math.sin(i));
const count = wave((i) => (i * 7) % 5);
const trials = wave((i) => 1 + (i % 6));
const responses: Readonly<Record<string, readonly ['binomial' | 'poisson', Response]>> = {
  binary: ['binomial', { kind: 'binary', events: wave((i) => ((i * 5) % 3 === 0 ? 1 : 0)), trials: null }],
  grouped: ['binomial', { kind: 'binary', events: wave((i) => (i * 5) % (2 + (i % 6))), trials }],
  count: ['poisson', { kind: 'count', y: count }],
};

function objectiveOf(name: string, scaled: boolean): ConditionalObjective {
  const [family, response] = responses[name]!;
  const data: StudyData = { n, columns, terms: ['1', 'a', 'b', 'c'], response, offset };
  const scaling = scaled
    ? { centre: Float64Array.of(0, 0.5, 0.1, 2), scale: Float64Array.of(1, 0.5, 0.7, 0.8), intercept: 0 }
    : null;
  return conditional(families[family].objective(data, { family, ties: 'efron' }, scaling));
}

const question = fc.record({
  name: fc.constantFrom(...Object.keys(responses)),
  scaled: fc.boolean(),
  phi: fc.array(fc.double({ min: -0.8, max: 0.8, noNaN: true }), { minLength: 4, maxLength: 4 }),
  directions: fc.constantFrom(
    [Float64Array.of(1, 0, 0, 0)],
    [Float64Array.of(1, 0, 0, 0), Float64Array.of(0, 1, 0, 0)],
    [Float64Array.of(0, 1, 0.3, 0), Float64Array.of(0.5, 0, 0, -0.4)],
  ),
});

function close(actual: Float64Array, expected: Float64Array, tolerance: number, what: string): void {
  const most = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  expected.forEach((value, i) =>
    assert.ok(
      Math.abs(actual[i]! - value) <= tolerance * most,
      `${what} ${i}: ${actual[i]}, expected ${value}`,
    ),
  );
}

test('generalised linear models: analytic derivatives of the Hessian are what differences say', () => {
  fc.assert(
    fc.property(question, ({ name, scaled, phi, directions }) => {
      const objective = objectiveOf(name, scaled);
      const [own, numeric] = [emptyExpansion(4, directions.length), emptyExpansion(4, directions.length)];
      objective.expand(Float64Array.from(phi), directions, 2, own);
      expandNumerically(objective, Float64Array.from(phi), directions, 2, numeric);
      close(own.hessian, numeric.hessian, 1e-14, 'Hessian');
      close(own.gradient, numeric.gradient, 1e-14, 'gradient');
      assert.ok(Math.abs(own.value - numeric.value) <= 1e-13 * (1 + Math.abs(own.value)));
      own.third.forEach((matrix, a) => close(numeric.third[a]!, matrix, 1e-8, `third ${a}`));
      own.fourth.forEach((matrix, ab) => close(numeric.fourth[ab]!, matrix, 2e-8, `fourth ${ab}`));
    }),
  );
});

test('on a plane, the model of its own is the restriction of the whole', () => {
  fc.assert(
    fc.property(
      question,
      fc.double({ min: -1, max: 1, noNaN: true }),
      ({ name, scaled, phi, directions }, t) => {
        const objective = objectiveOf(name, scaled);
        const q = directions.length;
        const c = Float64Array.of(t, -0.7 * t).slice(0, q);
        const [own, whole] = [emptyEvaluation(q), emptyEvaluation(q)];
        objective.along(Float64Array.from(phi), directions).evaluate(c, 2, own);
        alongGenerically(objective, Float64Array.from(phi), directions).evaluate(c, 2, whole);
        assert.ok(Math.abs(own.value - whole.value) <= 1e-12 * (1 + Math.abs(whole.value)));
        close(own.gradient, whole.gradient, 1e-12, 'gradient');
        close(own.hessian, whole.hessian, 1e-12, 'Hessian');
      },
    ),
  );
});

test('planes along other directions, asked for in between, do not disturb', () => {
  const objective = objectiveOf('binary', true);
  const phi = Float64Array.of(0.1, 0.2, -0.1, 0.3);
  const axes = [0, 1, 2, 3].map((j) => [Float64Array.from({ length: 4 }, (_, i) => (i === j ? 1 : 0))]);
  const value = (directions: readonly Float64Array[]) => {
    const out = emptyEvaluation(1);
    objective.along(phi, directions).evaluate(Float64Array.of(0.3), 2, out);
    return out;
  };
  const first = axes.map(value);
  assert.deepEqual(axes.map(value), first);
  assert.notEqual(first[0]!.value, first[1]!.value);
});

test('an objective with a steep curvature: the step adapts', () => {
  const steep: Objective = {
    parameters: 1,
    evaluate(theta, _order, out) {
      const e = Math.exp(40 * theta[0]!);
      out.value = -e;
      out.gradient[0] = -40 * e;
      out.hessian[0] = -1600 * e;
    },
  };
  const out = emptyExpansion(1, 1);
  expandNumerically(steep, Float64Array.of(0.05), [Float64Array.of(1)], 2, out);
  const e = Math.exp(2);
  close(out.third[0]!, Float64Array.of(-64_000 * e), 1e-8, 'third');
  close(out.fourth[0]!, Float64Array.of(-2_560_000 * e), 1e-7, 'fourth');
});

test('an expansion has room for every pair of directions, and a conditional objective stays itself', () => {
  const { third, fourth } = emptyExpansion(3, 2);
  assert.deepEqual([third.length, fourth.length, third[0]!.length], [2, 3, packedLength(3)]);
  const objective = objectiveOf('count', false);
  assert.equal(conditional(objective), objective);
});
