import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { ConcordatError } from '../errors.ts';

/**
 * Small symmetric matrices as packed lower triangles: element (i, j), i ≥ j, of a p × p matrix is at
 * i(i+1)/2 + j of an array of length p(p+1)/2. A Cholesky factor L (A = LL') is packed the same way.
 */

/** A pivot below this share of its own diagonal element is rounding noise: the matrix is singular. */
const PIVOT_TOLERANCE = 1e-14;

/** Length of the packed triangle of a p × p matrix. */
export function packedLength(p: number): number {
  return (p * (p + 1)) / 2;
}

/** Position of element (i, j), in any order, in the packed triangle. */
export function packedIndex(i: number, j: number): number {
  return i >= j ? (i * (i + 1)) / 2 + j : (j * (j + 1)) / 2 + i;
}

/** Order p of the matrix whose packed triangle has this length; refuses a length that is no triangle's. */
export function packedOrder(packed: { readonly length: number }): number {
  const p = Math.floor((Math.sqrt(8 * packed.length + 1) - 1) / 2);
  if (packedLength(p) !== packed.length) {
    throw new ConcordatError(
      'numerics/invalid-input',
      `${packed.length} is not the length of a packed triangle`,
    );
  }
  return p;
}

/**
 * Cholesky factor L of a symmetric positive definite A = LL', both packed. A pivot that is not above
 * 1e-14 of its diagonal element (or is NaN) throws `numerics/not-positive-definite`, its column as the
 * place: nothing is clamped. The test is relative, so rescaling rows and columns does not change it.
 */
export function cholesky(a: Float64Array): Float64Array {
  const p = packedOrder(a);
  const l = new Float64Array(a.length);
  for (let i = 0; i < p; i++) {
    const row = (i * (i + 1)) / 2;
    for (let j = 0; j <= i; j++) {
      const other = (j * (j + 1)) / 2;
      let sum = a[row + j]!;
      for (let k = 0; k < j; k++) sum -= l[row + k]! * l[other + k]!;
      if (j < i) {
        l[row + j] = sum / l[other + j]!;
      } else {
        const diagonal = a[row + i]!;
        if (!(sum > PIVOT_TOLERANCE * diagonal) || !(diagonal > 0) || sum === Infinity) {
          throw new ConcordatError('numerics/not-positive-definite', 'the matrix is not positive definite', {
            place: `column ${i}`,
            remedy: 'remove the column that the columns before it determine',
          });
        }
        l[row + i] = Math.sqrt(sum);
      }
    }
  }
  return l;
}

/** The Cholesky factor, or null where the matrix is not positive definite. */
export function factorOf(packed: Float64Array): Float64Array | null {
  try {
    return cholesky(packed);
  } catch (error) {
    if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
    throw error;
  }
}

/** Solves LL'x = b. Returns a new vector of length p. */
export function solveCholesky(l: Float64Array, b: Float64Array): Float64Array {
  const p = b.length;
  const x = Float64Array.from(b);
  for (let i = 0; i < p; i++) {
    const row = (i * (i + 1)) / 2;
    let sum = x[i]!;
    for (let k = 0; k < i; k++) sum -= l[row + k]! * x[k]!;
    x[i] = sum / l[row + i]!;
  }
  for (let i = p - 1; i >= 0; i--) {
    let sum = x[i]!;
    for (let k = i + 1; k < p; k++) sum -= l[(k * (k + 1)) / 2 + i]! * x[k]!;
    x[i] = sum / l[(i * (i + 1)) / 2 + i]!;
  }
  return x;
}

/** (LL')⁻¹, packed, as M'M with M = L⁻¹. */
export function inverseFromCholesky(l: Float64Array): Float64Array {
  const p = packedOrder(l);
  const m = new Float64Array(l.length);
  for (let j = 0; j < p; j++) {
    for (let i = j; i < p; i++) {
      const row = (i * (i + 1)) / 2;
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= l[row + k]! * m[(k * (k + 1)) / 2 + j]!;
      m[row + j] = sum / l[row + i]!;
    }
  }
  const inverse = new Float64Array(l.length);
  for (let i = 0; i < p; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < p; k++) sum += m[(k * (k + 1)) / 2 + i]! * m[(k * (k + 1)) / 2 + j]!;
      inverse[(i * (i + 1)) / 2 + j] = sum;
    }
  }
  return inverse;
}

/** log det(LL'). */
export function logDetFromCholesky(l: Float64Array): number {
  const p = packedOrder(l);
  let sum = 0;
  for (let i = 0; i < p; i++) sum += Math.log(l[packedIndex(i, i)]!);
  return 2 * sum;
}

/** Ax for a packed symmetric A. Returns a new vector of length p. */
export function multiplyPacked(a: Float64Array, x: Float64Array): Float64Array {
  const p = x.length;
  const y = new Float64Array(p);
  let at = 0;
  for (let i = 0; i < p; i++) {
    for (let j = 0; j < i; j++, at++) {
      y[i]! += a[at]! * x[j]!;
      y[j]! += a[at]! * x[i]!;
    }
    y[i]! += a[at++]! * x[i]!;
  }
  return y;
}

/** The full symmetric matrix as rows. */
export function toRows(packed: Float64Array): number[][] {
  const p = packedOrder(packed);
  return Array.from({ length: p }, (_, i) => Array.from({ length: p }, (_, j) => packed[packedIndex(i, j)]!));
}

/** Packs the lower triangle of a square matrix given as rows; what is above the diagonal is not read. */
export function fromRows(rows: readonly (readonly number[])[]): Float64Array {
  const packed = new Float64Array(packedLength(rows.length));
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) packed[packedIndex(i, j)] = rows[i]![j]!;
  }
  return packed;
}

/** Eigenvalues, ascending. */
export function symmetricEigenvalues(packed: Float64Array): Float64Array {
  const decomposition = new EigenvalueDecomposition(new Matrix(toRows(packed)), { assumeSymmetric: true });
  return Float64Array.from(decomposition.realEigenvalues).sort();
}

/** Eigenvalues, ascending, and their eigenvectors: orthonormal, each with its largest component positive. */
export function symmetricEigen(packed: Float64Array): {
  readonly values: Float64Array;
  readonly vectors: readonly Float64Array[];
} {
  const decomposition = new EigenvalueDecomposition(new Matrix(toRows(packed)), { assumeSymmetric: true });
  const values = decomposition.realEigenvalues;
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const vectors = order.map((k) => {
    const vector = Float64Array.from(decomposition.eigenvectorMatrix.getColumn(k));
    const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    return largest < 0 ? vector.map((value) => -value) : vector;
  });
  return { values: Float64Array.from(order, (k) => values[k]!), vectors };
}

/**
 * Rank of a Gram matrix A = X'X and the columns of X that the columns before them determine, in the order of
 * R's lm and glm: earlier columns are kept, later ones dropped. Column j is dependent when what is left of it
 * after projection on the kept columns has a squared length of at most `tolerance` × a_jj, or × reference[j].
 */
export function pivotedRank(
  a: Float64Array,
  tolerance: number,
  reference?: Float64Array,
): { readonly rank: number; readonly dependent: readonly number[] } {
  const p = packedOrder(a);
  const rest = Float64Array.from(a);
  const dependent: number[] = [];
  for (let j = 0; j < p; j++) {
    const pivot = rest[packedIndex(j, j)]!;
    if (!(pivot > tolerance * (reference?.[j] ?? a[packedIndex(j, j)]!))) {
      dependent.push(j);
      continue;
    }
    // Sweep column j out of the columns after it.
    for (let i = j + 1; i < p; i++) {
      const factor = rest[packedIndex(i, j)]! / pivot;
      for (let k = j + 1; k <= i; k++) rest[packedIndex(i, k)]! -= factor * rest[packedIndex(k, j)]!;
    }
  }
  return { rank: p - dependent.length, dependent };
}
