import { factorOf, multiplyPacked, packedIndex, solveCholesky, symmetricEigen } from '../linalg/symmetric.ts';
import { inner } from './jet.ts';
import type { Evaluation, Fit, Optimiser } from '../models/types.ts';

/**
 * Newton's method within a trust region, for a smooth ℓ(θ) with exact gradient U and Hessian −A that need not be concave
 * everywhere. In coordinates scaled so that no element of A is large to its row's and column's scale, and in the
 * eigenvectors of A, the step is gᵢ/(|αᵢ| + σ): Newton's where A is positive definite and the region allows it; where αᵢ < 0,
 * uphill along the eigenvector (Moré & Sorensen, SIAM J Sci Stat Comput 1983;4:553, with |A| for A: Dauphin et al.,
 * NIPS 2014), by a length between ESCAPE and REACH in θ's own units, so that saddle points are left; θ should be
 * scaled such that a unit is a large but possible step.
 *
 * Every question asks for the Hessian, so that an accepted step costs one round. A value that is not finite means a
 * step too long.
 *
 * Ends: `converged`, with `theta` one Newton step beyond the last question; `singular`: a maximum but for directions without
 * curvature; `diverging`: ℓ approaches its supremum as θ goes to infinity; `step-failure`: ℓ does not rise however short the
 * step, or is not finite at the start; `iteration-limit`.
 */
export interface TrustRegionOptions {
  /** Converged when the Newton decrement ½U'A⁻¹U is at most this share of 1 + |ℓ|. */
  readonly tolerance?: number;
  /** Questions asked before giving up. */
  readonly maxRounds?: number;
  /** Longest step of each coordinate that can be right; a longer one, which a flat direction asks for, is damped. */
  readonly longest?: Float64Array;
  /**
   * θ moved by a step, by a path that begins in the step's direction: θ + step where it is absent. Where ℓ does not change
   * along a curve through θ, or hardly, a path that knows the curve makes long steps of it.
   */
  readonly move?: (theta: Float64Array, step: Float64Array) => Float64Array;
}

const TOLERANCE = 1e-18;
const MAX_ROUNDS = 100;
const VALUE_NOISE = 1e-12;
const SUFFICIENT = 1e-4;

/** Scaled eigenvalues below it are no curvature; gradients along them below √(FLAT_GAIN(1 + |ℓ|)) are no slope. */
const FLAT = 1e-9;
const FLAT_GAIN = 1e-12;
const REACH = 1;
const ALIGNED = 0.5;
const BENT = 0.25;
const CURVED = 0.01;
const ESCAPE = 0.1;
/** Where an upward curvature promises no more than this, its slope says nothing of how far to go. */
const SADDLE = 1e-5;
/** Steps that may be refused one after the other. */
const REJECTIONS = 30;

/**
 * A decrement that falls slowly below NEAR is divergence where Newton's step is the same again and again (separation: the
 * linear predictor moves by about 1 for ever); else a maximum that is flatter than a quadratic, or the last digits.
 */
const NEAR = 1e-2;
const SLOW_RATIO = 0.1;
const SLOW_STEPS = 4;
const STEADY = 0.3;
const ROUNDING_FLOOR = 1e-9;

export function* trustRegion(start: Float64Array, options: TrustRegionOptions = {}): Optimiser {
  const tolerance = options.tolerance ?? TOLERANCE;
  const maxRounds = options.maxRounds ?? MAX_ROUNDS;
  const move = options.move ?? plus;
  let theta: Float64Array = Float64Array.from(start);
  let current = copyOf(yield { theta: theta.slice(), order: 2 });
  let rounds = 1;
  let radius = Infinity;
  let last: Movement | null = null;
  let [slow, steady] = [0, 0];
  let decrement = Infinity;
  const end = (status: Fit['status']): Fit => ({ status, theta, evaluation: current, rounds, decrement });

  if (!isFinite(current)) return end('step-failure');
  for (;;) {
    const unit = 1 + Math.abs(current.value);
    const model = modelOf(current, unit);
    const previous = decrement;
    decrement = model.decrement;
    if (!model.uphill && decrement <= tolerance * unit) {
      theta = move(theta, model.step(Infinity).step);
      return end(model.flat ? 'singular' : 'converged');
    }
    slow = !model.uphill && decrement < NEAR && decrement > SLOW_RATIO * previous ? slow + 1 : 0;
    if (slow >= SLOW_STEPS) {
      if (decrement <= ROUNDING_FLOOR) return end(model.flat ? 'singular' : 'converged');
      if (steady >= SLOW_STEPS) return end('diverging');
    }

    let rejected = 0;
    for (let next: Evaluation | null = null; next === null;) {
      if (rounds >= maxRounds) return end('iteration-limit');
      let trial = model.step(radius);
      // A shorter radius shortens flat directions most, so that a few tries suffice.
      for (let share = shareWithin(trial, options.longest), k = 0; share < 1 && k < 30; k++) {
        radius = trial.length * Math.max(share, 0.1);
        trial = model.step(radius);
        share = shareWithin(trial, options.longest);
      }
      const bend = last === null ? null : bendOf(trial.step, last, model);
      const candidate = move(theta, bend === null ? trial.step : plus(trial.step, bend));
      const evaluation: Evaluation = yield { theta: candidate.slice(), order: 2 };
      rounds++;
      const gain = evaluation.value - current.value;
      const noise = VALUE_NOISE * unit;
      const finite = isFinite(evaluation);
      if (finite && (gain >= SUFFICIENT * trial.gain - noise || nearer(model, evaluation))) {
        const share = trial.gain <= noise / VALUE_NOISE / 1e8 ? 1 : gain / trial.gain;
        if (share < 0.25) radius = trial.length / 2;
        else if (share > 0.5) radius = Math.max(radius, 4 * trial.length);
        const moved = candidate.map((value, i) => value - theta[i]!);
        steady = trial.whole && last !== null && alike(moved, last.step) ? steady + 1 : 0;
        last = {
          step: moved,
          change: current.hessian.map((value, i) => evaluation.hessian[i]! - value),
        };
        theta = candidate;
        next = copyOf(evaluation);
        current = next;
      } else {
        // Where the parabola through both values and the slope at the first one has its maximum; but a slope that promises
        // more than ℓ itself is the flat tail of an objective, or an inflection.
        const best = finite ? trial.slope / (2 * (trial.slope - gain)) : 0.25;
        radius = trial.length * Math.min(0.5, Math.max(0.1, best), unit / trial.slope);
        if (++rejected > REJECTIONS) return end('step-failure');
      }
    }
  }
}

/** Share of a step that keeps every coordinate within its longest; 1 where all are. */
function shareWithin({ step }: Step, longest: Float64Array | undefined): number {
  let share = 1;
  longest?.forEach((most, j) => {
    if (Math.abs(step[j]!) > most) share = Math.min(share, most / Math.abs(step[j]!));
  });
  return share;
}

/** The last accepted step, and by how much it changed the Hessian: third derivatives along it. */
interface Movement {
  readonly step: Float64Array;
  readonly change: Float64Array;
}

/**
 * Second order of the path along which the score falls to zero, ½A⁻¹T[p, p] (Chebyshev's method), with the third
 * derivatives that the last step showed; null unless this step goes on in its direction. On a curved ridge (nearly a
 * rotation of two columns of Λ, where the first is small) steps along the tangent alone would be short.
 */
function bendOf(p: Float64Array, last: Movement, model: Model): Float64Array | null {
  const { scale } = model;
  let [across, own, other] = [0, 0, 0];
  p.forEach((value, i) => {
    const [a, b] = [value / scale[i]!, last.step[i]! / scale[i]!];
    across += a * b;
    own += a * a;
    other += b * b;
  });
  if (!(across * across > ALIGNED * own * other)) return null;
  const bend = model.solve(multiplyPacked(last.change, p)).map((value) => (value * across) / other / 2);
  const size = bend.reduce((sum, value, i) => sum + (value / scale[i]!) ** 2, 0);
  return size <= own * BENT ? bend : null;
}

interface Step {
  readonly step: Float64Array;
  /** In scaled coordinates. */
  readonly length: number;
  /** U'step, and what the quadratic model promises. */
  readonly slope: number;
  readonly gain: number;
  /** Not shortened by the radius. */
  readonly whole: boolean;
}

interface Model {
  /** A has a negative eigenvalue: no maximum is near, or this is a saddle. */
  readonly uphill: boolean;
  /** A has eigenvalues that are zero to rounding, and no slope along them. */
  readonly flat: boolean;
  /** ½ Σ gᵢ²/|αᵢ|. */
  readonly decrement: number;
  step(radius: number): Step;
  /** Of θ's coordinates. */
  readonly scale: Float64Array;
  /** A⁻¹ of a vector, where A has curvature. */
  solve(vector: Float64Array): Float64Array;
  /** ½ g'|A|⁻¹g for another gradient; infinite where A is not positive definite. */
  norm(gradient: Float64Array): number;
}

/** Near the maximum of a sum with large cancelling terms ℓ is too coarse a guide; the score still is not. */
function nearer(model: Model, evaluation: Evaluation): boolean {
  return model.decrement < NEAR && model.norm(evaluation.gradient) < model.decrement / 4;
}

function modelOf({ gradient, hessian }: Evaluation, unit: number): Model {
  const p = gradient.length;
  const scale = scaleOf(hessian, p);
  let spectrum: Spectrum | null = null;
  const factor = factorOf(hessian.map((value) => -value));
  if (factor !== null) {
    const newton = solveCholesky(factor, gradient);
    const slope = inner(gradient, newton);
    const whole = Math.sqrt(newton.reduce((sum, value, i) => sum + (value / scale[i]!) ** 2, 0));
    return {
      uphill: false,
      flat: false,
      decrement: slope / 2,
      scale,
      solve: (vector) => solveCholesky(factor, vector),
      norm: (other) => inner(other, solveCholesky(factor, other)) / 2,
      step(radius) {
        if (whole <= radius) return { step: newton, length: whole, slope, gain: slope / 2, whole: true };
        spectrum ??= spectrumOf(gradient, hessian, scale, unit);
        return spectrum.step(radius);
      },
    };
  }
  spectrum = spectrumOf(gradient, hessian, scale, unit);
  return { ...spectrum, norm: () => Infinity };
}

type Spectrum = Omit<Model, 'norm'>;

function spectrumOf(
  gradient: Float64Array,
  hessian: Float64Array,
  scale: Float64Array,
  unit: number,
): Spectrum {
  const p = gradient.length;
  const scaled = new Float64Array(hessian.length);
  for (let i = 0, at = 0; i < p; i++)
    for (let j = 0; j <= i; j++, at++) scaled[at] = -hessian[at]! * scale[i]! * scale[j]!;
  const { values, vectors } = symmetricEigen(scaled);
  const slopes = vectors.map((vector) => vector.reduce((sum, v, i) => sum + v * scale[i]! * gradient[i]!, 0));
  let [uphill, flat, decrement] = [false, false, 0];
  /** Of the unbounded step, along each eigenvector. */
  const wanted = vectors.map((vector, k) => {
    const slope = slopes[k]!;
    const curvature = values[k]!;
    const own = Math.sqrt(vector.reduce((sum, v, i) => sum + (v * scale[i]!) ** 2, 0));
    if (curvature < -FLAT) {
      uphill = true;
      const gain = slope ** 2 / -curvature / 2;
      decrement += gain;
      const least = gain < SADDLE ? ESCAPE : 0;
      const size = Math.min(REACH, Math.max(least, (Math.abs(slope) / -curvature) * own)) / own;
      return slope < 0 ? -size : size;
    }
    if (curvature <= FLAT) {
      if (slope ** 2 <= FLAT_GAIN * unit) {
        flat = true;
        return 0;
      }
      const size = Math.min(REACH / own, Math.abs(slope) / FLAT);
      decrement += (Math.abs(slope) * size) / 2;
      return slope < 0 ? -size : size;
    }
    decrement += slope ** 2 / curvature / 2;
    return slope / curvature;
  });
  return {
    uphill,
    flat,
    decrement,
    scale,
    solve(vector) {
      const out = new Float64Array(p);
      vectors.forEach((direction, k) => {
        if (values[k]! < CURVED) return;
        const share = direction.reduce((sum, v, i) => sum + v * scale[i]! * vector[i]!, 0) / values[k]!;
        direction.forEach((v, i) => (out[i]! += share * v * scale[i]!));
      });
      return out;
    },
    step(radius) {
      const coefficients = within(wanted, slopes, values, radius);
      const step = new Float64Array(p);
      let [length, slope, gain] = [0, 0, 0];
      coefficients.forEach((c, k) => {
        vectors[k]!.forEach((v, i) => (step[i]! += c * v * scale[i]!));
        length += c * c;
        slope += c * slopes[k]!;
        gain += c * slopes[k]! - (values[k]! * c * c) / 2;
      });
      return { step, length: Math.sqrt(length), slope, gain, whole: coefficients === wanted };
    },
  };
}

/** Coefficients yᵢ/(1 + σ/|αᵢ|) of length at most `radius`, from those without bound. */
function within(
  wanted: readonly number[],
  slopes: readonly number[],
  values: Float64Array,
  radius: number,
): readonly number[] {
  const damped = (sigma: number) =>
    wanted.map((y, k) => {
      // The curvature that gives this length with this slope, not below its own.
      const own = y === 0 ? 1 : Math.max(Math.abs(values[k]!), Math.abs(slopes[k]! / y));
      return y / (1 + sigma / own);
    });
  const lengthOf = (coefficients: readonly number[]) =>
    Math.sqrt(coefficients.reduce((sum, c) => sum + c * c, 0));
  if (lengthOf(wanted) <= radius) return wanted;
  let [low, high] = [0, 1];
  while (lengthOf(damped(high)) > radius) high *= 4;
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (lengthOf(damped(middle)) > radius) low = middle;
    else high = middle;
  }
  return damped(high);
}

/** sᵢ with A's elements in sᵢsⱼ at most about 1: sᵢ⁻² = max(|Aᵢᵢ|, maxⱼ Aᵢⱼ²/|Aⱼⱼ|). */
function scaleOf(hessian: Float64Array, p: number): Float64Array {
  const diagonal = Float64Array.from({ length: p }, (_, i) => Math.abs(hessian[packedIndex(i, i)]!));
  return diagonal.map((own, i) => {
    let most = own;
    for (let j = 0; j < p; j++) {
      const other = diagonal[j]!;
      if (j !== i && other > 0) most = Math.max(most, hessian[packedIndex(i, j)]! ** 2 / other);
    }
    return most > 0 && most < Infinity ? 1 / Math.sqrt(most) : 1;
  });
}

function isFinite({ value, gradient, hessian }: Evaluation): boolean {
  return Number.isFinite(value) && gradient.every(Number.isFinite) && hessian.every(Number.isFinite);
}

function copyOf({ value, gradient, hessian }: Evaluation): Evaluation {
  return { value, gradient: gradient.slice(), hessian: hessian.slice() };
}

function plus(theta: Float64Array, step: Float64Array): Float64Array {
  return theta.map((value, i) => value + step[i]!);
}

/** Nearly the same step again. */
function alike(a: Float64Array, b: Float64Array): boolean {
  const difference = a.map((value, i) => value - b[i]!);
  return inner(difference, difference) <= STEADY ** 2 * inner(a, a);
}
