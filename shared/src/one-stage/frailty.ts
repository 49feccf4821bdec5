import {
  inverseFromCholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
  pivotedRank,
  solveCholesky,
} from '../linalg/symmetric.ts';
import { chiSquareUpper } from '../numerics/distributions.ts';
import { failedFit } from './failed.ts';
import { factorOver, firstBlock, rooted, tiesOf, traceOf } from './frailty-algebra.ts';
import { frailtyStudy, layoutOf, question, readSums, type Layout } from './frailty-study.ts';
import { originalScale } from './original-scale.ts';
import type {
  Ask,
  Entry,
  FittedTest,
  Gathered,
  OneStageFit,
  OneStageModel,
  OneStageSpec,
  Program,
} from './types.ts';

/**
 * Cox model with one baseline hazard for all studies and a random frailty e^{wᵢ} of each: hazard λ(t) e^{wᵢ} exp(η). On the
 * plan's grid of time, events in (end before, end] are tied at the interval's end, where those are at risk whose time reaches
 * it, or who have an event in it; what is beyond the last end is one interval more. With the grid at all event times this is
 * survival::coxph(~ … + frailty(study)). Frailties have variance θ; their log density is the penalty of the partial
 * likelihood (Therneau & Grambsch 2000, ch. 9; Ripatti & Palmgren 2000):
 *
 *   PPL(β, w) = Σᵢ [Σ_events η + dᵢwᵢ + log density(wᵢ)] − Σ_e Σ_l log(S_e − φ_l D_e),   T = (S, D) = Σᵢ e^{wᵢ} Tᵢ⁰(β)
 *
 * - gamma: θ maximises the marginal likelihood of (β, λ, θ), as method = 'em' (Nielsen et al. 1992, Scand J Stat 19:25);
 *   this is the log-likelihood of the result (coxph's I-likelihood).
 * - gaussian: θ solves θ = Σw²/(k − tr/θ), tr the trace of the frailties' part of the inverse of −PPL″, as method = 'reml'
 *   with sparse = FALSE; the log-likelihood of the result is the partial one given ŵ, as coxph's.
 *
 * Standard errors are of the inverse of −PPL″ at θ̂, exactly (coxph's sparse = TRUE leaves out what is not on the diagonal).
 *
 * How sums over sites suffice: with f(T) = Σ_e Σ_l log(S_e − φ_l D_e) and h = f′(T), every wᵢ maximises a function of its own
 * study's data, β and h alone. So a question is (β, θ, h); a site takes its own wᵢ from it and answers with ψᵢ(β, θ, h),
 * its gradient and Hessian (frailty-study.ts); the coordinator solves Σ ∂ψ/∂β = 0, Σ ∂ψ/∂θ = 0 (gamma) and
 * −Σ ∂ψ/∂h = T by Newton's method: with N = −Σψ″ and Q = −f″(T), S = diag(I, Q^½), M = SNS + diag(0, I),
 *
 *   M (δβ, y)' = (U, −Q^½ R)',  R = −Σ ∂ψ/∂h − T,  δh = Q^½ y,  δT = R + N_hβ δβ + N_hh δh
 *
 * M is positive definite where PPL is concave, and its inverse's first block that of −PPL″ for β (elimination of w by
 * Woodbury's formula); tr = Σ 1/Δᵢ + trace(M⁻¹S(Σ cᵢcᵢ'/Δᵢ²)S). An answer has about (p + 2G)²/2 numbers for G intervals: keep grids coarse. What S_e
 * discloses is in docs/models/cox.md; a study's own sums do not travel, only the sum over sites is told.
 */
export const frailtyModel: OneStageModel = { program, study: frailtyStudy };

const MAX_ROUNDS = 100;
/** Largest change in the last step: of a coefficient (standardised), of a total (relative), of log θ. */
const TOLERANCE = 1e-9;
const ROUGH = 1e-2;
/** In standardised columns, and of log θ; what is left of a total. */
const LONGEST_STEP = 2;
const LEAST_SHARE = 0.2;
/** A coefficient per standard deviation that no fit without a divergence comes near. */
const ENORMOUS = 20;
/** Of a squared column length, what the columns before it leave: below, it is aliased. */
const ALIASED = 1e-11;
/** Frailties with less variance are none. */
const SMALLEST_VARIANCE = 1e-8;
/** Of the gaussian variance's equation in log θ. */
const LEAST_SLOPE = -0.1;
const [LEAST_START, LARGEST_START] = [1e-3, 1];

interface State {
  readonly beta: Float64Array;
  readonly theta: number;
  readonly events: Float64Array;
  /** T. */
  readonly totals: Float64Array;
}

interface Solution extends State {
  readonly status: 'converged' | 'not-converged' | 'singular' | 'diverging' | 'boundary';
  /** Partial log-likelihood given ŵ; gamma: the marginal one. */
  readonly value: number;
  /** Of all coefficients, packed; 0 where they are held. */
  readonly covariance: Float64Array;
  readonly score: Float64Array;
  /** At θ = 0: whether a variance above 0 is better, and a guess of it. */
  readonly spread: number;
  readonly guess: number;
  /** Coefficients that those before them determine. */
  readonly dependent: readonly number[];
  readonly rounds: number;
}

function* program(spec: OneStageSpec, entry: Entry): Program {
  const layout = layoutOf(spec);
  const { p, multipliers, length } = layout;
  const ask = (theta: Float64Array): Ask => ({
    objective: 'risk-sets',
    theta,
    order: 2,
    length,
    gather: 'sum',
  });

  /** θ = 0 first, roughly: it tells whether there is a variance at all, and where to look for it. */
  function* fitWith(fixed: readonly number[], from: State): Generator<Ask, Solution, Gathered> {
    const rough: Solution = yield* maximise(layout, { ...from, theta: 0 }, fixed, ask, ROUGH);
    let { rounds } = rough;
    if (rough.status !== 'converged') return rough;
    if (rough.spread > 0) {
      const theta = Math.max(LEAST_START, Math.min(LARGEST_START, rough.guess));
      const fit: Solution = yield* maximise(layout, { ...rough, theta }, fixed, ask, TOLERANCE);
      rounds += fit.rounds;
      if (fit.status !== 'boundary') return { ...fit, rounds };
    }
    const none: Solution = yield* maximise(layout, rough, fixed, ask, TOLERANCE);
    return { ...none, rounds: rounds + none.rounds };
  }

  const beta = entry.start.slice(0, p);
  const [first] = yield ask(question(beta, 0, new Float64Array(multipliers)));
  const { events, gradient } = readSums(layout, first!);
  const totals = gradient.slice(gradient.length - multipliers).map((value) => -value);
  if (events.every((d) => d === 0)) return failedFit('no-events', [], 1);
  const fit = yield* fitWith([], { beta, theta: 0, events, totals });
  let rounds = 1 + fit.rounds;
  if (fit.status !== 'converged') return diagnosed(spec, fit, rounds);

  const tests: FittedTest[] = [];
  if (spec.inference.likelihoodRatio && layout.gamma) {
    for (const j of spec.tested) {
      const restricted = yield* fitWith([j], {
        ...fit,
        beta: fit.beta.map((value, k) => (k === j ? 0 : value)),
      });
      rounds += restricted.rounds;
      const statistic =
        restricted.status === 'converged' ? Math.max(0, 2 * (fit.value - restricted.value)) : null;
      tests.push({
        test: 'likelihood ratio',
        term: spec.terms[j]!,
        statistic,
        df: 1,
        p: statistic === null ? null : chiSquareUpper(statistic, 1),
      });
    }
  }
  const { h } = tiesOf(layout, fit.events, fit.totals);
  const effects = yield {
    objective: 'study-effects',
    theta: question(fit.beta, fit.theta, h),
    order: 0,
    length: 2,
    gather: 'each',
  };
  const { coefficients, vcov } = originalScale(
    spec,
    entry.scaling,
    [...fit.beta.keys()],
    fit.beta,
    fit.covariance,
    null,
  );
  return {
    failure: null,
    coefficients,
    vcov,
    randomEffects: [{ term: FRAILTY, variance: fit.theta }],
    correlations: [fit.theta > 0 ? 1 : null],
    residualVariance: [],
    logLikelihood: fit.value,
    tests,
    predicted: effects.flatMap(([estimate, se], study) =>
      estimate === undefined ? [] : [{ study, term: FRAILTY, estimate, se: se! }],
    ),
    rounds,
    gradientNorm: Math.hypot(...fit.score),
    warnings: fit.theta > 0 ? [] : [{ code: 'boundary', terms: [FRAILTY] }],
  };
}

const FRAILTY = 'frailty';

/** Newton's method; θ stays at 0 where it starts there, and `fixed` coefficients where they are. */
function* maximise(
  layout: Layout,
  start: State,
  fixed: readonly number[],
  ask: (theta: Float64Array) => Ask,
  tolerance: number,
): Generator<Ask, Solution, Gathered> {
  const { p, gamma, multipliers, m } = layout;
  const moving = start.theta > 0;
  const own = m - multipliers;
  let state = start;
  let last: { readonly theta: number; readonly gap: number } | null = null;
  for (let rounds = 1; ; rounds++) {
    const ties = tiesOf(layout, state.events, state.totals);
    const [answer] = yield ask(question(state.beta, state.theta, ties.h));
    const sums = readSums(layout, answer!);
    const { hessian, gradient } = sums;
    const dot = ties.h.reduce((sum, value, k) => sum + value * state.totals[k]!, 0);
    const value = sums.value + dot - ties.value + (gamma || !moving ? 0 : sums.spread / (2 * state.theta));
    const end = (status: Solution['status'], at: State, more: Partial<Solution> = {}): Solution => ({
      ...at,
      status,
      value,
      covariance: new Float64Array(packedLength(p)),
      score: gradient.slice(0, p),
      spread: sums.spread,
      guess: sums.spread / sums.size,
      dependent: [],
      rounds,
      ...more,
    });

    const negative = hessian.map((element) => -element);
    const matrix = rooted(layout, negative, ties);
    for (let k = own; k < m; k++) matrix[packedIndex(k, k)]! += 1;
    const coefficients = range(0, p).filter((j) => !fixed.includes(j));
    let free = [...coefficients, ...(gamma && moving ? [p] : []), ...range(own, m)];
    let factor = factorOver(matrix, free);
    // Far from its maximum ℓ need not be concave in log θ: it goes uphill by itself.
    const uphill = factor === null && gamma && moving;
    if (uphill) {
      free = free.filter((i) => i !== p);
      factor = factorOver(matrix, free);
    }
    if (factor === null) {
      const information = negative.slice(0, packedLength(p));
      return end('singular', state, { dependent: pivotedRank(information, ALIASED).dependent });
    }

    let [logStep, trace] = [0, 0];
    if (!gamma) {
      trace = traceOf(inverseFromCholesky(factor), rooted(layout, sums.squared, ties), free);
      if (moving) {
        const gap = Math.log(sums.spread / (sums.studies - (sums.size + trace) / state.theta) / state.theta);
        const slope = last === null ? -1 : (gap - last.gap) / Math.log(state.theta / last.theta);
        // The fixed point's own step, or a secant step where that is credible.
        logStep = limited(gap / (slope < LEAST_SLOPE && slope > -1 ? -slope : 1));
        last = { theta: state.theta, gap };
      }
    }
    // Where the gradient and the residual are once log θ has moved.
    const ahead = gradient.map((u, i) => (gamma ? u : u + logStep * sums.cross[i]!));
    const residual = state.totals.map((total, k) => -ahead[own + k]! - total);
    const right = Float64Array.of(...ahead.subarray(0, own), ...ties.root(residual).map((r) => -r));
    const step = new Float64Array(m);
    solveCholesky(
      factor,
      Float64Array.from(free, (i) => right[i]!),
    ).forEach((d, a) => (step[free[a]!] = d));
    step.set(ties.root(step.subarray(own)), own);
    if (gamma && moving) {
      if (uphill) step[p] = Math.sign(gradient[p]!);
      logStep = limited(step[p]!);
    }
    const movement = multiplyPacked(negative, step).subarray(own);
    const change = residual.map((r, k) => r + movement[k]!);

    const longest = coefficients.reduce((most, j) => Math.max(most, Math.abs(step[j]!)), 0);
    const factorOfStep = Math.min(1, LONGEST_STEP / longest);
    const moved: State = {
      beta: state.beta.map((at, j) => at + factorOfStep * step[j]!),
      theta: state.theta * Math.exp(logStep),
      events: sums.events,
      totals: state.totals.map((total, k) => Math.max(LEAST_SHARE * total, total + change[k]!)),
    };
    const largest = change.reduce(
      (most, d, k) => Math.max(most, state.totals[k] === 0 ? 0 : Math.abs(d / state.totals[k]!)),
      Math.max(longest, moving ? Math.abs(logStep) : 0),
    );
    if (moving && moved.theta < SMALLEST_VARIANCE) return end('boundary', state);
    if (moved.beta.some((at) => !(Math.abs(at) <= ENORMOUS))) return end('diverging', moved);
    if (largest <= tolerance) {
      return end('converged', moved, {
        covariance: firstBlock(factor, free, p, gamma && free.includes(p)),
        spread: sums.spread + (gamma ? 0 : trace),
      });
    }
    if (rounds >= MAX_ROUNDS) return end('not-converged', moved);
    state = moved;
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, k) => from + k);
/** A step of log θ; what is no number is a step down. */
const limited = (step: number): number =>
  Number.isFinite(step) ? Math.max(-LONGEST_STEP, Math.min(LONGEST_STEP, step)) : -LONGEST_STEP;

function diagnosed(spec: OneStageSpec, fit: Solution, rounds: number): OneStageFit {
  if (fit.status === 'diverging') {
    const terms = spec.terms.filter((_, j) => !(Math.abs(fit.beta[j] ?? 0) <= ENORMOUS));
    return failedFit('monotone-likelihood', terms, rounds);
  }
  if (fit.status !== 'singular') return failedFit('not-converged', [], rounds);
  return failedFit(
    'rank-deficient',
    fit.dependent.map((j) => spec.terms[j]!),
    rounds,
  );
}
