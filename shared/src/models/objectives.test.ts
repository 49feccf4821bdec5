import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { packedIndex } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { FamilyName } from '../plan/types.ts';
import { families } from './registry.ts';
import { fitStageOne } from './stage-one.ts';
import type { Evaluation, ModelOptions, Objective, Response, StageOneOutcome, StudyData } from './types.ts';

/** Deterministic numbers in (0, 1) from a seed (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

type Kind = { readonly family: FamilyName; readonly ties: 'efron' | 'breslow'; readonly variant: string };
const kinds: readonly Kind[] = [
  { family: 'gaussian', ties: 'efron', variant: '' },
  { family: 'binomial', ties: 'efron', variant: '' },
  { family: 'binomial', ties: 'efron', variant: 'grouped' },
  { family: 'poisson', ties: 'efron', variant: '' },
  { family: 'cox', ties: 'efron', variant: '' },
  { family: 'cox', ties: 'efron', variant: 'tied' },
  { family: 'cox', ties: 'breslow', variant: 'tied' },
  { family: 'cox', ties: 'efron', variant: 'tied entry strata' },
];
const title = (kind: Kind) => `${kind.family} ${kind.ties} ${kind.variant}`.trim();

/** A study of n rows: intercept (not Cox), treatment, two covariates, an offset. */
function simulate(kind: Kind, n: number, seed: number): StudyData {
  const random = uniform(seed);
  const draw = (f: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => f(i));
  const treatment = draw((i) => i % 2);
  const age = draw(() => 50 + 20 * random());
  const level = draw(() => (random() < 0.4 ? 1 : 0));
  const offset = draw(() => random() - 0.5);
  const eta = draw((i) => -0.3 * treatment[i]! + 0.05 * (age[i]! - 60) + 0.4 * level[i]! + offset[i]!);
  const { family, variant } = kind;
  const count = (size: number, p: number) => {
    let sum = 0;
    for (let k = 0; k < size; k++) if (random() < p) sum++;
    return sum;
  };
  const probability = (i: number) => 1 / (1 + Math.exp(-eta[i]!));
  const trials = draw(() => 1 + Math.floor(6 * random()));
  const time = draw((i) => {
    const t = -Math.log(random()) * Math.exp(-eta[i]!);
    return variant.includes('tied') ? 1 + Math.floor(3 * t) : t;
  });
  const response: Response =
    family === 'gaussian'
      ? { kind: 'continuous', y: draw((i) => 3 + eta[i]! + random() - random()) }
      : family === 'poisson'
        ? { kind: 'count', y: draw((i) => count(30, Math.min(1, Math.exp(eta[i]!) / 30))) }
        : family === 'binomial'
          ? variant === 'grouped'
            ? { kind: 'binary', events: draw((i) => count(trials[i]!, probability(i))), trials }
            : { kind: 'binary', events: draw((i) => count(1, probability(i))), trials: null }
          : {
              kind: 'time-to-event',
              time,
              event: draw(() => (random() < 0.7 ? 1 : 0)),
              entry: variant.includes('entry') ? draw((i) => Math.floor(time[i]! * random() * 0.9)) : null,
              stratum: variant.includes('strata')
                ? Int32Array.from({ length: n }, () => Math.floor(3 * random()))
                : null,
            };
  const covariates = [treatment, age, level];
  return {
    n,
    columns: family === 'cox' ? covariates : [new Float64Array(n).fill(1), ...covariates],
    terms: family === 'cox' ? ['treatment', 'age', 'level'] : ['(intercept)', 'treatment', 'age', 'level'],
    response,
    offset,
  };
}

/** The same study with rows taken by index. */
function rowsOf(data: StudyData, index: readonly number[]): StudyData {
  const take = (values: Float64Array) => Float64Array.from(index, (i) => values[i]!);
  const takeOrNull = (values: Float64Array | null) => (values === null ? null : take(values));
  const { response } = data;
  const taken: Response =
    response.kind === 'binary'
      ? { kind: 'binary', events: take(response.events), trials: takeOrNull(response.trials) }
      : response.kind === 'time-to-event'
        ? {
            kind: 'time-to-event',
            time: take(response.time),
            event: take(response.event),
            entry: takeOrNull(response.entry),
            stratum: response.stratum === null ? null : Int32Array.from(index, (i) => response.stratum![i]!),
          }
        : response.kind === 'ordinal' || response.kind === 'repeated'
          ? response
          : { kind: response.kind, y: take(response.y) };
  return {
    ...data,
    n: index.length,
    columns: data.columns.map(take),
    offset: takeOrNull(data.offset),
    response: taken,
  };
}

function evaluate(objective: Objective, theta: readonly number[]): Evaluation {
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(Float64Array.from(theta), 2, out);
  return out;
}

const optionsOf = (kind: Kind): ModelOptions => ({ family: kind.family, ties: kind.ties });
const objectiveOf = (kind: Kind, data: StudyData) =>
  families[kind.family].objective(data, optionsOf(kind), null);
const point = (data: StudyData) => [0.3, -0.2, 0.01, 0.25].slice(4 - data.columns.length);
const seeds = fc.integer({ min: 1, max: 1e6 });
const RUNS = { numRuns: 15 };

function assertClose(actual: number, expected: number, unit: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= unit, `${what}: ${actual} is not ${expected}`);
}

function assertSame(a: Evaluation, b: Evaluation, tolerance = 1e-11): void {
  assertClose(a.value, b.value, tolerance * (1 + Math.abs(b.value)), 'value');
  a.gradient.forEach((value, j) => {
    const unit = Math.sqrt(Math.abs(b.hessian[packedIndex(j, j)]!)) * (1 + Math.sqrt(Math.abs(b.value)));
    assertClose(value, b.gradient[j]!, tolerance * unit * 10, `gradient ${j}`);
    for (let k = 0; k <= j; k++) {
      const scale = Math.sqrt(b.hessian[packedIndex(j, j)]! * b.hessian[packedIndex(k, k)]!);
      assertClose(
        a.hessian[packedIndex(j, k)]!,
        b.hessian[packedIndex(j, k)]!,
        tolerance * 10 * scale,
        `Hessian ${j},${k}`,
      );
    }
  });
}

for (const kind of kinds) {
  describe(title(kind), () => {
    test('gradient and Hessian are the derivatives of the value', () => {
      // More rows than a block holds, and an odd remainder.
      const data = simulate(kind, 4201, 7);
      const objective = objectiveOf(kind, data);
      const theta = point(data);
      const at = evaluate(objective, theta);
      theta.forEach((_, j) => {
        const h = j === theta.length - 2 ? 1e-5 : 1e-4;
        const shifted = (k: number) =>
          evaluate(
            objective,
            theta.map((value, m) => (m === j ? value + k * h : value)),
          );
        // Fourth-order central differences.
        const slope = (f: (e: Evaluation) => number) =>
          (8 * (f(shifted(1)) - f(shifted(-1))) - (f(shifted(2)) - f(shifted(-2)))) / (12 * h);
        const unit = Math.sqrt(-at.hessian[packedIndex(j, j)]!);
        assertClose(
          at.gradient[j]!,
          slope((e) => e.value),
          1e-6 * unit * Math.sqrt(Math.abs(at.value)),
          `gradient ${j}`,
        );
        for (let k = 0; k <= j; k++) {
          const scale = unit * Math.sqrt(-at.hessian[packedIndex(k, k)]!);
          assertClose(
            at.hessian[packedIndex(j, k)]!,
            slope((e) => e.gradient[k]!),
            1e-7 * scale,
            `Hessian ${j},${k}`,
          );
        }
      });
    });

    test('lower orders give the same value and gradient', () => {
      const data = simulate(kind, 300, 3);
      const objective = objectiveOf(kind, data);
      const full = evaluate(objective, point(data));
      for (const order of [0, 1] as const) {
        const out = emptyEvaluation(objective.parameters);
        objective.evaluate(Float64Array.from(point(data)), order, out);
        assert.equal(out.value, full.value);
        if (order === 1) assert.deepEqual(out.gradient, full.gradient);
      }
    });

    test('the sum over parts of a study is the whole study', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const data = simulate(kind, 200, seed);
          const part = (i: number) => i % 3;
          const { response } = data;
          // A baseline hazard is not shared between parts: parts of a Cox model are its strata.
          const whole: StudyData =
            response.kind === 'time-to-event'
              ? {
                  ...data,
                  response: { ...response, stratum: Int32Array.from({ length: 200 }, (_, i) => part(i)) },
                }
              : data;
          const index = Array.from({ length: 200 }, (_, i) => i);
          const total = emptyEvaluation(data.columns.length);
          for (const k of [0, 1, 2]) {
            const rows = rowsOf(
              whole,
              index.filter((i) => part(i) === k),
            );
            const alone: StudyData =
              rows.response.kind === 'time-to-event'
                ? { ...rows, response: { ...rows.response, stratum: null } }
                : rows;
            const term = evaluate(objectiveOf(kind, alone), point(data));
            total.value += term.value;
            term.gradient.forEach((value, j) => (total.gradient[j]! += value));
            term.hessian.forEach((value, j) => (total.hessian[j]! += value));
          }
          assertSame(total, evaluate(objectiveOf(kind, whole), point(data)));
        }),
        RUNS,
      );
    });

    test('the order of the rows does not matter', () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const data = simulate(kind, 150, seed);
          const random = uniform(seed + 1);
          const keys = Array.from({ length: 150 }, (_, i) => ({ i, key: random() }));
          const shuffled = rowsOf(
            data,
            keys.toSorted((a, b) => a.key - b.key).map(({ i }) => i),
          );
          assertSame(
            evaluate(objectiveOf(kind, shuffled), point(data)),
            evaluate(objectiveOf(kind, data), point(data)),
          );
        }),
        RUNS,
      );
    });

    test('rescaling a covariate rescales its coefficient, and swapping the arms changes its sign', () => {
      fc.assert(
        fc.property(seeds, fc.constantFrom(1e-7, 1e-3, 1e4, 1e8), (seed, scale) => {
          const data = simulate(kind, 160, seed);
          const treatment = data.terms.indexOf('treatment');
          const age = data.terms.indexOf('age');
          const fit = (study: StudyData) => fitted(fitStageOne(study, optionsOf(kind), [treatment]));
          const changed = (j: number, f: (x: number) => number): StudyData => ({
            ...data,
            columns: data.columns.map((column, k) => (k === j ? column.map(f) : column)),
          });
          const original = fit(data);
          const rescaled = fit(changed(age, (x) => x * scale));
          const swapped = fit(changed(treatment, (x) => 1 - x));
          const unit = Math.sqrt(original.vcov[packedIndex(age, age)]!);
          assertClose(rescaled.estimates[age]! * scale, original.estimates[age]!, 1e-8 * unit, 'rescaled');
          assertClose(
            rescaled.estimates[treatment]!,
            original.estimates[treatment]!,
            1e-8,
            'beside the rescaled',
          );
          assertClose(swapped.estimates[treatment]!, -original.estimates[treatment]!, 1e-8, 'swapped');
          assertClose(
            swapped.logLikelihood.fitted,
            original.logLikelihood.fitted,
            1e-10 * Math.abs(original.logLikelihood.fitted),
            'log-likelihood',
          );
        }),
        RUNS,
      );
    });
  });
}

type Fitted = Extract<StageOneOutcome, { status: 'fitted' }>;

function fitted(outcome: StageOneOutcome): Fitted {
  assert.ok(outcome.status === 'fitted', JSON.stringify(outcome));
  return outcome;
}

test('one covariate: separation is found exactly where the two groups do not overlap', () => {
  let separated = 0;
  fc.assert(
    fc.property(
      fc.array(fc.record({ x: fc.integer({ min: 0, max: 12 }), y: fc.boolean() }), {
        minLength: 4,
        maxLength: 14,
      }),
      (rows) => {
        const x = (y: boolean) => rows.filter((row) => row.y === y).map((row) => row.x);
        fc.pre(x(true).length > 0 && x(false).length > 0 && new Set(rows.map((row) => row.x)).size > 1);
        const [low, high] = [x(false), x(true)];
        const overlap = Math.max(...low) > Math.min(...high) && Math.max(...high) > Math.min(...low);
        const outcome = fitStageOne(
          {
            n: rows.length,
            columns: [new Float64Array(rows.length).fill(1), Float64Array.from(rows, (row) => row.x)],
            terms: ['(intercept)', 'x'],
            response: {
              kind: 'binary',
              events: Float64Array.from(rows, (row) => Number(row.y)),
              trials: null,
            },
            offset: null,
          },
          { family: 'binomial', ties: 'efron' },
          [],
        );
        if (!overlap) separated++;
        assert.deepEqual(
          outcome.status === 'fitted' ? 'fitted' : outcome.diagnosis,
          overlap ? 'fitted' : { code: 'separation', terms: [1] },
        );
      },
    ),
    { numRuns: 400, seed: 11 },
  );
  assert.ok(separated > 20);
});

test('two covariates: separation is found exactly where a direction separates', () => {
  // Albert & Anderson 1984: no maximum if and only if some d ≠ 0 has s·x'd ≥ 0 in every row, s = ±1 by
  // outcome. With independent columns that cone has an extreme ray, on which two independent rows are 0:
  // enumerated here in integers.
  const value = fc.integer({ min: -2, max: 2 });
  const row = fc.record({ x: value, z: value, y: fc.boolean() });
  const seen = { fitted: 0, separated: 0 };
  fc.assert(
    fc.property(fc.array(row, { minLength: 5, maxLength: 24 }), (rows) => {
      const signed = rows.map(({ x, z, y }) => [1, x, z].map((entry) => (y ? entry : -entry)));
      const cross = (a: readonly number[], b: readonly number[]) =>
        [0, 1, 2].map((i) => a[(i + 1) % 3]! * b[(i + 2) % 3]! - a[(i + 2) % 3]! * b[(i + 1) % 3]!);
      const dot = (a: readonly number[], b: readonly number[]) =>
        a.reduce((total, entry, i) => total + entry * b[i]!, 0);
      const rays = signed.flatMap((a, i) => signed.slice(i + 1).map((b) => cross(a, b)));
      fc.pre(rays.some((ray) => signed.some((vector) => dot(ray, vector) !== 0)));
      const events = rows.filter((entry) => entry.y).length;
      fc.pre(events > 0 && events < rows.length);
      const separated = rays.some((ray) =>
        [1, -1].some(
          (sign) =>
            ray.some((entry) => entry !== 0) && signed.every((vector) => sign * dot(ray, vector) >= 0),
        ),
      );
      const outcome = fitStageOne(
        {
          n: rows.length,
          columns: [
            new Float64Array(rows.length).fill(1),
            Float64Array.from(rows, (entry) => entry.x),
            Float64Array.from(rows, (entry) => entry.z),
          ],
          terms: ['(intercept)', 'x', 'z'],
          response: {
            kind: 'binary',
            events: Float64Array.from(rows, (entry) => Number(entry.y)),
            trials: null,
          },
          offset: null,
        },
        { family: 'binomial', ties: 'efron' },
        [],
      );
      assert.equal(
        outcome.status === 'fitted' ? 'fitted' : outcome.diagnosis.code,
        separated ? 'separation' : 'fitted',
      );
      seen[separated ? 'separated' : 'fitted']++;
    }),
    { numRuns: 1500, seed: 5 },
  );
  assert.ok(seen.fitted > 200 && seen.separated > 200, JSON.stringify(seen));
});

test('a fit from a sample of many rows is the fit from zero', () => {
  const kind = kinds[1]!;
  const data = simulate(kind, 140_000, 5);
  const outcome = fitted(fitStageOne(data, optionsOf(kind), [1]));
  const at = evaluate(objectiveOf(kind, data), [...outcome.estimates]);
  at.gradient.forEach((value, j) => {
    assertClose(value * Math.sqrt(outcome.vcov[packedIndex(j, j)]!), 0, 1e-8, `score ${j}`);
  });
  assert.ok(outcome.rounds <= 4);
});
