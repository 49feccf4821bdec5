import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedLength } from '../linalg/symmetric.ts';
import { covarianceStructure } from './mmrm-covariance.ts';
import { meansOf } from './mmrm-criterion.ts';
import { patternsOf } from './mmrm-patterns.ts';
import { coefficientLimit, maximum, sumsAt, type Limit, type Optimum, type Problem } from './mmrm-search.ts';
import { studySums, type Sums } from './mmrm-study.ts';
import { makeRecords, studyOf, unscaled } from './mmrm-testing.ts';
import type { Ask, Gathered } from './types.ts';

const T = 3;
const P = 2 * T;
const everything = [0, 1, 2, 3, 4, 5];
const patterns = patternsOf(studyOf(makeRecords(41, 60, T), T), [0, 1, 2], unscaled(9));

function answered<R>(problem: Problem, search: Generator<Ask, R, Gathered>): R {
  const k = problem.structure.parameters;
  let turn = search.next();
  while (turn.done !== true) {
    const { theta } = turn.value;
    const sums = studySums(
      patterns,
      problem.structure,
      problem.restricted,
      theta.subarray(0, k),
      theta.subarray(k),
    );
    turn = search.next([sums]);
  }
  return turn.value;
}

for (const kind of ['unstructured', 'ar1', 'compound-symmetry'] as const) {
  test(`${kind}: the maximum is found from afar, and it is the same one`, () => {
    const problem: Problem = {
      structure: covarianceStructure(kind, T),
      p: P,
      restricted: true,
      scaleDeterminant: 0,
    };
    const from = (start: Float64Array): Optimum => {
      const weights = new Float64Array(packedLength(P + 1));
      const sums: Sums | null = answered(problem, sumsAt(problem, start, weights));
      return answered(problem, maximum(problem, start, everything, meansOf(sums!.at.matrix, P)!));
    };
    const best = from(problem.structure.identity).last!.value;
    fc.assert(
      fc.property(
        fc.constantFrom(0.05, 0.3, 2, 10),
        fc.double({ min: -0.3, max: 0.3, noNaN: true }),
        (size, tilt) => {
          const start = problem.structure.identity.map((value) =>
            value === 0 ? tilt * (kind === 'ar1' ? 1 : size) : size,
          );
          const { fit, last, rounds } = from(start);
          assert.equal(fit.status, 'converged');
          assert.ok(Math.abs(last!.value - best) < 1e-8);
          assert.ok(rounds < 30, `${rounds} rounds`);
        },
      ),
      { numRuns: 15 },
    );
  });
}

test('limits of a profile stand where twice the log-likelihood has fallen by the critical value', () => {
  const problem: Problem = {
    structure: covarianceStructure('ar1', T),
    p: P,
    restricted: false,
    scaleDeterminant: 0,
  };
  const { structure } = problem;
  const sums = answered(problem, sumsAt(problem, structure.identity, new Float64Array(packedLength(P + 1))))!;
  const guess = meansOf(sums.at.matrix, P)!;
  const top = answered(problem, maximum(problem, structure.identity, everything, guess)).last!;
  const [lower, upper]: Limit[] = ([-1, 1] as const).map((side) =>
    answered(problem, coefficientLimit(problem, top, 5, side, 3.84)),
  );
  const beta = top.means.beta[5]!;
  assert.ok(lower!.limit! < beta && beta < upper!.limit!);
  assert.ok(lower!.rounds <= 8 && upper!.rounds <= 8);
});
