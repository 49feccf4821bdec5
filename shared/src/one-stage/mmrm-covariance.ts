import { ConcordatError } from '../errors.ts';
import { cholesky, packedIndex, packedLength, packedOrder } from '../linalg/symmetric.ts';

export type CovarianceKind = 'unstructured' | 'ar1' | 'compound-symmetry';

/** Σ(θ) over T visits and its derivatives; each a full T × T matrix, row by row. */
export interface Covariance {
  readonly sigma: Float64Array;
  /** ∂Σ/∂θₐ. */
  readonly first: readonly Float64Array[];
  /** ∂²Σ/∂θₐ∂θ_b, a ≥ b, packed by (a, b). */
  readonly second: readonly Float64Array[];
}

/**
 * What the criterion says at Σ = I of the ordinary least-squares residuals r (all k parameters): `products` ∂/∂θₐ of
 * Σⱼ rⱼ'Vⱼ⁻¹rⱼ, `curvatures` ∂²/∂θₐ² of Σⱼ log|Vⱼ| (restricted: and of the eliminated columns' log-determinant, so that
 * counts lose the degrees of freedom that the studies' own means took); `variance` the residual variance.
 */
export interface Moments {
  readonly products: Float64Array;
  readonly curvatures: Float64Array;
  readonly variance: number;
}

/** A parametrisation θ (length k, unconstrained but for `at` null) of a covariance matrix over T visits. */
export interface CovarianceStructure {
  readonly parameters: number;
  /** θ of Σ = I. */
  readonly identity: Float64Array;
  /** Null where θ is no covariance matrix, or one that is singular to rounding. */
  at(theta: Float64Array): Covariance | null;
  /** Moment estimate; null where a visit has no more observations than its means take. */
  start(moments: Moments): Float64Array | null;
}

/**
 * Unstructured: Σ⁻¹ = K'K, θ the entries of the lower triangular K, packed; T(T+1)/2 parameters. With complete or
 * monotonely missing visits −log L is jointly convex in K given the means, for r'K'Kr is a sum of squares linear in K and
 * −log kₜₜ convex, and the leading blocks of Σ depend on the leading rows of K alone (Pourahmadi, Biometrika 1999;86:677,
 * without the division by the innovations' standard deviations). So Newton's method behaves; diagonal entries are positive.
 *
 * AR(1) and compound symmetry: Σ = κ⁻²R(ρ), θ = (κ, z): ρ = tanh z, R = ρ^|s−t|; or ρ = (eᶻ − 1)/(eᶻ + T − 1), R = ρ off
 * the diagonal, which covers −1/(T − 1) < ρ < 1. nlme's corSymm with varIdent, corAR1, corCompSymm.
 */
export function covarianceStructure(kind: CovarianceKind, visits: number): CovarianceStructure {
  if (!(Number.isInteger(visits) && visits >= (kind === 'unstructured' ? 1 : 2) && visits <= MOST_VISITS)) {
    throw new ConcordatError('numerics/invalid-input', `a covariance between ${visits} visits`, {
      remedy: `name 2 to ${MOST_VISITS} visits`,
    });
  }
  if (kind === 'unstructured') return unstructured(visits);
  return kind === 'ar1' ? homogeneous(visits, autoregressive) : homogeneous(visits, exchangeable(visits));
}

/** A visit is a bit of a missingness pattern. */
const MOST_VISITS = 30;

function unstructured(t: number): CovarianceStructure {
  const parameters = packedLength(t);
  const identity = new Float64Array(parameters);
  for (let i = 0; i < t; i++) identity[packedIndex(i, i)] = 1;
  const entries = Array.from({ length: t }, (_, i) => Array.from({ length: i + 1 }, (__, j) => [i, j] as const)).flat();
  return {
    parameters,
    identity,
    at(theta) {
      for (let i = 0; i < t; i++) if (!(theta[packedIndex(i, i)]! > 0)) return null;
      const j = square(invertLower(theta), t, false);
      // Σ = JJ', J = K⁻¹; dJ = −J dK J.
      const sigma = new Float64Array(t * t);
      for (let a = 0; a < t; a++) {
        for (let b = 0; b < t; b++) {
          let sum = 0;
          for (let k = 0; k <= Math.min(a, b); k++) sum += j[a * t + k]! * j[b * t + k]!;
          sigma[a * t + b] = sum;
        }
      }
      if (!isPositiveDefinite(sigma, t)) return null;
      const column = (matrix: Float64Array, c: number) => Float64Array.from({ length: t }, (_, i) => matrix[i * t + c]!);
      const js = Array.from({ length: t }, (_, c) => column(j, c));
      const sigmas = Array.from({ length: t }, (_, c) => column(sigma, c));
      const first = entries.map(([r, s]) => negativeSum(js[r]!, sigmas[s]!));
      const second: Float64Array[] = [];
      entries.forEach(([r, s], a) => {
        for (let b = 0; b <= a; b++) {
          const [u, v] = entries[b]!;
          // −(d(j_r) σ_s' + j_r d(σ_s)') and its transpose, d along K's entry (u, v).
          const dj = js[u]!.map((value) => -value * j[v * t + r]!);
          const ds = column(first[b]!, s);
          const matrix = negativeSum(dj, sigmas[s]!);
          const other = negativeSum(js[r]!, ds);
          second.push(matrix.map((value, k) => value + other[k]!));
        }
      });
      return { sigma, first, second };
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
          // 2Σrr over twice the number of pairs, which is what the curvatures differ by.
          const pairs = curvatures[packedIndex(i, i)]! - curvatures[at]!;
          sigma[at] = pairs >= 1 ? products[at]! / pairs : 0;
        }
      }
      return invertLower(nearestFactor(sigma, t));
    },
  };
}

/** ρ and its first two derivatives by z, and z of a ρ. */
interface Correlation {
  of(z: number): readonly [number, number, number];
  inverse(rho: number): number;
  /** Smallest ρ. */
  readonly least: number;
  /** ρ's power between visits s and t. */
  power(s: number, t: number): number;
}

const autoregressive: Correlation = {
  of(z) {
    const rho = Math.tanh(z);
    const slope = 1 / Math.cosh(z) ** 2;
    return [rho, slope, -2 * rho * slope];
  },
  inverse: Math.atanh,
  least: -1,
  power: (s, t) => Math.abs(s - t),
};

function exchangeable(visits: number): Correlation {
  return {
    of(z) {
      const e = Math.exp(z);
      const sum = e + visits - 1;
      const slope = (visits * e) / sum ** 2;
      return [Math.expm1(z) / sum, slope, (slope * (visits - 1 - e)) / sum];
    },
    inverse: (rho) => Math.log1p((visits - 1) * rho) - Math.log1p(-rho),
    least: -1 / (visits - 1),
    power: (s, t) => (s === t ? 0 : 1),
  };
}

function homogeneous(t: number, correlation: Correlation): CovarianceStructure {
  return {
    parameters: 2,
    identity: Float64Array.of(1, 0),
    at(theta) {
      const [kappa, z] = [theta[0]!, theta[1]!];
      if (!(kappa > 0)) return null;
      const [rho, slope, bend] = correlation.of(z);
      const r = new Float64Array(t * t);
      const r1 = new Float64Array(t * t);
      const r2 = new Float64Array(t * t);
      for (let a = 0; a < t; a++) {
        for (let b = 0; b < t; b++) {
          const h = correlation.power(a, b);
          const at = a * t + b;
          r[at] = rho ** h;
          r1[at] = h === 0 ? 0 : h * rho ** (h - 1) * slope;
          const square = h < 2 ? 0 : h * (h - 1) * rho ** (h - 2) * slope ** 2;
          r2[at] = square + (h === 0 ? 0 : h * rho ** (h - 1) * bend);
        }
      }
      const times = (matrix: Float64Array, factor: number) => matrix.map((value) => factor * value);
      const sigma = times(r, kappa ** -2);
      if (!isPositiveDefinite(sigma, t)) return null;
      return {
        sigma,
        first: [times(r, -2 * kappa ** -3), times(r1, kappa ** -2)],
        second: [times(r, 6 * kappa ** -4), times(r1, -2 * kappa ** -3), times(r2, kappa ** -2)],
      };
    },
    start({ products, curvatures, variance }) {
      if (!(variance > 0)) return null;
      const [, slope] = correlation.of(0);
      // −2 a pair of visits of power 1; without one the slope at ρ = 0 says nothing.
      const pairs = curvatures[1]! / slope ** 2 / -2;
      const mean = pairs >= 0.5 ? -products[1]! / (2 * slope * pairs * variance) : START_WITHOUT;
      const rho = Math.min(Math.max(mean, START_SHARE * correlation.least), START_SHARE);
      return Float64Array.of(1 / Math.sqrt(variance), correlation.inverse(rho));
    },
  };
}

/** How near a correlation's limits a fit may start. */
const START_SHARE = 0.95;
const START_WITHOUT = 0.3;

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

/** Cholesky factor, packed, or null where the matrix is not positive definite. */
export function factorOf(packed: Float64Array): Float64Array | null {
  try {
    return cholesky(packed);
  } catch (error) {
    if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
    throw error;
  }
}

function isPositiveDefinite(matrix: Float64Array, t: number): boolean {
  return matrix.every(Number.isFinite) && factorOf(lowerOf(matrix, t)) !== null;
}

/** Packs the lower triangle of a full matrix. */
export function lowerOf(matrix: Float64Array, t: number): Float64Array {
  const packed = new Float64Array(packedLength(t));
  for (let i = 0; i < t; i++) for (let j = 0; j <= i; j++) packed[packedIndex(i, j)] = matrix[i * t + j]!;
  return packed;
}

/** The full matrix of a packed triangle: symmetric, or zero above the diagonal. */
export function square(packed: Float64Array, t: number, symmetric: boolean): Float64Array {
  const matrix = new Float64Array(t * t);
  for (let i = 0; i < t; i++) {
    for (let j = 0; j <= i; j++) {
      matrix[i * t + j] = packed[packedIndex(i, j)]!;
      if (symmetric) matrix[j * t + i] = packed[packedIndex(i, j)]!;
    }
  }
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

/** −(xy' + yx'). */
function negativeSum(x: Float64Array, y: Float64Array): Float64Array {
  const t = x.length;
  const matrix = new Float64Array(t * t);
  for (let i = 0; i < t; i++) for (let j = 0; j < t; j++) matrix[i * t + j] = -(x[i]! * y[j]! + y[i]! * x[j]!);
  return matrix;
}
