import { packedIndex, packedOrder } from '@concordat/shared/linalg/symmetric.ts';

const ITERATIONS = 500;
const TOLERANCE = 1e-10;

export interface Floating {
  /** λ, one an estimate. */
  readonly variances: readonly number[];
  /** Largest |√(λᵢ + λⱼ) / SE(θᵢ − θⱼ) − 1|. */
  readonly error: number;
}

/**
 * Floating variances λ of K estimates θ with covariance V (packed): as if the estimates were independent, λᵢ + λⱼ ≈
 * Var(θᵢ − θⱼ), so that any two intervals can be compared (Easton, Peto & Babiker 1991, Stat Med 10:1025). For K ≥ 3 the
 * fixed point λᵢ = Var(θᵢ − θ̄) + 1/S of Plummer (2004, Stat Med 23:93), θ̄ = Σ wⱼθⱼ/S, wⱼ = 1/λⱼ, S = Σ wⱼ; exact for
 * K = 3. For K = 2, where only the sum is determined, what the two share is taken off each: λᵢ = Vᵢᵢ − V₁₂. Null: no
 * positive solution.
 */
export function floatingVariances(packed: Float64Array): Floating | null {
  const k = packedOrder(packed);
  const at = (i: number, j: number): number => packed[packedIndex(i, j)]!;
  const difference = (i: number, j: number): number => at(i, i) + at(j, j) - 2 * at(i, j);
  if (k < 2 || !packed.every(Number.isFinite)) return null;
  const variances = k === 2 ? [at(0, 0) - at(0, 1), at(1, 1) - at(0, 1)] : iterate(k, difference);
  if (variances === null || !variances.every((value) => value > 0 && Number.isFinite(value))) return null;
  let error = 0;
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < i; j++) {
      error = Math.max(error, Math.abs(Math.sqrt((variances[i]! + variances[j]!) / difference(i, j)) - 1));
    }
  }
  return Number.isFinite(error) ? { variances, error } : null;
}

/** With D the variances of differences: Var(θᵢ − θ̄) = Σⱼ wⱼDᵢⱼ/S − ½ Σⱼₗ wⱼwₗDⱼₗ/S². */
function iterate(k: number, difference: (i: number, j: number) => number): number[] | null {
  const indices = Array.from({ length: k }, (_, i) => i);
  const sum = (f: (i: number) => number): number => indices.reduce((total, i) => total + f(i), 0);
  const own = indices.map((i) => sum((j) => difference(i, j)));
  const all = own.reduce((total, value) => total + value, 0);
  // Easton: least squares of λᵢ + λⱼ on D.
  let variances = own.map((value) => (value - all / (2 * (k - 1))) / (k - 2));
  if (!variances.every((value) => value > 0)) variances = own.map((value) => value / (2 * (k - 1)));
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const weights = variances.map((value) => 1 / value);
    const total = weights.reduce((s, value) => s + value, 0);
    const distance = indices.map((i) => sum((j) => (weights[j]! / total) * difference(i, j)));
    const spread = sum((i) => (weights[i]! / total) * distance[i]!) / 2;
    const next = distance.map((value) => value - spread + 1 / total);
    if (!next.every((value) => value > 0)) return null;
    const change = Math.max(...next.map((value, i) => Math.abs(value / variances[i]! - 1)));
    variances = next;
    if (change < TOLERANCE) return variances;
  }
  return null;
}
