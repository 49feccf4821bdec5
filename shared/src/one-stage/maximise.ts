import { cholesky, packedIndex, packedLength, solveCholesky } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { Evaluation, Fit, Optimiser } from '../models/types.ts';
import type { Ask, Gathered } from './types.ts';

/**
 * What a site says where its log-likelihood does not exist (a mean outside its range, an inner maximum at infinity): finite,
 * so that it can be summed, and far below any log-likelihood, so that the optimiser shortens its step.
 */
export const OUTSIDE = -1e15;

/** Numbers of an evaluation of m parameters: value, gradient, Hessian. */
export const evaluationLength = (m: number): number => 1 + m + packedLength(m);

/** An evaluation as a vector of sums. */
export function pack(evaluation: Evaluation): Float64Array {
  const m = evaluation.gradient.length;
  const values = new Float64Array(evaluationLength(m));
  if (!isFinite(evaluation)) {
    values[0] = OUTSIDE;
    return values;
  }
  values[0] = evaluation.value;
  values.set(evaluation.gradient, 1);
  values.set(evaluation.hessian, 1 + m);
  return values;
}

export function unpack(values: Float64Array, m: number): Evaluation {
  const outside = values[0]! <= OUTSIDE / 2;
  return {
    value: outside ? -Infinity : values[0]!,
    gradient: values.slice(1, 1 + m),
    hessian: values.slice(1 + m, evaluationLength(m)),
  };
}

function isFinite({ value, gradient, hessian }: Evaluation): boolean {
  return Number.isFinite(value) && gradient.every(Number.isFinite) && hessian.every(Number.isFinite);
}

/** The sum of the sites' evaluations at ψ. */
export type AskAt = (psi: Float64Array) => Ask;

export interface Maximum extends Fit {
  /** All m parameters, the fixed ones too; the evaluation is over all of them. */
  readonly full: Evaluation;
}

/** Steps to where the log-likelihood does not exist that a fit may try: more are a maximum on the edge of where it does. */
const MOST_OUTSIDE = 10;

/**
 * Drives an optimiser over the free coordinates, the others held at their values in `start`; every question is about all
 * of ψ. `verdict` may end it early: two verdicts in a row that it diverges, or one that it is singular.
 */
export function* maximise(
  optimiser: (start: Float64Array) => Optimiser,
  start: Float64Array,
  askAt: AskAt,
  fixed: readonly number[] = [],
  verdict: (psi: Float64Array, full: Evaluation, round: number) => 'diverging' | 'singular' | null = () =>
    null,
): Generator<Ask, Maximum, Gathered> {
  const m = start.length;
  const free = [...start.keys()].filter((j) => !fixed.includes(j));
  const whole = (theta: Float64Array): Float64Array => {
    const psi = start.slice();
    free.forEach((j, k) => (psi[j] = theta[k]!));
    return psi;
  };
  const coroutine = optimiser(Float64Array.from(free, (j) => start[j]!));
  let turn = coroutine.next();
  let full = emptyEvaluation(m);
  let [best, bestFull] = [-Infinity, full];
  let [rounds, astray, outside] = [0, 0, 0];
  while (turn.done !== true) {
    const psi = whole(turn.value.theta);
    const [sum] = yield askAt(psi);
    rounds++;
    full = unpack(sum!, m);
    if (full.value >= best) [best, bestFull] = [full.value, full];
    const found = verdict(psi, full, rounds);
    astray = found === 'diverging' ? astray + 1 : 0;
    if (full.value === -Infinity) outside++;
    if (found === 'singular' || astray === 2 || outside > MOST_OUTSIDE) {
      const evaluation = restrict(bestFull, free);
      return {
        status: found ?? 'step-failure',
        theta: psi,
        evaluation,
        rounds,
        decrement: Infinity,
        full: bestFull,
      };
    }
    turn = coroutine.next(restrict(full, free));
  }
  return { ...turn.value, theta: whole(turn.value.theta), full: bestFull };
}

/** The evaluation's part for some of the coordinates. */
export function restrict({ value, gradient, hessian }: Evaluation, free: readonly number[]): Evaluation {
  const part = emptyEvaluation(free.length);
  part.value = value;
  free.forEach((i, a) => {
    part.gradient[a] = gradient[i]!;
    for (let b = 0; b <= a; b++) part.hessian[packedIndex(a, b)] = hessian[packedIndex(i, free[b]!)]!;
  });
  return part;
}

/** Where the others' maximum is about to lie, to first order, once ψⱼ is held at `value`. */
export function onRidge(
  maximum: { readonly theta: Float64Array; readonly full: Evaluation },
  j: number,
  value: number,
  fixed: readonly number[],
): Float64Array {
  const others = [...maximum.theta.keys()].filter((k) => k !== j && !fixed.includes(k));
  const psi = maximum.theta.slice();
  const step = direction(maximum.full, j, others);
  if (step !== null) advance(psi, j, others, value - psi[j]!, step.along, null);
  psi[j] = value;
  return psi;
}

/** Rounds that a search for one limit may take. */
const LIMIT_ROUNDS = 20;
const LIMIT_TOLERANCE = 1e-10;

/**
 * One limit of a profile-likelihood interval: where 2(ℓ̂ − ℓ_profile(ψⱼ)) = `critical`, `side` −1 or 1 from the maximum
 * (Venzon & Moolgavkar, Appl Stat 1988;37:87). Null where it is not found: the likelihood may not fall that far.
 */
export function* profileLimit(
  maximum: { readonly theta: Float64Array; readonly full: Evaluation },
  j: number,
  side: -1 | 1,
  critical: number,
  askAt: AskAt,
  fixed: readonly number[] = [],
): Generator<Ask, number | null, Gathered> {
  const target = maximum.full.value - critical / 2;
  const others = [...maximum.theta.keys()].filter((k) => k !== j && !fixed.includes(k));
  const psi = maximum.theta.slice();
  let step = direction(maximum.full, j, others);
  if (step === null) return null;
  const first = Math.sqrt(critical / step.curvature) * side;
  advance(psi, j, others, first, step.along, null);
  const m = psi.length;
  let last = Math.abs(first);
  for (let round = 0; round < LIMIT_ROUNDS; round++) {
    const [sum] = yield askAt(psi.slice());
    const at = unpack(sum!, m);
    if (!Number.isFinite(at.value)) {
      for (let k = 0; k < m; k++) psi[k] = (psi[k]! + maximum.theta[k]!) / 2;
      continue;
    }
    step = direction(at, j, others);
    if (step === null) return null;
    // ℓ at the others' maximum given a step d of ψⱼ: value + slope·d − curvature·d²/2 = target.
    const value = at.value + step.gain;
    const { slope, curvature } = step;
    const discriminant = slope * slope + 2 * curvature * (value - target);
    const root = discriminant < 0 ? 0 : Math.sqrt(discriminant);
    let d = (slope + side * root) / curvature;
    if (Math.abs(d) > 2 * last) d = 2 * last * Math.sign(d);
    advance(psi, j, others, d, step.along, step.shift);
    if (Math.abs(value - target) <= LIMIT_TOLERANCE * (1 + Math.abs(target)) && step.gain <= LIMIT_TOLERANCE)
      return psi[j]!;
    last = Math.max(Math.abs(d), last / 4);
  }
  return null;
}

interface Direction {
  /** Movement of the others for a unit of ψⱼ, on the ridge. */
  readonly along: Float64Array;
  /** Newton step of the others at ψⱼ as it is, and what it gains. */
  readonly shift: Float64Array;
  readonly gain: number;
  readonly slope: number;
  readonly curvature: number;
}

function direction(at: Evaluation, j: number, others: readonly number[]): Direction | null {
  const part = restrict(at, others);
  const cross = Float64Array.from(others, (k) => at.hessian[packedIndex(k, j)]!);
  let factor: Float64Array;
  try {
    factor = cholesky(part.hessian.map((value) => -value));
  } catch {
    return null;
  }
  const shift = solveCholesky(factor, part.gradient);
  const along = solveCholesky(factor, cross);
  let [gain, slope, curvature] = [0, at.gradient[j]!, -at.hessian[packedIndex(j, j)]!];
  others.forEach((_, k) => {
    gain += (part.gradient[k]! * shift[k]!) / 2;
    slope += cross[k]! * shift[k]!;
    curvature -= cross[k]! * along[k]!;
  });
  return curvature > 0 ? { along, shift, gain, slope, curvature } : null;
}

function advance(
  psi: Float64Array,
  j: number,
  others: readonly number[],
  step: number,
  along: Float64Array,
  shift: Float64Array | null,
): void {
  psi[j]! += step;
  others.forEach((k, a) => (psi[k]! += step * along[a]! + (shift === null ? 0 : shift[a]!)));
}
