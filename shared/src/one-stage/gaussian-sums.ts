import { packedIndex, packedLength, pivotedRank } from '../linalg/symmetric.ts';
import { multiply } from './gaussian-matrices.ts';
import type { Objective, StudyData } from '../models/types.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { OneStageSpec } from './types.ts';

/**
 * What the gaussian one-stage model needs of a study. Notation, for a study of n rows: X, its P columns, standardised;
 * r = y − Xθ₀, the outcome about a point θ₀; X⁺ = [X r], of m = P + 1 columns; Z = XD, the q ≤ 2 columns of the random
 * effects; T = Z'Z, B = Z'X⁺. Matrices are full and by rows.
 *
 * X⁺ is split into what Z explains and what is left: X⁺'X⁺ = Γ'B + E, Γ = T⁻B. Where the variances change, only the
 * first part does, so that no digits are lost however large a random effect's variance is.
 */
export interface StudySums {
  readonly n: number;
  /** T, and its Moore–Penrose inverse; q × q. */
  readonly t: Float64Array;
  readonly tInverse: Float64Array;
  readonly rank: number;
  /** B and Γ; q × m. */
  readonly b: Float64Array;
  readonly gamma: Float64Array;
  /** E; m × m. */
  readonly rest: Float64Array;
  /** Positions of the study's own coefficients, those that it can estimate. */
  readonly own: readonly number[];
}

export interface Sums {
  readonly studies: readonly StudySums[];
  /** P. */
  readonly columns: number;
  /** q. */
  readonly effects: number;
  /** Positions of the common coefficients. */
  readonly common: readonly number[];
  /** Rows, and coefficients, the studies' own included. */
  readonly n: number;
  readonly p: number;
}

/** One study's answer, unpacked. */
export interface StudyAnswer {
  readonly n: number;
  /** X⁺'X⁺, packed, m(m+1)/2. */
  readonly products: Float64Array;
  /** Where the study has its own intercept: its value in θ₀. */
  readonly origin: number | null;
  /** Means of the treatment's columns before they were centred within the study; empty where they are not. */
  readonly treatmentMeans: Float64Array;
}

/** Squared length, of 1, of what the columns before it leave of a column: below it, the column is aliased. */
export const ALIASED = 1e-11;

const ownIntercept = (spec: OneStageSpec): boolean =>
  spec.intercept >= 0 && spec.stratified.includes(spec.intercept);

/**
 * Length of an answer: ℓ, U and H of the linear model at θ₀ and residual variance 1; n; θ₀'s intercept where it is the
 * study's own; the treatment's means where it is centred.
 */
export function answerLength(spec: OneStageSpec): number {
  const p = spec.columns;
  return (
    2 +
    p +
    packedLength(p) +
    (ownIntercept(spec) ? 1 : 0) +
    (spec.centredTreatment ? spec.treatment.length : 0)
  );
}

/**
 * A study's answer at θ. Its own intercept is first moved to its best value there, so that sums of squares are about the
 * study's own level, and rounding in them is relative to the spread within it.
 */
export function writeAnswer(
  spec: OneStageSpec,
  data: StudyData,
  objective: Objective,
  theta: Float64Array,
): Float64Array {
  const p = spec.columns;
  const out = emptyEvaluation(p);
  const at = theta.slice(0, p);
  const own = ownIntercept(spec);
  if (own && data.n > 0) {
    objective.evaluate(at, 1, out);
    at[spec.intercept]! += out.gradient[spec.intercept]! / data.n;
  }
  objective.evaluate(at, 2, out);
  return Float64Array.from([
    out.value,
    ...out.gradient,
    ...out.hessian,
    data.n,
    ...(own ? [at[spec.intercept]!] : []),
    ...(spec.centredTreatment ? spec.treatment.map((_, k) => data.treatmentMeans?.[k] ?? 0) : []),
  ]);
}

/** An empty answer is that of a study without participants. */
export function readAnswer(spec: OneStageSpec, received: Float64Array): StudyAnswer {
  const answer = received.length === 0 ? new Float64Array(answerLength(spec)) : received;
  const p = spec.columns;
  const products = new Float64Array(packedLength(p + 1));
  const hessian = 1 + p;
  const n = hessian + packedLength(p);
  for (let k = hessian; k < n; k++) products[k - hessian] = -answer[k]!;
  for (let j = 0; j < p; j++) products[packedIndex(p, j)] = answer[1 + j]!;
  products[packedIndex(p, p)] = -2 * answer[0]!;
  const own = ownIntercept(spec);
  return {
    n: answer[n]!,
    products,
    origin: own ? answer[n + 1]! : null,
    treatmentMeans: answer.slice(n + (own ? 2 : 1)),
  };
}

/** The studies' sums; one without participants has no coefficients and adds nothing. */
export function sumsOf(spec: OneStageSpec, answers: readonly StudyAnswer[]): Sums {
  const directions = spec.random.map(({ direction }) => direction);
  const studies = answers.map((answer) => studySums(answer, spec, directions));
  const common = Array.from({ length: spec.columns }, (_, j) => j).filter(
    (j) => !spec.stratified.includes(j),
  );
  return {
    studies,
    columns: spec.columns,
    effects: directions.length,
    common,
    n: studies.reduce((sum, { n }) => sum + n, 0),
    p: common.length + studies.reduce((sum, { own }) => sum + own.length, 0),
  };
}

function studySums(
  { n, products }: StudyAnswer,
  spec: OneStageSpec,
  directions: readonly Float64Array[],
): StudySums {
  const m = spec.columns + 1;
  const q = directions.length;
  const b = new Float64Array(q * m);
  directions.forEach((direction, a) => {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = 0; k < m - 1; k++)
        if (direction[k] !== 0) sum += direction[k]! * products[packedIndex(k, j)]!;
      b[a * m + j] = sum;
    }
  });
  const t = new Float64Array(q * q);
  for (let a = 0; a < q; a++) {
    for (let c = 0; c < q; c++) {
      let sum = 0;
      for (let k = 0; k < m - 1; k++) sum += directions[c]![k]! * b[a * m + k]!;
      t[a * q + c] = sum;
    }
  }
  const { inverse, rank } = pseudoInverse(t, q);
  const gamma = multiply(inverse, b, q, q, m);
  const rest = new Float64Array(m * m);
  // Of a column of Z nothing is left, exactly.
  const inZ = (j: number) =>
    directions.some((direction) => direction.every((d, k) => (k === j) === (d !== 0)));
  for (let i = 0; i < m; i++) {
    if (inZ(i)) continue;
    for (let j = 0; j <= i; j++) {
      if (inZ(j)) continue;
      let value = products[packedIndex(i, j)]!;
      for (let a = 0; a < q; a++) value -= gamma[a * m + i]! * b[a * m + j]!;
      rest[i * m + j] = value;
      rest[j * m + i] = value;
    }
  }
  const block = subset(products, spec.stratified);
  const { dependent } = pivotedRank(block, ALIASED);
  const own = spec.stratified.filter((_, k) => !dependent.includes(k));
  return { n, t, tInverse: inverse, rank, b, gamma, rest, own };
}

/** X'X of some of the columns, packed. */
export function subset(products: Float64Array, positions: readonly number[]): Float64Array {
  const block = new Float64Array(packedLength(positions.length));
  for (let i = 0; i < positions.length; i++) {
    for (let j = 0; j <= i; j++)
      block[packedIndex(i, j)] = products[packedIndex(positions[i]!, positions[j]!)]!;
  }
  return block;
}

/** Of a positive semi-definite matrix of order at most 2. */
function pseudoInverse(t: Float64Array, q: number): { inverse: Float64Array; rank: number } {
  const inverse = new Float64Array(q * q);
  if (q === 0) return { inverse, rank: 0 };
  if (q === 1) {
    const rank = t[0]! > 0 ? 1 : 0;
    if (rank === 1) inverse[0] = 1 / t[0]!;
    return { inverse, rank };
  }
  const determinant = t[0]! * t[3]! - t[1]! * t[2]!;
  const trace = t[0]! + t[3]!;
  if (!(trace > 0)) return { inverse, rank: 0 };
  if (determinant > ALIASED * t[0]! * t[3]!) {
    inverse.set([t[3]! / determinant, -t[1]! / determinant, -t[2]! / determinant, t[0]! / determinant]);
    return { inverse, rank: 2 };
  }
  for (let k = 0; k < 4; k++) inverse[k] = t[k]! / trace ** 2;
  return { inverse, rank: 1 };
}

/** The outcome in units of `unit`. */
export function inUnits(sums: Sums, unit: number): Sums {
  const m = sums.columns + 1;
  const r = m - 1;
  const studies = sums.studies.map((study) => {
    const scaled = { ...study, b: study.b.slice(), gamma: study.gamma.slice(), rest: study.rest.slice() };
    for (let a = 0; a < sums.effects; a++) {
      scaled.b[a * m + r]! /= unit;
      scaled.gamma[a * m + r]! /= unit;
    }
    for (let j = 0; j < m; j++) {
      scaled.rest[j * m + r]! /= unit;
      scaled.rest[r * m + j]! /= unit;
    }
    return scaled;
  });
  return { ...sums, studies };
}

/**
 * The model in which the common coefficient at a position, less its θ₀, is `value` (outcome in its own units): the column
 * leaves the model, r becomes r − value·x.
 */
export function constrained(sums: Sums, fixed: number, value: number): Sums {
  const m = sums.columns + 1;
  const r = m - 1;
  const shifted = (matrix: Float64Array): Float64Array => {
    const out = matrix.slice();
    for (let row = 0; row < out.length; row += m) out[row + r]! -= value * matrix[row + fixed]!;
    return out;
  };
  return {
    ...sums,
    common: sums.common.filter((j) => j !== fixed),
    p: sums.p - 1,
    studies: sums.studies.map((study) => {
      const half = shifted(study.rest);
      const rest = half.slice();
      for (let j = 0; j < m; j++) rest[r * m + j]! -= value * half[fixed * m + j]!;
      return { ...study, b: shifted(study.b), gamma: shifted(study.gamma), rest };
    }),
  };
}
