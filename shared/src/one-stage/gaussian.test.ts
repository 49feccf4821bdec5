import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import {
  fitRecords,
  fitStudies,
  specOf,
  studiesOf,
  type ModelOfTest,
  type Records,
} from './gaussian-testing.ts';
import type { FittedCoefficient, OneStageFit } from './types.ts';

interface Case {
  readonly name: string;
  readonly data: string;
  readonly random: readonly string[];
  readonly stratified: readonly string[];
  readonly correlated: boolean;
  readonly estimation: 'ML' | 'REML';
  readonly residual: 'common' | 'stratified';
  readonly x: boolean;
  readonly scale: number;
  readonly terms: readonly string[];
  readonly estimates: readonly number[];
  readonly se: readonly number[];
  readonly covariance?: number;
  readonly logLik: number;
  readonly intercepts: readonly number[];
  readonly interceptSe: readonly number[];
  readonly variances: readonly number[];
  readonly correlation?: number;
  readonly residuals: readonly number[];
  readonly predicted?: readonly number[];
  readonly predictedSe?: readonly number[];
  readonly kr?: {
    readonly se: readonly number[];
    readonly df: readonly number[];
    readonly covariance?: number;
  };
  readonly satterthwaite?: readonly number[];
  readonly lrt?: number;
  readonly profile?: readonly number[];
}

const fixture = new URL('../../../test/fixtures/gaussian-one-stage/cases.json', import.meta.url);
const { cases, data } = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly cases: readonly Case[];
  readonly data: Readonly<Record<string, Records>>;
};

function recordsOf({ data: name, scale }: Case): Records {
  const records = data[name]!;
  return { ...records, x: records.x.map((value) => value * scale) };
}

function near(actual: number | null | undefined, expected: number, tolerance: number, what: string): void {
  assert.ok(
    typeof actual === 'number' && Math.abs(actual - expected) <= tolerance,
    `${what}: ${actual}, not ${expected}`,
  );
}

const commonTerms = (fit: OneStageFit, terms: readonly string[]): FittedCoefficient[] =>
  terms.map((term) => fit.coefficients.find((one) => one.term === term && one.study === undefined)!);

/** lmer stops at about 1e-7 of a standard error and 1e-5 of a variance. */
for (const item of cases) {
  test(`${item.name}: as R`, () => {
    const fit = fitRecords(item, recordsOf(item));
    assert.equal(fit.failure, null);
    const closed = item.random.length === 0 && item.residual === 'common';
    const tolerance = closed ? 1e-10 : 1e-6;
    const own = item.terms.filter((term) => !item.stratified.includes(term));
    commonTerms(fit, own).forEach((one, k) => {
      near(one.estimate, item.estimates[k]!, tolerance * item.se[k]!, one.term);
      near(one.se, item.se[k]!, tolerance * item.se[k]!, `se of ${one.term}`);
    });
    const at = own.map((term) => fit.coefficients.findIndex((one) => one.term === term));
    if (item.covariance !== undefined && own.length === 2)
      near(
        fit.vcov[packedIndex(at[0]!, at[1]!)],
        item.covariance,
        tolerance * item.se[0]! * item.se[1]!,
        'covariance',
      );
    const intercepts = fit.coefficients.filter(({ term }) => term === '(intercept)');
    assert.equal(intercepts.length, item.intercepts.length);
    intercepts.forEach((one, i) => {
      near(one.estimate, item.intercepts[i]!, 2 * tolerance * item.interceptSe[i]!, `intercept ${i}`);
      near(one.se, item.interceptSe[i]!, 2 * tolerance * item.interceptSe[i]!, `se of intercept ${i}`);
    });
    near(fit.logLikelihood, item.logLik, 1e-8, 'log-likelihood');
    assert.ok(fit.logLikelihood! >= item.logLik - 1e-9, 'no lower than R reaches');
    item.variances.forEach((variance, a) =>
      near(
        fit.randomEffects[a]!.variance,
        variance,
        1e-5 * (variance + item.residuals[0]! / 100),
        `variance ${a}`,
      ),
    );
    if (item.correlation !== undefined && item.variances.every((variance) => variance > 1e-6))
      near(fit.correlations[1], item.correlation, 1e-5, 'correlation');
    assert.equal(fit.residualVariance.length, item.residuals.length);
    fit.residualVariance.forEach(({ study, variance }, i) => {
      assert.equal(study, item.residual === 'common' ? null : i);
      near(variance, item.residuals[i]!, 2e-5 * item.residuals[i]!, `residual variance ${i}`);
    });
    item.predicted?.forEach((value, i) => {
      const scale = Math.sqrt(item.residuals[0]!);
      near(
        fit.predicted.filter(({ term }) => term === item.random[0])[i]!.estimate,
        value,
        1e-5 * scale,
        'prediction',
      );
      const sd = fit.predicted.filter(({ term }) => term === item.random[0])[i]!.se;
      near(sd, item.predictedSe![i]!, 1e-4 * scale, 'se of a prediction');
    });
  });
}

test('likelihood-ratio tests and profile intervals are those of refitting by ML with the coefficient fixed', () => {
  for (const item of cases.filter(({ lrt }) => lrt !== undefined)) {
    const fit = fitRecords({ ...item, inference: { ci: 'profile', likelihoodRatio: true } }, recordsOf(item));
    near(fit.tests[0]!.statistic, item.lrt!, 1e-6, item.name);
    assert.equal(fit.tests[0]!.term, 'treatment');
    const limits = fit.coefficients.find(({ term }) => term === 'treatment')!.profile!;
    item.profile!.forEach((value, side) => near(limits[side], value, 1e-6 * Math.abs(value), item.name));
  }
});

test('a variance at zero is reported as zero, with a warning', () => {
  const zero = cases.find(({ name }) => name === 'variance at zero')!;
  const fit = fitRecords(zero, recordsOf(zero));
  assert.equal(fit.randomEffects[0]!.variance, 0);
  assert.deepEqual(fit.warnings, [{ code: 'boundary', terms: ['treatment'] }]);
  assert.deepEqual(fit.correlations, [null]);
});

test('a perfect correlation is warned of', () => {
  const perfect = cases.find(({ name }) => name === 'perfect correlation')!;
  const fit = fitRecords(perfect, recordsOf(perfect));
  assert.deepEqual(fit.warnings, [{ code: 'perfect-correlation', terms: ['(intercept)', 'treatment'] }]);
  assert.equal(fit.correlations[1], 1);
});

const failureOf = (model: ModelOfTest, records: Records): unknown => fitRecords(model, records).failure;
const trials = data['trials']!;
const where = (records: Records, keep: (i: number) => boolean): Records => {
  const pick = (values: readonly number[]): number[] => values.filter((_, i) => keep(i));
  return { study: pick(records.study), treat: pick(records.treat), x: pick(records.x), y: pick(records.y) };
};

test('what cannot be fitted is a typed failure', () => {
  const one = where(trials, (i) => trials.study[i] === 1);
  assert.deepEqual(failureOf({ random: ['(intercept)'] }, one), {
    code: 'rank-deficient',
    terms: ['(intercept)'],
  });
  const oneWithBoth = where(trials, (i) => trials.study[i] === 1 || trials.treat[i] === 0);
  assert.deepEqual(failureOf({ random: ['treatment'], stratified: ['(intercept)'] }, oneWithBoth), {
    code: 'rank-deficient',
    terms: ['treatment'],
  });
  assert.deepEqual(failureOf({}, { ...trials, x: trials.treat.map((t) => 2 * t + 3) }), {
    code: 'rank-deficient',
    terms: ['x'],
  });
  assert.deepEqual(failureOf({}, { ...trials, y: trials.y.map(() => 2.7) }), {
    code: 'no-variation',
    terms: [],
  });
  assert.deepEqual(failureOf({ x: false }, { ...trials, y: trials.treat.map((t) => 2 + 3 * t) }), {
    code: 'no-variation',
    terms: [],
  });
  const few = where(trials, (i) => i < 3);
  assert.deepEqual(failureOf({}, few), { code: 'too-few-participants', terms: [] });
  const singles = where(trials, (i) => trials.study.indexOf(trials.study[i]!) === i);
  assert.deepEqual(
    failureOf({ random: ['(intercept)'], x: true }, { ...singles, treat: [0, 1, 0, 1, 0, 1, 0, 1] }),
    {
      code: 'too-few-participants',
      terms: [],
    },
  );
  const small = where(trials, (i) => trials.study[i]! > 1 || i < 3);
  assert.deepEqual(failureOf({ stratified: ['(intercept)'], residual: 'stratified' }, small), {
    code: 'too-few-participants',
    terms: [],
  });
});

test('a study of one participant, and one whose covariate is constant, take part with what they have', () => {
  const small = where(trials, (i) => trials.study[i]! > 1 || i < 1);
  const fit = fitRecords({ random: ['treatment'], stratified: ['(intercept)', 'x'] }, small);
  assert.equal(fit.failure, null);
  const own = fit.coefficients.filter(({ study }) => study === 0);
  assert.deepEqual(
    own.map(({ term }) => term),
    ['(intercept)'],
  );
  const without = fitRecords(
    { random: ['treatment'], stratified: ['(intercept)', 'x'] },
    where(trials, (i) => trials.study[i]! > 1),
  );
  near(
    commonTerms(fit, ['treatment'])[0]!.estimate,
    commonTerms(without, ['treatment'])[0]!.estimate,
    1e-9,
    'estimate',
  );
});

test('no digits are lost far from zero, nor with variances of any size', () => {
  const model: ModelOfTest = { random: ['treatment'], stratified: ['(intercept)'] };
  const [here] = commonTerms(fitRecords(model, trials), ['treatment']);
  const far = {
    ...trials,
    y: trials.y.map((y, i) => y + 2 ** 20 * (1 + trials.study[i]!)),
    x: trials.x.map((x) => x + 2 ** 20),
  };
  const [there] = commonTerms(fitRecords(model, far), ['treatment']);
  near(there!.estimate, here!.estimate, 1e-7 * here!.se!, 'estimate');
  near(there!.se, here!.se!, 1e-7 * here!.se!, 'se');
  // With an enormous variance between studies, a random intercept is as good as a stratified one.
  const spread = { ...trials, y: trials.y.map((y, i) => y + 1e4 * (trials.study[i]! % 3)) };
  const [random] = commonTerms(fitRecords({ random: ['(intercept)'] }, spread), ['treatment']);
  const [fixed] = commonTerms(fitRecords({ stratified: ['(intercept)'] }, trials), ['treatment']);
  near(random!.estimate, fixed!.estimate, 1e-5 * fixed!.se!, 'estimate');
  near(random!.se, fixed!.se!, 1e-5 * fixed!.se!, 'se');
});

const MODELS: readonly ModelOfTest[] = [
  { random: ['(intercept)', 'treatment'], correlated: true },
  { random: ['treatment'], stratified: ['(intercept)'] },
  { random: ['(intercept)'], estimation: 'ML' },
  { stratified: ['(intercept)', 'x'] },
  { random: ['treatment'], stratified: ['(intercept)'], residual: 'stratified' },
];

test('property: units of outcome and covariate, and the order of studies, change nothing else', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...MODELS),
      fc.integer({ min: -12, max: 12 }),
      fc.integer({ min: -12, max: 12 }),
      fc.integer({ min: 1, max: 7 }),
      (model, a, b, shift) => {
        const [ky, kx] = [2 ** a, 2 ** b];
        const base = fitRecords(model, trials);
        const moved = fitRecords(model, {
          study: trials.study.map((study) => ((study + shift) % 8) + 1),
          treat: trials.treat,
          x: trials.x.map((x) => x * kx),
          y: trials.y.map((y) => y * ky),
        });
        const factor: Record<string, number> = { treatment: ky, x: ky / kx };
        for (const one of base.coefficients.filter(({ study }) => study === undefined)) {
          if (one.term === '(intercept)') continue;
          const other = commonTerms(moved, [one.term])[0]!;
          near(other.estimate / factor[one.term]!, one.estimate, 1e-6 * one.se!, one.term);
          near(other.se! / factor[one.term]!, one.se!, 1e-6 * one.se!, one.term);
        }
        base.randomEffects.forEach(({ variance }, i) =>
          near(moved.randomEffects[i]!.variance / ky ** 2, variance, 1e-6 * (variance + 1e-3), 'variance'),
        );
        const total = (fit: OneStageFit): number =>
          fit.predicted.reduce((sum, { estimate }) => sum + estimate, 0);
        near(total(moved) / ky, total(base), 1e-5, 'predictions');
      },
    ),
    { numRuns: 30 },
  );
});

test('two hundred studies of five, and a study that does not answer', () => {
  const study = Array.from({ length: 1000 }, (_, i) => Math.floor(i / 5));
  const wave = (i: number, k: number): number => Math.sin(i * i * 0.7 + k * i);
  const records: Records = {
    study,
    treat: study.map((_, i) => i % 2),
    x: study.map((_, i) => wave(i, 1)),
    y: study.map((j, i) => wave(i, 2) + wave(j, 3) * (1 + (i % 2)) + 0.3 * (i % 2)),
  };
  for (const model of MODELS) {
    if (model.stratified?.includes('x') === true || model.residual === 'stratified') continue;
    const fit = fitRecords(model, records);
    assert.equal(fit.failure, null);
    assert.ok(fit.coefficients.every(({ estimate, se }) => Number.isFinite(estimate) && se! > 0));
  }
  const spec = specOf({ random: ['treatment'], stratified: ['(intercept)'] });
  const studies = studiesOf(spec, trials);
  const absent = { ...studies[0]!, n: 0, columns: studies[0]!.columns.map(() => new Float64Array(0)) };
  const empty = { ...absent, response: { kind: 'continuous' as const, y: new Float64Array(0) } };
  const fit = fitStudies(spec, [empty, ...studies]);
  const without = fitStudies(spec, studies);
  near(
    commonTerms(fit, ['treatment'])[0]!.estimate,
    commonTerms(without, ['treatment'])[0]!.estimate,
    1e-9,
    'estimate',
  );
  assert.ok(fit.coefficients.every((one) => one.study !== 0));
});
