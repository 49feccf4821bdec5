import {
  cholesky,
  inverseFromCholesky,
  packedIndex,
  packedLength,
  pivotedRank,
} from '../linalg/symmetric.ts';
import { unpack } from './gaussian-matrices.ts';
import { ALIASED, subset, sumsOf, type StudyAnswer, type StudySums } from './gaussian-sums.ts';
import type { OneStageFailureCode, OneStageSpec } from './types.ts';

/** Below this share of the sum of squares, a residual sum of squares is rounding. */
const ROUNDING = 1e-13;

interface Fault {
  readonly code: OneStageFailureCode;
  readonly terms: readonly string[];
}

/**
 * What makes the model impossible to fit, or null:
 * - `rank-deficient`: columns that others determine, or random effects that fewer than two studies tell of;
 * - `too-few-participants`: no more rows than coefficients, or than study effects; where residual variances are stratified,
 *   a study with no more rows than columns;
 * - `no-variation`: an outcome that the model fits exactly.
 */
export function faultOf(
  spec: OneStageSpec,
  answers: readonly StudyAnswer[],
  theta: Float64Array,
): Fault | null {
  const fault = (code: OneStageFailureCode, positions: readonly number[] = []): Fault => ({
    code,
    terms: positions.map((j) => spec.terms[j]!),
  });
  const sums = sumsOf(spec, answers);
  const r = spec.columns;
  const u = [...sums.common, r];
  const total = new Float64Array(packedLength(u.length));
  const reference = new Float64Array(u.length);
  answers.forEach(({ products }, i) => {
    const rest = swept(products, sums.studies[i]!.own, u);
    for (let k = 0; k < total.length; k++) total[k]! += rest[k]!;
    u.forEach((j, k) => (reference[k]! += products[packedIndex(j, j)]!));
  });
  const c = sums.common.length;
  const { dependent } = pivotedRank(total.slice(0, packedLength(c)), ALIASED, reference);
  if (dependent.length > 0)
    return fault(
      'rank-deficient',
      dependent.map((k) => sums.common[k]!),
    );
  if (sums.n <= sums.p) return fault('too-few-participants');

  const level =
    spec.intercept < 0
      ? 0
      : Math.max(...answers.map(({ origin }) => Math.abs(origin ?? theta[spec.intercept]!)));
  const noise = (8 * Number.EPSILON * level) ** 2;
  const squares = swept(
    total,
    Array.from({ length: c }, (_, k) => k),
    [c],
  )[0]!;
  if (!(squares > ROUNDING * reference[c]! + sums.n * noise)) return fault('no-variation');

  const q = spec.random.length;
  const informative = new Int32Array(q);
  let free = 0;
  sums.studies.forEach((study, i) => {
    const { rank, dependent: determined } = pivotedRank(
      ownAndRandom(study, answers[i]!.products, q, r),
      ALIASED,
    );
    free += study.n - rank;
    for (let a = 0; a < q; a++) {
      if (study.n > 0 && !determined.includes(study.own.length + a)) informative[a]!++;
    }
  });
  const unidentified = spec.random.filter((_, a) => informative[a]! < 2);
  if (unidentified.length > 0) return { code: 'rank-deficient', terms: unidentified.map(({ term }) => term) };
  if (q > 0 && free < 1) return fault('too-few-participants');
  if (spec.residual === 'common') return null;

  for (const { n, products } of answers) {
    if (n === 0) continue;
    const columns = Array.from({ length: r }, (_, j) => j);
    const { rank, dependent: determined } = pivotedRank(products.slice(0, packedLength(r)), ALIASED);
    if (n <= rank) return fault('too-few-participants');
    const kept = columns.filter((j) => !determined.includes(j));
    if (!(swept(products, kept, [r])[0]! > ROUNDING * products[packedIndex(r, r)]! + n * noise))
      return fault('no-variation');
  }
  return null;
}

/** Crossproducts of the columns `kept` after projection on the columns `out`, packed. */
function swept(products: Float64Array, out: readonly number[], kept: readonly number[]): Float64Array {
  const s = out.length;
  const own = subset(products, out);
  const inverse = s === 0 ? own : unpack(inverseFromCholesky(cholesky(own)), s);
  const rest = new Float64Array(packedLength(kept.length));
  for (let i = 0; i < kept.length; i++) {
    for (let j = 0; j <= i; j++) {
      let value = products[packedIndex(kept[i]!, kept[j]!)]!;
      for (let a = 0; a < s; a++) {
        for (let b = 0; b < s; b++) {
          value -=
            products[packedIndex(kept[i]!, out[a]!)]! *
            inverse[a * s + b]! *
            products[packedIndex(kept[j]!, out[b]!)]!;
        }
      }
      rest[packedIndex(i, j)] = value;
    }
  }
  return rest;
}

/** Crossproducts of a study's own columns and Z, packed. */
function ownAndRandom(
  { own, b, t }: StudySums,
  products: Float64Array,
  q: number,
  columns: number,
): Float64Array {
  const s = own.length;
  const gram = new Float64Array(packedLength(s + q));
  for (let i = 0; i < s + q; i++) {
    for (let j = 0; j <= i; j++) {
      gram[packedIndex(i, j)] =
        i < s
          ? products[packedIndex(own[i]!, own[j]!)]!
          : j < s
            ? b[(i - s) * (columns + 1) + own[j]!]!
            : t[(i - s) * q + j - s]!;
    }
  }
  return gram;
}
