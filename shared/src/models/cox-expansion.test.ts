import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { ConditionalObjective } from './conditional.ts';
import { cox } from './cox.ts';
import { alongGenerically, emptyExpansion, expandNumerically } from './expansion.ts';
import type { StudyData } from './types.ts';

/** Deterministic numbers in (0, 1) (Lehmer). */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function simulate(n: number, variant: string, seed = 7): StudyData {
  const random = uniform(seed);
  for (let k = 0; k < 20; k++) random();
  const draw = (f: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => f(i));
  const treatment = draw((i) => i % 2);
  const age = draw(() => 50 + 20 * random());
  const level = draw(() => (random() < 0.4 ? 1 : 0));
  const time = draw((i) => {
    const t = -Math.log(random()) * Math.exp(0.3 * treatment[i]! - 0.05 * (age[i]! - 60));
    return variant.includes('tied') ? 1 + Math.floor(4 * t) : t;
  });
  return {
    n,
    columns: [treatment, age, level],
    terms: ['treatment', 'age', 'level'],
    response: {
      kind: 'time-to-event',
      time,
      event: draw(() => (random() < 0.7 ? 1 : 0)),
      entry: variant.includes('entry') ? draw((i) => Math.floor(time[i]! * random() * 9) / 10 - 0.01) : null,
      stratum: variant.includes('strata')
        ? Int32Array.from({ length: n }, () => Math.floor(3 * random()))
        : null,
    },
    offset: variant.includes('offset') ? draw(() => random() - 0.5) : null,
  };
}

const cases = ['', 'tied', 'tied strata offset', 'entry', 'tied entry strata'].flatMap((variant) =>
  (['efron', 'breslow'] as const).map((ties) => ({ variant, ties })),
);
const phi = Float64Array.of(-0.4, 0.04, 0.3);
const directions = [Float64Array.of(1, 0, 0), Float64Array.of(0.5, 0.02, -1)];

function objectiveOf(data: StudyData, ties: 'efron' | 'breslow'): ConditionalObjective {
  return cox.objective(data, { family: 'cox', ties }, null) as ConditionalObjective;
}

function agree(what: string, actual: Float64Array, expected: Float64Array, tolerance: number): void {
  const unit = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  actual.forEach((value, k) => {
    assert.ok(
      Math.abs(value - expected[k]!) <= tolerance * unit,
      `${what}[${k}]: ${value}, expected ${expected[k]}`,
    );
  });
}

for (const { variant, ties } of cases) {
  test(`third and fourth derivatives are those of the Hessian: ${ties} ${variant}`, () => {
    // More events than a block of terms holds, and fewer.
    for (const n of [60, variant === '' ? 4000 : 300]) {
      const objective = objectiveOf(simulate(n, variant), ties);
      const exact = emptyExpansion(3, 2);
      const numerical = emptyExpansion(3, 2);
      objective.expand(phi, directions, 2, exact);
      expandNumerically(objective, phi, directions, 2, numerical);
      agree('hessian', exact.hessian, numerical.hessian, 1e-12);
      exact.third.forEach((matrix, a) => agree(`third ${a}`, matrix, numerical.third[a]!, 1e-8));
      exact.fourth.forEach((matrix, k) => agree(`fourth ${k}`, matrix, numerical.fourth[k]!, 1e-7));
      const first = emptyExpansion(3, 1);
      objective.expand(phi, directions.slice(1), 1, first);
      agree('third alone', first.third[0]!, exact.third[1]!, 1e-12);
    }
  });

  test(`a plane through φ is the partial likelihood there: ${ties} ${variant}`, () => {
    const objective = objectiveOf(simulate(80, variant), ties);
    const c = Float64Array.of(0.2, -0.3);
    const plane = emptyEvaluation(2);
    const generic = emptyEvaluation(2);
    objective.along(phi, directions).evaluate(c, 2, plane);
    alongGenerically(objective, phi, directions).evaluate(c, 2, generic);
    assert.ok(Math.abs(plane.value - generic.value) < 1e-11 * Math.abs(generic.value));
    agree('gradient', plane.gradient, generic.gradient, 1e-10);
    agree('hessian', plane.hessian, generic.hessian, 1e-11);
  });
}

test('tied events beyond a block', () => {
  const n = 5200;
  const random = uniform(3);
  const draw = (f: () => number) => Float64Array.from({ length: n }, f);
  const data: StudyData = {
    n,
    columns: [draw(() => (random() < 0.5 ? 1 : 0)), draw(random)],
    terms: ['treatment', 'x'],
    response: {
      kind: 'time-to-event',
      time: draw(() => 1 + Math.floor(2 * random())),
      event: draw(() => (random() < 0.9 ? 1 : 0)),
      entry: null,
      stratum: null,
    },
    offset: null,
  };
  const objective = objectiveOf(data, 'efron');
  const exact = emptyExpansion(2, 1);
  const numerical = emptyExpansion(2, 1);
  const at = Float64Array.of(0.3, -0.2);
  objective.expand(at, [Float64Array.of(1, 0)], 2, exact);
  expandNumerically(objective, at, [Float64Array.of(1, 0)], 2, numerical);
  agree('third', exact.third[0]!, numerical.third[0]!, 1e-8);
  agree('fourth', exact.fourth[0]!, numerical.fourth[0]!, 1e-7);
});
