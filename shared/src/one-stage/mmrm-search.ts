import { factorOf, packedIndex } from '../linalg/symmetric.ts';
import type { Evaluation, Fit } from '../models/types.ts';
import { emptyEvaluation, newton } from '../numerics/newton.ts';
import { pack, profileLimit } from './maximise.ts';
import {
  criterion,
  holdCoefficient,
  meansOf,
  predictMeans,
  profileEvaluation,
  restrictSums,
  weightsOf,
  type Criterion,
  type Means,
} from './mmrm-criterion.ts';
import type { CovarianceStructure } from './mmrm-covariance.ts';
import { answerLength, readSums, type Sums } from './mmrm-study.ts';
import type { Ask, Gathered } from './types.ts';

/** What the coordinator maximises. */
export interface Problem {
  readonly structure: CovarianceStructure;
  /** Common columns. */
  readonly p: number;
  readonly restricted: boolean;
  /** Σ log s² over the common columns. */
  readonly scaleDeterminant: number;
}

export interface Optimum {
  readonly fit: Fit;
  /** At the last question that was answered. */
  readonly last: Criterion | null;
  /** Questions asked. */
  readonly rounds: number;
}

export interface Limit {
  /** In the standardised column; null where it is not found. */
  readonly limit: number | null;
  readonly rounds: number;
}

/** Questions before giving up. */
const MAX_ROUNDS = 50;

/** The studies' sums at θ; N as `studySums` has it. */
export function* sumsAt(
  { structure, p }: Problem,
  theta: Float64Array,
  weights: Float64Array,
): Generator<Ask, Sums | null, Gathered> {
  const [sum] = yield {
    objective: 'generalised-least-squares',
    theta: Float64Array.of(...theta, ...weights),
    order: 2,
    length: answerLength(p, structure.parameters),
    gather: 'sum',
  };
  return readSums(sum!, p, structure.parameters);
}

/** Over θ, with the `kept` of the common columns; `guess`: their coefficients at `start`, about. */
export function* maximum(
  problem: Problem,
  start: Float64Array,
  kept: readonly number[],
  guess: Means,
): Generator<Ask, Optimum, Gathered> {
  const { structure, p, restricted } = problem;
  const coroutine = newton(start, { maxRounds: MAX_ROUNDS });
  let turn = coroutine.next();
  let last: Criterion | null = null;
  let rounds = 0;
  while (turn.done !== true) {
    const { theta } = turn.value;
    let next: Criterion | null = null;
    if (structure.at(theta) !== null) {
      const means: Means = last === null ? guess : predictMeans(last, theta);
      const told: Sums | null = yield* sumsAt(problem, theta, weightsOf(means, kept, p, restricted));
      rounds++;
      if (told !== null)
        next = criterion(theta, restrictSums(told, kept, p), restricted, problem.scaleDeterminant);
      last = next ?? last;
    }
    turn = coroutine.next(
      next === null ? outside(start.length) : { ...next, hessian: concave(next.hessian) },
    );
  }
  return { fit: turn.value, last, rounds };
}

/**
 * One limit of the profile-likelihood interval of common column a's coefficient (maximum likelihood), θ and the other
 * coefficients at their maximum.
 */
export function* coefficientLimit(
  problem: Problem,
  at: { readonly theta: Float64Array; readonly sums: Sums; readonly means: Means },
  a: number,
  side: -1 | 1,
  critical: number,
): Generator<Ask, Limit, Gathered> {
  const { structure, p } = problem;
  const k = at.theta.length;
  let rounds = 0;
  let { theta, sums } = at;
  const top = profileEvaluation(theta, sums, a, at.means.beta[a]!, p);
  if (top === null) return { limit: null, rounds };
  const search = profileLimit(
    { theta: Float64Array.of(...theta, at.means.beta[a]!), full: top },
    k,
    side,
    critical,
    (psi) => ({ objective: 'generalised-least-squares', theta: psi, order: 2, length: 0, gather: 'sum' }),
  );
  let turn = search.next();
  while (turn.done !== true) {
    const [next, coefficient] = [turn.value.theta.subarray(0, k), turn.value.theta[k]!];
    let evaluation: Evaluation | null = null;
    if (structure.at(next) !== null) {
      const told: Sums | null = yield* sumsAt(
        problem,
        next,
        heldWeights(theta, sums, next, a, coefficient, p),
      );
      rounds++;
      if (told !== null) {
        evaluation = profileEvaluation(next, told, a, coefficient, p);
        [theta, sums] = [next, told];
      }
    }
    turn = search.next([pack(evaluation ?? outside(k + 1))]);
  }
  return { limit: turn.value, rounds };
}

/** N at `next`, of the other coefficients as the sums at `theta` predict them. */
function heldWeights(
  theta: Float64Array,
  sums: Sums,
  next: Float64Array,
  a: number,
  coefficient: number,
  p: number,
): Float64Array {
  const held = criterion(theta, holdCoefficient(sums, a, coefficient, p), false, 0);
  const beta = new Float64Array(p);
  const others = held === null ? meansOf(sums.at.matrix, p)!.beta : predictMeans(held, next).beta;
  for (let j = 0, b = 0; j < p; j++) beta[j] = j === a ? coefficient : others[b++]!;
  return weightsOf({ beta, covariance: new Float64Array(0) }, [...beta.keys()], p, false);
}

function outside(k: number): Evaluation {
  return { ...emptyEvaluation(k), value: -Infinity };
}

/** The Hessian, its diagonal increased where it is not negative definite, until it is. */
function concave(hessian: Float64Array): Float64Array {
  const information = hessian.map((value) => -value);
  const order = Math.round((Math.sqrt(8 * information.length + 1) - 1) / 2);
  const diagonal = Array.from({ length: order }, (_, i) => packedIndex(i, i));
  const largest = Math.max(...diagonal.map((at) => Math.abs(information[at]!)));
  for (let share = 1e-3; share < LARGEST_SHARE && factorOf(information) === null; share *= 10) {
    for (const at of diagonal)
      information[at]! += share * Math.max(Math.abs(hessian[at]!), LEAST_SHARE * largest);
  }
  return information.map((value) => -value);
}

const LARGEST_SHARE = 1e12;
const LEAST_SHARE = 1e-8;
