import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FamilyName } from '../plan/types.ts';
import { fitStageOne } from './stage-one.ts';
import type { Response, StageOneOutcome, StudyData } from './types.ts';

const numbers = (values: readonly number[]) => Float64Array.from(values);
const study = (columns: Readonly<Record<string, readonly number[]>>, response: Response): StudyData => ({
  n: Object.values(columns)[0]?.length ?? 0,
  columns: Object.values(columns).map(numbers),
  terms: Object.keys(columns),
  response,
  offset: null,
});
const fit = (family: FamilyName, data: StudyData, treatment: readonly number[]) =>
  fitStageOne(data, { family, ties: 'efron' }, treatment);
const diagnosis = (outcome: StageOneOutcome) => (outcome.status === 'fitted' ? 'fitted' : outcome.diagnosis);
const binary = (events: readonly number[], trials: readonly number[] | null = null): Response => ({
  kind: 'binary',
  events: numbers(events),
  trials: trials === null ? null : numbers(trials),
});
const ones = (n: number) => Array.from({ length: n }, () => 1);

test('a study without rows has no participants', () => {
  assert.deepEqual(diagnosis(fit('binomial', study({ '(intercept)': [], treatment: [] }, binary([])), [1])), {
    code: 'no-participants',
    terms: [],
  });
});

test('an arm that the study does not have is not estimable, and the others are', () => {
  const a = [0, 0, 0, 0, 1, 1, 1, 1];
  const outcome = fit(
    'binomial',
    study({ '(intercept)': ones(8), A: a, B: a.map(() => 0) }, binary([1, 0, 0, 1, 1, 0, 1, 1])),
    [1, 2],
  );
  assert.ok(outcome.status === 'fitted');
  assert.deepEqual(outcome.estimable, [true, true, false]);
  assert.ok(Math.abs(outcome.estimates[1]! - Math.log(3)) < 1e-12);
});

test('two active arms without a control are a single arm to the contrast', () => {
  const a = [1, 1, 1, 0, 0, 0];
  const outcome = fit(
    'gaussian',
    study(
      { '(intercept)': ones(6), A: a, B: a.map((x) => 1 - x) },
      { kind: 'continuous', y: numbers([1, 2, 3, 4, 5, 7]) },
    ),
    [1, 2],
  );
  assert.deepEqual(diagnosis(outcome), { code: 'single-arm', terms: [1, 2] });
});

test('no events in the control arm names every treatment term; in one of two active arms that one', () => {
  const [a, b] = [
    [0, 0, 1, 1, 0, 0],
    [0, 0, 0, 0, 1, 1],
  ];
  const columns = { '(intercept)': ones(6), A: a, B: b };
  assert.deepEqual(diagnosis(fit('binomial', study(columns, binary([0, 0, 1, 0, 1, 0])), [1, 2])), {
    code: 'no-events-in-arm',
    terms: [1, 2],
  });
  assert.deepEqual(diagnosis(fit('binomial', study(columns, binary([1, 0, 1, 0, 0, 0])), [1, 2])), {
    code: 'no-events-in-arm',
    terms: [2],
  });
});

test('an arm of grouped rows is judged by its trials', () => {
  const columns = { '(intercept)': ones(2), treatment: [0, 1] };
  assert.deepEqual(diagnosis(fit('binomial', study(columns, binary([3, 20], [20, 20])), [1])), {
    code: 'no-nonevents-in-arm',
    terms: [1],
  });
  assert.equal(fit('binomial', study(columns, binary([3, 5], [20, 20])), [1]).status, 'fitted');
});

test('a design without an intercept is scaled but not centred', () => {
  const outcome = fit(
    'gaussian',
    study({ x: [1e6, 2e6, 3e6, 4e6] }, { kind: 'continuous', y: numbers([1, 2, 3, 5]) }),
    [],
  );
  assert.ok(outcome.status === 'fitted');
  assert.ok(Math.abs(outcome.estimates[0]! * 1e6 - 34 / 30) < 1e-12);
  assert.deepEqual(outcome.badlyScaled, [0]);
});

test('entry must come before the time; a column must be finite; a response must be the family’s', () => {
  const columns = { treatment: [0, 1, 0, 1] };
  const survival: Response = {
    kind: 'time-to-event',
    time: numbers([1, 2, 3, 4]),
    event: numbers([1, 1, 1, 1]),
    entry: numbers([0, 0, 3, 0]),
    stratum: null,
  };
  const invalid = { code: 'numerics/invalid-input' };
  assert.throws(() => fit('cox', study(columns, survival), [0]), invalid);
  assert.throws(() => fit('cox', study(columns, binary([1, 0, 1, 1])), [0]), invalid);
  assert.throws(
    () =>
      fit('binomial', study({ '(intercept)': ones(4), x: [1, 2, Number.NaN, 3] }, binary([1, 0, 1, 0])), []),
    invalid,
  );
});

test('whatever the data, an outcome is finite numbers or a diagnosis', () => {
  const value = fc.constantFrom(0, 1, 2, 0.5, 1e6, 1e6 + 1, -3, 1e-7);
  const row = fc.record({
    treatment: fc.constantFrom(0, 1),
    x: value,
    z: value,
    y: fc.integer({ min: 0, max: 3 }),
    time: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 12 }),
      fc.constantFrom<FamilyName>('gaussian', 'binomial', 'poisson', 'cox'),
      (rows, family) => {
        const y = rows.map((r) => r.y);
        const event = rows.map((r) => Number(r.y > 1));
        const response: Response =
          family === 'gaussian'
            ? { kind: 'continuous', y: numbers(y) }
            : family === 'poisson'
              ? { kind: 'count', y: numbers(y) }
              : family === 'binomial'
                ? binary(event)
                : {
                    kind: 'time-to-event',
                    time: numbers(rows.map((r) => r.time)),
                    event: numbers(event),
                    entry: null,
                    stratum: null,
                  };
        const covariates = {
          treatment: rows.map((r) => r.treatment),
          x: rows.map((r) => r.x),
          z: rows.map((r) => r.z),
        };
        const data = study(
          family === 'cox' ? covariates : { '(intercept)': ones(rows.length), ...covariates },
          response,
        );
        const outcome = fit(family, data, [family === 'cox' ? 0 : 1]);
        if (outcome.status === 'not-estimable') return outcome.diagnosis.code !== 'not-converged';
        const { estimates, vcov, logLikelihood } = outcome;
        assert.ok([...estimates, ...vcov, logLikelihood.null, logLikelihood.fitted].every(Number.isFinite));
        // A coefficient of a standardised covariate that says less than this has not diverged.
        return estimates.length === outcome.estimable.filter(Boolean).length;
      },
    ),
    { numRuns: 1500, seed: 3 },
  );
});
