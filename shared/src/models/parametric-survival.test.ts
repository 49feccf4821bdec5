import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { cholesky, inverseFromCholesky, packedIndex } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation, newton } from '../numerics/newton.ts';
import type { ConditionalObjective } from './conditional.ts';
import { alongGenerically, emptyExpansion, expandNumerically } from './expansion.ts';
import { amongAllIntervals, ownIntervals } from './piecewise-exponential.ts';
import { families } from './registry.ts';
import { basis, slope } from './royston-parmar.ts';
import { fitStageOne } from './stage-one.ts';
import type { ModelOptions, Objective, Response, StudyData } from './types.ts';

interface Fitted {
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly logLik: number;
}
const fixture = new URL('../../../test/fixtures/survival/cases.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly data: Readonly<Record<string, readonly number[]>>;
  readonly weibull: Fitted & { readonly null: number };
  readonly [name: string]: unknown;
};

const column = (name: string): Float64Array => Float64Array.from(cases.data[name]!);
const n = column('time').length;
const ones = new Float64Array(n).fill(1);

const optionsOf = (family: ModelOptions['family']): ModelOptions => ({
  family,
  ties: 'efron',
  cuts: [4, 9],
  knots: [1, 5, 9, 20],
});

function study(
  family: ModelOptions['family'],
  truncated: boolean,
  offset: Float64Array | null = null,
): StudyData {
  const covariates = [column('treatment'), column('age10')];
  const intercept = families[family].intercept;
  return {
    n,
    columns: intercept ? [ones, ...covariates] : covariates,
    terms: intercept ? ['(intercept)', 'treatment', 'age10'] : ['treatment', 'age10'],
    response: {
      kind: 'time-to-event',
      time: column('time'),
      event: column('event'),
      entry: truncated ? column('entry') : null,
      stratum: null,
    },
    offset,
  };
}

/** Where a fit starts: no effects, and the family's own parameters at theirs. */
function startOf(data: StudyData, options: ModelOptions): Float64Array {
  const family = families[options.family];
  const start = new Float64Array(data.columns.length);
  if (family.intercept) start[0] = family.nullModel!(data, options).intercept;
  return Float64Array.of(...start, ...family.extra!(options, data.response).map(({ start: at }) => at));
}

function close(
  what: string,
  actual: number,
  expected: number,
  tolerance: number,
  unit = Math.abs(expected),
): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * unit, `${what}: ${actual}, R has ${expected}`);
}

function agree(what: string, actual: Float64Array, expected: Float64Array, tolerance: number): void {
  const unit = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  actual.forEach((value, k) => close(`${what}[${k}]`, value, expected[k]!, tolerance, unit));
}

const fits = [
  { name: 'weibull', family: 'weibull', truncated: false, tolerance: 1e-8 },
  { name: 'weibullTruncated', family: 'weibull', truncated: true, tolerance: 1e-8 },
  { name: 'piecewiseExponential', family: 'piecewise-exponential', truncated: false, tolerance: 1e-8 },
  {
    name: 'piecewiseExponentialTruncated',
    family: 'piecewise-exponential',
    truncated: true,
    tolerance: 1e-8,
  },
  { name: 'roystonParmar', family: 'royston-parmar', truncated: false, tolerance: 1e-8 },
  { name: 'roystonParmarTruncated', family: 'royston-parmar', truncated: true, tolerance: 1e-8 },
] as const;

for (const { name, family, truncated, tolerance } of fits) {
  describe(`${family}${truncated ? ', left truncation' : ''}`, () => {
    const options = optionsOf(family);
    const data = study(family, truncated);

    test('as R', () => {
      const expected = cases[name] as Fitted;
      const fit = drive(newton(startOf(data, options)), families[family].objective(data, options, null));
      assert.equal(fit.status, 'converged');
      close('log-likelihood', fit.evaluation.value, expected.logLik, 1e-10);
      const vcov = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
      agree('estimates', fit.theta, Float64Array.from(expected.estimates), tolerance);
      agree('vcov', vcov, Float64Array.from(expected.vcov), tolerance);
    });

    test('derivatives are those of the value', () => {
      const offset = column('age10').map((x) => 0.1 * x);
      const shifted = study(family, truncated, offset);
      const objective = families[family].objective(shifted, options, null) as ConditionalObjective;
      const theta = startOf(shifted, options).map((value, j) => value + 0.05 * Math.sin(j + 1));
      const p = theta.length;
      const at = emptyEvaluation(p);
      objective.evaluate(theta, 2, at);
      agree('gradient', at.gradient, differenceOf(objective, theta), 1e-7);

      const treatment = families[family].intercept ? 1 : 0;
      const directions = [0, 1].map((a) => new Float64Array(p).fill(a === 0 ? 0 : 0.3, 0, treatment + 2));
      directions[0]![treatment] = 1;
      const exact = emptyExpansion(p, 2);
      const numerical = emptyExpansion(p, 2);
      objective.expand(theta, directions, 2, exact);
      expandNumerically(objective, theta, directions, 2, numerical);
      agree('hessian', exact.hessian, numerical.hessian, 1e-12);
      exact.third.forEach((matrix, a) => agree(`third ${a}`, matrix, numerical.third[a]!, 1e-7));
      exact.fourth.forEach((matrix, k) => agree(`fourth ${k}`, matrix, numerical.fourth[k]!, 1e-6));

      const c = Float64Array.of(0.1, -0.2);
      const [plane, generic] = [emptyEvaluation(2), emptyEvaluation(2)];
      alongGenerically(objective, theta, directions).evaluate(c, 2, generic);
      objective.along(theta, directions).evaluate(c, 2, plane);
      close('value along', plane.value, generic.value, 1e-11);
      agree('gradient along', plane.gradient, generic.gradient, 1e-10);
      agree('hessian along', plane.hessian, generic.hessian, 1e-10);
    });

    test('standardised columns give the same likelihood', () => {
      const p = data.columns.length;
      const scale = new Float64Array(p).fill(1);
      scale[p - 1] = 4;
      const scaling = { centre: new Float64Array(p), scale, intercept: families[family].intercept ? 0 : -1 };
      const theta = startOf(data, options).map((value, j) => value + 0.05 * Math.cos(j + 1));
      const scaled = theta.map((value, j) => (j === p - 1 ? 4 * value : value));
      const [a, b] = [emptyEvaluation(theta.length), emptyEvaluation(theta.length)];
      families[family].objective(data, options, null).evaluate(theta, 0, a);
      families[family].objective(data, options, scaling).evaluate(scaled, 0, b);
      close('value', b.value, a.value, 1e-13);
    });
  });
}

/** Central differences, O(h⁴). */
function differenceOf(objective: Objective, theta: Float64Array): Float64Array {
  const out = emptyEvaluation(theta.length);
  const value = (j: number, h: number): number => {
    const moved = theta.slice();
    moved[j]! += h;
    objective.evaluate(moved, 0, out);
    return out.value;
  };
  const h = 1e-3;
  return theta.map(
    (_, j) => (8 * (value(j, h) - value(j, -h)) - (value(j, 2 * h) - value(j, -2 * h))) / (12 * h),
  );
}

test('weibull: the null model has an intercept and a shape', () => {
  const data = study('weibull', false);
  const found = families.weibull.nullModel!(data, optionsOf('weibull'));
  close('null', found.logLikelihood, cases.weibull.null, 1e-10);
});

test('piecewise exponential: one interval is the exponential model, and an event at a cut is before it', () => {
  const response: Response = {
    kind: 'time-to-event',
    time: Float64Array.of(2, 3, 5, 4),
    event: Float64Array.of(1, 1, 0, 1),
    entry: null,
    stratum: null,
  };
  const data: StudyData = { n: 4, columns: [], terms: [], response, offset: null };
  const options: ModelOptions = { family: 'piecewise-exponential', ties: 'efron', cuts: [3] };
  const fit = drive(
    newton(startOf(data, options)),
    families['piecewise-exponential'].objective(data, options, null),
  );
  assert.deepEqual(
    families['piecewise-exponential'].extra!(options, response).map(({ term }) => term),
    ['log(hazard)(0,3]', 'log(hazard)(3,∞)'],
  );
  close('before', fit.theta[0]!, Math.log(2 / 11), 1e-12);
  close('after', fit.theta[1]!, Math.log(1 / 3), 1e-12);
});

describe('piecewise exponential: a study without events in an interval', () => {
  const plain = study('piecewise-exponential', true);
  assert.ok(plain.response.kind === 'time-to-event');
  const { time, event } = plain.response;
  // Nobody has an event in (4, 9], nor after 12.
  const none = event.map((d, i) => (time[i]! > 12 || (time[i]! > 4 && time[i]! <= 9) ? 0 : d));
  const data: StudyData = { ...plain, response: { ...plain.response, event: none } };
  const options: ModelOptions = { ...optionsOf('piecewise-exponential'), cuts: [4, 9, 12] };

  test('is fitted without it', () => {
    const outcome = fitStageOne(data, options, [0]);
    assert.ok(outcome.status === 'fitted');
    assert.deepEqual(outcome.estimable, [true, true, true, false, true, false]);
    // As where the hazard of those intervals is all but none.
    const objective = families['piecewise-exponential'].objective(data, options, null);
    const out = emptyEvaluation(6);
    const [a, b, c, d] = outcome.estimates;
    objective.evaluate(Float64Array.of(a!, b!, c!, -40, d!, -40), 1, out);
    close('log-likelihood', outcome.logLikelihood.fitted, out.value, 1e-10);
    out.gradient.forEach((u) => assert.ok(Math.abs(u) < 1e-7));
  });

  test('says so among all intervals', () => {
    const own = ownIntervals(data, options)!;
    assert.deepEqual(own.kept, [0, 2]);
    const part = families['piecewise-exponential'].objective(
      own.data,
      own.options,
      null,
    ) as ConditionalObjective;
    const whole = amongAllIntervals(part, 2, 4, own.kept);
    const [all, alone] = [emptyExpansion(6, 1), emptyExpansion(4, 1)];
    const direction = Float64Array.of(1, 0, 0, 0, 0, 0);
    whole.expand(Float64Array.of(0.1, 0.2, -2, 7, -3, 8), [direction], 2, all);
    part.expand(Float64Array.of(0.1, 0.2, -2, -3), [direction.slice(0, 4)], 2, alone);
    close('value', all.value, alone.value, 1e-14);
    assert.equal(all.hessian[packedIndex(4, 1)], alone.hessian[packedIndex(3, 1)]);
    assert.equal(all.third[0]![packedIndex(4, 1)], alone.third[0]![packedIndex(3, 1)]);
    for (const k of [3, 5]) assert.ok(-1 / all.hessian[packedIndex(k, k)]! >= 1e19);
    assert.equal(ownIntervals(plain, optionsOf('piecewise-exponential')), null);
  });
});

test('royston-parmar: the basis is linear beyond the outer knots and smooth', () => {
  const knots = [0, 0.7, 1.6, 3];
  for (const k of [2, 3]) {
    assert.equal(basis(-1, knots, k), 0);
    close('slope beyond', slope(4, knots, k), slope(9, knots, k), 1e-10, 1 + Math.abs(slope(4, knots, k)));
    for (const u of [0.3, 1, 2.2, 5]) {
      const h = 1e-5;
      const difference = (basis(u + h, knots, k) - basis(u - h, knots, k)) / (2 * h);
      close('slope', slope(u, knots, k), difference, 1e-7, 1);
    }
  }
});

test('a hazard cannot be negative at an event', () => {
  const data = study('royston-parmar', false);
  const objective = families['royston-parmar'].objective(data, optionsOf('royston-parmar'), null);
  const out = emptyEvaluation(6);
  objective.evaluate(Float64Array.of(0, 0, -1, -0.5, 0, 0), 0, out);
  assert.equal(out.value, -Infinity);
});

for (const family of ['weibull', 'piecewise-exponential', 'royston-parmar'] as const) {
  test(`${family}: times that are none, cuts and knots out of order are refused`, () => {
    const data = study(family, false);
    const refused = (
      changed: Partial<Extract<Response, { kind: 'time-to-event' }>>,
      options = optionsOf(family),
    ) => {
      const response = { ...data.response, ...changed } as Response;
      assert.throws(() => families[family].objective({ ...data, response }, options, null), {
        code: 'numerics/invalid-input',
      });
    };
    refused({ time: new Float64Array(n), event: ones });
    refused({ entry: column('time') });
    refused({ time: new Float64Array(n).fill(NaN) });
    if (family !== 'weibull') refused({}, { ...optionsOf(family), cuts: [4, 4], knots: [3, 1] });
    assert.throws(() => families[family].events({ kind: 'count', y: ones }), {
      code: 'numerics/invalid-input',
    });
  });
}
