import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packedIndex } from '../linalg/symmetric.ts';
import { fitMmrm, type MmrmOptions, type MmrmOutcome } from './mmrm-fit.ts';
import { fitStudies, makeRecords, specOf, studyOf, type VisitRecords } from './mmrm-testing.ts';

interface Fixture {
  readonly visits: number;
  readonly studies: readonly VisitRecords[];
  readonly alone: readonly {
    readonly estimation: 'ML' | 'REML';
    readonly terms: readonly string[];
    readonly estimates: readonly number[];
    readonly vcov: readonly number[];
    readonly visitCovariance: readonly number[];
    readonly logLik: number;
    readonly df: readonly number[];
  }[];
}
const fixture = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../test/fixtures/mmrm/cases.json'), 'utf8'),
) as Fixture;
const T = fixture.visits;
const OPTIONS: MmrmOptions = { covariance: 'unstructured', estimation: 'REML', df: null };
const treatment = (visits: number) => Array.from({ length: visits }, (_, v) => 2 * visits + v);

type Fitted = Extract<MmrmOutcome, { status: 'fitted' }>;
function fitted(outcome: MmrmOutcome): Fitted {
  assert.equal(outcome.status, 'fitted');
  return outcome;
}
const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);

for (const reference of fixture.alone) {
  test(`one study alone, ${reference.estimation}`, () => {
    const { estimation } = reference;
    const data = studyOf(fixture.studies[0]!, T);
    const fit = fitted(
      fitMmrm(data, { covariance: 'unstructured', estimation, df: 'satterthwaite' }, treatment(T)),
    );
    assert.deepEqual(data.terms, reference.terms);
    assert.ok(fit.estimable.every(Boolean));
    reference.estimates.forEach((value, j) => {
      const se = Math.sqrt(reference.vcov[packedIndex(j, j)]!);
      near(fit.estimates[j]!, value, 1e-8 * se);
      near(fit.df[j]!, reference.df[j]!, 1e-6 * reference.df[j]!);
    });
    fit.vcov.forEach((value, k) => near(value, reference.vcov[k]!, 1e-8));
    fit.visitCovariance.forEach((value, k) => near(value, reference.visitCovariance[k]!, 1e-8));
    near(fit.logLikelihood.fitted, reference.logLik, 1e-8);
    assert.deepEqual(fit.visits, [0, 1, 2, 3]);
  });
}

test('in one study alone, its own or common means by visit make no difference to the treatment', () => {
  const data = studyOf(makeRecords(6, 50, 3), 3);
  const alone = fitted(fitMmrm(data, { ...OPTIONS, covariance: 'ar1' }, treatment(3)));
  const federated = fitStudies(specOf({ covariance: 'ar1' }, 3), [data]);
  federated.coefficients
    .slice(3)
    .forEach(({ estimate, se }, v) => near(alone.estimates[6 + v]!, estimate, 1e-9 * se!));
  near(alone.logLikelihood.fitted, federated.logLikelihood!, 1e-8);
});

test('a study without a visit estimates the others; with one visit it is a linear model', () => {
  const whole = makeRecords(14, 40, 3);
  const only = (visits: readonly number[]) => {
    const rows = whole.visit.flatMap((v, i) => (visits.includes(v) ? [i] : []));
    const of = (values: readonly number[]) => rows.map((i) => values[i]!);
    return studyOf(
      {
        y: of(whole.y),
        subject: of(whole.subject),
        visit: of(whole.visit),
        x: of(whole.x),
        treat: of(whole.treat),
      },
      3,
    );
  };
  for (const covariance of ['unstructured', 'ar1', 'compound-symmetry'] as const) {
    const two = fitted(fitMmrm(only([0, 2]), { ...OPTIONS, covariance }, treatment(3)));
    assert.deepEqual(two.estimable, [true, false, true, true, false, true, true, false, true]);
    assert.deepEqual(two.visits, [0, 2]);
    assert.equal(two.visitCovariance.length, 3);
    const one = fitted(fitMmrm(only([1]), { ...OPTIONS, covariance }, treatment(3)));
    assert.deepEqual(one.visits, [1]);
    assert.equal(one.estimates.length, 3);
  }
});

test('columns in other units give the same fit in those', () => {
  const data = studyOf(makeRecords(15, 40, 3), 3);
  const scaled = {
    ...data,
    columns: data.columns.map((column, j) => (j >= 3 && j < 6 ? column.map((x) => 1e7 * x) : column)),
  };
  const [one, other] = [data, scaled].map((each) => fitted(fitMmrm(each, OPTIONS, treatment(3))));
  one!.estimates.forEach((value, j) => near(other!.estimates[j]! * (j >= 3 && j < 6 ? 1e7 : 1), value, 1e-9));
  near(other!.logLikelihood.fitted, one!.logLikelihood.fitted - 3 * Math.log(1e7), 1e-8);
});

test('the null model has means by visit alone', () => {
  const data = studyOf(makeRecords(16, 40, 3), 3);
  const ml = { ...OPTIONS, estimation: 'ML' } as const;
  const whole = fitted(fitMmrm(data, ml, treatment(3)));
  const alone = fitted(
    fitMmrm({ ...data, columns: data.columns.slice(0, 3), terms: data.terms.slice(0, 3) }, ml, []),
  );
  near(whole.logLikelihood.null, alone.logLikelihood.fitted, 1e-9);
  assert.ok(whole.logLikelihood.null < whole.logLikelihood.fitted);
});

test('what one study cannot fit is a diagnosis', () => {
  const records = makeRecords(17, 30, 3);
  const code = (data: Parameters<typeof fitMmrm>[0]) => {
    const outcome = fitMmrm(data, OPTIONS, treatment(3));
    return outcome.status === 'fitted' ? null : outcome.diagnosis.code;
  };
  const empty = { y: [], subject: [], visit: [], x: [], treat: [] };
  assert.equal(code(studyOf(empty, 3)), 'no-participants');
  assert.equal(code(studyOf({ ...records, treat: records.treat.map(() => 0) }, 3)), 'single-arm');
  assert.equal(code(studyOf({ ...records, treat: records.treat.map(() => 1) }, 3)), 'single-arm');
  assert.equal(code(studyOf({ ...records, x: records.treat }, 3)), 'rank-deficient');
  assert.equal(code(studyOf({ ...records, y: records.y.map(() => 4) }, 3)), 'no-variation');
  assert.equal(code(studyOf(makeRecords(18, 2, 3, 0), 3)), 'too-few-participants');
});
