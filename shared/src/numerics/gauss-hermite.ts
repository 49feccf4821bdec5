import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength, symmetricEigenvalues } from '../linalg/symmetric.ts';

export interface Rule {
  /** Ascending, symmetric about 0. */
  readonly nodes: Float64Array;
  readonly weights: Float64Array;
}

const LARGEST = 100;
const POLISHING = 3;

/**
 * Gauss–Hermite rule of n points: ∫ f(x) exp(−x²) dx ≈ Σ wᵢf(xᵢ), exact for polynomials of degree 2n − 1.
 *
 * Nodes are the eigenvalues of the Jacobi matrix of the orthonormal polynomials hₖ (Golub & Welsch 1969, Math Comp
 * 23:221), polished by Newton's method, h′ₙ = √(2n) hₙ₋₁; weights are 1/Σ_{k<n} hₖ(xᵢ)², which is flat at the nodes.
 * Throws `numerics/invalid-input` unless 1 ≤ n ≤ 100.
 */
export function gaussHermite(n: number): Rule {
  if (!Number.isInteger(n) || n < 1 || n > LARGEST)
    throw new ConcordatError(
      'numerics/invalid-input',
      `a quadrature rule has 1 to ${LARGEST} points, not ${n}`,
    );
  const jacobi = new Float64Array(packedLength(n));
  for (let k = 1; k < n; k++) jacobi[packedIndex(k, k - 1)] = Math.sqrt(k / 2);
  const nodes = symmetricEigenvalues(jacobi).map((node) => {
    let x = node;
    for (let i = 0; i < POLISHING; i++) {
      const { last, before } = polynomials(n, x);
      x -= last / (Math.sqrt(2 * n) * before);
    }
    return x;
  });
  for (let i = 0; 2 * i < n; i++) {
    const half = (nodes[n - 1 - i]! - nodes[i]!) / 2;
    nodes[i] = -half;
    nodes[n - 1 - i] = half;
  }
  return { nodes, weights: nodes.map((x) => 1 / polynomials(n, x).squares) };
}

/** hₙ(x), hₙ₋₁(x) and Σ_{k<n} hₖ(x)². */
function polynomials(n: number, x: number): { last: number; before: number; squares: number } {
  let [before, last, squares] = [0, Math.PI ** -0.25, 0];
  for (let k = 0; k < n; k++) {
    squares += last * last;
    [before, last] = [last, Math.sqrt(2 / (k + 1)) * x * last - Math.sqrt(k / (k + 1)) * before];
  }
  return { last, before, squares };
}
