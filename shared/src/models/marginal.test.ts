import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { factorOf, inverseFromCholesky, packedIndex, packedLength } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { alongGenerically, conditional } from './expansion.ts';
import { factorEntries, marginal, moveCorrelated, type RandomEffects } from './marginal.ts';
import { families } from './registry.ts';
import type { ConditionalObjective } from './conditional.ts';
import type { Objective, StudyData } from './types.ts';

interface FixtureCase {
  readonly name: string;
  readonly family: 'binomial' | 'poisson';
  readonly random: readonly number[];
  readonly correlated: boolean;
  readonly points: number;
  readonly psi: readonly number[];
  readonly value: number;
  readonly gradient: readonly number[];
  /** Packed. */
  readonly hessian: readonly number[];
  readonly estimates: readonly number[];
  readonly logLikelihood: number;
  readonly se: readonly number[];
}

interface FixtureStudy {
  readonly columns: readonly (readonly number[])[];
  readonly offset: readonly number[];
  readonly events: readonly number[];
  readonly trials: readonly number[];
  readonly count: readonly number[];
}

const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/marginal/cases.json', import.meta.url), 'utf8'),
) as {
  readonly tolerance: Readonly<Record<'value' | 'gradient' | 'hessian' | 'estimates' | 'se', number>>;
  readonly studies: readonly FixtureStudy[];
  readonly integral: { readonly case: number; readonly points: number; readonly value: number };
  readonly cases: readonly FixtureCase[];
};

function conditionalOf(family: 'binomial' | 'poisson', study: FixtureStudy): ConditionalObjective {
  const data: StudyData = {
    n: study.offset.length,
    columns: study.columns.map((column) => Float64Array.from(column)),
    terms: ['(intercept)', 'treatment', 'level'],
    response:
      family === 'binomial'
        ? { kind: 'binary', events: Float64Array.from(study.events), trials: Float64Array.from(study.trials) }
        : { kind: 'count', y: Float64Array.from(study.count) },
    offset: Float64Array.from(study.offset),
  };
  return conditional(families[family].objective(data, { family, ties: 'efron' }, null));
}

function axis(j: number, p: number): Float64Array {
  return Float64Array.from({ length: p }, (_, i) => (i === j ? 1 : 0));
}

/** The sum over studies. */
function total(objectives: readonly Objective[]): Objective {
  const m = objectives[0]!.parameters;
  const one = emptyEvaluation(m);
  return {
    parameters: m,
    evaluate(theta, order, out) {
      out.value = 0;
      out.gradient.fill(0);
      out.hessian.fill(0);
      for (const objective of objectives) {
        objective.evaluate(theta, order, one);
        out.value += one.value;
        one.gradient.forEach((value, i) => (out.gradient[i]! += value));
        one.hessian.forEach((value, i) => (out.hessian[i]! += value));
      }
    },
  };
}

function pooled({ family, random, correlated, points }: FixtureCase): Objective {
  const directions = random.map((j) => axis(j, 3));
  return total(
    fixture.studies.map((study) =>
      marginal(conditionalOf(family, study), { directions, correlated, points }),
    ),
  );
}

function evaluate(objective: Objective, psi: ArrayLike<number>) {
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(Float64Array.from(psi), 2, out);
  return out;
}

/** Within a share of the largest expected element. */
function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length);
  const most = Array.from(expected).reduce((a, b) => Math.max(a, Math.abs(b)), 1e-3);
  for (let i = 0; i < expected.length; i++)
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= tolerance * most,
      `${what} ${i}: ${actual[i]}, expected ${expected[i]}`,
    );
}

for (const reference of fixture.cases) {
  const { tolerance } = fixture;
  const title = `${reference.name}, ${reference.points === 1 ? 'Laplace' : `${reference.points} points`}`;
  test(`as R: ${title}, value and derivatives away from the maximum`, () => {
    const at = evaluate(pooled(reference), reference.psi);
    close([at.value], [reference.value], tolerance.value, 'value');
    close(at.gradient, reference.gradient, tolerance.gradient, 'gradient');
    close(at.hessian, reference.hessian, tolerance.hessian, 'Hessian');
  });

  test(`as R: ${title}, estimates and standard errors`, () => {
    const start = new Float64Array(3 + factorEntries(reference.random.length, reference.correlated)).fill(
      0.5,
      3,
    );
    if (reference.correlated) start[4] = 0;
    start[1] = 0;
    const fit = drive(trustRegion(start), pooled(reference));
    assert.equal(fit.status, 'converged');
    assert.ok(fit.rounds <= 15, `${fit.rounds} rounds`);
    close([fit.evaluation.value], [reference.logLikelihood], tolerance.value, 'log-likelihood');
    close(
      Array.from(fit.theta, Math.abs),
      reference.estimates.map(Math.abs),
      tolerance.estimates,
      'estimate',
    );
    const covariance = inverseFromCholesky(factorOf(fit.evaluation.hessian.map((value) => -value))!);
    close(
      reference.se.map((_, i) => Math.sqrt(covariance[packedIndex(i, i)]!)),
      reference.se,
      tolerance.se,
      'standard error',
    );
  });
}

test('with many points the integral itself', () => {
  const reference = fixture.cases[fixture.integral.case]!;
  const at = evaluate(pooled({ ...reference, points: fixture.integral.points }), reference.psi);
  close([at.value], [fixture.integral.value], 1e-9, 'value');
});

test('one point of the quadrature is Laplace: more points differ, and less and less', () => {
  const values = [1, 3, 9, 19].map(
    (points) => evaluate(pooled({ ...fixture.cases[0]!, points }), [0, 0, 0, 0.8]).value,
  );
  const steps = values.slice(1).map((value, k) => Math.abs(value - values[k]!));
  assert.ok(steps[0]! > steps[1]! && steps[1]! > steps[2]! && steps[2]! < 1e-6, String(steps));
});

const kinds = fc.constantFrom<Omit<RandomEffects, 'points'>>(
  { directions: [axis(0, 3)], correlated: false },
  { directions: [Float64Array.of(0.2, 1, -0.3)], correlated: false },
  { directions: [axis(0, 3), axis(1, 3)], correlated: false },
  { directions: [axis(0, 3), Float64Array.of(-0.4, 1, 0)], correlated: true },
);
const questions = fc.record({
  family: fc.constantFrom('binomial' as const, 'poisson' as const),
  kind: kinds,
  points: fc.constantFrom(1, 2, 5),
  study: fc.constantFrom(...fixture.studies),
  entries: fc.array(fc.double({ min: -1.2, max: 1.2, noNaN: true }), { minLength: 6, maxLength: 6 }),
});
const objectiveOf = ({
  family,
  kind,
  points,
  study,
}: {
  family: 'binomial' | 'poisson';
  kind: Omit<RandomEffects, 'points'>;
  points: number;
  study: FixtureStudy;
}) => marginal(conditionalOf(family, study), { ...kind, points });

test('gradient and Hessian are the derivatives of the value', () => {
  fc.assert(
    fc.property(questions, (question) => {
      const objective = objectiveOf(question);
      const m = objective.parameters;
      const psi = Float64Array.from(question.entries.slice(0, m));
      const at = evaluate(objective, psi);
      const shifted = (j: number, h: number) =>
        evaluate(
          objective,
          psi.map((value, i) => (i === j ? value + h : value)),
        );
      const size = 1 + at.hessian.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const h = 3e-4;
      for (let j = 0; j < m; j++) {
        const near = [shifted(j, h), shifted(j, -h), shifted(j, 2 * h), shifted(j, -2 * h)] as const;
        const derivative = (f: (e: typeof at) => number) =>
          (8 * (f(near[0]) - f(near[1])) - (f(near[2]) - f(near[3]))) / (12 * h);
        assert.ok(Math.abs(derivative((e) => e.value) - at.gradient[j]!) < 1e-8 * size, `gradient ${j}`);
        for (let i = 0; i < m; i++) {
          const numeric = derivative((e) => e.gradient[i]!);
          assert.ok(Math.abs(numeric - at.hessian[packedIndex(i, j)]!) < 3e-8 * size, `Hessian ${i} ${j}`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('orders agree to rounding', () => {
  fc.assert(
    fc.property(questions, (question) => {
      const objective = objectiveOf(question);
      const psi = Float64Array.from(question.entries.slice(0, objective.parameters));
      const [zero, one, two] = ([0, 1, 2] as const).map((order) => {
        const out = emptyEvaluation(objective.parameters);
        objective.evaluate(psi, order, out);
        return out;
      });
      close([zero!.value, one!.value], [two!.value, two!.value], 1e-13, 'value');
      close(one!.gradient, two!.gradient, 1e-12, 'gradient');
    }),
    { numRuns: 30 },
  );
});

test('the value does not depend on the signs of the columns of Λ, and the same question has the same answer', () => {
  fc.assert(
    fc.property(questions, fc.boolean(), fc.boolean(), (question, first, second) => {
      const objective = objectiveOf(question);
      const psi = Float64Array.from(question.entries.slice(0, objective.parameters));
      const mirrored = psi.slice();
      const own = [3, ...(question.kind.correlated ? [4] : [])];
      if (first) for (const j of own) mirrored[j]! *= -1;
      const last = question.kind.correlated ? 5 : 4;
      if (second && question.kind.directions.length === 2) mirrored[last]! *= -1;
      const at = evaluate(objective, psi);
      close([evaluate(objective, mirrored).value], [at.value], 1e-13, 'value');
      assert.deepEqual(evaluate(objective, psi), at);
    }),
    { numRuns: 30 },
  );
});

test('at Λ = 0 it is the conditional log-likelihood, and stationary in Λ', () => {
  const inner = conditionalOf('binomial', fixture.studies[0]!);
  const phi = Float64Array.of(0.1, -0.2, 0.3);
  const own = evaluate(inner, phi);
  for (const points of [1, 4]) {
    const objective = marginal(inner, { directions: [axis(0, 3), axis(1, 3)], correlated: true, points });
    const at = evaluate(objective, [...phi, 0, 0, 0]);
    close([at.value], [own.value], 1e-13, 'value');
    close(at.gradient, [...own.gradient, 0, 0, 0], 1e-12, 'gradient');
    close(at.hessian.subarray(0, packedLength(3)), own.hessian, 1e-12, 'Hessian');
  }
});

test('analytic derivatives of the Hessian and differences give the same marginal likelihood', () => {
  for (const family of ['binomial', 'poisson'] as const) {
    const inner = conditionalOf(family, fixture.studies[1]!);
    const generic = conditional({
      parameters: inner.parameters,
      evaluate: (theta, order, out) => inner.evaluate(theta, order, out),
    });
    const random: RandomEffects = { directions: [axis(0, 3), axis(1, 3)], correlated: true, points: 3 };
    const psi = [0.2, -0.1, 0.3, 0.7, 0.2, 0.4];
    const [a, b] = [evaluate(marginal(inner, random), psi), evaluate(marginal(generic, random), psi)];
    close(b.gradient, a.gradient, 1e-9, 'gradient');
    close(b.hessian, a.hessian, 1e-8, 'Hessian');
  }
});

test('the mode is where the penalised score vanishes, its variance the inverse of the penalised information', () => {
  const inner = conditionalOf('binomial', fixture.studies[2]!);
  const directions = [axis(0, 3), axis(1, 3)];
  const objective = marginal(inner, { directions, correlated: true, points: 1 });
  const [l11, l21, l22] = [0.8, -0.3, 0.5] as const;
  const { b, variance } = objective.modeOf(Float64Array.of(-0.3, 0.4, 0.2, l11, l21, l22))!;
  const at = evaluate(inner, [-0.3 + b[0]!, 0.4 + b[1]!, 0.2]);
  // Σ⁻¹ of Σ = ΛΛ'.
  const sigma = Float64Array.of(l11 * l11, l11 * l21, l21 * l21 + l22 * l22);
  const precision = inverseFromCholesky(factorOf(sigma)!);
  close(
    [precision[0]! * b[0]! + precision[1]! * b[1]!, precision[1]! * b[0]! + precision[2]! * b[1]!],
    at.gradient.subarray(0, 2),
    1e-10,
    'penalised score',
  );
  const information = precision.map((value, k) => value - at.hessian[k]!);
  close(variance, inverseFromCholesky(factorOf(information)!), 1e-10, 'variance');
});

test('all events in a study: the prior keeps the mode finite', () => {
  const study = fixture.studies[0]!;
  const inner = conditionalOf('binomial', { ...study, events: study.trials });
  const objective = marginal(inner, { directions: [axis(0, 3)], correlated: false, points: 5 });
  for (const lambda of [0.1, 1, 10, 100]) {
    const at = evaluate(objective, [0, 0, 0, lambda]);
    assert.ok(Number.isFinite(at.value) && at.value < 0);
    assert.ok(objective.modeOf(Float64Array.of(0, 0, 0, lambda))!.b[0]! > 0);
  }
});

test('where the log-likelihood does not exist the value is −Infinity and nothing is NaN', () => {
  const nowhere: Objective = {
    parameters: 2,
    evaluate(_theta, _order, out) {
      out.value = NaN;
      out.gradient.fill(NaN);
      out.hessian.fill(NaN);
    },
  };
  const objective = marginal(conditional(nowhere), {
    directions: [axis(0, 2)],
    correlated: false,
    points: 1,
  });
  const at = evaluate(objective, [0, 0, 1]);
  assert.equal(at.value, -Infinity);
  assert.ok(at.gradient.every((value) => value === 0) && at.hessian.every((value) => value === 0));
  assert.equal(objective.modeOf(Float64Array.of(0, 0, 1)), null);
});

test('a move of a correlated factor goes its step’s way, and a turn of it changes nothing', () => {
  const entry = fc.double({ min: -1.5, max: 1.5, noNaN: true });
  const factors = fc.tuple(fc.double({ min: 0.05, max: 1.5, noNaN: true }), entry, entry);
  const covariance = (psi: Float64Array) => {
    const [, l11, l21, l22] = psi;
    return [l11! * l11!, l11! * l21!, l21! * l21! + l22! * l22!];
  };
  fc.assert(
    fc.property(factors, fc.tuple(entry, entry, entry), (lambda, step) => {
      const psi = Float64Array.of(0.3, ...lambda);
      const t = 1e-6;
      const moved = moveCorrelated(psi, Float64Array.of(0.1, ...step.map((value) => t * value)));
      assert.equal(moved[0], 0.3 + 0.1);
      const straight = psi.map((value, j) => (j === 0 ? 0.4 : value + t * step[j - 1]!));
      close(covariance(moved), covariance(straight), 1e-9, 'covariance');
    }),
  );
  const turn = moveCorrelated(Float64Array.of(0, 0.3, 0.4), Float64Array.of(0, -0.4, 0.3));
  close(covariance(Float64Array.of(0, ...turn)), [0, 0, 0.25], 1e-15, 'covariance');
});

test('on a plane of φ it is its own restriction, along others too', () => {
  const random: RandomEffects = { directions: [axis(0, 3), axis(1, 3)], correlated: true, points: 3 };
  const objective = marginal(conditionalOf('binomial', fixture.studies[3]!), random);
  const psi = Float64Array.of(0.2, -0.1, 0.3, 0.7, 0.2, 0.4);
  for (const axes of [[axis(0, 6)], [axis(0, 6), axis(2, 6)], [axis(1, 6), axis(4, 6)]]) {
    const c = Float64Array.of(0.3, -0.2).slice(0, axes.length);
    const [own, whole] = [emptyEvaluation(axes.length), emptyEvaluation(axes.length)];
    objective.along(psi, axes).evaluate(c, 2, own);
    alongGenerically(objective, psi, axes).evaluate(c, 2, whole);
    close([own.value], [whole.value], 1e-12, 'value');
    close(own.gradient, whole.gradient, 1e-11, 'gradient');
    close(own.hessian, whole.hessian, 1e-11, 'Hessian');
  }
});

test('no random effect or more than two are refused', () => {
  const inner = conditionalOf('binomial', fixture.studies[0]!);
  for (const directions of [[], [axis(0, 3), axis(1, 3), axis(2, 3)]])
    assert.throws(
      () => marginal(inner, { directions, correlated: false, points: 1 }),
      (error) => error instanceof ConcordatError && error.code === 'numerics/invalid-input',
    );
});
