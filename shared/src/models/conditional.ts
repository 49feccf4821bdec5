import type { Evaluation, Objective } from './types.ts';

/**
 * A study's log-likelihood given its random effects, ℓ(φ + Σₐ cₐdₐ): φ holds every fixed parameter (p of
 * them: the columns' coefficients, then what the family has besides, such as thresholds or a log dispersion),
 * and random effect a moves φ along the direction dₐ (length p; at most two, for a study's intercept and its
 * treatment effect). So a family knows nothing of random effects; what it can be asked besides value, score and
 * Hessian is how its Hessian changes along a direction.
 */
export interface ConditionalObjective extends Objective {
  /**
   * Value, gradient and Hessian H at φ, and along the q directions `third[a]` = ∂H/∂cₐ and (order 2 only)
   * `fourth[ab]` = ∂²H/∂cₐ∂c_b, a ≥ b, packed by (a, b) like a lower triangle; each matrix itself packed.
   */
  expand(phi: Float64Array, directions: readonly Float64Array[], order: 1 | 2, out: Expansion): void;
  /** The log-likelihood on the plane φ + Σ cₐdₐ, as an objective in c (q parameters). Valid until the next call. */
  along(phi: Float64Array, directions: readonly Float64Array[]): Objective;
}

export interface Expansion extends Evaluation {
  /** q matrices of p(p+1)/2. */
  readonly third: readonly Float64Array[];
  /** q(q+1)/2 matrices of p(p+1)/2. */
  readonly fourth: readonly Float64Array[];
}
