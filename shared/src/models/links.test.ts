import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cholesky, inverseFromCholesky } from '../linalg/symmetric.ts';
import { drive } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { binomial } from './binomial.ts';
import type { ConditionalObjective } from './conditional.ts';
import { assertAsR, assertDerivatives, assertExpansion, evaluate, fixtureOf } from './derivatives-testing.ts';
import { interceptInside } from './links.ts';
import { poisson } from './poisson.ts';
import type { ModelOptions, StudyData } from './types.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { families, column, records } = fixtureOf(readFileSync(file, 'utf8'));
const rows = records({ kind: 'binary', events: column('event'), trials: null });
const grouped = records({ kind: 'binary', events: column('events'), trials: column('trials') });
const counts = records({ kind: 'count', y: column('rate') }, { offset: true });
const cases = [
  { name: 'logBinomial', family: binomial, link: 'log', study: rows, phi: [-2, 0.3, 0.1] },
  { name: 'identityBinomial', family: binomial, link: 'identity', study: grouped, phi: [0.4, 0.05, 0.02] },
  { name: 'identityPoisson', family: poisson, link: 'identity', study: counts, phi: [2, 0.5, 0.1] },
] as const;

const optionsOf = (
  { family, link }: (typeof cases)[number],
  information: 'expected' | 'observed',
): ModelOptions => ({
  family: family.name,
  ties: 'efron',
  link,
  information,
});

for (const item of cases) {
  const { name, family, study } = item;
  test(`as R: ${name}, from the expected information as from the observed`, () => {
    for (const information of ['expected', 'observed'] as const) {
      const options = optionsOf(item, information);
      const start = Float64Array.of(family.nullModel!(study, options).intercept, 0, 0);
      const fit = drive(trustRegion(start), family.objective(study, options, null));
      assert.equal(fit.status, 'converged');
      // R's covariance is that of the expected information.
      const at = evaluate(family.objective(study, optionsOf(item, 'expected'), null), fit.theta);
      const vcov = inverseFromCholesky(cholesky(at.hessian.map((value) => -value)));
      assertAsR(families[name], { estimates: fit.theta, vcov, logLik: fit.evaluation.value }, 1e-7);
    }
  });

  test(`${name}: derivatives`, () => {
    const objective = family.objective(study, optionsOf(item, 'observed'), null);
    const phi = Float64Array.from(item.phi);
    assertDerivatives(objective, phi);
    const small = name === 'identityBinomial' ? 0.05 : 0.4;
    assertExpansion(objective as ConditionalObjective, phi, [
      Float64Array.of(small, 0, 0),
      Float64Array.of(0, small, 0),
    ]);
  });

  test(`${name}: no likelihood outside the means' range`, () => {
    const objective = family.objective(study, optionsOf(item, 'observed'), null);
    const outside = item.link === 'log' ? 0.1 : -0.1;
    assert.equal(evaluate(objective, Float64Array.of(outside, 0, 0)).value, -Infinity);
  });
}

test('a maximum at μ = 1 does not converge, and ends beside the edge', () => {
  const treated = column('treatment');
  const study: StudyData = {
    n: treated.length,
    columns: [treated.map(() => 1), treated],
    terms: ['(intercept)', 'treatment'],
    response: {
      kind: 'binary',
      events: treated.map((x, i) => (x === 1 || i % 4 === 0 ? 1 : 0)),
      trials: null,
    },
    offset: null,
  };
  const options: ModelOptions = { family: 'binomial', ties: 'efron', link: 'log' };
  const fit = drive(trustRegion(Float64Array.of(-1, 0)), binomial.objective(study, options, null));
  assert.notEqual(fit.status, 'converged');
  const edge = fit.theta[0]! + fit.theta[1]!;
  assert.ok(edge < 0 && edge > -1e-3, `${fit.status} at ${edge}`);
});

test("a study's intercept starts inside the range, given the others, where there is such a place", () => {
  for (const { family, link, study } of cases) {
    const options: ModelOptions = { family: family.name, ties: 'efron', link };
    const intercept = family.nullModel!(study, options).intercept;
    const objective = family.objective(study, options, null);
    for (const scale of [0, 0.02, 0.15, -0.15, 1.5]) {
      const phi = Float64Array.of(0, 1.3 * scale, scale);
      phi[0] = interceptInside(study, null, options, phi, 0, intercept);
      const possible = link === 'log' || family === poisson || Math.abs(scale) < 1;
      assert.equal(Number.isFinite(evaluate(objective, phi).value), possible, `${link} ${scale}`);
      if (scale === 0) assert.equal(phi[0], intercept);
    }
  }
});

test('a link that the family does not have is refused', () => {
  const options: ModelOptions = { family: 'poisson', ties: 'efron', link: 'logit' };
  assert.throws(() => poisson.objective(counts, options, null), { code: 'numerics/invalid-input' });
});
