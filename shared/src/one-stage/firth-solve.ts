import {
  factorOf,
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
  symmetricEigen,
} from '../linalg/symmetric.ts';
import { dot } from '../models/expansion.ts';
import { OUTSIDE } from './maximise.ts';

/** Newton decrement of the last step: 3e-10 standard errors. */
const TOLERANCE = 1e-19;
/** Largest element of log S⁻¹ − log V at the last question. */
const SETTLED = 1e-9;
const MAX_ROUNDS = 200;
/** In standardised columns. */
const LONGEST_STEP = 2;
/** ℓ* may fall by as much, and by what V still changes, before a step is too long. */
const SLACK = 1e-6;
const SMALLEST_STEP = 2 ** -20;
/** Beyond it an information is 0 but for rounding, and the squares of its inverse overflow. */
const LARGEST_VARIANCE = 1e150;
const PROFILE_STEPS = 20;
const PROFILE_TOLERANCE = 1e-9;

/** A modified score equation's solution over the coordinates that are free. */
export interface Solution {
  readonly status: 'converged' | 'not-converged' | 'singular';
  readonly beta: Float64Array;
  /** S and its inverse, packed, over all m coordinates. */
  readonly information: Float64Array;
  readonly v: Float64Array;
  /** Modified score of all coordinates; ℓ*, in standardised columns. */
  readonly score: Float64Array;
  readonly value: number;
  readonly rounds: number;
}

/**
 * The solution of the modified score equation over the coordinates that are not `fixed`, which stay where they start. Asks at
 * (β, V), packed V after the m coordinates of β, and is told 1 + m + m(m+1)/2 numbers: Σ ℓᵢ + ½ log|I_αα,i|, the modified score
 * of β, and S.
 *
 * The step is S⁻¹ times the score, as logistf's; V is S⁻¹ of the question before. Both are one iteration of (β, log V) to a
 * fixed point, which is accelerated by what its last steps have shown: where data are sparse, V follows its own changes about,
 * and the step without the penalty's curvature is too short. `from`: V of the first question; 0 where nothing is known.
 */
export function* solve(
  start: Float64Array,
  from: Float64Array,
  fixed: readonly number[],
): Generator<Float64Array, Solution, Float64Array> {
  const m = start.length;
  const free = [...start.keys()].filter((j) => !fixed.includes(j));
  let [beta, v] = [start, from];
  let score: Float64Array = new Float64Array(m);
  let information: Float64Array = new Float64Array(packedLength(m));
  let value = -Infinity;
  let last = { beta, value: -Infinity };
  let accelerator = new FixedPoint();
  // The first V may be 0, which has no logarithm: the next is S⁻¹.
  let logV: Float64Array | null = norm(from) === 0 ? null : logarithm(from);
  const end = (status: Solution['status'], rounds: number): Solution => ({
    status,
    beta,
    information,
    v,
    score,
    value,
    rounds,
  });
  for (let rounds = 1; rounds <= MAX_ROUNDS; rounds++) {
    const sum = yield Float64Array.of(...beta, ...v);
    const outside = sum[0]! <= OUTSIDE / 2;
    information = sum.slice(1 + m);
    const factor = outside ? null : factorOf(information);
    if (!outside && factor === null) return end('singular', rounds);
    const settled = factor === null ? v : inverseFromCholesky(factor);
    if (!settled.every((entry) => Math.abs(entry) <= LARGEST_VARIANCE)) return end('singular', rounds);
    const logSettled = logarithm(settled);
    const change = logV === null ? null : difference(logSettled, logV);
    const mismatch = change === null ? Infinity : norm(change);
    value = factor === null ? -Infinity : sum[0]! + logDetFromCholesky(factor) / 2;
    const slack = SLACK * (1 + Math.abs(last.value)) + m * mismatch;
    const fell = factor === null || value < last.value - slack;
    if (fell && distance(beta, last.beta) > SMALLEST_STEP) {
      beta = beta.map((at, j) => (at + last.beta[j]!) / 2);
      accelerator = new FixedPoint();
      continue;
    }
    if (factor === null) return end('not-converged', rounds);
    score = sum.slice(1, 1 + m);
    last = { beta, value };
    const own = Float64Array.from(free, (j) => score[j]!);
    const step = solveCholesky(factorOf(restricted(information, free))!, own);
    const decrement = dot(step, own) / 2;
    const longest = step.reduce((most, d) => Math.max(most, Math.abs(d)), LONGEST_STEP);
    const move = new Float64Array(m);
    free.forEach((j, a) => (move[j] = (step[a]! * LONGEST_STEP) / longest));
    const plain = beta.map((at, j) => at + move[j]!);
    if (decrement <= TOLERANCE && mismatch <= SETTLED) {
      [beta, v] = [plain, settled];
      return end('converged', rounds);
    }
    const next =
      change === null || longest > LONGEST_STEP
        ? null
        : accelerator.next(concat(plain, logSettled), concat(move, change), (residual) =>
            concat(lower(factor, residual.subarray(0, m)), residual.subarray(m)),
          );
    const usable = next !== null && distance(next.subarray(0, m), beta) <= LONGEST_STEP;
    beta = usable ? next.slice(0, m) : plain;
    logV = usable ? next.slice(m) : logSettled;
    v = usable ? exponential(logV) : settled;
  }
  return end('not-converged', MAX_ROUNDS);
}

/** Iterations that are looked back on. */
const WINDOW = 6;
/** Of the normal equations' diagonal: steps that are all but the same. */
const RIDGE = 1e-12;

/**
 * Anderson acceleration of a fixed-point map z ↦ g(z), residual r = g(z) − z: the next z is g(z) less the combination of
 * earlier changes of g whose changes of r come nearest r (Anderson 1965, J ACM 12:547; Walker & Ni 2011, SIAM J Numer Anal
 * 49:1715).
 */
class FixedPoint {
  readonly #history: { readonly g: Float64Array; readonly r: Float64Array }[] = [];

  /** `weigh`: residuals in units in which they compare. Null where there is nothing to go by. */
  next(g: Float64Array, r: Float64Array, weigh: (r: Float64Array) => Float64Array): Float64Array | null {
    const earlier = [...this.#history];
    this.#history.push({ g, r });
    if (this.#history.length > WINDOW) this.#history.shift();
    if (earlier.length === 0) return null;
    const changes = earlier.map((past) => weigh(r.map((value, k) => value - past.r[k]!)));
    const residual = weigh(r);
    const normal = new Float64Array(packedLength(changes.length));
    changes.forEach((a, i) => {
      for (let j = 0; j <= i; j++) normal[packedIndex(i, j)] = dot(a, changes[j]!);
      normal[packedIndex(i, i)]! *= 1 + RIDGE;
    });
    const factor = factorOf(normal);
    if (factor === null) return null;
    const weights = solveCholesky(
      factor,
      Float64Array.from(changes, (change) => dot(change, residual)),
    );
    return g.map((value, k) =>
      earlier.reduce((sum, past, i) => sum - weights[i]! * (value - past.g[k]!), value),
    );
  }
}

function concat(a: Float64Array, b: Float64Array): Float64Array {
  return Float64Array.of(...a, ...b);
}

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, k) => value - b[k]!);

function distance(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, j) => Math.max(most, Math.abs(value - b[j]!)), 0);
}

/** Some rows and columns of a packed matrix. */
function restricted(packed: Float64Array, of: readonly number[]): Float64Array {
  return Float64Array.from(of.flatMap((i, a) => of.slice(0, a + 1).map((j) => packed[packedIndex(i, j)]!)));
}

/** L'x for a packed L. */
function lower(l: Float64Array, x: Float64Array): Float64Array {
  return x.map((_, j) => x.reduce((sum, value, i) => (i < j ? sum : sum + l[packedIndex(i, j)]! * value), 0));
}

/** Functions of a packed symmetric matrix, of its eigenvalues. */
function ofEigenvalues(packed: Float64Array, f: (value: number) => number): Float64Array {
  const { values, vectors } = symmetricEigen(packed);
  const out = new Float64Array(packed.length);
  values.forEach((value, k) => {
    const weight = f(value);
    vectors[k]!.forEach((vi, i) => {
      for (let j = 0; j <= i; j++) out[packedIndex(i, j)]! += weight * vi * vectors[k]![j]!;
    });
  });
  return out;
}

const logarithm = (packed: Float64Array): Float64Array => ofEigenvalues(packed, Math.log);
const exponential = (packed: Float64Array): Float64Array => ofEigenvalues(packed, Math.exp);

const norm = (x: Float64Array): number => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * The limit of a profile interval on one side: where ℓ* with coordinate j fixed is `critical`/2 below its maximum, by
 * Newton's method (the profile's slope is the modified score of j), each step held within what is known to bracket it.
 */
export function* limit(
  maximum: Solution,
  j: number,
  side: -1 | 1,
  critical: number,
): Generator<Float64Array, { readonly at: number | null; readonly rounds: number }, Float64Array> {
  const target = maximum.value - critical / 2;
  let [inner, outer] = [maximum.beta[j]!, side * Infinity];
  let at = inner + side * Math.sqrt(critical * maximum.v[packedIndex(j, j)]!);
  let [beta, v, rounds] = [maximum.beta, maximum.v, 0];
  for (let k = 0; k < PROFILE_STEPS; k++) {
    const start = beta.slice();
    start[j] = at;
    const found: Solution = yield* solve(start, v, [j]);
    rounds += found.rounds;
    if (found.status !== 'converged') return { at: null, rounds };
    ({ beta, v } = found);
    const excess = found.value - target;
    if (Math.abs(excess) <= PROFILE_TOLERANCE) return { at, rounds };
    if (excess > 0) inner = at;
    else outer = at;
    const next = at - excess / found.score[j]!;
    const between = side * (next - inner) > 0 && side * (outer - next) > 0;
    at = between ? next : Number.isFinite(outer) ? (inner + outer) / 2 : inner + side * LONGEST_STEP;
  }
  return { at: null, rounds };
}
