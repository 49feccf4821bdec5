import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { cholesky, inverseFromCholesky, packedIndex } from '../linalg/symmetric.ts';
import { logFactorial, logGamma } from '../numerics/log-gamma.ts';
import { drive } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import {
  assertAsR,
  assertDerivatives,
  assertExpansion,
  evaluate,
  fixtureOf,
  near,
  rowsWhere,
} from './derivatives-testing.ts';
import { POISSON_LIMIT, atPoissonLimit, negativeBinomial } from './negative-binomial.ts';
import { poisson } from './poisson.ts';
import type { ModelOptions, StudyData } from './types.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { families, column, records } = fixtureOf(readFileSync(file, 'utf8'));
const options: ModelOptions = { family: 'negative-binomial', ties: 'efron' };
const data = records({ kind: 'count', y: column('count') }, { offset: true });
const objective = negativeBinomial.objective(data, options, null);
const startOf = (study: StudyData): Float64Array => {
  const [size] = negativeBinomial.extra!(options, study.response);
  return Float64Array.of(negativeBinomial.nullModel!(study, options).intercept, 0, 0, size!.start);
};

test('as R: the joint maximum in (β, log size), with the joint observed information', () => {
  const fit = drive(trustRegion(startOf(data)), objective);
  const vcov = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
  const expected = families.negativeBinomial;
  assertAsR(expected, { estimates: fit.theta, vcov, logLik: fit.evaluation.value });
  // MASS::glm.nb's, at fixed size, are a little other ones.
  expected.seFixedSize.forEach((se, j) => near('se', Math.sqrt(vcov[packedIndex(j, j)]!), se, se, 0.05));
  assert.ok(!atPoissonLimit(fit, 3));
});

test('derivatives, at small, middling and large sizes', () => {
  for (const s of [-2, 0.5, 4, 12]) {
    const phi = Float64Array.of(0.5, -0.3, 0.2, s);
    assertDerivatives(objective, phi);
    assertExpansion(objective as never, phi, [Float64Array.of(1, 0, 0, 0), Float64Array.of(0, 1, 0, 0)]);
  }
});

test('a large size is Poisson to rounding, with a finite score and curvature in log size', () => {
  const beta = [0.4, -0.2, 0.3];
  const limit = evaluate(poisson.objective(data, options, null), Float64Array.from(beta));
  const at = evaluate(objective, Float64Array.of(...beta, POISSON_LIMIT));
  near('value', at.value, limit.value, Math.abs(limit.value), 1e-12);
  for (let j = 0; j < 3; j++) near('gradient', at.gradient[j]!, limit.gradient[j]!, 1, 1e-9);
  // ∂ℓ/∂s → −e^−s·½Σ[(y − μ)² − y], of which no digits are lost.
  const y = column('count');
  const offset = column('offset');
  let excess = 0;
  for (let i = 0; i < y.length; i++) {
    const mu = Math.exp(data.columns.reduce((eta, x, j) => eta + beta[j]! * x[i]!, offset[i]!));
    excess += ((y[i]! - mu) ** 2 - y[i]!) / 2;
  }
  const expected = -excess * Math.exp(-POISSON_LIMIT);
  near('score of log size', at.gradient[3]!, expected, Math.abs(expected), 1e-6);
  near('curvature of log size', at.hessian[packedIndex(3, 3)]!, -expected, Math.abs(expected), 1e-6);
});

test('counts that vary less than Poisson end at the boundary, which is recognised', () => {
  const even: StudyData = {
    ...data,
    response: { kind: 'count', y: column('treatment').map((x, i) => 3 - x + (i % 3 === 0 ? 1 : 0)) },
    offset: null,
  };
  const fit = drive(trustRegion(startOf(even)), negativeBinomial.objective(even, options, null));
  assert.ok(atPoissonLimit(fit, 3), `${fit.status} at ${fit.theta[3]}`);
  const alone = negativeBinomial.nullModel!(even, options);
  near('null model', alone.logLikelihood, poisson.nullModel!(even, options).logLikelihood, 1, 1e-9);
});

test('a study split in two gives the same sums', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 159 }), fc.double({ min: -3, max: 8, noNaN: true }), (cut, s) => {
      const phi = Float64Array.of(0.2, 0.1, -0.3, s);
      const parts = [rowsWhere(data, (i) => i < cut), rowsWhere(data, (i) => i >= cut)].map((part) =>
        evaluate(negativeBinomial.objective(part, options, null), phi),
      );
      const whole = evaluate(objective, phi);
      const unit = Math.abs(whole.value);
      near('value', parts[0]!.value + parts[1]!.value, whole.value, unit, 1e-12);
      whole.hessian.forEach((value, k) =>
        near('hessian', parts[0]!.hessian[k]! + parts[1]!.hessian[k]!, value, unit, 1e-12),
      );
    }),
    { numRuns: 20 },
  );
});

test('a size out of range has no likelihood, and a dispersion no random effect', () => {
  assert.equal(evaluate(objective, Float64Array.of(0, 0, 0, 800)).value, -Infinity);
  assert.throws(
    () =>
      negativeBinomial.objective(data, options, null) &&
      assertExpansion(objective as never, Float64Array.of(0, 0, 0, 1), [Float64Array.of(0, 0, 0, 1)]),
    {
      code: 'numerics/invalid-input',
    },
  );
});

test('counts of thousands: the sums that large counts need are those of log gammas, and take no time', () => {
  const y = [0, 3, 950, 1400, 25_000, 4_000_000];
  const large: StudyData = {
    n: y.length,
    response: { kind: 'count', y: Float64Array.from(y) },
    offset: null,
    columns: [new Float64Array(y.length).fill(1)],
    terms: ['(intercept)'],
  };
  const sums = negativeBinomial.objective(large, options, null);
  for (const s of [-3, 0, 4]) {
    const theta = Float64Array.of(8, s);
    const [size, mu] = [Math.exp(s), Math.exp(8)];
    const { value } = evaluate(sums, theta);
    const expected = y.reduce(
      (sum, count) =>
        sum +
        logGamma(count + size) -
        logGamma(size) -
        logFactorial(count) -
        (size + count) * Math.log(size + mu) +
        size * s +
        count * 8,
      0,
    );
    assert.ok(Math.abs(value - expected) < 1e-7, `${value}, expected ${expected}`);
    assertDerivatives(sums, theta);
  }
});
