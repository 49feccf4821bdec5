import {
  inverseFromCholesky,
  logDetFromCholesky,
  packedIndex,
  packedLength,
  pivotedRank,
  solveCholesky,
} from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { original, standardise } from '../models/standardise.ts';
import type { ModelOptions, StudyData } from '../models/types.ts';
import { chiSquareQuantile, chiSquareUpper } from '../numerics/distributions.ts';
import { factorOf } from '../numerics/trust-region.ts';
import { firthStudy, packFirth } from './firth-study.ts';
import { commonPositions, effectsLength, readEffects } from './likelihood.ts';
import { OUTSIDE } from './maximise.ts';
import { originalScale } from './original-scale.ts';
import type {
  Ask,
  Entry,
  FittedTest,
  Gathered,
  OneStageFit,
  OneStageModel,
  OneStageSpec,
  OneStageWarning,
  Program,
} from './types.ts';

/**
 * Firth's penalised logistic model with common effects over sites (see firth-study.ts): estimates, standard errors (of the
 * inverse information at the estimate) and ℓ* = ℓ + ½ log|I| are those of the pooled records with a column for every
 * study; studies without events, or without non-events, have finite estimates.
 *
 * A question is (β, V): V = S⁻¹ from the answers before, at first 0. An answer is a sum of ℓᵢ + ½ log|I_αα,i|, the modified
 * score of β and Sᵢ: 1 + m + m(m+1)/2 numbers. The step is V times the score (as logistf's); V lags one question behind, and
 * both settle together; where data are so sparse that they do not, β waits while V is asked for again. The log-likelihood of the result is ℓ*, in the columns' own scale; likelihood ratios and profile
 * intervals are of ℓ* with the penalty of all parameters (Heinze & Schemper 2002, §2.3).
 */
export const firthModel: OneStageModel = { program, study };

/** Newton decrement of the last step: 3e-10 standard errors. */
const TOLERANCE = 1e-19;
/** Largest element of VS − I at the last question. */
const SETTLED = 1e-9;
const MAX_ROUNDS = 200;
/** A decrement that does not fall by this factor a question: V lags too far behind. Then β waits for V. */
const SLOW = 4;
/** Until it has settled to this share of a step's length in standard errors. */
const CARE = 0.1;
/** In standardised columns. */
const LONGEST_STEP = 2;
/** ℓ* may fall by as much while V settles. */
const SLACK = 1e-6;
const SMALLEST_STEP = 2 ** -20;
const PROFILE_STEPS = 20;
const PROFILE_TOLERANCE = 1e-9;
const ALIASED = 1e-11;

/** A modified score equation's solution over the coordinates that are free. */
interface Solution {
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

/** Asks at (β, V) until the free coordinates' modified score is 0; the others stay where they start. */
function* solve(
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
  let previous = Infinity;
  let careful = false;
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
    value = factor === null ? -Infinity : sum[0]! + logDetFromCholesky(factor) / 2;
    if (
      value < last.value - SLACK * (1 + Math.abs(last.value)) &&
      distance(beta, last.beta) > SMALLEST_STEP
    ) {
      beta = beta.map((at, j) => (at + last.beta[j]!) / 2);
      continue;
    }
    if (factor === null) return end('not-converged', rounds);
    score = sum.slice(1, 1 + m);
    last = { beta, value };
    const asked = v;
    v = inverseFromCholesky(factor);
    const block = new Float64Array(packedLength(free.length));
    free.forEach((i, a) => {
      for (let b = 0; b <= a; b++) block[packedIndex(a, b)] = information[packedIndex(i, free[b]!)]!;
    });
    const own = Float64Array.from(free, (j) => score[j]!);
    const step = solveCholesky(factorOf(block)!, own);
    const decrement = step.reduce((total, d, a) => total + (d * own[a]!) / 2, 0);
    const mismatch = unsettled(asked, information);
    careful ||= decrement > previous / SLOW;
    if (careful && mismatch > Math.max(SETTLED, CARE * Math.sqrt(2 * decrement))) continue;
    previous = decrement;
    const longest = step.reduce((most, d) => Math.max(most, Math.abs(d)), LONGEST_STEP);
    beta = beta.slice();
    free.forEach((j, a) => (beta[j]! += (step[a]! * LONGEST_STEP) / longest));
    if (decrement <= TOLERANCE && mismatch <= SETTLED) return end('converged', rounds);
  }
  return end('not-converged', MAX_ROUNDS);
}

function distance(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, j) => Math.max(most, Math.abs(value - b[j]!)), 0);
}

/** Largest element of VS − I. */
function unsettled(v: Float64Array, s: Float64Array): number {
  let most = 0;
  for (let i = 0; packedLength(i) < v.length; i++) {
    for (let j = 0; packedLength(j) < v.length; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; packedLength(k) < v.length; k++) sum += v[packedIndex(i, k)]! * s[packedIndex(k, j)]!;
      most = Math.max(most, Math.abs(sum));
    }
  }
  return most;
}

/**
 * The limit of a profile interval on one side: where ℓ* with coordinate j fixed is `critical`/2 below its maximum, by
 * Newton's method (the profile's slope is the modified score of j), each step held within what is known to bracket it.
 */
function* limit(
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

function* program(spec: OneStageSpec, entry: Entry): Program {
  const common = commonPositions(spec);
  const m = common.length;
  const { scale } = entry.scaling;
  const asking = function* <T>(
    questions: Generator<Float64Array, T, Float64Array>,
  ): Generator<Ask, T, Gathered> {
    let turn = questions.next();
    while (turn.done !== true) {
      const [sum] = yield {
        objective: 'firth-score',
        theta: turn.value,
        order: 2,
        length: 1 + m + packedLength(m),
        gather: 'sum',
      };
      turn = questions.next(sum!);
    }
    return turn.value;
  };
  const start = Float64Array.from(common, (j) => entry.start[j]!);
  const fit: Solution = yield* asking(solve(start, new Float64Array(packedLength(m)), []));
  let { rounds } = fit;
  if (fit.status !== 'converged') {
    const { dependent } = pivotedRank(fit.information, ALIASED);
    const terms = fit.status === 'singular' ? dependent.map((k) => spec.terms[common[k]!]!) : [];
    return {
      ...NOTHING,
      failure: { code: fit.status === 'singular' ? 'rank-deficient' : 'not-converged', terms },
      rounds,
    };
  }

  const tested = common.flatMap((j, k) => (spec.tested.includes(j) ? [{ term: spec.terms[j]!, j, k }] : []));
  const tests: FittedTest[] = [];
  for (const { term, k } of spec.inference.likelihoodRatio ? tested : []) {
    const at = fit.beta.slice();
    at[k] = 0;
    const restricted: Solution = yield* asking(solve(at, fit.v, [k]));
    rounds += restricted.rounds;
    const statistic =
      restricted.status === 'converged' ? Math.max(0, 2 * (fit.value - restricted.value)) : null;
    const p = statistic === null ? null : chiSquareUpper(statistic, 1);
    tests.push({ test: 'likelihood ratio', term, statistic, df: 1, p });
  }
  const profiles = new Map<string, readonly [number, number] | null>();
  const warnings: OneStageWarning[] = [];
  const critical = chiSquareQuantile(spec.inference.level, 1);
  for (const { term, j, k } of spec.inference.ci === 'profile' ? tested : []) {
    const limits: number[] = [];
    for (const side of [-1, 1] as const) {
      const { at, rounds: more } = yield* asking(limit(fit, k, side, critical));
      rounds += more;
      if (at !== null) limits.push(at / scale[j]!);
    }
    profiles.set(term, limits.length === 2 ? [limits[0]!, limits[1]!] : null);
    if (limits.length < 2) warnings.push({ code: 'profile-limit', terms: [term] });
  }

  const gathered: Gathered =
    spec.stratified.length === 0
      ? []
      : yield {
          objective: 'study-effects',
          theta: Float64Array.of(...fit.beta, ...fit.v),
          order: 0,
          length: effectsLength(spec, m),
          gather: 'each',
        };
  const effects = gathered.map((values) => (values.length === 0 ? null : readEffects(spec, m, values)));
  const { coefficients, vcov } = originalScale(spec, entry.scaling, common, fit.beta, fit.v, effects);
  return {
    ...NOTHING,
    coefficients: coefficients.map((coefficient) =>
      coefficient.study === undefined && profiles.has(coefficient.term)
        ? { ...coefficient, profile: profiles.get(coefficient.term)! }
        : coefficient,
    ),
    vcov,
    logLikelihood: fit.value + logScales(scale, common) + entry.studies * logScales(scale, spec.stratified),
    tests,
    rounds,
    gradientNorm: Math.hypot(...fit.score),
    warnings,
  };
}

const NOTHING: OneStageFit = {
  failure: null,
  coefficients: [],
  vcov: new Float64Array(0),
  randomEffects: [],
  correlations: [],
  residualVariance: [],
  logLikelihood: null,
  tests: [],
  predicted: [],
  rounds: 0,
  gradientNorm: null,
  warnings: [],
};

/** ½ log of what the columns' scales contribute to |I|. */
function logScales(scale: Float64Array, columns: readonly number[]): number {
  return columns.reduce((sum, j) => sum + Math.log(scale[j]!), 0);
}

function study(spec: OneStageSpec, data: StudyData, scaling: Scaling): (ask: Ask) => Float64Array {
  const m = commonPositions(spec).length;
  const answers = firthStudy(data, spec.options, scaling, spec.stratified);
  return ({ objective, theta, length }) => {
    const answer = answers(theta.subarray(0, m), theta.subarray(m));
    if (objective !== 'study-effects') return packFirth(answer, m);
    const values = new Float64Array(length);
    if (answer === null) return values;
    let at = 0;
    const means = spec.treatment.map((_, arm) => data.treatmentMeans?.[arm] ?? 0);
    for (const part of [answer.own, answer.ownVariance, ...answer.slopes, means]) {
      values.set(part, at);
      at += part.length;
    }
    return values;
  };
}

/**
 * Firth's logistic fit of one study's data (a column of ones among its columns): p estimates, their covariance (packed)
 * from the inverse information at them, and ℓ* = ℓ + ½ log|I|. Null where columns are collinear.
 */
export function fitFirth(data: StudyData): {
  readonly estimates: Float64Array;
  readonly vcov: Float64Array;
  readonly penalisedLogLikelihood: number;
} | null {
  const options: ModelOptions = { family: 'binomial', ties: 'efron' };
  const scaling = standardise(data, false);
  const p = data.columns.length;
  const answers = firthStudy(data, options, scaling, []);
  const questions = solve(new Float64Array(p), new Float64Array(packedLength(p)), []);
  let turn = questions.next();
  while (turn.done !== true) {
    turn = questions.next(packFirth(answers(turn.value.subarray(0, p), turn.value.subarray(p)), p));
  }
  const { status, beta, v, value } = turn.value;
  if (status !== 'converged') return null;
  const scales = logScales(scaling.scale, [...data.columns.keys()]);
  return { ...original(beta, v, scaling, 1), penalisedLogLikelihood: value + scales };
}
