import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromRows, packedIndex } from '@concordat/shared/linalg/symmetric.ts';
import type { PooledTerm } from '@concordat/shared/plan/result-types.ts';
import type { CiMethod, Tau2Method } from '@concordat/shared/plan/types.ts';
import { metaRegression } from '@concordat/shared/pooling/meta-regression.ts';
import { poolJointly } from '@concordat/shared/pooling/multivariate.ts';
import { pool } from '@concordat/shared/pooling/univariate.ts';

/**
 * Every stage-two entry of R's reference results, where they are beside the repository; layout in their
 * README.
 */
const FOLDER = fileURLToPath(new URL('../../../shared/reference', import.meta.url));

type Value = number | null;
interface Interval {
  lower: Value;
  upper: Value;
}
interface Row extends Interval {
  term: string;
  estimate: number;
  se: number;
  p: number;
}
interface Method extends Interval {
  estimate: number;
  se: number;
  z: number;
  p: number;
  tau2: number;
  seTau2: Value;
  I2: number;
  H2: number;
  Q: number;
  Qp: number;
  logLik: number;
  hksj: Interval & { se: number; t: number; df: number; p: number };
  hksjAdhoc: Method['hksj'];
  prediction?: Record<string, Interval>;
}
interface Regression {
  coefficients: Row[];
  vcov: { values: number[][] };
  tau2: number;
  seTau2: Value;
  I2: number;
  H2: number;
  QE: number;
  QEp: number;
  QM: number;
  QMp: number;
  logLik: number;
  hksj: { coefficients: Row[]; F: number; p: number };
}
interface Joint {
  coefficients: Row[];
  vcov: { values: number[][] };
  optimizersAgreeing?: number;
  G?: { values: number[][] };
  Q: number;
  Qdf: number;
  Qp: number;
  logLik: number;
}
interface Entry {
  yi: number[];
  sei: number[];
  qProfile?: { tau2: [number, number] };
  weightsPercent: Record<string, number[]>;
  methods: Record<string, Method>;
  moderators?: Record<string, number[]>;
  studies: string[];
  outcomes: string[];
  V: Record<string, number[][]>;
  fits?: Record<string, Joint>;
}
type Models = Record<string, { result: Entry }>;

const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : [];
const read = (file: string): Models => JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8')).models;

const CLOSED: readonly string[] = ['FE', 'DL', 'HE', 'HS', 'SJ'];
const toleranceOf = (method: string): number => (CLOSED.includes(method) ? 1e-8 : 1e-6);

/**
 * Relative to the expected value, or to `scale` where that is larger (a value near zero has no relative
 * accuracy).
 */
function close(actual: Value | undefined, expected: Value, tolerance: number, what: string, scale = 0): void {
  if (expected === null) return;
  assert.ok(actual !== null && actual !== undefined, `${what}: nothing, expected ${expected}`);
  const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), scale);
  assert.ok(error <= tolerance, `${what}: ${actual}, expected ${expected} (relative ${error})`);
}

function interval(
  actual: PooledTerm['ci'],
  expected: Interval,
  tolerance: number,
  what: string,
  se: number,
): void {
  if (expected.lower === null) assert.equal(actual, null, what);
  close(actual?.[0], expected.lower, tolerance, `${what} lower`, se);
  close(actual?.[1], expected.upper, tolerance, `${what} upper`, se);
}

function checkUnivariate(entry: Entry): void {
  const vi = entry.sei.map((se) => se * se);
  const scale = 1e-3 * (vi.reduce((sum, value) => sum + value, 0) / vi.length);
  for (const [method, fit] of Object.entries(entry.methods)) {
    const tolerance = toleranceOf(method);
    for (const ci of ['normal', 'HKSJ', 'HKSJ-adhoc'] as const) {
      const { pooled, heterogeneity, logLikelihood, weights } = pool('treatment', entry.yi, vi, {
        tau2: method as Tau2Method,
        ci,
        level: 0.95,
        prediction: true,
      });
      const what = (name: string): string => `${method} ${ci} ${name}`;
      const expected = {
        normal: { se: fit.se, t: fit.z, df: null, p: fit.p, lower: fit.lower, upper: fit.upper },
        HKSJ: fit.hksj,
        'HKSJ-adhoc': fit.hksjAdhoc,
      }[ci];
      close(pooled.estimate, fit.estimate, tolerance, what('estimate'), fit.se);
      close(pooled.se, expected.se, tolerance, what('se'));
      close(pooled.statistic, expected.t, tolerance, what('statistic'), 1);
      close(pooled.p, expected.p, 50 * tolerance, what('p'));
      assert.equal(pooled.df, expected.df);
      interval(pooled.ci, expected, tolerance, what('ci'), expected.se);
      close(heterogeneity.tau2, fit.tau2, tolerance, what('tau2'), scale);
      close(heterogeneity.tau2_se, fit.seTau2, tolerance, what('tau2_se'));
      close(heterogeneity.q, fit.Q, tolerance, what('q'));
      close(heterogeneity.q_p, fit.Qp, tolerance, what('q_p'));
      close(heterogeneity.i2, fit.I2, tolerance, what('i2'), 0.1);
      close(heterogeneity.h2, fit.H2, tolerance, what('h2'));
      close(logLikelihood, fit.logLik, tolerance, what('log-likelihood'));
      const prediction = fit.prediction?.[ci === 'normal' ? 'normal' : 'hksjTKminus1'];
      if (ci !== 'HKSJ-adhoc') {
        interval(
          pooled.prediction,
          prediction ?? { lower: null, upper: null },
          tolerance,
          what('prediction'),
          expected.se,
        );
      }
      if (method !== 'FE') {
        const [lower, upper] = entry.qProfile!.tau2;
        interval(heterogeneity.tau2_ci, { lower, upper }, 1e-8, what('tau2_ci'), scale);
      }
      entry.weightsPercent[method]?.forEach((weight, i) =>
        close(weights[i], weight, tolerance, what(`weight ${i}`)),
      );
    }
  }
}

function checkRegression(entry: Entry, source: Entry): void {
  const names = Object.keys(entry.moderators!);
  const vi = source.sei.map((se) => se * se);
  const scale = 1e-3 * (vi.reduce((sum, value) => sum + value, 0) / vi.length);
  const x = vi.map((_, i) => [1, ...names.map((name) => entry.moderators![name]![i]!)]);
  for (const [method, fit] of Object.entries(entry.methods as unknown as Record<string, Regression>)) {
    const tolerance = toleranceOf(method);
    for (const ci of ['normal', 'HKSJ'] as CiMethod[]) {
      const options = { tau2: method as Tau2Method, ci, level: 0.95 };
      const r = metaRegression(['intercept', ...names], source.yi, vi, x, options);
      const what = (name: string): string => `${method} ${ci} ${name}`;
      r.coefficients.forEach((coefficient, j) => {
        const expected = (ci === 'normal' ? fit : fit.hksj).coefficients[j]!;
        close(coefficient.estimate, expected.estimate, tolerance, what(coefficient.term), expected.se);
        close(coefficient.se, expected.se, tolerance, what(`${coefficient.term} se`));
        close(coefficient.p, expected.p, 50 * tolerance, what(`${coefficient.term} p`));
        interval(coefficient.ci, expected, tolerance, what(`${coefficient.term} ci`), expected.se);
        for (let i = 0; i <= j && ci === 'normal'; i++) {
          close(r.vcov[packedIndex(i, j)], fit.vcov.values[i]![j]!, tolerance, what('vcov'));
        }
      });
      close(r.heterogeneity.tau2, fit.tau2, tolerance, what('tau2'), scale);
      close(r.heterogeneity.tau2_se, fit.seTau2, tolerance, what('tau2_se'));
      close(r.heterogeneity.q, fit.QE, tolerance, what('q'));
      close(r.heterogeneity.q_p, fit.QEp, 10 * tolerance, what('q_p'));
      close(r.heterogeneity.i2, fit.I2, tolerance, what('i2'), 0.1);
      close(r.heterogeneity.h2, fit.H2, tolerance, what('h2'));
      close(r.moderators?.statistic, ci === 'normal' ? fit.QM : fit.hksj.F, tolerance, what('moderators'));
      close(r.moderators?.p, ci === 'normal' ? fit.QMp : fit.hksj.p, 50 * tolerance, what('moderators p'));
      close(r.logLikelihood, fit.logLik, tolerance, what('log-likelihood'));
    }
  }
}

/** The meta-regressions repeat no estimates: they regress those of a stage-two entry. */
function regressed(models: Models, id: string): Entry {
  const measure = /^metareg-(\w+)-/.exec(id)?.[1];
  return models[measure === undefined ? id.replace(/-metareg-.*/, '-stage2-logor') : `stage2-${measure}`]!
    .result;
}

function checkJoint(entry: Entry): void {
  const rows = entry.yi as unknown as { study: string; outcome: string; yi: number }[];
  const studies = entry.studies.map((study) => {
    const own = rows.filter((row) => row.study === study);
    const terms = own.map(({ outcome }) => entry.outcomes.indexOf(outcome));
    const full = entry.V[study]!;
    // A study's matrix covers its own outcomes, or all of them.
    const vcov = full.length === terms.length ? full : terms.map((a) => terms.map((b) => full[a]![b]!));
    return { terms, y: Float64Array.from(own, ({ yi }) => yi), vcov: fromRows(vcov) };
  });
  for (const [method, fit] of Object.entries(entry.fits!)) {
    const options = { tau2: method as Tau2Method, ci: 'normal', level: 0.95, prediction: true } as const;
    const r = poolJointly(entry.outcomes, studies, options);
    assert.ok(r !== null, `${method} converged`);
    // The reference keeps its best of five optimisers: never better than the maximum. With a singular Σ its
    // likelihood stops up to 3e-10 short of it, which leaves 1e-5 of a standard error in the estimates.
    const likelihood = r.joint.log_likelihood!;
    assert.ok(likelihood >= fit.logLik - 1e-9, `${method}: ${likelihood}, reference ${fit.logLik}`);
    close(likelihood, fit.logLik, 1e-8, `${method} log-likelihood`, 1);
    const short = likelihood - fit.logLik > 1e-12;
    const tolerance = method === 'FE' ? 1e-8 : short ? 1e-5 : 1e-6;
    r.pooled.forEach((term, j) => {
      const expected = fit.coefficients[j]!;
      close(term.estimate, expected.estimate, tolerance, `${method} ${term.term}`, expected.se);
      close(term.se, expected.se, tolerance, `${method} ${term.term} se`);
      for (let i = 0; i <= j; i++) {
        const unit = expected.se * fit.coefficients[i]!.se;
        close(r.vcov[packedIndex(i, j)], fit.vcov.values[i]![j]!, 2 * tolerance, `${method} vcov`, unit);
        const sigma = fit.G?.values;
        if (sigma === undefined) continue;
        const scale = Math.max(Math.sqrt(sigma[i]![i]! * sigma[j]![j]!), 0.01 * unit);
        close(r.joint.sigma[i]![j], sigma[i]![j]!, 5 * tolerance, `${method} sigma ${i} ${j}`, scale);
      }
    });
    close(r.joint.q, fit.Q, 1e-8, `${method} q`);
    assert.equal(r.joint.q_df, fit.Qdf);
    close(r.joint.q_p, fit.Qp, 1e-8, `${method} q_p`);
  }
}

for (const file of files) {
  const models = read(file);
  for (const [id, { result }] of Object.entries(models)) {
    if (result.qProfile !== undefined) test(`${file} ${id}: one term`, () => checkUnivariate(result));
    else if (result.moderators !== undefined) {
      test(`${file} ${id}: meta-regression`, () => checkRegression(result, regressed(models, id)));
    } else if (result.fits !== undefined) test(`${file} ${id}: joint`, () => checkJoint(result));
  }
}
