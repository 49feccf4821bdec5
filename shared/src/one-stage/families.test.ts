import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cholesky, inverseFromCholesky, packedIndex } from '../linalg/symmetric.ts';
import { fixtureOf, near, rowsWhere } from '../models/derivatives-testing.ts';
import { families } from '../models/registry.ts';
import type { ModelOptions, StudyData } from '../models/types.ts';
import { drive } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { likelihoodModel } from './likelihood.ts';
import { runProgram, specOf } from './likelihood-testing.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { column, records } = fixtureOf(readFileSync(file, 'utf8'));
const studyOf = column('study');
const split = (data: StudyData): StudyData[] =>
  [1, 2, 3, 4].map((k) => rowsWhere(data, (i) => studyOf[i] === k));
const terms = ['(intercept)', 'treatment', 'x'];

/** The pooled fit, a column for each study in the intercept's place. */
function pooled(data: StudyData, options: ModelOptions, intercept: number) {
  const indicators = [1, 2, 3, 4].map((k) => studyOf.map((s) => (s === k ? 1 : 0)));
  const columns = [...data.columns.slice(1), ...indicators];
  const objective = families[options.family].objective(
    { ...data, columns, terms: columns.map(String) },
    options,
    null,
  );
  const extra = families[options.family].extra?.(options, data.response).map(({ start }) => start) ?? [];
  const start = Float64Array.of(0, 0, intercept, intercept, intercept, intercept, ...extra);
  const fit = drive(trustRegion(start), objective);
  assert.equal(fit.status, 'converged');
  const vcov = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
  return { theta: fit.theta, vcov, logLik: fit.evaluation.value };
}

for (const [name, response, options, extra, intercept] of [
  [
    'negative binomial',
    { kind: 'count', y: column('count') },
    { family: 'negative-binomial', ties: 'efron' },
    ['log(size)'],
    0,
  ],
  [
    'log-binomial',
    { kind: 'binary', events: column('events'), trials: column('trials') },
    { family: 'binomial', ties: 'efron', link: 'log', information: 'expected' },
    [],
    -2,
  ],
  [
    'ordinal',
    { kind: 'ordinal', level: Int32Array.from(column('level')), levels: 4 },
    { family: 'ordinal', ties: 'efron', anchored: true },
    ['threshold2', 'threshold3'],
    0,
  ],
] as const) {
  test(`${name} with study intercepts at home equals the pooled fit`, () => {
    const data = records(response);
    const start = Float64Array.of(0, 0, 0, ...extra.map((_, k) => k + 1));
    const spec = specOf({ options, terms: [...terms, ...extra], stratified: [0] });
    const fit = runProgram(likelihoodModel, spec, split(data), undefined, { start });
    assert.equal(fit.failure, null);
    const expected = pooled(data, options, intercept);
    near('log-likelihood', fit.logLikelihood!, expected.logLik, Math.abs(expected.logLik), 1e-11);
    fit.coefficients.slice(0, 2).forEach(({ estimate, se }, j) => {
      near(`estimate ${j}`, estimate, expected.theta[j]!, se!, 1e-7);
      near(`se ${j}`, se!, Math.sqrt(expected.vcov[packedIndex(j, j)]!), se!, 1e-7);
    });
  });
}

test('negative binomial counts without overdispersion: Poisson, with the size at its boundary', () => {
  const y = column('treatment').map((x, i) => 3 - x + (i % 3 === 0 ? 1 : 0));
  const studies = split(records({ kind: 'count', y }));
  for (const random of [[], [{ term: '(intercept)', direction: Float64Array.of(1, 0, 0, 0) }]]) {
    const stratified = random.length === 0 ? [0] : [];
    const mine = runProgram(
      likelihoodModel,
      specOf({
        options: { family: 'negative-binomial', ties: 'efron' },
        terms: [...terms, 'log(size)'],
        stratified,
        random,
        inference: { likelihoodRatio: true },
      }),
      studies,
      undefined,
      { start: Float64Array.of(1, 0, 0, 0) },
    );
    const poisson = runProgram(
      likelihoodModel,
      specOf({
        options: { family: 'poisson', ties: 'efron' },
        terms,
        stratified,
        random: random.map(({ term }) => ({ term, direction: Float64Array.of(1, 0, 0) })),
        inference: { likelihoodRatio: true },
      }),
      studies,
      undefined,
      { start: Float64Array.of(1, 0, 0) },
    );
    assert.equal(mine.failure, null);
    assert.ok(
      mine.warnings.some(
        ({ code, terms: named }) => code === 'no-overdispersion' && named.includes('log(size)'),
      ),
    );
    const of = (fit: typeof mine) => fit.coefficients.find(({ term }) => term === 'treatment')!;
    near('treatment', of(mine).estimate, of(poisson).estimate, of(poisson).se!, 1e-7);
    near('se', of(mine).se!, of(poisson).se!, of(poisson).se!, 1e-7);
    near('log-likelihood', mine.logLikelihood!, poisson.logLikelihood!, 1, 1e-8);
    near('likelihood ratio', mine.tests[0]!.statistic!, poisson.tests[0]!.statistic!, 1, 1e-7);
    assert.ok(mine.coefficients.every(({ term }) => term !== 'log(size)'));
  }
});
