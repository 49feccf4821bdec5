import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { cholesky, inverseFromCholesky } from '../linalg/symmetric.ts';
import { drive, newton } from '../numerics/newton.ts';
import { binomial } from './binomial.ts';
import type { ConditionalObjective } from './conditional.ts';
import {
  assertAsR,
  assertDerivatives,
  assertExpansion,
  evaluate,
  fixtureOf,
  near,
  rowsWhere,
} from './derivatives-testing.ts';
import { emptyExpansion } from './expansion.ts';
import { collapse, levelCounts, ordinal, presentLevels, startingThresholds } from './ordinal.ts';
import type { ModelOptions, StudyData } from './types.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { families, column, records } = fixtureOf(readFileSync(file, 'utf8'));
const options: ModelOptions = { family: 'ordinal', ties: 'efron' };
const anchored: ModelOptions = { ...options, anchored: true };
const level = Int32Array.from(column('level'));
const response = { kind: 'ordinal', level, levels: 4 } as const;
const free = records(response, { intercept: false });
const conditional = (study: StudyData, how = options) =>
  ordinal.objective(study, how, null) as ConditionalObjective;

function fitOf(study: StudyData, how = options) {
  const thresholds = ordinal.extra!(how, study.response).map(({ start }) => start);
  const start = Float64Array.of(...study.columns.map(() => 0), ...thresholds);
  const fit = drive(newton(start), conditional(study, how));
  assert.equal(fit.status, 'converged');
  const vcov = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
  return { estimates: fit.theta, vcov, logLik: fit.evaluation.value };
}

test('as R: ordinal::clm, without and with an offset, and with an absent level dropped', () => {
  assertAsR(families.ordinal, fitOf(free));
  assertAsR(families.ordinalOffset, fitOf(records(response, { intercept: false, offset: true })));
  const gap = collapse(rowsWhere(free, (i) => level[i] !== 1));
  assert.equal(gap.response.kind === 'ordinal' && gap.response.levels, 3);
  assertAsR(families.ordinalGap, fitOf(gap));
});

test('the null model is that of the levels alone', () => {
  const alone = { ...free, columns: [], terms: [] };
  near('without offset', ordinal.nullModel!(free, options).logLikelihood, fitOf(alone).logLik, 1, 1e-10);
  const shifted = records(response, { intercept: false, offset: true });
  const fit = fitOf({ ...shifted, columns: [], terms: [] });
  near('with offset', ordinal.nullModel!(shifted, options).logLikelihood, fit.logLik, 1, 1e-10);
  near('intercept', ordinal.nullModel!(shifted, options).intercept, -fit.estimates[0]!, 1, 1e-9);
});

test('derivatives, at common, close and far thresholds', () => {
  for (const tau of [
    [-1, 0.3, 1.4],
    [0.1, 0.101, 0.5],
    [-30, 0, 30],
  ]) {
    const phi = Float64Array.of(0.4, -0.3, ...tau);
    if (tau[1]! - tau[0]! > 0.01) assertDerivatives(conditional(free), phi);
    const directions = [Float64Array.of(0, 0, -1, -1, -1), Float64Array.of(1, 0, 0, 0, 0)];
    assertExpansion(conditional(free), phi, directions);
  }
  // Directions that move the gaps between thresholds, with and without an anchor.
  assertExpansion(conditional(free), Float64Array.of(0.4, -0.3, -1, 0.3, 1.4), [
    Float64Array.of(0.2, 0, -1, 0.5, 0.1),
    Float64Array.of(0, 1, 0, 0, 0.3),
  ]);
  assertExpansion(conditional(records(response), anchored), Float64Array.of(1, 0.4, -0.3, 1.3, 2.4), [
    Float64Array.of(1, 0, 0, 0, 0),
    Float64Array.of(0, 1, 0, 0.4, -0.2),
  ]);
});

test('anchored: the same likelihood, with −τ₀ as intercept and gaps as thresholds', () => {
  const study = records(response);
  const [a, b] = [fitOf(free), fitOf(study, anchored)];
  near('log-likelihood', b.logLik, a.logLik, 1, 1e-9);
  near('treatment', b.estimates[1]!, a.estimates[0]!, 1, 1e-9);
  near('intercept', b.estimates[0]!, -a.estimates[2]!, 1, 1e-9);
  near('second threshold', b.estimates[3]!, a.estimates[3]! - a.estimates[2]!, 1, 1e-9);
  // A shift of the thresholds is one of the intercept.
  const [phi, psi] = [Float64Array.of(0.4, -0.3, -1, 0.3, 1.4), Float64Array.of(1, 0.4, -0.3, 1.3, 2.4)];
  const [shift, ones] = [emptyExpansion(5, 1), emptyExpansion(5, 1)];
  conditional(free).expand(phi, [Float64Array.of(0, 0, -1, -1, -1)], 2, shift);
  conditional(study, anchored).expand(psi, [Float64Array.of(1, 0, 0, 0, 0)], 2, ones);
  for (const part of ['third', 'fourth'] as const)
    near(part, shift[part][0]![0]!, ones[part][0]![2]!, 1, 1e-10);
});

test('two levels are a logistic model', () => {
  const binary = level.map((k) => (k > 1 ? 1 : 0));
  const study = records({ kind: 'ordinal', level: binary, levels: 2 });
  const logistic = records({ kind: 'binary', events: Float64Array.from(binary), trials: null });
  const phi = Float64Array.of(-0.3, 0.5, 0.2);
  const mine = evaluate(conditional(study, anchored), phi);
  const other = evaluate(binomial.objective(logistic, { ...options, family: 'binomial' }, null), phi);
  near('value', mine.value, other.value, 100, 1e-12);
  mine.gradient.forEach((value, j) => near('gradient', value, other.gradient[j]!, 100, 1e-12));
  mine.hessian.forEach((value, k) => near('hessian', value, other.hessian[k]!, 100, 1e-12));
});

test('thresholds out of order have no likelihood; nothing overflows far out', () => {
  assert.equal(evaluate(conditional(free), Float64Array.of(0, 0, 1, 0.5, 2)).value, -Infinity);
  assert.equal(evaluate(conditional(free), Float64Array.of(0, 0, 1, 1, 2)).value, -Infinity);
  const far = evaluate(conditional(free), Float64Array.of(900, -800, -700, 0, 700));
  assert.ok([far.value, ...far.gradient, ...far.hessian].every(Number.isFinite));
});

test('levels: counts, those present, and starting thresholds in order', () => {
  assert.deepEqual([...levelCounts(Int32Array.of(0, 2, 2), 4)], [1, 0, 2, 0]);
  assert.deepEqual(presentLevels(Int32Array.of(0, 2, 2), 4).present, [0, 2]);
  assert.throws(() => levelCounts(Int32Array.of(4), 4), { code: 'numerics/invalid-input' });
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1000 }), { minLength: 2, maxLength: 9 }), (counts) => {
      const start = startingThresholds(Float64Array.from(counts));
      assert.equal(start.length, counts.length - 1);
      for (let k = 0; k < start.length; k++)
        assert.ok(Number.isFinite(start[k]!) && (k === 0 || start[k]! > start[k - 1]!));
    }),
  );
});

test('reversing the levels changes the signs and nothing else', () => {
  const mirrored = records({ ...response, level: level.map((k) => 3 - k) }, { intercept: false });
  fc.assert(
    fc.property(
      fc.tuple(...Array.from({ length: 5 }, () => fc.double({ min: 0.1, max: 2, noNaN: true }))),
      (v) => {
        const tau = [v[2]! - 2, v[2]! - 2 + v[3]!, v[2]! - 2 + v[3]! + v[4]!];
        const one = evaluate(conditional(free), Float64Array.of(v[0]!, v[1]!, ...tau));
        const other = evaluate(
          conditional(mirrored),
          Float64Array.of(-v[0]!, -v[1]!, ...tau.map((t) => -t).reverse()),
        );
        near('value', one.value, other.value, Math.abs(one.value), 1e-13);
        near('gradient', one.gradient[0]!, -other.gradient[0]!, Math.abs(one.value), 1e-13);
      },
    ),
    { numRuns: 20 },
  );
});
