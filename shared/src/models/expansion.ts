import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { inner } from '../numerics/jet.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { ConditionalObjective, Expansion } from './conditional.ts';
import type { Evaluation, Objective } from './types.ts';

/**
 * A conditional log-likelihood from an objective with an exact Hessian: the Hessian's first and second derivatives along a
 * direction by central differences. For families without analytic ones, and to check those that have them.
 */

/** Steps on each side, and the weights of H(φ + khd) ∓ H(φ − khd) for h·H′ and h²·H″: error O(h⁸), sixth order below. */
const STEPS = 4;
const FIRST = [4 / 5, -1 / 5, 4 / 105, -1 / 280] as const;
const SECOND = [8 / 5, -1 / 5, 8 / 315, -1 / 560] as const;
const FIRST_LOWER = [3 / 4, -3 / 20, 1 / 60, 0] as const;

/** Linear predictors move by about this much a step: small to the distance π of a logistic model's singularities. */
const STEP = 0.06;
/** The step is shortened while two orders differ by more than this share. */
const AGREEMENT = 1e-9;
const SHORTENINGS = 8;

export { inner as dot } from '../numerics/jet.ts';

/** Room for p parameters and q directions. */
export function emptyExpansion(p: number, q: number): Expansion {
  const matrices = (count: number) => Array.from({ length: count }, () => new Float64Array(packedLength(p)));
  return { ...emptyEvaluation(p), third: matrices(q), fourth: matrices(packedLength(q)) };
}

/** An objective as a conditional log-likelihood: itself where it is one, else all of it from `evaluate`. */
export function conditional(objective: Objective | ConditionalObjective): ConditionalObjective {
  if ('expand' in objective) return objective;
  return {
    parameters: objective.parameters,
    evaluate: (theta, order, out) => objective.evaluate(theta, order, out),
    expand: (phi, directions, order, out) => expandNumerically(objective, phi, directions, order, out),
    along: (phi, directions) => alongGenerically(objective, phi, directions),
  };
}

/**
 * Fills `out` as ConditionalObjective.expand does, with an error of about 1e-9 of the largest element where the objective
 * is analytic. A mixed second derivative is ½(∂²₍d₁+d₂₎ − ∂²₍d₁₎ − ∂²₍d₂₎). Eight evaluations for one direction, 24 for two;
 * where the objective does not exist near φ, derivatives hold what it says there (not a number).
 */
export function expandNumerically(
  objective: Objective,
  phi: Float64Array,
  directions: readonly Float64Array[],
  order: 1 | 2,
  out: Expansion,
): void {
  objective.evaluate(phi, 2, out);
  const centre = { value: out.value, gradient: out.gradient, hessian: out.hessian };
  const along = directions.map((direction) => differences(objective, phi, direction, centre));
  along.forEach(({ first, second }, a) => {
    out.third[a]!.set(first);
    if (order === 2) out.fourth[packedIndex(a, a)]!.set(second);
  });
  if (order === 1) return;
  for (let a = 1; a < directions.length; a++) {
    for (let b = 0; b < a; b++) {
      const sum = directions[a]!.map((value, j) => value + directions[b]![j]!);
      const { second } = differences(objective, phi, sum, centre);
      out.fourth[packedIndex(a, b)]!.set(
        second.map((value, k) => (value - along[a]!.second[k]! - along[b]!.second[k]!) / 2),
      );
    }
  }
}

/** First and second derivative of the Hessian along one direction. */
function differences(
  objective: Objective,
  phi: Float64Array,
  direction: Float64Array,
  centre: Evaluation,
): { readonly first: Float64Array; readonly second: Float64Array } {
  const hessian = (t: number): Float64Array => {
    const at = emptyEvaluation(phi.length);
    objective.evaluate(
      phi.map((value, j) => value + t * direction[j]!),
      2,
      at,
    );
    return at.hessian;
  };
  let h = STEP;
  for (let attempt = 0; ; attempt++, h /= 2) {
    const pairs = Array.from(
      { length: STEPS },
      (_, k) => [hessian((k + 1) * h), hessian(-(k + 1) * h)] as const,
    );
    const combine = (weights: readonly number[], f: (plus: number, minus: number, at: number) => number) =>
      centre.hessian.map((at, i) =>
        pairs.reduce((sum, [plus, minus], k) => sum + weights[k]! * f(plus[i]!, minus[i]!, at), 0),
      );
    const first = combine(FIRST, (plus, minus) => plus - minus);
    const lower = combine(FIRST_LOWER, (plus, minus) => plus - minus);
    const difference = first.reduce((most, value, i) => Math.max(most, Math.abs(value - lower[i]!)), 0);
    const size = Math.max(largest(first), largest(centre.hessian) * h);
    if (difference <= AGREEMENT * size || attempt === SHORTENINGS) {
      const second = combine(SECOND, (plus, minus, at) => plus - at + (minus - at));
      return { first: first.map((value) => value / h), second: second.map((value) => value / (h * h)) };
    }
  }
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** The objective on the plane φ + Σ cₐdₐ, from evaluations in all parameters: gradient D'U, Hessian D'HD. */
export function alongGenerically(
  objective: Objective,
  phi: Float64Array,
  directions: readonly Float64Array[],
): Objective {
  const whole = emptyEvaluation(phi.length);
  return {
    parameters: directions.length,
    evaluate(c, order, out) {
      const point = phi.slice();
      directions.forEach((direction, a) => direction.forEach((d, j) => (point[j]! += c[a]! * d)));
      objective.evaluate(point, order, whole);
      out.value = whole.value;
      if (order === 0) return;
      directions.forEach((direction, a) => (out.gradient[a] = inner(direction, whole.gradient)));
      if (order === 1) return;
      directions.forEach((direction, a) => {
        for (let b = 0; b <= a; b++)
          out.hessian[packedIndex(a, b)] = bilinear(whole.hessian, direction, directions[b]!);
      });
    },
  };
}

/** a'Mb for a packed symmetric M; zeros of a are passed over. */
function bilinear(packed: Float64Array, a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === 0) continue;
    for (let j = 0; j < b.length; j++) sum += a[i]! * b[j]! * packed[packedIndex(i, j)]!;
  }
  return sum;
}
