import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Objective } from '../models/types.ts';
import { drive } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { dot, multiply } from './gaussian-matrices.ts';
import {
  contrast,
  profileAt,
  varianceDerivatives,
  type Profile,
  type Structure,
  type Variances,
} from './gaussian-likelihood.ts';
import { inUnits, type Sums } from './gaussian-sums.ts';

/**
 * Maximum likelihood or restricted maximum likelihood of the variances, the coefficients profiled out (and, where it is
 * common, the residual variance σ²): ν = n, or n − p where restricted,
 *
 *   ℓ = −½[ν log 2π + Σ log|Vᵢ| + (restricted: log|X'V⁻¹X|) + (y − Xβ̂)'V⁻¹(y − Xβ̂)],
 *
 * the constants of R's logLik of lmer, lme and gls (Bates et al., J Stat Softw 2015;67(1), equations 34 and 41).
 *
 * Parameters: entries of Λ, Ψ = ΛΛ' (relative to σ² where that is common), in which ℓ is smooth and even, so that a
 * variance at zero is an ordinary maximum at 0; and the logarithms of stratified residual variances. The exact Hessian drives trust-region.ts.
 */
export interface Estimation {
  readonly structure: Structure;
  readonly correlated: boolean;
  readonly restricted: boolean;
}

export interface VarianceFit {
  readonly estimation: Estimation;
  /** Of the outcome divided by `unit`, as `profile` is. */
  readonly sums: Sums;
  readonly unit: number;
  readonly profile: Profile;
  /** Λ's free entries, relative to σ where the residual variance is common. */
  readonly lambda: Float64Array;
  /** Of the outcome as it is, columns as in the sums. */
  readonly logLikelihood: number;
  readonly gradientNorm: number;
  readonly converged: boolean;
  /** Entries of Λ that are at zero, where a variance is zero or a correlation ±1. */
  readonly zero: readonly boolean[];
}

interface Run {
  readonly x: Float64Array;
  readonly at: Criterion;
  readonly converged: boolean;
}

interface Criterion {
  readonly value: number;
  readonly gradient: Float64Array;
  readonly hessian: Float64Array;
  /** ∂ℓ/∂Ψ's entries: what a variance at zero is judged by. */
  readonly score: Float64Array;
  readonly scoreNoise: Float64Array;
  readonly profile: Profile;
}

/** Rounding in ℓ, relative to 1 + |ℓ|. */
const VALUE_NOISE = 1e-12;
/** A score of a variance at zero below this share of its own terms is rounding. */
const SCORE_NOISE = 1e-9;

/** Free entries of Λ: of Ψ 1 × 1, diagonal, or a full triangle by rows. */
const lambdaLength = (q: number, correlated: boolean): number => (q === 2 && correlated ? 3 : q);

/** `null`: the coefficients are not identified. `start`: Λ's entries to start from alone. */
export function fitVariances(sums: Sums, estimation: Estimation, start?: Float64Array): VarianceFit | null {
  const { structure } = estimation;
  try {
    const plain = profileAt(sums, { psi: noVariance(sums), residual: Float64Array.of(1) });
    const unit = Math.sqrt(plain.squares / Math.max(1, sums.n - sums.p));
    if (!(unit > 0) || !Number.isFinite(unit)) return null;
    const scaled = inUnits(sums, unit);
    const task = new Task(scaled, estimation, unit);
    let best: Run | null = null;
    const residual = structure.residual === 'common' ? [] : ownResiduals(scaled);
    for (const lambda of start === undefined ? starts(scaled, estimation) : [start]) {
      const from = Float64Array.of(...lambda, ...residual);
      if (best !== null && task.rises(from)) continue;
      const run = task.maximise(from);
      if (best === null || run.at.value > best.at.value) best = run;
    }
    return task.finish(best!.x);
  } catch (error) {
    if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
    throw error;
  }
}

const noVariance = ({ effects }: Sums): Float64Array => new Float64Array(effects * effects);

/**
 * From above, the mean square of the studies' effects as least squares has them, their sampling variance included; and from
 * below, where a random effect weighs as much as a study's own information about it, in case there is a maximum near zero.
 */
function starts(sums: Sums, { correlated }: Estimation): Float64Array[] {
  const q = sums.effects;
  if (q === 0) return [new Float64Array(0)];
  const below = Array.from({ length: q }, (_, a) => 1 / Math.sqrt(typicalInformation(sums, a)));
  const psi = noVariance(sums);
  below.forEach((sd, a) => (psi[a * q + a] = (LARGE * sd) ** 2));
  const free = profileAt(sums, { psi, residual: Float64Array.of(1) });
  const v = contrast(free.beta);
  const squares = new Float64Array(q);
  for (const { nu } of free.studies) {
    const effect = multiply(psi, multiply(nu, v, q, v.length, 1), q, q, 1);
    for (let a = 0; a < q; a++) squares[a]! += effect[a]! ** 2;
  }
  const sigma2 = free.squares / Math.max(1, sums.n - sums.p);
  const above = below.map((sd, a) => Math.max(2 * sd, Math.sqrt(squares[a]! / sums.studies.length / sigma2)));
  return [above, below].map((sd) =>
    Float64Array.from(lambdaLength(q, correlated) === 3 ? [sd[0]!, 0, sd[1]!] : sd),
  );
}

/** Times the standard deviation that a study's own information has: as good as infinite. */
const LARGE = 1e3;

/** Mean of the studies' z'z. */
export function typicalInformation({ studies, effects: q }: Sums, a: number): number {
  const sizes = studies.map(({ t }) => t[a * q + a]!).filter((value) => value > 0);
  return sizes.reduce((sum, value) => sum + value, 0) / Math.max(1, sizes.length) || 1;
}

/** log of each study's residual variance about its own fit of Z and its own columns, or thereabouts. */
function ownResiduals(sums: Sums): number[] {
  const r = sums.columns;
  return sums.studies.map(({ n, rest }) => {
    const variance = rest[r * (r + 1) + r]! / Math.max(1, n);
    return Math.log(Math.min(10, Math.max(0.1, variance)));
  });
}

class Task {
  readonly sums: Sums;
  readonly estimation: Estimation;
  readonly unit: number;
  readonly lambdas: number;

  constructor(sums: Sums, estimation: Estimation, unit: number) {
    this.sums = sums;
    this.estimation = estimation;
    this.unit = unit;
    this.lambdas = lambdaLength(sums.effects, estimation.correlated);
  }

  get nu(): number {
    return this.sums.n - (this.estimation.restricted ? this.sums.p : 0);
  }

  /** Whether ℓ rises with every variance: then no maximum is below. */
  rises(x: Float64Array): boolean {
    const at = this.evaluate(x);
    return at !== null && this.estimation.structure.entries.every(([i, j], a) => i !== j || at.score[a]! > 0);
  }

  maximise(start: Float64Array): Run {
    const objective: Objective = {
      parameters: start.length,
      evaluate: (x, _order, out) => {
        const at = this.evaluate(x);
        out.value = at === null ? -Infinity : at.value;
        if (at === null) return;
        out.gradient.set(at.gradient);
        out.hessian.set(at.hessian);
      },
    };
    const { theta, status } = drive(trustRegion(start), objective);
    const at = this.evaluate(theta);
    if (at === null)
      throw new ConcordatError('numerics/not-positive-definite', 'coefficients are not identified');
    // `singular`: a ridge, as where a variance is zero and a covariance goes with it.
    return { x: theta, at, converged: status === 'converged' || status === 'singular' };
  }

  /** Puts variances on the boundary exactly, where that is where ℓ is largest, and gathers the fit. */
  finish(from: Float64Array): VarianceFit {
    let x = from;
    let run = this.maximise(x);
    const zero = Array.from({ length: this.lambdas }, () => false);
    for (const entries of this.#boundaries()) {
      const trial = run.x.slice();
      for (const k of entries) trial[k] = 0;
      const at = this.evaluate(trial);
      if (at === null || at.value < run.at.value - 10 * VALUE_NOISE * (1 + Math.abs(run.at.value))) continue;
      // Karush, Kuhn and Tucker: at the boundary ℓ must not rise with any of these variances.
      const variances = new Set(entries.map((k) => (this.lambdas === 3 ? Math.ceil(k / 2) : k)));
      const rises = this.estimation.structure.entries.some(
        ([i, j], a) => i === j && variances.has(i) && at.score[a]! > SCORE_NOISE * at.scoreNoise[a]!,
      );
      if (rises) continue;
      for (const k of entries) zero[k] = true;
      run = this.maximise(trial);
    }
    x = run.x;
    const { profile, value, gradient } = run.at;
    return {
      estimation: this.estimation,
      sums: this.sums,
      unit: this.unit,
      profile,
      lambda: x.slice(0, this.lambdas),
      logLikelihood: value - this.nu * Math.log(this.unit),
      gradientNorm: Math.sqrt(dot(gradient, gradient)),
      converged: run.converged,
      zero,
    };
  }

  /** Entries of Λ that are zero together: correlated, λ₂₂ at a correlation of ±1, or all. */
  #boundaries(): number[][] {
    return this.lambdas === 3 ? [[2], [0, 1, 2]] : Array.from({ length: this.lambdas }, (_, k) => [k]);
  }

  /** Null where the model does not exist numerically. */
  evaluate(x: Float64Array): Criterion | null {
    try {
      const at = this.#evaluate(x);
      return Number.isFinite(at.value) && at.hessian.every(Number.isFinite) ? at : null;
    } catch (error) {
      if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
      throw error;
    }
  }

  #evaluate(x: Float64Array): Criterion {
    const { sums, estimation, lambdas, nu } = this;
    const { structure, restricted } = estimation;
    const common = structure.residual === 'common';
    const { psi, jacobian, curvature } = covarianceOf(x, sums.effects, lambdas);
    const residual = common ? Float64Array.of(1) : x.slice(lambdas).map((value) => Math.exp(value));
    const relative = profileAt(sums, { psi, residual });
    const sigma2 = common ? relative.squares / nu : 1;
    const d = varianceDerivatives(sums, structure, relative, restricted);
    const entries = structure.entries.length;
    const size = entries + (common ? 0 : residual.length);
    // By γ, at the relative variances.
    const first = new Float64Array(size);
    const second = new Float64Array(size * size);
    for (let a = 0; a < size; a++) {
      first[a] = -(d.trace[a]! - d.quadratic[a]! / sigma2) / 2;
      for (let b = 0; b < size; b++) {
        const k = a * d.size + b;
        second[a * size + b] = d.traces[k]! / 2 - d.quadratics[k]! / sigma2;
        if (common) second[a * size + b]! += (d.quadratic[a]! * d.quadratic[b]!) / (2 * nu * sigma2 ** 2);
      }
    }
    const m = x.length;
    const gradient = new Float64Array(m);
    const hessian = new Float64Array(packedLength(m));
    // ∂γ/∂x: of Λ, dense; of a logarithm, the variance itself.
    const by = (a: number, k: number): number =>
      k < lambdas
        ? a < entries
          ? jacobian[a]![k]!
          : 0
        : a === entries + k - lambdas
          ? residual[k - lambdas]!
          : 0;
    for (let k = 0; k < m; k++) {
      const range = (position: number): [number, number] =>
        position < lambdas ? [0, entries] : [entries + position - lambdas, entries + position - lambdas + 1];
      const [from, to] = range(k);
      for (let a = from; a < to; a++) gradient[k]! += first[a]! * by(a, k);
      for (let l = 0; l <= k; l++) {
        const [start, end] = range(l);
        let sum = 0;
        for (let a = from; a < to; a++)
          for (let b = start; b < end; b++) sum += by(a, k) * second[a * size + b]! * by(b, l);
        if (k < lambdas)
          for (let a = 0; a < entries; a++) sum += first[a]! * curvature[a]![packedIndex(k, l)]!;
        else if (k === l) sum += gradient[k]!;
        hessian[packedIndex(k, l)] = sum;
      }
    }
    const logDets = relative.logDetV + (restricted ? relative.logDetM : 0);
    const value = -(nu * Math.log(2 * Math.PI * sigma2) + logDets + (common ? nu : relative.squares)) / 2;
    const score = first.slice(0, entries);
    const scoreNoise = score.map((_, a) => Math.abs(d.trace[a]!) + d.quadratic[a]! / sigma2);
    return {
      value,
      gradient,
      hessian,
      score,
      scoreNoise,
      profile: common ? inVariance(relative, sigma2, sums) : relative,
    };
  }
}

/** The fit at relative variances, in absolute ones: V is σ² times as large. */
function inVariance(relative: Profile, sigma2: number, { n, p }: Sums): Profile {
  return {
    ...relative,
    variances: scaledVariances(relative.variances, sigma2),
    studies: relative.studies.map((study) => ({
      ...study,
      variance: study.variance * sigma2,
      h: study.h.map((value) => value / sigma2),
      n: study.n.map((value) => value / sigma2),
      nu: study.nu.map((value) => value / sigma2),
      factor: study.factor.map((value) => value / Math.sqrt(sigma2)),
    })),
    logDetV: relative.logDetV + n * Math.log(sigma2),
    logDetM: relative.logDetM - p * Math.log(sigma2),
    squares: relative.squares / sigma2,
    covariance: relative.covariance.map((value) => value * sigma2),
  };
}

const scaledVariances = ({ psi, residual }: Variances, factor: number): Variances => ({
  psi: psi.map((value) => value * factor),
  residual: residual.map((value) => value * factor),
});

/** Ψ = ΛΛ' with the derivatives of its free entries by Λ's. */
export function covarianceOf(
  x: Float64Array,
  q: number,
  lambdas: number,
): { psi: Float64Array; jacobian: Float64Array[]; curvature: Float64Array[] } {
  if (lambdas < 3) {
    const psi = new Float64Array(q * q);
    const jacobian = Array.from({ length: lambdas }, () => new Float64Array(lambdas));
    const curvature = Array.from({ length: lambdas }, () => new Float64Array(packedLength(lambdas)));
    for (let a = 0; a < lambdas; a++) {
      psi[a * q + a] = x[a]! ** 2;
      jacobian[a]![a] = 2 * x[a]!;
      curvature[a]![packedIndex(a, a)] = 2;
    }
    return { psi, jacobian, curvature };
  }
  const [l11, l21, l22] = [x[0]!, x[1]!, x[2]!];
  return {
    psi: Float64Array.of(l11 * l11, l11 * l21, l11 * l21, l21 * l21 + l22 * l22),
    jacobian: [
      Float64Array.of(2 * l11, 0, 0),
      Float64Array.of(l21, l11, 0),
      Float64Array.of(0, 2 * l21, 2 * l22),
    ],
    curvature: [
      Float64Array.of(2, 0, 0, 0, 0, 0),
      Float64Array.of(0, 1, 0, 0, 0, 0),
      Float64Array.of(0, 0, 2, 0, 0, 2),
    ],
  };
}
