import {
  cholesky,
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import { factorOf, lowerOf, square, type Covariance, type CovarianceStructure } from './mmrm-covariance.ts';
import type { Pattern, Patterns } from './mmrm-patterns.ts';

/** What a site says where its own columns cannot be told apart at θ: finite, so that it can be summed. */
const OUTSIDE = 1e15;

/** Numbers of an answer: p common columns, k covariance parameters. */
export function answerLength(p: number, k: number): number {
  const s = packedLength(p + 1);
  return 2 + (k + 1) * (1 + s) + packedLength(k);
}

/** The sum of the answers, read. */
export interface Sums {
  readonly rows: number;
  /** Own columns eliminated. */
  readonly own: number;
  /** `value` λ, `matrix` S and their derivatives by each θₐ. */
  readonly at: Part;
  readonly first: readonly Part[];
  /** Packed over θ. */
  readonly second: Float64Array;
}

export interface Part {
  readonly value: number;
  /** Packed over (common columns, y). */
  readonly matrix: Float64Array;
}

/** Null where a site could not answer at θ. */
export function readSums(values: Float64Array, p: number, k: number): Sums | null {
  if (values[2]! >= OUTSIDE / 2) return null;
  const s = packedLength(p + 1);
  const part = (a: number): Part => {
    const from = 2 + a * (1 + s);
    return { value: values[from]!, matrix: values.slice(from + 1, from + 1 + s) };
  };
  return {
    rows: values[0]!,
    own: values[1]!,
    at: part(0),
    first: Array.from({ length: k }, (_, a) => part(1 + a)),
    second: values.slice(2 + (k + 1) * (1 + s)),
  };
}

/**
 * One study's sums at θ. With W = V⁻¹, Gₓ = Σⱼ (X, y)ⱼ'Wⱼ(X, y)ⱼ over (own columns s, common columns c, y) and
 * P = (−G_ss⁻¹G_s·; I): S = P'GP, the Schur complement, in which the own columns are eliminated, and
 * λ = Σⱼ log|Vⱼ|, restricted: + log|G_ss|. Their exact first derivatives,
 *
 *   dS = P'dG P,  dλ = Σ tr(W dV) + tr(G_ss⁻¹dG_ss),  dW = −W dV W,
 *
 * and of the second ones, with R = (dG P) over s, only the scalar h = d²λ + tr(N d²S) for the symmetric N (packed over
 * (c, y)) that the question names:
 *
 *   d²S_ab = P'd²G_ab P − R_a'G_ss⁻¹R_b − R_b'G_ss⁻¹R_a,
 *   d²W_ab = W dV_a W dV_b W + W dV_b W dV_a W − W d²V_ab W,
 *   d²log|G_ss| = tr(G_ss⁻¹d²G_ss) − tr(G_ss⁻¹dG_ss,a G_ss⁻¹dG_ss,b).
 *
 * With N = uu' + (X'V⁻¹X)⁻¹, u = (−β̂, 1), h is all that the criterion's Hessian needs of them, in k(k+1)/2 numbers.
 * Returns rows, eliminated columns, (λ, S), (dλ, dS) by parameter, h: of length `answerLength`.
 */
export function studySums(
  data: Patterns,
  structure: CovarianceStructure,
  restricted: boolean,
  theta: Float64Array,
  weights: Float64Array,
): Float64Array {
  const { own, common } = data;
  const k = structure.parameters;
  const size = own + common + 1;
  const s = packedLength(common + 1);
  const answer = new Float64Array(answerLength(common, k));
  answer[0] = data.rows;
  answer[1] = own;
  const covariance = structure.at(theta);
  const inverted = covariance === null ? null : data.patterns.map((pattern) => invert(pattern, covariance, data.visits));
  const g = inverted === null ? null : gram(size, inverted, ({ w }) => w);
  const factor = g === null ? null : factorOf(g.subarray(0, packedLength(own)));
  if (covariance === null || inverted === null || g === null || factor === null) {
    answer[2] = OUTSIDE;
    return answer;
  }

  const { rest, regression } = eliminate(g, factor, own, size);
  const ownInverse = square(inverseFromCholesky(factor), own, true);
  let lambda = restricted ? logDetFromCholesky(factor) + data.ownScale : 0;
  for (const { pattern, logDeterminant } of inverted) lambda += pattern.participants * logDeterminant;
  answer[2] = lambda;
  answer.set(rest, 3);

  // R_a = dG_s· − dG_ss·K (own × (common + 1)), and G_ss⁻¹dG_ss.
  const residuals: Float64Array[] = [];
  const ratios: Float64Array[] = [];
  for (let a = 0; a < k; a++) {
    const dg = gram(size, inverted, ({ slopes }) => slopes[a]!);
    let slope = 0;
    for (const { pattern, ratios: d, order } of inverted) slope += pattern.participants * trace(d[a]!, order);
    const dss = square(dg.subarray(0, packedLength(own)), own, true);
    const ratio = multiply(ownInverse, dss, own, own, own);
    if (restricted) slope += trace(ratio, own);
    const r = block(dg, own, size);
    const fitted = multiply(dss, regression, own, own, common + 1);
    for (let i = 0; i < r.length; i++) r[i]! -= fitted[i]!;
    const from = 2 + (1 + a) * (1 + s);
    answer[from] = slope;
    answer.set(project(dg, r, regression, own, size), from + 1);
    residuals.push(r);
    ratios.push(ratio);
  }
  answer.set(secondSums(), 2 + (k + 1) * (1 + s));
  return answer;

  function secondSums(): Float64Array {
    const n = square(weights, common + 1, true);
    const m = common + 1;
    const spread = spreadWeights(n, regression, restricted ? ownInverse : null, own, m);
    // tr(d²V Z) takes Z = Σ (nW − WEW) over the patterns; the rest takes products of first derivatives.
    const z = new Float64Array(data.visits ** 2);
    const out = new Float64Array(packedLength(k));
    for (const { pattern, w, order, ratios: d, derivatives } of inverted!) {
      const e = new Float64Array(order * order);
      for (let i = 0, at = 0; i < order; i++) {
        for (let j = 0; j <= i; j++) {
          const value = dot(pattern.products[at++]!, spread) / (i === j ? 1 : 2);
          e[i * order + j] = value;
          e[j * order + i] = value;
        }
      }
      const wew = multiply(multiply(w, e, order, order, order), w, order, order, order);
      pattern.visits.forEach((u, i) =>
        pattern.visits.forEach(
          (v, j) => (z[u * data.visits + v]! += pattern.participants * w[i * order + j]! - wew[i * order + j]!),
        ),
      );
      derivatives.forEach((dv, a) => {
        const left = multiply(wew, dv, order, order, order);
        for (let i = 0; i < left.length; i++) left[i] = 2 * left[i]! - pattern.participants * d[a]![i]!;
        for (let b = 0; b <= a; b++) out[packedIndex(a, b)]! += traceProduct(left, d[b]!, order);
      });
    }
    for (let a = 0; a < k; a++) {
      const weighted = multiply(multiply(ownInverse, residuals[a]!, own, own, m), n, own, m, m);
      for (let b = 0; b <= a; b++) {
        const at = packedIndex(a, b);
        out[at]! += dot(covariance!.second[at]!, z) - 2 * dot(weighted, residuals[b]!);
        if (restricted) out[at]! -= traceProduct(ratios[a]!, ratios[b]!, own);
      }
    }
    return out;
  }
}

interface Inverted {
  readonly pattern: Pattern;
  readonly order: number;
  /** V⁻¹, and of each parameter dV, V⁻¹dV and d(V⁻¹); full, order × order. */
  readonly w: Float64Array;
  readonly derivatives: readonly Float64Array[];
  readonly ratios: readonly Float64Array[];
  readonly slopes: readonly Float64Array[];
  readonly logDeterminant: number;
}

function invert(pattern: Pattern, { sigma, first }: Covariance, visits: number): Inverted {
  const order = pattern.visits.length;
  const of = (matrix: Float64Array) => {
    const part = new Float64Array(order * order);
    pattern.visits.forEach((u, i) => pattern.visits.forEach((v, j) => (part[i * order + j] = matrix[u * visits + v]!)));
    return part;
  };
  // Positive definite as Σ is: what fewer visits leave of one's variance is more.
  const factor = cholesky(lowerOf(of(sigma), order));
  const w = square(inverseFromCholesky(factor), order, true);
  const derivatives = first.map(of);
  const ratios = derivatives.map((dv) => multiply(w, dv, order, order, order));
  const slopes = ratios.map((ratio) => multiply(ratio, w, order, order, order).map((value) => -value));
  return { pattern, order, w, derivatives, ratios, slopes, logDeterminant: logDetFromCholesky(factor) };
}

/** Σ over patterns and pairs of visits of a weight times the crossproducts. */
function gram(size: number, inverted: readonly Inverted[], weight: (of: Inverted) => Float64Array): Float64Array {
  const g = new Float64Array(packedLength(size));
  for (const one of inverted) {
    const { order, pattern } = one;
    const w = weight(one);
    for (let i = 0, at = 0; i < order; i++) {
      for (let j = 0; j <= i; j++) {
        const factor = w[i * order + j]!;
        const products = pattern.products[at++]!;
        if (factor !== 0) for (let e = 0; e < g.length; e++) g[e]! += factor * products[e]!;
      }
    }
  }
  return g;
}

/** S packed, and K = G_ss⁻¹G_s·, own × (common + 1). */
function eliminate(
  g: Float64Array,
  factor: Float64Array,
  own: number,
  size: number,
): { readonly rest: Float64Array; readonly regression: Float64Array } {
  const m = size - own;
  const cross = block(g, own, size);
  const regression = new Float64Array(own * m);
  for (let c = 0; c < m; c++) {
    const solved = solveCholesky(factor, Float64Array.from({ length: own }, (_, a) => cross[a * m + c]!));
    solved.forEach((value, a) => (regression[a * m + c] = value));
  }
  const rest = new Float64Array(packedLength(m));
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = g[packedIndex(own + i, own + j)]!;
      for (let a = 0; a < own; a++) sum -= cross[a * m + i]! * regression[a * m + j]!;
      rest[packedIndex(i, j)] = sum;
    }
  }
  return { rest, regression };
}

/** P'dG P = dG_·· − dG_·s K − K'R, packed. */
function project(
  dg: Float64Array,
  r: Float64Array,
  regression: Float64Array,
  own: number,
  size: number,
): Float64Array {
  const m = size - own;
  const out = new Float64Array(packedLength(m));
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = dg[packedIndex(own + i, own + j)]!;
      for (let a = 0; a < own; a++)
        sum -= dg[packedIndex(own + i, a)]! * regression[a * m + j]! + regression[a * m + i]! * r[a * m + j]!;
      out[packedIndex(i, j)] = sum;
    }
  }
  return out;
}

/** Rows of the own columns, columns of the others, of a packed matrix. */
function block(packed: Float64Array, own: number, size: number): Float64Array {
  const m = size - own;
  const out = new Float64Array(own * m);
  for (let a = 0; a < own; a++) for (let c = 0; c < m; c++) out[a * m + c] = packed[packedIndex(own + c, a)]!;
  return out;
}

/** P N P' + G_ss⁻¹ in the own columns' block (restricted), packed, off-diagonal entries doubled: a trace is a dot product. */
function spreadWeights(
  n: Float64Array,
  regression: Float64Array,
  ownInverse: Float64Array | null,
  own: number,
  m: number,
): Float64Array {
  const size = own + m;
  const p = new Float64Array(size * m);
  for (let i = 0; i < own * m; i++) p[i] = -regression[i]!;
  for (let c = 0; c < m; c++) p[(own + c) * m + c] = 1;
  const pn = multiply(p, n, size, m, m);
  const out = new Float64Array(packedLength(size));
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = ownInverse !== null && i < own ? ownInverse[i * own + j]! : 0;
      for (let c = 0; c < m; c++) sum += pn[i * m + c]! * p[j * m + c]!;
      out[packedIndex(i, j)] = i === j ? sum : 2 * sum;
    }
  }
  return out;
}

/** AB for A rows × inner and B inner × columns, row by row. */
function multiply(a: Float64Array, b: Float64Array, rows: number, inner: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let e = 0; e < inner; e++) {
      const factor = a[i * inner + e]!;
      if (factor !== 0) for (let j = 0; j < columns; j++) out[i * columns + j]! += factor * b[e * columns + j]!;
    }
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function trace(a: Float64Array, order: number): number {
  let sum = 0;
  for (let i = 0; i < order; i++) sum += a[i * order + i]!;
  return sum;
}

/** tr(AB). */
function traceProduct(a: Float64Array, b: Float64Array, order: number): number {
  let sum = 0;
  for (let i = 0; i < order; i++) for (let j = 0; j < order; j++) sum += a[i * order + j]! * b[j * order + i]!;
  return sum;
}
