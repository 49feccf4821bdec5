import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packedIndex } from '../linalg/symmetric.ts';
import { covarianceStructure } from './mmrm-covariance.ts';
import {
  criterion,
  meansOf,
  predictMeans,
  profileEvaluation,
  restrictSums,
  weightsOf,
} from './mmrm-criterion.ts';
import { patternsOf } from './mmrm-patterns.ts';
import { readSums, studySums } from './mmrm-study.ts';
import { makeRecords, studyOf, unscaled } from './mmrm-testing.ts';

const T = 3;
const P = 2 * T;
const everything = [0, 1, 2, 3, 4, 5];
const structure = covarianceStructure('unstructured', T);
const k = structure.parameters;
const patterns = [31, 32].map((seed) =>
  patternsOf(studyOf(makeRecords(seed, 25, T, 0.25), T), [0, 1, 2], unscaled(9)),
);
const theta = Float64Array.of(0.7, -0.2, 0.8, 0.1, -0.3, 0.6);

function sumsAt(point: Float64Array, weights: Float64Array, restricted: boolean) {
  let sum: Float64Array | null = null;
  for (const one of patterns) {
    const answer = studySums(one, structure, restricted, point, weights);
    sum = sum === null ? answer : sum.map((value, i) => value + answer[i]!);
  }
  return readSums(sum!, P, k)!;
}

const none = new Float64Array(((P + 1) * (P + 2)) / 2);
const moved = (point: Float64Array, a: number, step: number) =>
  point.map((value, b) => (a === b ? value + step : value));

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)),
    `${what}: ${actual}, expected ${expected}`,
  );
}

for (const restricted of [true, false]) {
  test(`${restricted ? 'restricted' : 'maximum'} likelihood: gradient and Hessian against differences, where N is of the means`, () => {
    const means = meansOf(sumsAt(theta, none, restricted).at.matrix, P)!;
    const weights = weightsOf(means, everything, P, restricted);
    const at = (point: Float64Array) => criterion(point, sumsAt(point, weights, restricted), restricted, 0)!;
    const here = at(theta);
    const h = 1e-5;
    for (let a = 0; a < k; a++) {
      const [up, down] = [at(moved(theta, a, h)), at(moved(theta, a, -h))];
      near(here.gradient[a]!, (up.value - down.value) / (2 * h), 1e-7, `gradient ${a}`);
      for (let b = 0; b < k; b++)
        near(
          here.hessian[packedIndex(a, b)]!,
          (up.gradient[b]! - down.gradient[b]!) / (2 * h),
          1e-6,
          `Hessian ${a} ${b}`,
        );
      up.means.covariance.forEach((value, e) =>
        near(here.covarianceSlopes[a]![e]!, (value - down.means.covariance[e]!) / (2 * h), 1e-7, `∂A⁻¹ ${e}`),
      );
    }
  });
}

test('means predicted at another θ are off by the square of the step', () => {
  const here = criterion(theta, sumsAt(theta, none, true), true, 0)!;
  const error = (step: number) => {
    const point = theta.map((value, a) => value + step * (a % 2 === 0 ? 1 : -0.5));
    const exact = meansOf(sumsAt(point, none, true).at.matrix, P)!;
    return Math.abs(predictMeans(here, point).beta[5]! - exact.beta[5]!);
  };
  assert.ok(error(1e-3) < error(1e-2) / 50);
});

test('a coefficient held: value, slope and curvature of its profile against differences', () => {
  const full = criterion(theta, sumsAt(theta, none, false), false, 0)!;
  const [a, beta] = [4, full.means.beta[4]! + 0.2];
  const u = profileBeta(a, beta);
  const at = (point: Float64Array, value: number) =>
    profileEvaluation(
      point,
      sumsAt(point, weightsOf({ beta: u, covariance: none }, everything, P, false), false),
      a,
      value,
      P,
    )!;
  const here = at(theta, beta);
  assert.ok(here.value < full.value);
  near(at(theta, full.means.beta[a]!).value, full.value, 1e-13, 'at the maximum');
  near(at(theta, full.means.beta[a]!).gradient[k]!, 0, 1e-9, 'slope at the maximum');
  const h = 1e-5;
  for (let c = 0; c <= k; c++) {
    const move = (step: number) => (c === k ? at(theta, beta + step) : at(moved(theta, c, step), beta));
    const [up, down] = [move(h), move(-h)];
    near(here.gradient[c]!, (up.value - down.value) / (2 * h), 1e-7, `gradient ${c}`);
    for (let b = 0; b <= k; b++)
      near(
        here.hessian[packedIndex(c, b)]!,
        (up.gradient[b]! - down.gradient[b]!) / (2 * h),
        1e-6,
        `Hessian ${c} ${b}`,
      );
  }

  function profileBeta(position: number, value: number): Float64Array {
    // β̂ of the others with this one held: by restricting the sums after taking it off y, as its definition has it.
    const others = everything.filter((j) => j !== position);
    const matrix = sumsAt(theta, none, false).at.matrix.slice();
    for (const j of others) matrix[packedIndex(P, j)]! -= value * matrix[packedIndex(position, j)]!;
    const { at: part } = restrictSums(
      { rows: 0, own: 0, at: { value: 0, matrix }, first: [], second: none },
      others,
      P,
    );
    const held = meansOf(part.matrix, P - 1)!.beta;
    return Float64Array.from(everything, (j) => (j === position ? value : held[others.indexOf(j)]!));
  }
});
