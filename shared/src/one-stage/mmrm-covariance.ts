import { ConcordatError } from '../errors.ts';
import { factorOf, packedIndex, packedLength, packedOrder } from '../linalg/symmetric.ts';
import { multiplyTranspose, pack } from './gaussian-matrices.ts';

export type CovarianceKind = 'unstructured' | 'ar1' | 'compound-symmetry';

/** Σ⁻¹ = K'K over T visits, and K's derivatives by θ; each a full T × T matrix, row by row. */
export interface Root {
  readonly root: Float64Array;
  /** K⁻¹; Σ = K⁻¹K⁻ᵀ. */
  readonly inverse: Float64Array;
  /** Σ. */
  readonly covariance: Float64Array;
  /** ∂K/∂θₐ. */
  readonly first: readonly Float64Array[];
  /** ∂²K/∂θₐ∂θ_b, a ≥ b, packed by (a, b); null where K is linear in θ. */
  readonly second: readonly Float64Array[] | null;
}

/**
 * What the criterion says at Σ = I of the least-squares residuals r (all k parameters): `products` ∂/∂θₐ of Σⱼ rⱼ'Vⱼ⁻¹rⱼ,
 * `curvatures` ∂²/∂θₐ² of Σⱼ log|Vⱼ| (restricted: and of the eliminated columns' log-determinant, so that counts lose the
 * degrees of freedom that the studies' own means take); `variance` the residual variance.
 */
export interface Moments {
  readonly products: Float64Array;
  readonly curvatures: Float64Array;
  readonly variance: number;
}

/** A parametrisation θ (length k) of a covariance matrix over T visits. */
export interface CovarianceStructure {
  readonly parameters: number;
  /** θ of Σ = I. */
  readonly identity: Float64Array;
  /** Null where θ is no covariance matrix, or one that is singular to rounding. */
  at(theta: Float64Array): Root | null;
  /** Moment estimate; null where a visit has no more observations than its means take, or two visits nobody in common. */
  start(moments: Moments): Float64Array | null;
}

/**
 * Parametrised by a root K of the precision matrix, Σ⁻¹ = K'K: of complete records r'K'Kr is a sum of squares linear in K and
 * −log|K| convex, so that −log L is convex in K given the means where K is linear in θ; with a lower triangular K that holds
 * of records with monotonely missing visits too, for the leading blocks of Σ depend on the leading rows of K alone. So
 * Newton's method behaves (a modified Cholesky decomposition, Pourahmadi, Biometrika 1999;86:677, rows not divided by their
 * diagonal). Diagonal entries, κ, α and β are positive.
 *
 * - unstructured: K lower triangular, θ its entries, packed; nlme's corSymm with varIdent.
 * - AR(1), one variance: Σ = κ⁻²ρ^|s−t|, ρ = tanh z, θ = (κ, z); K's first row is κ, row t κ(−sinh z, cosh z) at t − 1 and t;
 *   nlme's corAR1.
 * - compound symmetry, one variance: K = α(I − 11'/T) + β11'/T, θ = (α, β); −1/(T − 1) < ρ < 1; nlme's corCompSymm.
 */
export function covarianceStructure(kind: CovarianceKind, visits: number): CovarianceStructure {
  const least = kind === 'unstructured' ? 1 : 2;
  if (!(Number.isInteger(visits) && visits >= least && visits <= MOST_VISITS)) {
    throw new ConcordatError('numerics/invalid-input', `a covariance between ${visits} visits`, {
      remedy: `name 2 to ${MOST_VISITS} visits`,
    });
  }
  switch (kind) {
    case 'unstructured':
      return unstructured(visits);
    case 'ar1':
      return autoregressive(visits);
    case 'compound-symmetry':
      return exchangeable(visits);
  }
}

/** A visit is a bit of a missingness pattern. */
const MOST_VISITS = 30;
/** How near a correlation's limits a fit may start, and where it starts if nothing is known of it. */
const START_LIMIT = 0.95;
const START_UNKNOWN = 0.3;

function unstructured(t: number): CovarianceStructure {
  const parameters = packedLength(t);
  const identity = new Float64Array(parameters);
  for (let i = 0; i < t; i++) identity[packedIndex(i, i)] = 1;
  const first: Float64Array[] = [];
  for (let i = 0; i < t; i++) {
    for (let j = 0; j <= i; j++) {
      const unit = new Float64Array(t * t);
      unit[i * t + j] = 1;
      first.push(unit);
    }
  }
  return {
    parameters,
    identity,
    at(theta) {
      for (let i = 0; i < t; i++) if (!(theta[packedIndex(i, i)]! > 0)) return null;
      return rootOf(lower(theta, t), lower(invertLower(theta), t), first, null);
    },
    start({ products, curvatures }) {
      const sigma = new Float64Array(parameters);
      for (let i = 0; i < t; i++) {
        const at = packedIndex(i, i);
        // 2Σr² over 2n.
        const variance = products[at]! / curvatures[at]!;
        if (!(curvatures[at]! > 0 && variance > 0)) return null;
        sigma[at] = variance;
      }
      for (let i = 0; i < t; i++) {
        for (let j = 0; j < i; j++) {
          const at = packedIndex(i, j);
          // Exactly 0: nobody has both visits.
          if (products[at] === 0) return null;
          // 2Σrr over twice the number of pairs, which is what the curvatures differ by.
          const pairs = curvatures[packedIndex(i, i)]! - curvatures[at]!;
          sigma[at] = pairs >= 1 ? products[at]! / pairs : 0;
        }
      }
      return invertLower(nearestFactor(sigma, t));
    },
  };
}

function autoregressive(t: number): CovarianceStructure {
  const banded = (corner: number, diagonal: number, below: number): Float64Array => {
    const packed = new Float64Array(packedLength(t));
    for (let i = 0; i < t; i++) packed[packedIndex(i, i)] = i === 0 ? corner : diagonal;
    for (let i = 1; i < t; i++) packed[packedIndex(i, i - 1)] = below;
    return packed;
  };
  const full = (packed: Float64Array): Float64Array => lower(packed, t);
  return {
    parameters: 2,
    identity: Float64Array.of(1, 0),
    at(theta) {
      const [kappa, z] = [theta[0]!, theta[1]!];
      if (!(kappa > 0)) return null;
      const [sinh, cosh] = [Math.sinh(z), Math.cosh(z)];
      const root = banded(kappa, kappa * cosh, -kappa * sinh);
      const slope = full(banded(0, sinh, -cosh));
      return rootOf(
        full(root),
        full(invertLower(root)),
        [full(banded(1, cosh, -sinh)), slope.map((value) => kappa * value)],
        [new Float64Array(t * t), slope, full(banded(0, kappa * cosh, -kappa * sinh))],
      );
    },
    start({ products, variance }) {
      // 2Σr² and −2Σrₜrₜ₋₁; of each t rows t − 1 have one before them, where none is missing.
      const rho = products[1] === 0 ? START_UNKNOWN : (-products[1]! / products[0]!) * (t / (t - 1));
      const bounded = Math.max(-START_LIMIT, Math.min(START_LIMIT, rho));
      return variance > 0 ? Float64Array.of(1 / Math.sqrt(variance), Math.atanh(bounded)) : null;
    },
  };
}

function exchangeable(t: number): CovarianceStructure {
  const combine = (within: number, between: number): Float64Array =>
    Float64Array.from(
      { length: t * t },
      (_, at) => (at % (t + 1) === 0 ? within : 0) + (between - within) / t,
    );
  const first = [combine(1, 0), combine(0, 1)];
  return {
    parameters: 2,
    identity: Float64Array.of(1, 1),
    at(theta) {
      const [alpha, beta] = [theta[0]!, theta[1]!];
      return alpha > 0 && beta > 0
        ? rootOf(combine(alpha, beta), combine(1 / alpha, 1 / beta), first, null)
        : null;
    },
    start({ products, variance }) {
      // 2Σr'(I − 11'/T)r and 2Σr'11'r/T.
      const squares = products[0]! + products[1]!;
      const rho = (t * products[1]! - squares) / ((t - 1) * squares);
      const bounded = Math.max(-START_LIMIT / (t - 1), Math.min(START_LIMIT, rho));
      const scale = (share: number) => 1 / Math.sqrt(variance * share);
      return variance > 0 ? Float64Array.of(scale(1 - bounded), scale(1 + (t - 1) * bounded)) : null;
    },
  };
}

function rootOf(
  root: Float64Array,
  inverse: Float64Array,
  first: readonly Float64Array[],
  second: readonly Float64Array[] | null,
): Root | null {
  const t = Math.sqrt(root.length);
  const covariance = multiplyTranspose(inverse, inverse, t, t, t);
  if (!covariance.every(Number.isFinite) || factorOf(pack(covariance, t)) === null) return null;
  return { root, inverse, covariance, first, second };
}

/** Cholesky factor of Σ, with covariances shrunk where it is not positive definite, or all but singular. */
function nearestFactor(sigma: Float64Array, t: number): Float64Array {
  const diagonal = Array.from({ length: t }, (_, i) => packedIndex(i, i));
  const variances = sigma.map((value, k) => (diagonal.includes(k) ? value : 0));
  for (const share of SHARES) {
    const factor = factorOf(sigma.map((value, k) => share * value + (1 - share) * variances[k]!));
    if (factor !== null && diagonal.every((k) => factor[k]! ** 2 > LEAST_REST * sigma[k]!)) return factor;
  }
  return variances.map(Math.sqrt);
}

const SHARES = [1, 0.99, 0.9, 0.75, 0.5];
/** Share of a visit's variance that the visits before it leave at least, where a fit starts. */
const LEAST_REST = 1e-8;

/** The full matrix of a packed lower triangular one. */
function lower(packed: Float64Array, t: number): Float64Array {
  const matrix = new Float64Array(t * t);
  for (let i = 0; i < t; i++) for (let j = 0; j <= i; j++) matrix[i * t + j] = packed[packedIndex(i, j)]!;
  return matrix;
}

/** Inverse of a lower triangular matrix, both packed. */
function invertLower(l: Float64Array): Float64Array {
  const inverse = new Float64Array(l.length);
  const t = packedOrder(l);
  for (let j = 0; j < t; j++) {
    for (let i = j; i < t; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= l[packedIndex(i, k)]! * inverse[packedIndex(k, j)]!;
      inverse[packedIndex(i, j)] = sum / l[packedIndex(i, i)]!;
    }
  }
  return inverse;
}
