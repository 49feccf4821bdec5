import {
  factorOf,
  inverseFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import { drive, emptyEvaluation } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import type { ConditionalObjective } from './conditional.ts';
import { alongGenerically } from './expansion.ts';
import type { Evaluation, Objective } from './types.ts';

/**
 * A log-likelihood with some parameters α at their maximum given the others θ: ℓ_p(θ) = max_α ℓ(θ, α). Its gradient is ℓ's
 * in θ there, its Hessian the Schur complement ℓ_θθ − ℓ_θα ℓ_αα⁻¹ ℓ_αθ (Murphy & van der Vaart 2000, JASA 95:449, §2). A sum
 * of such functions over studies, each with its own α, has the maximum, the Wald covariance and the likelihood
 * ratios of the model with all of the α in it.
 *
 * α is found by `trustRegion` from `start`, anew for each question, so that an answer depends on θ alone; the inner
 * maximum need not be near it, nor ℓ concave. Where there is none (ℓ rises for ever: a study without events), or it is no
 * strict one, the value is −Infinity and derivatives are zero, which an optimiser takes for a step too long.
 */
export interface ProfiledObjective extends Objective {
  /** Null where there is no inner maximum. */
  nuisanceAt(theta: Float64Array): Nuisance | null;
}

export interface Nuisance {
  /** α̂ at θ, in the order of `nuisance`. */
  readonly values: Float64Array;
  /** dα̂/dθ = −ℓ_αα⁻¹ ℓ_αθ: one vector of θ's length for each α. */
  readonly slopes: readonly Float64Array[];
  /** (−ℓ_αα)⁻¹, packed: the covariance of α̂ if θ were known; with θ's covariance V, that of α̂ is this + S V S'. */
  readonly variance: Float64Array;
}

const INNER_ROUNDS = 200;
/** Of each α a step: where fitted probabilities are all but 0 or 1 there is no curvature, and Newton's step is far too long. */
const LONGEST_STEP = 5;

/**
 * `nuisance`: positions of α, ascending; θ is the rest in order. `start`: of α, the same for every θ, or from the parameters
 * with 0 for α.
 */
export function profiled(
  objective: Objective | ConditionalObjective,
  nuisance: readonly number[],
  start: Float64Array | ((point: Float64Array) => Float64Array),
): ProfiledObjective {
  const p = objective.parameters;
  const rest = [...Array(p).keys()].filter((j) => !nuisance.includes(j));
  const axes = nuisance.map((j) => {
    const axis = new Float64Array(p);
    axis[j] = 1;
    return axis;
  });
  const longest = new Float64Array(nuisance.length).fill(LONGEST_STEP);
  const whole = emptyEvaluation(p);

  /** Evaluates at (θ, α̂) into `whole`; null where there is no inner maximum. */
  const settle = (theta: Float64Array): Inner | null => {
    const point = new Float64Array(p);
    rest.forEach((j, k) => (point[j] = theta[k]!));
    const plane =
      'along' in objective ? objective.along(point, axes) : alongGenerically(objective, point, axes);
    const from = typeof start === 'function' ? start(point) : start;
    const fit = drive(trustRegion(from, { maxRounds: INNER_ROUNDS, longest }), plane);
    if (fit.status !== 'converged') return null;
    nuisance.forEach((j, k) => (point[j] = fit.theta[k]!));
    objective.evaluate(point, 2, whole);
    if (!Number.isFinite(whole.value)) return null;
    const factor = factorOf(block(whole.hessian, nuisance));
    if (factor === null) return null;
    const slopes = rest.map((j) =>
      solveCholesky(
        factor,
        Float64Array.from(nuisance, (k) => whole.hessian[packedIndex(j, k)]!),
      ),
    );
    return { values: fit.theta, factor, slopes };
  };

  return {
    parameters: rest.length,

    evaluate(theta, order, out) {
      const inner = settle(theta);
      out.value = inner === null ? -Infinity : whole.value;
      out.gradient.fill(0);
      out.hessian.fill(0);
      if (inner === null || order === 0) return;
      rest.forEach((j, a) => {
        out.gradient[a] = whole.gradient[j]!;
        // What is left of the score in α after the last step.
        nuisance.forEach((k, n) => (out.gradient[a]! += inner.slopes[a]![n]! * whole.gradient[k]!));
        for (let b = 0; order === 2 && b <= a; b++) {
          let sum = whole.hessian[packedIndex(j, rest[b]!)]!;
          nuisance.forEach(
            (k, n) => (sum += inner.slopes[a]![n]! * whole.hessian[packedIndex(rest[b]!, k)]!),
          );
          out.hessian[packedIndex(a, b)] = sum;
        }
      });
      if (order === 2) rest.forEach((j, a) => clear(out, a, whole.hessian[packedIndex(j, j)]!));
    },

    nuisanceAt(theta) {
      const inner = settle(theta);
      if (inner === null) return null;
      return {
        values: inner.values,
        slopes: nuisance.map((_, n) => Float64Array.from(inner.slopes, (slope) => slope[n]!)),
        variance: inverseFromCholesky(inner.factor),
      };
    },
  };
}

/** Of the information about a parameter, what α leaves, relative: below, it is rounding, and the parameter is α's alone. */
const ALIASED = 1e-12;

/** Share of a standard error's score that rounding leaves. */
const NO_SCORE = 1e-7;

/** Exact zeros, which a sum over studies keeps, where α determines θ's coordinate a: no curvature is left, and no slope. */
function clear({ gradient, hessian }: Evaluation, a: number, whole: number): void {
  const curvature = Math.abs(hessian[packedIndex(a, a)]!);
  if (curvature > ALIASED * Math.abs(whole) || Math.abs(gradient[a]!) > NO_SCORE * Math.sqrt(Math.abs(whole)))
    return;
  gradient[a] = 0;
  for (let b = 0; b < gradient.length; b++) hessian[packedIndex(a, b)] = 0;
}

interface Inner {
  readonly values: Float64Array;
  /** Cholesky factor of −ℓ_αα. */
  readonly factor: Float64Array;
  /** dα̂/dθₖ for each k. */
  readonly slopes: readonly Float64Array[];
}

/** −H in some of the coordinates, packed. */
function block(hessian: Float64Array, of: readonly number[]): Float64Array {
  const out = new Float64Array(packedLength(of.length));
  of.forEach((j, a) => {
    for (let b = 0; b <= a; b++) out[packedIndex(a, b)] = -hessian[packedIndex(j, of[b]!)]!;
  });
  return out;
}
