import {
  factorOf,
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { binomial } from '../models/binomial.ts';
import type { ModelOptions, StudyData } from '../models/types.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { OUTSIDE } from './maximise.ts';

/**
 * One study's part of Firth's penalised logistic likelihood ℓ* = ℓ + ½ log|I(β, α)| (Firth 1993, Biometrika 80:27; Heinze &
 * Schemper 2002, Stat Med 21:2409), I the information of the common β (m) and every study's own α together.
 *
 * Its determinant factorises, |I| = Πᵢ|I_αα,i|·|S|, S = Σᵢ Sᵢ, Sᵢ = I_ββ,i − I_βα,i I_αα,i⁻¹ I_αβ,i, and a row's leverage
 * is h = w·(x_α' I_αα⁻¹ x_α + r'Vr), r = x_β − I_βα I_αα⁻¹ x_α, V = S⁻¹, w = mμ(1 − μ). So V is all that a study needs of the
 * others. Given β and V it solves its own modified score equation Σ [k − mμ + h(½ − μ)]x_α = 0 at home: the maximum in α of
 * ℓ + ½ log|I_αα| + ½ tr(VSᵢ).
 */
export interface FirthAnswer {
  /** ℓᵢ + ½ log|I_αα,i|. */
  readonly value: number;
  /** Modified score of β, length m. */
  readonly score: Float64Array;
  /** Sᵢ, packed. */
  readonly information: Float64Array;
  /** α̂ and the inverse of its information given β; −I_αα⁻¹I_αβ, a row for each α. */
  readonly own: Float64Array;
  readonly ownVariance: Float64Array;
  readonly slopes: readonly Float64Array[];
}

/** Score of α left at the end, as a Newton decrement; about 1e-10 standard errors, before a last step. */
const TOLERANCE = 1e-20;
const MAX_ITERATIONS = 200;
const SMALLEST_STEP = 2 ** -20;
/** Of the gain that the modified score promises. */
const SUFFICIENT = 0.1;
/** In standardised columns: no step of a logit is longer. */
const LONGEST_STEP = 2;

/** The study's answers at (β, V), V packed; null where its own parameters have no estimate (they are collinear). */
export function firthStudy(
  data: StudyData,
  options: ModelOptions,
  scaling: Scaling | null,
  stratified: readonly number[],
): (beta: Float64Array, v: Float64Array) => FirthAnswer | null {
  const p = data.columns.length;
  const rest = [...Array(p).keys()].filter((j) => !stratified.includes(j));
  const objective = binomial.objective(data, options, scaling);
  const at = emptyEvaluation(p);
  const correction = leverageScore(data, scaling);
  const intercept = stratified.indexOf(scaling?.intercept ?? -1);
  const start = new Float64Array(stratified.length);
  if (intercept >= 0) start[intercept] = halfAdded(data);

  return (beta, v) => {
    const phi = new Float64Array(p);
    rest.forEach((j, k) => (phi[j] = beta[k]!));
    let alpha = start;
    let current = parts(alpha);
    /** Share of a step that the last one took: with very few participants the penalty's own curvature halves it. */
    let reach = 1;
    for (let iteration = 0; current !== null; iteration++) {
      const step = solveCholesky(current.factor, current.score);
      const decrement = current.score.reduce((sum, u, a) => sum + (u * step[a]!) / 2, 0);
      const longest = step.reduce((most, value) => Math.max(most, Math.abs(value)), LONGEST_STEP);
      const scale = (reach * LONGEST_STEP) / longest;
      let next: Parts | null = null;
      let moved = alpha;
      for (let t = scale; next === null && t > SMALLEST_STEP * scale; t /= 2) {
        moved = alpha.map((value, a) => value + t * step[a]!);
        next = parts(moved);
        // Where the step is a rounding error, so is the change.
        const least = current.merit + SUFFICIENT * 2 * t * decrement - 1e-9 * (1 + Math.abs(current.merit));
        if (next !== null && next.merit < least) {
          next = null;
          reach /= 2;
        }
      }
      if (next === null) return null;
      [alpha, current] = [moved, next];
      if (decrement <= TOLERANCE) return answer(alpha, current);
      if (iteration === MAX_ITERATIONS) return null;
    }
    return null;

    function parts(own: Float64Array): Parts | null {
      stratified.forEach((j, a) => (phi[j] = own[a]!));
      objective.evaluate(phi, 2, at);
      if (!Number.isFinite(at.value)) return null;
      const information = (i: number, j: number): number => -at.hessian[packedIndex(i, j)]!;
      const factor = factorOf(gather(stratified, information));
      if (factor === null) return null;
      // Columns of G = I_αα⁻¹ I_αβ.
      const g = rest.map((j) =>
        solveCholesky(
          factor,
          Float64Array.from(stratified, (k) => information(k, j)),
        ),
      );
      const schur = gather(
        rest,
        (i, j) =>
          information(i, j) -
          stratified.reduce((sum, k, a) => sum + information(i, k) * g[rest.indexOf(j)]![a]!, 0),
      );
      let trace = 0;
      for (let i = 0; i < rest.length; i++) {
        for (let j = 0; j <= i; j++) {
          const k = packedIndex(i, j);
          trace += (i === j ? 1 : 2) * v[k]! * schur[k]!;
        }
      }
      const half = logDetFromCholesky(factor) / 2;
      const q = quadratic(inverseFromCholesky(factor), g, v);
      const score = correction(phi, q).map((value, j) => value + at.gradient[j]!);
      return {
        value: at.value + half,
        merit: at.value + half + trace / 2,
        factor,
        g,
        schur,
        score: Float64Array.from(stratified, (j) => score[j]!),
        scoreBeta: Float64Array.from(rest, (j) => score[j]!),
      };
    }

    /** Q with h = w·x'Qx, in the order of the columns. */
    function quadratic(
      inverse: Float64Array,
      g: readonly Float64Array[],
      packed: Float64Array,
    ): Float64Array {
      const q = new Float64Array(packedLength(p));
      const vg = rest.map((_, i) =>
        stratified.map((__, a) =>
          g.reduce((sum, column, k) => sum + packed[packedIndex(i, k)]! * column[a]!, 0),
        ),
      );
      rest.forEach((j, i) => {
        for (let k = 0; k <= i; k++) q[packedIndex(j, rest[k]!)] = packed[packedIndex(i, k)]!;
        stratified.forEach((l, a) => (q[packedIndex(j, l)] = -vg[i]![a]!));
      });
      stratified.forEach((j, a) => {
        for (let b = 0; b <= a; b++) {
          const cross = g.reduce((sum, column, i) => sum + column[a]! * vg[i]![b]!, 0);
          q[packedIndex(j, stratified[b]!)] = inverse[packedIndex(a, b)]! + cross;
        }
      });
      return q;
    }

    function answer(own: Float64Array, { value, scoreBeta, schur, factor, g }: Parts): FirthAnswer {
      return {
        value,
        score: scoreBeta,
        information: schur,
        own,
        ownVariance: inverseFromCholesky(factor),
        slopes: stratified.map((_, a) => Float64Array.from(g, (column) => -column[a]!)),
      };
    }
  };
}

interface Parts {
  readonly value: number;
  readonly merit: number;
  readonly factor: Float64Array;
  readonly g: readonly Float64Array[];
  readonly schur: Float64Array;
  readonly score: Float64Array;
  readonly scoreBeta: Float64Array;
}

/** An answer as sums: value, score, information. */
export function packFirth(answer: FirthAnswer | null, m: number): Float64Array {
  const values = new Float64Array(1 + m + packedLength(m));
  if (answer === null) values[0] = OUTSIDE;
  else {
    values[0] = answer.value;
    values.set(answer.score, 1);
    values.set(answer.information, 1 + m);
  }
  return values;
}

/** (φ, Q) ↦ Σ h(½ − μ)x over the rows, h = w·x'Qx, in standardised columns. */
function leverageScore(
  data: StudyData,
  scaling: Scaling | null,
): (phi: Float64Array, q: Float64Array) => Float64Array {
  const p = data.columns.length;
  const trials = data.response.kind === 'binary' ? data.response.trials : null;
  const factor = Float64Array.from(data.columns, (_, j) => 1 / (scaling?.scale[j] ?? 1));
  const x = new Float64Array(p);
  return (phi, q) => {
    const score = new Float64Array(p);
    for (let i = 0; i < data.n; i++) {
      let eta = data.offset === null ? 0 : data.offset[i]!;
      for (let j = 0; j < p; j++) {
        x[j] = (data.columns[j]![i]! - (scaling?.centre[j] ?? 0)) * factor[j]!;
        eta += phi[j]! * x[j]!;
      }
      let [leverage, k] = [0, 0];
      for (let j = 0; j < p; j++) {
        let sum = 0;
        for (let l = 0; l < j; l++) sum += q[k++]! * x[l]!;
        leverage += (2 * sum + q[k++]! * x[j]!) * x[j]!;
      }
      const e = Math.exp(-Math.abs(eta));
      const inverse = 1 / (1 + e);
      const weight = (trials === null ? 1 : trials[i]!) * e * inverse * inverse;
      // ½ − μ, without the cancellation near ½.
      const half = (Math.sign(eta) * (e - 1) * inverse) / 2;
      const correction = weight * leverage * half;
      for (let j = 0; j < p; j++) score[j]! += correction * x[j]!;
    }
    return score;
  };
}

/** logit of the share of events, ½ added to both sides. */
function halfAdded({ response, n }: StudyData): number {
  let [events, trials] = [0, n];
  for (const k of binomial.events(response)!) events += k;
  const m = binomial.trials(response);
  if (m !== null) trials = m.reduce((sum, size) => sum + size, 0);
  return Math.log((events + 0.5) / (trials - events + 0.5));
}

function gather(positions: readonly number[], element: (i: number, j: number) => number): Float64Array {
  const packed = new Float64Array(packedLength(positions.length));
  positions.forEach((i, a) => {
    for (let b = 0; b <= a; b++) packed[packedIndex(a, b)] = element(i, positions[b]!);
  });
  return packed;
}
