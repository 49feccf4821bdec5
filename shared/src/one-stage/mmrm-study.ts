import {
  factorOf,
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import { dot, multiply, subtract, traceOf, traceProduct, unpack } from './gaussian-matrices.ts';
import type { CovarianceStructure } from './mmrm-covariance.ts';
import type { Patterns } from './mmrm-patterns.ts';
import {
  addSecondDerivatives,
  changeOfLogDeterminant,
  changeOfWeights,
  seenVisits,
  tracesOf,
  weightedSum,
} from './mmrm-visits.ts';

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
 * One study's sums at θ. With W = V⁻¹, G = Σⱼ (X, y)ⱼ'Wⱼ(X, y)ⱼ over (own columns s, common columns c, y), B = G_ss⁻¹G_s· and
 * P = (−B; I): S = P'GP, the Schur complement, in which the own columns are eliminated, and λ = Σⱼ log|Vⱼ|, restricted:
 * + log|G_ss|. Their exact first derivatives, by those of W (mmrm-visits.ts),
 *
 *   dS = P'dG P,  dλ = Σ d log|V| + tr(G_ss⁻¹dG_ss),
 *
 * and of the second ones, with R = dG P over s, only the scalar h = d²λ + tr(N d²S) for the symmetric N (packed over
 * (c, y)) that the question names:
 *
 *   d²S_ab = P'd²G_ab P − R_a'G_ss⁻¹R_b − R_b'G_ss⁻¹R_a,
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
  const { own, common, visits: t } = data;
  const k = structure.parameters;
  const m = common + 1;
  const size = own + m;
  const s = packedLength(m);
  const answer = new Float64Array(answerLength(common, k));
  answer[0] = data.rows;
  answer[1] = own;
  const root = structure.at(theta);
  const seen = root === null ? [] : data.patterns.map((pattern) => seenVisits(pattern, root, t));
  const g = weightedSum(size, seen, ({ w }) => w);
  const factor = factorOf(g.subarray(0, packedLength(own)));
  if (root === null || factor === null) {
    answer[2] = OUTSIDE;
    return answer;
  }

  const { rest, regression } = eliminate(g, factor, own, size);
  const ownInverse = unpack(inverseFromCholesky(factor), own);
  answer[2] = restricted ? logDetFromCholesky(factor) + data.ownScale : 0;
  for (const { pattern, logDeterminant } of seen) answer[2] += pattern.participants * logDeterminant;
  answer.set(rest, 3);

  const residuals: Float64Array[] = [];
  const ratios: Float64Array[] = [];
  root.first.forEach((d, a) => {
    const dg = weightedSum(size, seen, (one) => changeOfWeights(one, d, t));
    const dss = unpack(dg.subarray(0, packedLength(own)), own);
    const ratio = multiply(ownInverse, dss, own, own, own);
    let slope = restricted ? traceOf(ratio, own) : 0;
    for (const one of seen) slope += one.pattern.participants * changeOfLogDeterminant(one, d, t);
    const residual = block(dg, own, size);
    subtract(residual, multiply(dss, regression, own, own, m));
    const from = 2 + (1 + a) * (1 + s);
    answer[from] = slope;
    answer.set(project(dg, residual, regression, own, size), from + 1);
    residuals.push(residual);
    ratios.push(ratio);
  });

  const n = unpack(weights, m);
  const spread = spreadWeights(n, regression, restricted ? ownInverse : null, own, m);
  const second = answer.subarray(2 + (k + 1) * (1 + s));
  const linear = new Float64Array(t * t);
  for (const one of seen) addSecondDerivatives(one, tracesOf(one, spread), root.first, t, second, linear);
  for (let a = 0, at = 0; a < k; a++) {
    const weighted = multiply(multiply(ownInverse, residuals[a]!, own, own, m), n, own, m, m);
    for (let b = 0; b <= a; b++, at++) {
      second[at]! -= 2 * dot(weighted, residuals[b]!);
      if (restricted) second[at]! -= traceProduct(ratios[a]!, ratios[b]!, own);
      if (root.second !== null) second[at]! += traceProduct(linear, root.second[at]!, t);
    }
  }
  return answer;
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
    const solved = solveCholesky(
      factor,
      Float64Array.from({ length: own }, (_, a) => cross[a * m + c]!),
    );
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
