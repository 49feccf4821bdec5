import { ConcordatError } from '../errors.ts';
import { cholesky, multiplyPacked, packedIndex, packedOrder } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { BLOCK } from '../numerics/tile.ts';
import { BlockedDesign, CompensatedSum, type Scaling } from './blocks.ts';
import { wrongResponse, type Family, type NullModel } from './family.ts';
import type { Evaluation, Objective, Response, StudyData } from './types.ts';

/**
 * Linear model y = Xβ + offset + ε, ε ~ N(0, σ²I); n rows, q coefficients.
 *
 * Objective at σ² = 1: ℓ(β) = −½ Σ rᵢ², r = y − Xβ − offset; U = X'r, H = −X'X. It is quadratic, so one pass
 * over the rows, at a β₀ close to the data (about the mean as intercept), gives it everywhere: ℓ(β) = ℓ(β₀) +
 * U₀'d + ½d'Hd, d = β − β₀; one Newton step reaches β̂. Where so little of ℓ(β₀) is left that the difference
 * loses digits, or where columns are nearly collinear, the residuals are computed from the rows: the last step is
 * then one of iterative refinement.
 *
 * σ̂² = RSS/(n − q) and vcov σ̂²(X'X)⁻¹, as R's lm; the log-likelihood is R's logLik(lm), at the
 * maximum-likelihood variance: −n/2·(log(2π·RSS/n) + 1).
 */
export const gaussian: Family = {
  name: 'gaussian',
  measure: 'mean difference',
  intercept: true,
  divergence: 'rank-deficient',
  nonevents: false,
  objective: (data, _options, scaling): Objective => new SumOfSquares(data, scaling),

  nullModel(data: StudyData): NullModel {
    const alone = { ...data, columns: [new Float64Array(0)] };
    return interceptAlone(new SumOfSquares(alone, INTERCEPT_ALONE), 0, data.n);
  },

  events: () => null,
  trials: () => null,
};

/** R's logLik(lm) from the residual sum of squares. */
export function logLikelihood(rss: number, n: number): number {
  return (-n / 2) * (Math.log((2 * Math.PI * rss) / n) + 1);
}

/** The maximum of a sum of squares over n rows along its intercept: the mean, and the sum of squares about it. */
export function interceptAlone(quadratic: Objective, intercept: number, n: number): NullModel {
  const theta = new Float64Array(quadratic.parameters);
  const at = emptyEvaluation(quadratic.parameters);
  quadratic.evaluate(theta, 1, at);
  const mean = at.gradient[intercept]! / n;
  theta[intercept] = mean;
  quadratic.evaluate(theta, 0, at);
  const squares = -2 * at.value;
  return { logLikelihood: logLikelihood(squares, n), intercept: mean, dispersion: squares / n };
}

/** A column of ones alone, which is not read. */
const INTERCEPT_ALONE: Scaling = {
  centre: new Float64Array(1),
  scale: Float64Array.of(1),
  intercept: 0,
};

/** Below this share of ℓ(β₀), ℓ is computed from the residuals. */
const DIRECT = 1e-3;
/** Of a column's squared length, what the columns before it leave: below this the expansion's U loses digits. */
const NEARLY_COLLINEAR = 1e-4;

interface Origin {
  readonly theta: Float64Array;
  readonly at: Evaluation;
  readonly collinear: boolean;
}

class SumOfSquares implements Objective {
  readonly parameters: number;
  readonly #data: StudyData;
  readonly #design: BlockedDesign;
  readonly #y: Float64Array;
  /** β₀ and the evaluation there; null before the first question. */
  #origin: Origin | null = null;

  constructor(data: StudyData, scaling: Scaling | null) {
    this.#data = data;
    this.#design = new BlockedDesign(data, scaling);
    this.parameters = this.#design.p;
    this.#y = outcome(data.response);
  }

  evaluate(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation): void {
    const origin = (this.#origin ??= this.#expand());
    const step = theta.map((value, j) => value - origin.theta[j]!);
    const change = multiplyPacked(origin.at.hessian, step);
    let gain = 0;
    for (let j = 0; j < step.length; j++) {
      gain += step[j]! * (origin.at.gradient[j]! + change[j]! / 2);
      out.gradient[j] = origin.at.gradient[j]! + change[j]!;
    }
    out.value = origin.at.value + gain;
    if (order === 2) out.hessian.set(origin.at.hessian);
    if (origin.collinear || out.value > DIRECT * origin.at.value) this.#rows(theta, out, false);
  }

  #expand(): Origin {
    const theta = new Float64Array(this.parameters);
    if (this.#design.ones >= 0) theta[this.#design.ones] = nearMean(this.#data);
    const at = emptyEvaluation(this.parameters);
    this.#rows(theta, at, true);
    return { theta, at, collinear: isNearlyCollinear(at.hessian) };
  }

  /** Value, gradient and, where wanted, Hessian from the rows. */
  #rows(theta: Float64Array, out: Evaluation, hessian: boolean): void {
    const design = this.#design;
    design.begin();
    const squares = new CompensatedSum();
    out.gradient.fill(0);
    if (hessian) out.hessian.fill(0);
    for (let start = 0; start < design.n; start += BLOCK) {
      const rows = design.load(start, theta);
      squares.add(design.gaussian(this.#y, start, rows));
      design.addGradient(rows, out.gradient);
      if (hessian) design.subtractCrossproducts(rows, out.hessian);
    }
    out.value = -squares.total / 2;
  }
}

/** Of −X'X. What is not positive definite is Newton's to report. */
function isNearlyCollinear(hessian: Float64Array): boolean {
  let factor: Float64Array;
  try {
    factor = cholesky(hessian.map((value) => -value));
  } catch (error) {
    if (error instanceof ConcordatError) return false;
    throw error;
  }
  for (let j = 0; j < packedOrder(hessian); j++) {
    const at = packedIndex(j, j);
    if (factor[at]! ** 2 < NEARLY_COLLINEAR * -hessian[at]!) return true;
  }
  return false;
}

function outcome(response: Response): Float64Array {
  return response.kind === 'continuous' ? response.y : wrongResponse('gaussian', response);
}

/**
 * About the mean of y − offset, from at least 4096 rows spread over all of them (or all there are); 0 of no
 * rows.
 */
function nearMean({ n, response, offset }: StudyData): number {
  const y = outcome(response);
  const stride = Math.max(1, Math.floor(n / 4096));
  let sum = 0;
  let count = 0;
  for (let i = 0; i < n; i += stride) {
    sum += y[i]! - (offset === null ? 0 : offset[i]!);
    count++;
  }
  return count === 0 ? 0 : sum / count;
}
