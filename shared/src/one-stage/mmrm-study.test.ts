import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import { covarianceStructure } from './mmrm-covariance.ts';
import { patternsOf } from './mmrm-patterns.ts';
import { answerLength, readSums, studySums } from './mmrm-study.ts';
import { makeRecords, stream, studyOf, unscaled } from './mmrm-testing.ts';

const KINDS = ['unstructured', 'ar1', 'compound-symmetry'] as const;
const T = 4;
const P = 2 * T;
const data = studyOf(makeRecords(19, 30, T, 0.3), T);
const OWN = [0, 1, 2, 3];
const patterns = patternsOf(data, OWN, unscaled(3 * T));

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)),
    `${what}: ${actual}, expected ${expected}`,
  );
}

function thetaOf(kind: (typeof KINDS)[number], seed: number): Float64Array {
  const { normal } = stream(seed);
  return covarianceStructure(kind, T).identity.map((value) => 0.8 * value + 0.1 * normal());
}

/** S and λ with a dense V over all rows, by generalised least squares. */
function dense(covariance: Float64Array, restricted: boolean): { lambda: number; s: Float64Array } {
  const { response, n, columns } = data;
  assert.ok(response.kind === 'repeated');
  const v = new Float64Array(packedLength(n));
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++)
      if (response.subject[i] === response.subject[j])
        v[packedIndex(i, j)] = covariance[response.visit[i]! * T + response.visit[j]!]!;
  const factor = cholesky(v);
  const all = [...columns, response.y];
  const solved = all.map((column) => solveCholesky(factor, column));
  const g = (i: number, j: number) => all[i]!.reduce((sum, value, k) => sum + value * solved[j]![k]!, 0);
  const own = new Float64Array(packedLength(T));
  for (let i = 0; i < T; i++) for (let j = 0; j <= i; j++) own[packedIndex(i, j)] = g(i, j);
  const ownFactor = cholesky(own);
  const s = new Float64Array(packedLength(P + 1));
  for (let i = 0; i <= P; i++) {
    const fitted = solveCholesky(
      ownFactor,
      Float64Array.from(OWN, (a) => g(T + i, a)),
    );
    for (let j = 0; j <= i; j++)
      s[packedIndex(i, j)] = g(T + i, T + j) - OWN.reduce((sum, a) => sum + fitted[a]! * g(T + j, a), 0);
  }
  return { lambda: logDetFromCholesky(factor) + (restricted ? logDetFromCholesky(ownFactor) : 0), s };
}

test('sums are those of dense generalised least squares, own columns eliminated', () => {
  for (const kind of KINDS) {
    for (const restricted of [true, false]) {
      const structure = covarianceStructure(kind, T);
      const theta = thetaOf(kind, 4);
      const answer = studySums(patterns, structure, restricted, theta, new Float64Array(packedLength(P + 1)));
      assert.equal(answer.length, answerLength(P, structure.parameters));
      const sums = readSums(answer, P, structure.parameters)!;
      const { lambda, s } = dense(structure.at(theta)!.covariance, restricted);
      assert.deepEqual([sums.rows, sums.own], [data.n, T]);
      near(sums.at.value, lambda, 1e-11, 'λ');
      s.forEach((value, k) => near(sums.at.matrix[k]!, value, 1e-10, `S ${k}`));
    }
  }
});

test('first derivatives, and the second ones’ trace with any N, against differences', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...KINDS),
      fc.boolean(),
      fc.integer({ min: 1, max: 1000 }),
      (kind, restricted, seed) => {
        const structure = covarianceStructure(kind, T);
        const k = structure.parameters;
        const { normal } = stream(seed + 1);
        const n = Float64Array.from({ length: packedLength(P + 1) }, normal);
        const theta = thetaOf(kind, seed);
        if (structure.at(theta) === null) return;
        const at = (point: Float64Array) =>
          readSums(studySums(patterns, structure, restricted, point, n), P, k)!;
        const here = at(theta);
        const h = 1e-5;
        for (let a = 0; a < k; a++) {
          const [up, down] = [h, -h].map((step) =>
            at(theta.map((value, b) => (a === b ? value + step : value))),
          );
          near(here.first[a]!.value, (up!.at.value - down!.at.value) / (2 * h), 1e-6, 'dλ');
          here.first[a]!.matrix.forEach((value, e) =>
            near(value, (up!.at.matrix[e]! - down!.at.matrix[e]!) / (2 * h), 1e-6, `dS ${a} ${e}`),
          );
          for (let b = 0; b < k; b++) {
            let change = (up!.first[b]!.value - down!.first[b]!.value) / (2 * h);
            for (let i = 0, e = 0; i <= P; i++)
              for (let j = 0; j <= i; j++, e++)
                change +=
                  ((i === j ? 1 : 2) * n[e]! * (up!.first[b]!.matrix[e]! - down!.first[b]!.matrix[e]!)) /
                  (2 * h);
            near(here.second[packedIndex(a, b)]!, change, 1e-4, `h ${a} ${b}`);
          }
        }
      },
    ),
    { numRuns: 12 },
  );
});

test('at a θ that is no covariance matrix the answer is finite, and read as none', () => {
  const structure = covarianceStructure('ar1', T);
  const answer = studySums(
    patterns,
    structure,
    true,
    Float64Array.of(-1, 0),
    new Float64Array(packedLength(P + 1)),
  );
  assert.ok(answer.every(Number.isFinite));
  assert.equal(readSums(answer, P, 2), null);
});
