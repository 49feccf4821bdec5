import { factorOf, packedLength, solveCholesky } from '../linalg/symmetric.ts';
import type { Evaluation, Fit, Objective, Optimiser } from '../models/types.ts';

/**
 * Newton's method for a concave objective ℓ(θ) with exact score U and information I = −H:
 * θ ← θ + t·I⁻¹U, t = 1, ½, ¼, … until ℓ rises enough (Boyd & Vandenberghe 2004, §9.5).
 */
export interface NewtonOptions {
  /** Converged when the Newton decrement ½U'I⁻¹U is at most this share of 1 + |ℓ|. */
  readonly tolerance?: number;
  /** Questions asked before giving up. */
  readonly maxRounds?: number;
}

/** √(2·10⁻¹⁸) standard errors per unit of |ℓ|^½: information at the last question is exact to about 1e-9. */
const TOLERANCE = 1e-18;
const MAX_ROUNDS = 100;

/** Sufficient increase: the share of the gain that the gradient promises. */
const ARMIJO = 1e-4;
/** Rounding in ℓ, relative: an increase below it cannot be seen. */
const VALUE_NOISE = 1e-12;
const SMALLEST_STEP = 2 ** -30;

/**
 * Where a maximum exists, the decrement falls quadratically once it is below NEAR. Where the likelihood only
 * approaches its supremum as parameters go to infinity (separation, monotone likelihood), each Newton step
 * moves the linear predictor by about 1 and the decrement falls by a factor e for ever: SLOW_STEPS slow steps
 * below NEAR end with a decrement about 1e-4. Slow steps below ROUNDING_FLOOR are the last digits of nearly
 * collinear columns.
 */
const NEAR = 1e-2;
const SLOW_RATIO = 0.1;
const SLOW_STEPS = 4;
const ROUNDING_FLOOR = 1e-9;

/** An evaluation with room for p parameters. */
export function emptyEvaluation(parameters: number): Evaluation {
  return {
    value: 0,
    gradient: new Float64Array(parameters),
    hessian: new Float64Array(packedLength(parameters)),
  };
}

/**
 * Maximises from `start` (length p, not modified). Questions hold copies of θ; the evaluation received may be
 * overwritten by the next one. At convergence `theta` is one Newton step beyond the last question,
 * whose evaluation is returned: the step is below 2e-9 standard errors per √(1 + |ℓ|), so that θ is exact to
 * rounding, and ℓ and H to about 1e-17 and 1e-9 relative.
 */
export function* newton(start: Float64Array, options: NewtonOptions = {}): Optimiser {
  const tolerance = options.tolerance ?? TOLERANCE;
  const maxRounds = options.maxRounds ?? MAX_ROUNDS;
  let theta = Float64Array.from(start);
  let current = copyOf(yield { theta: theta.slice(), order: 2 });
  let rounds = 1;
  let decrement = Infinity;
  let slow = 0;
  const end = (status: Fit['status']): Fit => ({ status, theta, evaluation: current, rounds, decrement });

  if (!isFinite(current)) return end('step-failure');
  for (;;) {
    const factor = factorOf(current.hessian.map((value) => -value));
    if (factor === null) return end('singular');
    const step = solveCholesky(factor, current.gradient);
    const previous = decrement;
    decrement = halfDot(current.gradient, step);
    const unit = 1 + Math.abs(current.value);
    if (decrement <= tolerance * unit) {
      theta = theta.map((value, i) => value + step[i]!);
      return end('converged');
    }
    slow = decrement < NEAR && decrement > SLOW_RATIO * previous ? slow + 1 : 0;
    if (slow >= SLOW_STEPS) return end(decrement <= ROUNDING_FLOOR ? 'converged' : 'diverging');

    let next: Evaluation | null = null;
    for (let t = 1; next === null; t /= 2) {
      if (t < SMALLEST_STEP) return end('step-failure');
      if (rounds >= maxRounds) return end('iteration-limit');
      const candidate = theta.map((value, i) => value + t * step[i]!);
      const evaluation: Evaluation = yield { theta: candidate.slice(), order: 2 };
      rounds++;
      if (!isFinite(evaluation)) continue;
      const enough = evaluation.value >= current.value + ARMIJO * t * 2 * decrement - VALUE_NOISE * unit;
      // Near the maximum of a sum with large cancelling terms ℓ is too coarse a guide; the score still is
      // not.
      const nearer = () =>
        decrement < NEAR &&
        halfDot(evaluation.gradient, solveCholesky(factor, evaluation.gradient)) < decrement / 4;
      if (enough || nearer()) {
        theta = candidate;
        next = copyOf(evaluation);
      }
    }
    current = next;
  }
}

/** Runs an optimiser against one objective to its end. */
export function drive(optimiser: Optimiser, objective: Objective): Fit {
  const evaluation = emptyEvaluation(objective.parameters);
  let turn = optimiser.next();
  while (!turn.done) {
    objective.evaluate(turn.value.theta, turn.value.order, evaluation);
    turn = optimiser.next(evaluation);
  }
  return turn.value;
}

function copyOf(evaluation: Evaluation): Evaluation {
  return {
    value: evaluation.value,
    gradient: evaluation.gradient.slice(),
    hessian: evaluation.hessian.slice(),
  };
}

function isFinite(evaluation: Evaluation): boolean {
  return (
    Number.isFinite(evaluation.value) &&
    evaluation.gradient.every(Number.isFinite) &&
    evaluation.hessian.every(Number.isFinite)
  );
}

function halfDot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum / 2;
}
