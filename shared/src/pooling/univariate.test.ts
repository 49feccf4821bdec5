import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import type { CiMethod, Tau2Method } from '../plan/types.ts';
import { metaRegression } from './meta-regression.ts';
import { logLikelihood } from './tau2.ts';
import { pool } from './univariate.ts';
import type { UnivariatePool } from './univariate.ts';
import { studySet } from './weighted-fit.ts';

interface Fit {
  estimate: number[];
  se: number[];
  lower: number[];
  upper: number[];
  p: number[];
  df: number | null;
  tau2: number;
  tau2Se: number | null;
  q: number;
  qp: number;
  i2: number;
  h2: number;
  prediction: (number | null)[];
  logLik: number;
  vcov?: number[][];
}
interface Case {
  yi: number[];
  vi: number[];
  x?: number[][];
  qProfile: [number, number];
  fits: Record<string, Fit>;
}
const fixture = (name: string): Record<string, Case> =>
  JSON.parse(readFileSync(new URL(`../../../test/fixtures/stage-two/${name}.json`, import.meta.url), 'utf8'))
    .cases;

const METHODS: readonly Tau2Method[] = ['FE', 'DL', 'HE', 'HS', 'SJ', 'PM', 'EB', 'ML', 'REML'];
const CI: Readonly<Record<string, CiMethod>> = { z: 'normal', knha: 'HKSJ', adhoc: 'HKSJ-adhoc' };
const ITERATIVE: readonly string[] = ['PM', 'EB', 'ML', 'REML'];

function close(
  actual: number | null | undefined,
  expected: number | null | undefined,
  tolerance: number,
  what: string,
  scale = 0,
): void {
  if (expected === null || expected === undefined) {
    assert.equal(actual ?? null, null, what);
    return;
  }
  assert.ok(actual !== null && actual !== undefined, `${what}: null, expected ${expected}`);
  const error = Math.abs(actual - expected);
  assert.ok(
    error <= tolerance * Math.max(Math.abs(expected), scale),
    `${what}: ${actual}, expected ${expected}`,
  );
}

for (const [name, { yi, vi, fits, qProfile }] of Object.entries(fixture('univariate'))) {
  test(`metafor: ${name}`, () => {
    const scale = vi.reduce((sum, value) => sum + value, 0) / vi.length;
    for (const [key, fit] of Object.entries(fits)) {
      const [method, test_] = key.split(' ') as [Tau2Method, string];
      const r = pool('treatment', yi, vi, { tau2: method, ci: CI[test_]!, level: 0.95, prediction: true });
      const tolerance = ITERATIVE.includes(method) ? 1e-7 : 1e-8;
      const check = (
        what: string,
        actual: number | null | undefined,
        expected: number | null | undefined,
        unit = 0,
      ): void => close(actual, expected, tolerance, `${key} ${what}`, unit);
      const se = fit.se[0]!;
      check('estimate', r.pooled.estimate, fit.estimate[0], se);
      check('se', r.pooled.se, se);
      check('lower', r.pooled.ci?.[0], fit.lower[0], se);
      check('upper', r.pooled.ci?.[1], fit.upper[0], se);
      close(r.pooled.p, fit.p[0], 100 * tolerance, `${key} p`);
      assert.equal(r.pooled.df, fit.df);
      check('prediction lower', r.pooled.prediction?.[0], fit.prediction[0], se);
      check('prediction upper', r.pooled.prediction?.[1], fit.prediction[1], se);
      check('tau2', r.heterogeneity.tau2, fit.tau2, scale * 1e-3);
      check('tau2_se', r.heterogeneity.tau2_se, fit.tau2Se);
      check('q', r.heterogeneity.q, fit.q);
      check('q_p', r.heterogeneity.q_p, fit.qp);
      check('i2', r.heterogeneity.i2, fit.i2, 0.1);
      check('h2', r.heterogeneity.h2, fit.h2);
      check('log-likelihood', r.logLikelihood, fit.logLik, 1);
      if (method !== 'FE') {
        check('tau2_ci lower', r.heterogeneity.tau2_ci?.[0], qProfile[0], scale * 1e-3);
        check('tau2_ci upper', r.heterogeneity.tau2_ci?.[1], qProfile[1], scale * 1e-3);
      }
    }
  });
}

for (const [name, { yi, vi, x, fits }] of Object.entries(fixture('regression'))) {
  test(`metafor, meta-regression: ${name}`, () => {
    for (const [key, fit] of Object.entries(fits)) {
      const [method, test_] = key.split(' ') as [Tau2Method, string];
      const terms = x![0]!.map((_, j) => `x${j}`);
      const r = metaRegression(terms, yi, vi, x!, { tau2: method, ci: CI[test_]!, level: 0.95 });
      r.coefficients.forEach((coefficient, j) => {
        const se = fit.se[j]!;
        close(coefficient.estimate, fit.estimate[j], 1e-7, `${key} estimate`, se);
        close(coefficient.se, se, 1e-7, `${key} se`);
        close(coefficient.ci?.[0], fit.lower[j], 1e-7, `${key} lower`, se);
        close(coefficient.p, fit.p[j], 1e-5, `${key} p`);
        // Column j of the linear map sends the estimates to the coefficient.
        const mapped = yi.reduce((sum, value, i) => sum + r.linear[j]![i]! * value, 0);
        close(mapped, coefficient.estimate, 1e-9, `${key} linear`, se);
        for (let i = 0; i <= j; i++) {
          close(r.vcov[(j * (j + 1)) / 2 + i], fit.vcov![j]![i], 1e-6, `${key} vcov`);
        }
      });
      close(r.heterogeneity.tau2, fit.tau2, 1e-7, `${key} tau2`, 1e-3);
      close(r.heterogeneity.q, fit.q, 1e-8, `${key} q`);
      close(r.logLikelihood, fit.logLik, 1e-8, `${key} log-likelihood`);
    }
  });
}

const codes = (r: UnivariatePool): string[] => r.warnings.map(({ code }) => code);

test('one study is its own estimate', () => {
  for (const ci of Object.values(CI)) {
    const r = pool('treatment', [0.5], [0.04], { tau2: 'REML', ci, level: 0.95, prediction: true });
    assert.equal(r.pooled.estimate, 0.5);
    close(r.pooled.se, 0.2, 1e-15, 'se');
    close(r.pooled.ci?.[1], 0.5 + 1.959963984540054 * 0.2, 1e-14, 'upper');
    assert.equal(r.pooled.prediction, null);
    assert.ok(Object.values(r.heterogeneity).every((value) => value === null));
    assert.deepEqual(codes(r), ['single-study']);
    assert.deepEqual(r.weights, [100]);
  }
});

test('identical effects: zero heterogeneity, no test under HKSJ', () => {
  for (const tau2 of METHODS) {
    const r = pool('treatment', [0.3, 0.3, 0.3], [0.01, 0.2, 0.05], {
      tau2,
      ci: 'HKSJ',
      level: 0.95,
      prediction: true,
    });
    assert.equal(r.heterogeneity.tau2, 0);
    assert.equal(r.pooled.se, 0);
    assert.equal(r.pooled.p, null);
    assert.equal(r.pooled.statistic, null);
    assert.equal(r.heterogeneity.q_p, 1);
    assert.ok(codes(r).includes('no-residual-variation'));
    if (tau2 !== 'FE')
      assert.ok(codes(r).includes('tau2-boundary') && codes(r).includes('tau2-interval-empty'));
  }
});

test('a common effect has no interval of its tau2 and no prediction', () => {
  const r = pool('treatment', [0.3, 0.9], [0.01, 0.2], {
    tau2: 'FE',
    ci: 'HKSJ',
    level: 0.95,
    prediction: true,
  });
  assert.equal(r.pooled.prediction, null);
  assert.equal(r.heterogeneity.tau2_ci, null);
  assert.ok(codes(r).includes('hksj-common-effect'));
});

test('refuses what is not an estimate', () => {
  const options = { tau2: 'DL', ci: 'normal', level: 0.95, prediction: false } as const;
  const inputs: [number[], number[]][] = [
    [[], []],
    [
      [1, Number.NaN],
      [1, 1],
    ],
    [
      [1, 2],
      [1, 0],
    ],
    [
      [1, 2],
      [1, -1],
    ],
    [[1, 2], [1]],
  ];
  for (const [yi, vi] of inputs) {
    assert.throws(
      () => pool('treatment', yi, vi, options),
      (error) => error instanceof ConcordatError && error.code === 'numerics/invalid-input',
    );
  }
});

test('a constant column is refused by name', () => {
  assert.throws(
    () =>
      metaRegression(
        ['a', 'b'],
        [1, 2, 3],
        [1, 1, 1],
        [
          [1, 5],
          [1, 5],
          [1, 5],
        ],
        { tau2: 'DL', ci: 'normal', level: 0.95 },
      ),
    (error) =>
      error instanceof ConcordatError &&
      error.code === 'numerics/not-positive-definite' &&
      error.place === 'b',
  );
});

const study = fc.record({
  y: fc.double({ min: -5, max: 5, noNaN: true }),
  v: fc.double({ min: 0.01, max: 10, noNaN: true }),
});
const studies = fc.array(study, { minLength: 2, maxLength: 12 });
const method = fc.constantFrom(...METHODS);
const ci = fc.constantFrom(...Object.values(CI));
type Row = { readonly y: number; readonly v: number };
const run = (
  rows: readonly Row[],
  tau2: Tau2Method,
  interval: CiMethod,
  shift = 0,
  scale = 1,
): UnivariatePool =>
  pool(
    'treatment',
    rows.map(({ y }) => (y + shift) * scale),
    rows.map(({ v }) => v * scale * scale),
    { tau2, ci: interval, level: 0.95, prediction: true },
  );
const near = (a: number | null, b: number | null, unit: number): boolean =>
  a === null || b === null ? a === b : Math.abs(a - b) <= 1e-6 * Math.max(unit, Math.abs(b));
/** τ² near zero is ill-conditioned in the estimates: compare on the scale of the variances. */
const same = (a: UnivariatePool, b: UnivariatePool, shift = 0, scale = 1): boolean =>
  near(a.pooled.estimate! - shift * scale, b.pooled.estimate! * scale, scale) &&
  near(a.pooled.se, b.pooled.se! * scale, 1e-3 * scale) &&
  near(a.heterogeneity.tau2, b.heterogeneity.tau2! * scale * scale, 1e-3 * scale * scale) &&
  near(a.heterogeneity.q, b.heterogeneity.q, 1e-3) &&
  near(
    a.pooled.prediction?.[1] ?? null,
    b.pooled.prediction === null ? null : (b.pooled.prediction[1] + shift) * scale,
    scale,
  );

test('the order of the studies does not matter', () => {
  fc.assert(
    fc.property(studies, method, ci, (rows, m, i) => same(run([...rows].reverse(), m, i), run(rows, m, i))),
  );
});

test('a shift of all estimates shifts the result', () => {
  const shift = fc.double({ min: -10, max: 10, noNaN: true });
  fc.assert(
    fc.property(studies, method, ci, shift, (rows, m, i, by) =>
      same(run(rows, m, i, by), run(rows, m, i), by),
    ),
  );
});

test('a change of units changes the result’s units', () => {
  const scale = fc.constantFrom(2 ** -20, 2 ** 20, 1e-6, 1e6);
  fc.assert(
    fc.property(studies, method, ci, scale, (rows, m, i, by) =>
      same(run(rows, m, i, 0, by), run(rows, m, i), 0, by),
    ),
  );
});

test('no tau2 is more likely than the ML and REML estimates', () => {
  fc.assert(
    fc.property(
      studies,
      fc.boolean(),
      fc.double({ min: -4, max: 3, noNaN: true }),
      (rows, restricted, exponent) => {
        const set = studySet(
          rows.map(({ y }) => y),
          rows.map(({ v }) => v),
          new Float64Array(rows.length).fill(1),
        );
        const best = run(rows, restricted ? 'REML' : 'ML', 'normal').logLikelihood;
        return logLikelihood(set, 10 ** exponent, restricted) <= best + 1e-9 * (1 + Math.abs(best));
      },
    ),
    { numRuns: 1000 },
  );
});

test('results are finite or null', () => {
  fc.assert(
    fc.property(
      studies,
      method,
      ci,
      (rows, m, i) =>
        JSON.stringify(run(rows, m, i), (_, value: unknown) => {
          assert.ok(typeof value !== 'number' || Number.isFinite(value));
          return value;
        }) !== undefined,
    ),
  );
});
