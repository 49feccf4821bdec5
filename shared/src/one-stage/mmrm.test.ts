import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import { covarianceStructure } from './mmrm-covariance.ts';
import { answerLength } from './mmrm-study.ts';
import { fitStudies, makeRecords, specOf, studyOf, unscaled, type VisitRecords } from './mmrm-testing.ts';
import type { OneStageFit } from './types.ts';

interface Reference {
  readonly covariance: 'unstructured' | 'ar1' | 'compound-symmetry';
  readonly estimation: 'ML' | 'REML';
  readonly terms: readonly string[];
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly visitCovariance: readonly number[];
  readonly logLik: number;
  readonly gls: number;
  readonly df: readonly number[];
}
interface Fixture {
  readonly visits: number;
  readonly studies: readonly VisitRecords[];
  readonly federated: readonly Reference[];
  readonly tests: {
    readonly term: string;
    readonly likelihoodRatio: number;
    readonly limits: readonly number[];
  };
}
const fixture = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../test/fixtures/mmrm/cases.json'), 'utf8'),
) as Fixture;
const T = fixture.visits;
const studies = fixture.studies.map((records) => studyOf(records, T));
const KINDS = ['unstructured', 'ar1', 'compound-symmetry'] as const;

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

/** Estimates in standard errors, variances relative, to `tolerance`; the log-likelihood absolute. */
function agree(fit: OneStageFit, other: OneStageFit, tolerance: number): void {
  assert.equal(fit.failure, null);
  assert.deepEqual(
    fit.coefficients.map(({ term }) => term),
    other.coefficients.map(({ term }) => term),
  );
  other.coefficients.forEach(({ term, estimate, se }, j) => {
    near(fit.coefficients[j]!.estimate, estimate, tolerance * se!, term);
    near(fit.coefficients[j]!.se!, se!, tolerance * se!, `standard error of ${term}`);
  });
  near(
    fit.logLikelihood!,
    other.logLikelihood!,
    tolerance * (1 + Math.abs(other.logLikelihood!)),
    'log-likelihood',
  );
}

for (const reference of fixture.federated) {
  test(`${reference.covariance}, ${reference.estimation}: the pooled fit, from sums over four studies`, () => {
    const { covariance, estimation } = reference;
    const fit = fitStudies(
      specOf({ covariance, estimation, inference: { df: 'satterthwaite' } }, T),
      studies,
    );
    assert.equal(fit.failure, null);
    assert.deepEqual(
      fit.coefficients.map(({ term }) => term),
      reference.terms,
    );
    fit.coefficients.forEach(({ term, estimate, se, df }, j) => {
      const variance = reference.vcov[packedIndex(j, j)]!;
      near(estimate, reference.estimates[j]!, 1e-8 * Math.sqrt(variance), term);
      near(se!, Math.sqrt(variance), 1e-8 * Math.sqrt(variance), `standard error of ${term}`);
      near(df!, reference.df[j]!, 1e-6 * reference.df[j]!, `degrees of freedom of ${term}`);
    });
    fit.vcov.forEach((value, k) => near(value, reference.vcov[k]!, 1e-9, `vcov ${k}`));
    fit.visitCovariance!.forEach((value, k) =>
      near(value, reference.visitCovariance[k]!, 1e-8, `visits ${k}`),
    );
    near(fit.logLikelihood!, reference.logLik, 1e-8, 'log-likelihood');
    assert.ok(fit.logLikelihood! >= reference.gls - 1e-6, 'no lower than where gls stops');
    assert.ok(fit.rounds <= 8, `${fit.rounds} rounds`);
  });
}

test('likelihood-ratio test and profile limits by maximum likelihood', () => {
  const { term, likelihoodRatio, limits } = fixture.tests;
  const inference = { likelihoodRatio: true, ci: 'profile' } as const;
  const spec = specOf({ estimation: 'ML', tested: [3 * T - 1], inference }, T);
  const fit = fitStudies(spec, studies);
  const [found] = fit.tests;
  assert.deepEqual([found!.test, found!.term, found!.df], ['likelihood ratio', term, 1]);
  near(found!.statistic!, likelihoodRatio, 1e-7, 'statistic');
  const coefficient = fit.coefficients.find((one) => one.term === term)!;
  limits.forEach((limit, k) => near(coefficient.profile![k]!, limit, 1e-7, `limit ${k}`));
  assert.deepEqual(fit.warnings, []);
});

test('by restricted likelihood there is no profile of a coefficient, and the fit says so', () => {
  const spec = specOf({ tested: [3 * T - 1], inference: { likelihoodRatio: true, ci: 'profile' } }, T);
  const fit = fitStudies(spec, studies);
  assert.deepEqual(fit.tests, []);
  assert.equal(fit.coefficients.at(-1)!.profile, null);
  assert.deepEqual(fit.warnings, [{ code: 'profile-limit', terms: ['treat3'] }]);
});

test('every question and answer has the length that follows from the plan alone', () => {
  const spec = specOf({}, T);
  const p = 2 * T;
  const k = covarianceStructure('unstructured', T).parameters;
  fitStudies(spec, studies, unscaled(spec.columns), (ask) => {
    assert.equal(ask.gather, 'sum');
    assert.equal(ask.length, answerLength(p, k));
    assert.equal(ask.theta.length, k + ((p + 1) * (p + 2)) / 2);
    assert.ok(ask.theta.every(Number.isFinite));
  });
});

test('means in common: records split between sites in any way give the pooled fit', () => {
  const records = makeRecords(5, 60, 3);
  const pick = (keep: (subject: number) => boolean): VisitRecords => {
    const rows = records.subject.flatMap((s, i) => (keep(s) ? [i] : []));
    const of = (values: readonly number[]) => rows.map((i) => values[i]!);
    const { y, subject, visit, x, treat } = records;
    return { y: of(y), subject: of(subject), visit: of(visit), x: of(x), treat: of(treat) };
  };
  const spec = specOf({ stratified: false }, 3);
  const pooled = fitStudies(spec, [studyOf(records, 3)]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 60, maxLength: 60 }), (site) => {
      const parts = [0, 1, 2, 3]
        .map((s) =>
          studyOf(
            pick((subject) => site[subject] === s),
            3,
          ),
        )
        .filter(({ n }) => n > 0);
      agree(fitStudies(spec, parts), pooled, 1e-9);
    }),
    { numRuns: 15 },
  );
});

test('the order of the sites does not matter beyond rounding', () => {
  const spec = specOf({}, T);
  agree(fitStudies(spec, studies.toReversed()), fitStudies(spec, studies), 1e-10);
});

test('outcome and covariate in other units, and an outcome far from 0', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...KINDS),
      fc.constantFrom('ML' as const, 'REML' as const),
      fc.constantFrom(1e-6, 1, 1e6),
      fc.constantFrom(0, 1e6),
      fc.constantFrom(1e-5, 1, 1e5),
      (covariance, estimation, unit, origin, covariateUnit) => {
        const spec = specOf({ covariance, estimation }, T);
        const base = fitStudies(spec, studies);
        const scaling = unscaled(spec.columns);
        scaling.scale.fill(covariateUnit, T, 2 * T);
        const other = fitStudies(
          spec,
          fixture.studies.map((records) => {
            const y = records.y.map((value) => unit * (value + origin));
            return studyOf({ ...records, y, x: records.x.map((value) => covariateUnit * value) }, T);
          }),
          scaling,
        );
        assert.equal(other.failure, null);
        base.coefficients.forEach(({ term, estimate, se }, j) => {
          const factor = term.startsWith('x') ? unit / covariateUnit : unit;
          near(other.coefficients[j]!.estimate / factor, estimate, 1e-7 * se!, term);
          near(other.coefficients[j]!.se! / factor, se!, 1e-7 * se!, `standard error of ${term}`);
        });
        assert.ok(other.rounds <= 8);
      },
    ),
    { numRuns: 20 },
  );
});

test('a study with one participant or one visit a participant takes part; one that its own means absorb changes nothing', () => {
  const spec = specOf({}, 3);
  const main = [makeRecords(1, 40, 3), makeRecords(2, 30, 3)].map((records) => studyOf(records, 3));
  const single = studyOf(makeRecords(3, 1, 3, 0), 3);
  agree(fitStudies(spec, [...main, single]), fitStudies(spec, main), 1e-9);
  const { y, subject, visit, x, treat } = makeRecords(4, 30, 3, 0);
  const once = subject.flatMap((s, i) => (visit[i] === s % 3 ? [i] : []));
  const of = (values: readonly number[]) => once.map((i) => values[i]!);
  const cross = studyOf({ y: of(y), subject: of(subject), visit: of(visit), x: of(x), treat: of(treat) }, 3);
  assert.equal(fitStudies(spec, [...main, cross]).failure, null);
});

test('six visits, much missing; all but singular covariances', () => {
  const many = [11, 12, 13].map((seed) => studyOf(makeRecords(seed, 60, 6, 0.35), 6));
  for (const covariance of KINDS) {
    const fit = fitStudies(specOf({ covariance }, 6), many);
    assert.equal(fit.failure, null);
    assert.ok(fit.rounds <= 10, `${covariance}: ${fit.rounds} rounds`);
  }
  const close = [21, 22].map((seed) => {
    const records = makeRecords(seed, 40, 3, 0.1);
    const level = new Map<number, number>();
    records.subject.forEach((s, i) => level.has(s) || level.set(s, records.y[i]!));
    return studyOf(
      { ...records, y: records.y.map((value, i) => level.get(records.subject[i]!)! + 1e-3 * value) },
      3,
    );
  });
  for (const covariance of KINDS) {
    const fit = fitStudies(specOf({ covariance }, 3), close);
    assert.equal(fit.failure, null, covariance);
    assert.ok(fit.rounds <= 16, `${covariance}: ${fit.rounds} rounds`);
  }
});

test('what cannot be fitted is told apart', () => {
  const records = makeRecords(7, 40, 3);
  const failure = (part: Partial<VisitRecords>, model = {}) =>
    fitStudies(specOf(model, 3), [studyOf({ ...records, ...part }, 3)]).failure?.code;
  assert.equal(failure({ treat: records.treat.map(() => 1) }), 'rank-deficient');
  assert.equal(failure({ x: records.treat }), 'rank-deficient');
  assert.equal(failure({ y: records.visit.map((v) => 3 + v) }), 'no-variation');
  assert.equal(
    fitStudies(specOf({}, 3), [studyOf(makeRecords(8, 3, 3, 0), 3)]).failure?.code,
    'too-few-participants',
  );
  // Visits 1 and 2 are never one participant's.
  const kept = records.visit.flatMap((v, i) =>
    v === 0 || v === 1 + (records.subject[i]! % 4 < 2 ? 0 : 1) ? [i] : [],
  );
  const of = (values: readonly number[]) => kept.map((i) => values[i]!);
  const part = { y: of(records.y), subject: of(records.subject), visit: of(records.visit), x: of(records.x) };
  const apart = { ...part, treat: of(records.treat) };
  assert.equal(failure(apart), 'too-few-participants');
  assert.equal(failure(apart, { covariance: 'compound-symmetry' }), undefined);
  assert.throws(() => fitStudies(specOf({ inference: { df: 'kenward-roger' } }, 3), []), {
    code: 'numerics/invalid-input',
  });
});
