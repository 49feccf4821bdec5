import { BLOCK, CompensatedSum, type BlockedDesign, type Scaling } from './blocks.ts';
import { glmObjective, wrongResponse, type Family, type NullModel } from './family.ts';
import type { Objective, Response, StudyData } from './types.ts';

/**
 * Linear model y = Xβ + offset + ε, ε ~ N(0, σ²I); n rows, q coefficients.
 *
 * Objective at a known σ² (1 unless a scaling gives it): −½ Σ rᵢ²/σ², r = y − Xβ − offset; U = X'r/σ², H = −X'X/σ².
 * It is quadratic: one Newton step reaches β̂ = (X'X)⁻¹X'y, and the evaluation there gives the residual sum of squares
 * from the residuals themselves, not as a difference of large sums.
 *
 * σ̂² = RSS/(n − q) and vcov σ̂²(X'X)⁻¹, as R's lm; the log-likelihood is R's logLik(lm), at the
 * maximum-likelihood variance: −n/2·(log(2π·RSS/n) + 1).
 */
export const gaussian: Family = {
  name: 'gaussian',
  measure: 'mean difference',
  intercept: true,
  divergence: 'not-converged',
  nonevents: false,

  objective(data: StudyData, _options, scaling: Scaling | null): Objective {
    const y = outcome(data.response);
    return glmObjective(data, scaling, (design, start, rows) => residuals(design, y, start, rows), 0, true);
  },

  nullModel(data: StudyData): NullModel {
    const y = outcome(data.response);
    const { n, offset } = data;
    const mean = sumOfPowers(y, offset, 0, 1) / n;
    // Corrected two-pass sum of squares (Chan, Golub & LeVeque 1983).
    const rest = sumOfPowers(y, offset, mean, 1);
    const total = sumOfPowers(y, offset, mean, 2) - (rest * rest) / n;
    return { logLikelihood: logLikelihood(total, n), intercept: mean + rest / n, dispersion: total / n };
  },

  events: () => null,
  trials: () => null,
};

/** R's logLik(lm) from the residual sum of squares, which must be positive. */
export function logLikelihood(rss: number, n: number): number {
  return (-n / 2) * (Math.log((2 * Math.PI * rss) / n) + 1);
}

function outcome(response: Response): Float64Array {
  return response.kind === 'continuous' ? response.y : wrongResponse('gaussian', response);
}

function residuals(design: BlockedDesign, y: Float64Array, start: number, rows: number): number {
  const { eta, residual } = design;
  let sum = 0;
  for (let k = 0; k < rows; k++) {
    const r = y[start + k]! - eta[k]!;
    residual[k] = r;
    sum += r * r;
  }
  return -sum / 2;
}

/** Σ (y − offset − centre)^power. */
function sumOfPowers(y: Float64Array, offset: Float64Array | null, centre: number, power: 1 | 2): number {
  const total = new CompensatedSum();
  for (let start = 0; start < y.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, y.length);
    let sum = 0;
    for (let i = start; i < end; i++) {
      const r = y[i]! - centre - (offset === null ? 0 : offset[i]!);
      sum += power === 1 ? r : r * r;
    }
    total.add(sum);
  }
  return total.total;
}
