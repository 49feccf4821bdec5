import {
  factorOf,
  inverseFromCholesky,
  logDetFromCholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
  packedOrder,
  solveCholesky,
} from '../linalg/symmetric.ts';
import type { Evaluation } from '../models/types.ts';
import type { Part, Sums } from './mmrm-study.ts';

/** The sums' view of β: A = X'V⁻¹X, b = X'V⁻¹y, c = y'V⁻¹y, own columns eliminated, and what follows from them. */
export interface Means {
  /** β̂ = A⁻¹b, length q. */
  readonly beta: Float64Array;
  /** A⁻¹, packed. */
  readonly covariance: Float64Array;
  /** c − b'β̂. */
  readonly squares: number;
  readonly logDeterminant: number;
}

/** The (restricted) log-likelihood, β profiled out, with its exact gradient and Hessian in θ. */
export interface Criterion extends Evaluation {
  readonly theta: Float64Array;
  readonly means: Means;
  readonly sums: Sums;
  /** ∂A⁻¹/∂θₐ, packed. */
  readonly covarianceSlopes: readonly Float64Array[];
}

/** The sums over some of the common columns alone: those left out have no effect. */
export function restrictSums(sums: Sums, kept: readonly number[], p: number): Sums {
  const positions = [...kept, p];
  const restrict = ({ value, matrix }: Part): Part => {
    const part = new Float64Array(packedLength(positions.length));
    positions.forEach((i, a) =>
      positions.slice(0, a + 1).forEach((j, b) => (part[packedIndex(a, b)] = matrix[packedIndex(i, j)]!)),
    );
    return { value, matrix: part };
  };
  return { ...sums, at: restrict(sums.at), first: sums.first.map(restrict) };
}

/** The sums with y − βₐxₐ in y's place and without column a. */
export function holdCoefficient(sums: Sums, a: number, beta: number, p: number): Sums {
  const hold = ({ value, matrix }: Part): Part => {
    const held = matrix.slice();
    for (let j = 0; j < p; j++) held[packedIndex(p, j)]! -= beta * matrix[packedIndex(a, j)]!;
    held[packedIndex(p, p)]! -= beta * (matrix[packedIndex(p, a)]! + held[packedIndex(p, a)]!);
    return { value, matrix: held };
  };
  const others = Array.from({ length: p }, (_, j) => j).filter((j) => j !== a);
  return restrictSums({ ...sums, at: hold(sums.at), first: sums.first.map(hold) }, others, p);
}

/**
 * ℓ(θ, βₐ) (maximum likelihood), the other coefficients profiled out: βₐ is its last parameter. With o the others, M their
 * covariance, w = MS_oa and u = (−β̂_o, −βₐ, 1): ∂ℓ/∂βₐ = (Su)ₐ, ∂²ℓ/∂βₐ² = −(S_aa − S_ao w), ∂²ℓ/∂βₐ∂θ = (dS u)ₐ − w'(dS u)_o.
 */
export function profileEvaluation(
  theta: Float64Array,
  sums: Sums,
  a: number,
  beta: number,
  p: number,
): Evaluation | null {
  const at = criterion(theta, holdCoefficient(sums, a, beta, p), false, 0);
  if (at === null) return null;
  const k = theta.length;
  const others = Array.from({ length: p }, (_, j) => j).filter((j) => j !== a);
  const u = new Float64Array(p + 1).fill(1);
  u[a] = -beta;
  others.forEach((j, b) => (u[j] = -at.means.beta[b]!));
  const cross = Float64Array.from(others, (j) => sums.at.matrix[packedIndex(a, j)]!);
  const w = multiplyPacked(at.means.covariance, cross);
  const hessian = new Float64Array(packedLength(k + 1));
  hessian.set(at.hessian);
  sums.first.forEach(({ matrix }, c) => {
    const change = multiplyPacked(matrix, u);
    hessian[packedIndex(k, c)] = change[a]! - others.reduce((sum, j, b) => sum + w[b]! * change[j]!, 0);
  });
  hessian[packedIndex(k, k)] = dot(cross, w) - sums.at.matrix[packedIndex(a, a)]!;
  const gradient = Float64Array.of(...at.gradient, multiplyPacked(sums.at.matrix, u)[a]!);
  return { value: at.value, gradient, hessian };
}

/** Null where A is singular, or nothing is left of y. */
export function meansOf(matrix: Float64Array, q: number): Means | null {
  const factor = factorOf(matrix.subarray(0, packedLength(q)));
  if (factor === null) return null;
  const b = rowOf(matrix, q);
  const beta = solveCholesky(factor, b);
  const squares = matrix[packedIndex(q, q)]! - dot(b, beta);
  if (!(squares > 0)) return null;
  return {
    beta,
    covariance: inverseFromCholesky(factor),
    squares,
    logDeterminant: logDetFromCholesky(factor),
  };
}

/**
 * ℓ(θ) = −½{(N − r) log 2π + λ + c − b'β̂ [+ log|A| + `scaleDeterminant`]}, in brackets with r the rank of all columns what
 * is restricted likelihood (else r = 0); as nlme's gls and lme. With u = (−β̂, 1), M = A⁻¹, v_a = (dS_a u) over the columns,
 *
 *   −2 dℓ_a = dλ_a + u'dS_a u [+ tr(M dA_a)],
 *   −2 d²ℓ_ab = h_ab − 2 v_a'M v_b [− tr(M dA_a M dA_b)],   h_ab = d²λ + u'd²S u [+ tr(M d²A)]
 *
 * (Wolfinger, Tobias & Sall, SIAM J Sci Comput 1994;15:1294). Here h is of the N that the question named, a prediction
 * of uu' [+ M]: what it is off by falls with the square of the step, and the gradient is exact.
 */
export function criterion(
  theta: Float64Array,
  sums: Sums,
  restricted: boolean,
  scaleDeterminant: number,
): Criterion | null {
  const q = packedOrder(sums.at.matrix) - 1;
  const means = meansOf(sums.at.matrix, q);
  if (means === null) return null;
  const k = theta.length;
  const { beta, covariance } = means;
  const rank = restricted ? sums.own + q : 0;
  const determinant = restricted ? means.logDeterminant + scaleDeterminant : 0;
  const value =
    -((sums.rows - rank) * Math.log(2 * Math.PI) + sums.at.value + means.squares + determinant) / 2;

  const u = contrast(beta);
  const gradient = new Float64Array(k);
  const hessian = new Float64Array(packedLength(k));
  const changes = sums.first.map(({ matrix }) => multiplyPacked(matrix, u));
  const covarianceSlopes = sums.first.map(({ matrix }) =>
    sandwich(covariance, matrix.subarray(0, covariance.length), q),
  );
  const betaSlopes = changes.map((change) => multiplyPacked(covariance, change.subarray(0, q)));
  sums.first.forEach(({ value: slope, matrix }, a) => {
    const own = matrix.subarray(0, covariance.length);
    gradient[a] = -(slope + dot(u, changes[a]!) + (restricted ? traceProduct(covariance, own) : 0)) / 2;
    for (let b = 0; b <= a; b++) {
      const at = packedIndex(a, b);
      const other = sums.first[b]!.matrix.subarray(0, covariance.length);
      const second = sums.second[at]! - 2 * dot(changes[a]!.subarray(0, q), betaSlopes[b]!);
      // ∂M = −M dA M, so that tr(M dA_a M dA_b) = −tr(∂M_a dA_b).
      hessian[at] = -(second + (restricted ? traceProduct(covarianceSlopes[a]!, other) : 0)) / 2;
    }
  });
  return { theta, value, gradient, hessian, means, sums, covarianceSlopes };
}

/** β̂ and A⁻¹ at another θ, from (A, b, c) to first order; as they are where that is no positive definite A. */
export function predictMeans({ theta, sums, means }: Criterion, at: Float64Array): Means {
  const matrix = sums.at.matrix.slice();
  sums.first.forEach(({ matrix: slope }, a) => {
    const step = at[a]! - theta[a]!;
    for (let e = 0; e < matrix.length; e++) matrix[e]! += step * slope[e]!;
  });
  return meansOf(matrix, means.beta.length) ?? means;
}

/** N = uu' [+ A⁻¹] over (all p common columns, y), of means over the `kept` ones. */
export function weightsOf(
  { beta, covariance }: Pick<Means, 'beta' | 'covariance'>,
  kept: readonly number[],
  p: number,
  restricted: boolean,
): Float64Array {
  const n = new Float64Array(packedLength(p + 1));
  const u = contrast(beta);
  const positions = [...kept, p];
  positions.forEach((i, a) =>
    positions.slice(0, a + 1).forEach((j, b) => {
      n[packedIndex(i, j)] =
        u[a]! * u[b]! + (restricted && a < kept.length ? covariance[packedIndex(a, b)]! : 0);
    }),
  );
  return n;
}

/** (−β, 1). */
export function contrast(beta: Float64Array): Float64Array {
  const u = new Float64Array(beta.length + 1).fill(1);
  beta.forEach((value, j) => (u[j] = -value));
  return u;
}

/** x'Ax for a packed A. */
export function quadratic(a: Float64Array, x: Float64Array): number {
  return dot(x, multiplyPacked(a, x));
}

function rowOf(packed: Float64Array, row: number): Float64Array {
  return packed.slice(packedIndex(row, 0), packedIndex(row, row));
}

/** −MAM, packed. */
function sandwich(m: Float64Array, a: Float64Array, q: number): Float64Array {
  const out = new Float64Array(m.length);
  const unit = new Float64Array(q);
  for (let i = 0; i < q; i++) {
    unit.fill(0);
    unit[i] = 1;
    const row = multiplyPacked(m, multiplyPacked(a, multiplyPacked(m, unit)));
    for (let j = 0; j <= i; j++) out[packedIndex(i, j)] = -row[j]!;
  }
  return out;
}

/** tr(AB) of packed symmetric matrices. */
function traceProduct(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0, at = 0; at < a.length; i++) {
    for (let j = 0; j < i; j++, at++) sum += 2 * a[at]! * b[at]!;
    sum += a[at]! * b[at]!;
    at++;
  }
  return sum;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
