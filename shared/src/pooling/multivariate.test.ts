import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { fromRows, packedIndex } from '../linalg/symmetric.ts';
import type { Tau2Method } from '../plan/types.ts';
import { derivatives, fitAt, sigmaOf } from './multivariate-likelihood.ts';
import type { StudyVector } from './multivariate-likelihood.ts';
import { poolJointly } from './multivariate.ts';
import type { MultivariatePool } from './multivariate.ts';
import { pool } from './univariate.ts';

interface Fit {
  estimate: number[];
  se: number[];
  vcov: number[][];
  sigma: number[][];
  q: number;
  qdf: number;
  qp: number;
  logLik: number;
  h2: number;
}
interface Case {
  estimates: (number | null)[][];
  vcov: number[][][];
  fits: Record<string, Fit>;
}
const cases: Record<string, Case> = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/stage-two/multivariate.json', import.meta.url), 'utf8'),
).cases;

function vectors({ estimates, vcov }: Case): StudyVector[] {
  return estimates.map((row, i) => {
    const terms = row.flatMap((value, j) => (value === null ? [] : [j]));
    return {
      terms,
      y: Float64Array.from(terms, (j) => row[j]!),
      vcov: fromRows(terms.map((a) => terms.map((b) => vcov[i]![a]![b]!))),
    };
  });
}
const names = (p: number): string[] => Array.from({ length: p }, (_, j) => `t${j}`);

function close(
  actual: number | null | undefined,
  expected: number,
  tolerance: number,
  what: string,
  scale = 0,
): void {
  assert.ok(actual !== null && actual !== undefined, `${what}: null`);
  const error = Math.abs(actual - expected);
  assert.ok(
    error <= tolerance * Math.max(Math.abs(expected), scale),
    `${what}: ${actual}, expected ${expected}`,
  );
}

const NORMAL = { ci: 'normal', level: 0.95, prediction: true } as const;

for (const [name, data] of Object.entries(cases)) {
  test(`metafor: ${name}`, () => {
    const p = data.estimates[0]!.length;
    for (const [method, fit] of Object.entries(data.fits)) {
      const tolerance = method === 'FE' ? 1e-9 : 1e-6;
      const tau2 = method as Tau2Method;
      const r = poolJointly(names(p), vectors(data), { ...NORMAL, tau2 })!;
      const scaled = poolJointly(names(p), vectors(data), { ...NORMAL, tau2, ci: 'HKSJ' })!;
      assert.equal(scaled.df, fit.qdf);
      r.pooled.forEach((term, j) => {
        const se = fit.se[j]!;
        close(term.estimate, fit.estimate[j]!, tolerance, `${method} estimate`, se);
        close(term.se, se, tolerance, `${method} se`);
        close(scaled.pooled[j]!.se, se * Math.sqrt(fit.h2), tolerance, `${method} HKSJ se`);
        const between = fit.sigma[j]![j]!;
        if (method === 'FE') assert.equal(term.prediction, null);
        else {
          const upper = fit.estimate[j]! + 1.959963984540054 * Math.sqrt(se * se + between);
          close(term.prediction?.[1], upper, 10 * tolerance, `${method} prediction`, se);
        }
        for (let i = 0; i <= j; i++) {
          close(
            r.vcov[packedIndex(i, j)],
            fit.vcov[i]![j]!,
            10 * tolerance,
            `${method} vcov`,
            se * fit.se[i]!,
          );
          const unit = Math.sqrt(between * fit.sigma[i]![i]!);
          if (method !== 'FE') close(r.joint.sigma[i]![j], fit.sigma[i]![j]!, 1e-5, `${method} sigma`, unit);
        }
      });
      close(r.joint.q, fit.q, 1e-9, `${method} q`);
      close(r.joint.q_p, fit.qp, 1e-8, `${method} q_p`);
      assert.equal(r.joint.q_df, fit.qdf);
      close(r.joint.log_likelihood, fit.logLik, 1e-8, `${method} log-likelihood`, 1);
    }
  });
}

test('gradient and Hessian are the derivatives of the log-likelihood', () => {
  const data = vectors(cases['missing']!);
  const l = Float64Array.from([0.4, 0.2, 0.3, -0.1, 0.15, 0.5]);
  const step = 1e-5;
  const at = (
    value: Float64Array,
    restricted: boolean,
  ): ReturnType<typeof derivatives> & { value: number } => {
    const fit = fitAt(data, sigmaOf(value), restricted);
    return { ...derivatives(fit, value, restricted), value: fit.value };
  };
  for (const restricted of [true, false]) {
    const centre = at(l, restricted);
    for (let i = 0; i < l.length; i++) {
      const [up, down] = [step, -step].map((by) =>
        at(
          l.map((value, j) => (i === j ? value + by : value)),
          restricted,
        ),
      );
      close((up!.value - down!.value) / (2 * step), centre.gradient[i]!, 1e-7, `gradient ${i}`, 1);
      for (let j = 0; j < l.length; j++) {
        const numeric = (up!.gradient[j]! - down!.gradient[j]!) / (2 * step);
        close(numeric, centre.hessian[packedIndex(i, j)]!, 1e-6, `hessian ${i} ${j}`, 1);
      }
    }
  }
});

test('one term is the univariate result', () => {
  const { estimates, vcov } = cases['complete']!;
  const yi = estimates.map((row) => row[0]!);
  const vi = vcov.map((v) => v[0]![0]!);
  const data = yi.map((y, i) => ({ terms: [0], y: Float64Array.of(y), vcov: Float64Array.of(vi[i]!) }));
  for (const tau2 of ['FE', 'ML', 'REML'] as const) {
    for (const ci of ['normal', 'HKSJ', 'HKSJ-adhoc'] as const) {
      const options = { tau2, ci, level: 0.9, prediction: true };
      const single = pool('t0', yi, vi, options);
      const joint = poolJointly(['t0'], data, options)!;
      close(joint.pooled[0]!.ci?.[0], single.pooled.ci![0], 1e-9, 'ci');
      assert.equal(joint.pooled[0]!.df, single.pooled.df);
      close(joint.joint.log_likelihood, single.logLikelihood, 1e-9, 'log-likelihood');
      if (tau2 !== 'FE')
        close(joint.pooled[0]!.prediction?.[0], single.pooled.prediction![0], 1e-9, 'prediction');
    }
  }
});

test('homogeneous studies: Σ is exactly zero and said to be at its boundary', () => {
  const data = [0.1, 0.12, 0.11, 0.09].map((y, i) => ({
    terms: [0, 1],
    y: Float64Array.of(y, -y),
    vcov: Float64Array.of(0.1 + i / 50, 0.02, 0.2),
  }));
  const r = poolJointly(['a', 'b'], data, { ...NORMAL, tau2: 'REML' })!;
  assert.deepEqual(r.joint.sigma, [
    [0, 0],
    [0, 0],
  ]);
  assert.deepEqual(r.joint.correlations, [
    [null, null],
    [null, null],
  ]);
  assert.deepEqual(
    r.warnings.map(({ code }) => code),
    ['joint-boundary'],
  );
});

test('refuses terms that too few studies estimate, and moment estimators', () => {
  const data = [{ terms: [0], y: Float64Array.of(1), vcov: Float64Array.of(1) }];
  for (const [terms, tau2] of [
    [['a'], 'REML'],
    [['a', 'b'], 'FE'],
    [['a'], 'DL'],
  ] as const) {
    assert.throws(
      () => poolJointly(terms, data, { ...NORMAL, tau2 }),
      (error) => error instanceof ConcordatError && error.code === 'numerics/invalid-input',
    );
  }
});

/** Two or three terms in 4 to 8 studies, with within-study correlations; the third term may be missing. */
const hundredths = (min: number, max: number): fc.Arbitrary<number[]> =>
  fc.array(
    fc.integer({ min, max }).map((value) => value / 100),
    { minLength: 3, maxLength: 3 },
  );
const dataset = fc
  .tuple(
    fc.integer({ min: 2, max: 3 }),
    fc.array(
      fc.record({
        y: hundredths(-300, 300),
        se: hundredths(10, 200),
        r: fc.integer({ min: -4, max: 9 }).map((value) => value / 10),
        lacks: fc.boolean(),
      }),
      { minLength: 4, maxLength: 8 },
    ),
  )
  .map(([p, rows]) =>
    rows.map(({ y, se, r, lacks }, i): StudyVector => {
      const terms = names(p).flatMap((_, j) => (j === 2 && lacks && i > 2 ? [] : [j]));
      const vcov = fromRows(terms.map((a) => terms.map((b) => se[a]! * se[b]! * (a === b ? 1 : r))));
      return { terms, y: Float64Array.from(terms, (j) => y[j]!), vcov };
    }),
  );
const order = (data: readonly StudyVector[]): number => Math.max(...data.flatMap(({ terms }) => terms)) + 1;
const run = (data: readonly StudyVector[], tau2: Tau2Method): MultivariatePool => {
  const r = poolJointly(names(order(data)), data, { ...NORMAL, tau2 });
  assert.ok(r !== null, 'not converged');
  return r;
};

const bumps = fc.array(
  fc.integer({ min: -1000, max: 1000 }).map((value) => value / 1000),
  { minLength: 6, maxLength: 6 },
);

test('no neighbouring Σ is more likely, and the order of studies does not matter', () => {
  fc.assert(
    fc.property(dataset, fc.boolean(), bumps, (data, restricted, noise) => {
      const r = run(data, restricted ? 'REML' : 'ML');
      const best = r.joint.log_likelihood!;
      assert.ok(
        Math.abs(run([...data].reverse(), restricted ? 'REML' : 'ML').joint.log_likelihood! - best) <
          1e-7 * (1 + Math.abs(best)),
      );
      const p = order(data);
      // Σ + small NN' is a neighbour inside the cone; a random Σ is a distant one.
      const bump = sigmaOf(Float64Array.from(noise.slice(0, (p * (p + 1)) / 2)));
      for (const size of [1e-6, 1e-3, 1]) {
        const sigma = fromRows(r.joint.sigma).map((value, at) => value + size * bump[at]!);
        assert.ok(
          fitAt(data, sigma, restricted).value <= best + 1e-7 * (1 + Math.abs(best)),
          `better at ${size}`,
        );
      }
      assert.ok(
        fitAt(data, bump, restricted).value <= best + 1e-7 * (1 + Math.abs(best)),
        'better elsewhere',
      );
    }),
    { numRuns: 100, endOnFailure: true },
  );
});

test('a change of one term’s units changes that term alone', () => {
  fc.assert(
    fc.property(dataset, fc.constantFrom(1e-5, 1e5), (data, unit) => {
      const factor = (j: number): number => (j === 0 ? unit : 1);
      const scaled = data.map(({ terms, y, vcov }) => ({
        terms,
        y: y.map((value, a) => value * factor(terms[a]!)),
        vcov: Float64Array.from(vcov, (value, at) => {
          const row = Math.floor((Math.sqrt(8 * at + 1) - 1) / 2);
          return value * factor(terms[row]!) * factor(terms[at - (row * (row + 1)) / 2]!);
        }),
      }));
      for (const tau2 of ['FE', 'REML'] as const) {
        const before = run(data, tau2);
        const after = run(scaled, tau2);
        before.pooled.forEach((term, j) => {
          close(after.pooled[j]!.estimate! / factor(j), term.estimate!, 1e-4, 'estimate', 1);
          close(after.pooled[j]!.se! / factor(j), term.se!, 1e-4, 'se', 1e-3);
        });
      }
    }),
    { numRuns: 30, endOnFailure: true },
  );
});
