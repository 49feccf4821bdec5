import { logFactorial } from '../numerics/log-gamma.ts';
import { CompensatedSum, type BlockedDesign, type Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { glmObjective, wrongResponse, type Family, type NullModel } from './family.ts';
import { identityPoisson, linkedIntercept, otherLink } from './links.ts';
import type { Response, StudyData } from './types.ts';

/**
 * Poisson model of counts with a log link: log μᵢ = ηᵢ = xᵢ'β + offsetᵢ; an exposure enters as offset
 * log(exposure).
 *
 * ℓ = Σ [yᵢηᵢ − μᵢ − log yᵢ!], U = X'(y − μ), H = −X' diag(μ) X, as R's glm. Identity link: links.ts.
 */
export const poisson: Family = {
  name: 'poisson',
  measure: 'log rate ratio',
  intercept: true,
  divergence: 'separation',
  nonevents: false,

  objective(data: StudyData, options, scaling: Scaling | null): ConditionalObjective {
    const y = counts(data.response);
    if (otherLink(options, 'log', ['identity']) !== null)
      return identityPoisson(data, scaling, options, y, -factorials(y));
    return glmObjective(
      data,
      scaling,
      (design, start, rows) => rowsOf(design, y, start, rows),
      -factorials(y),
      higherRows,
    );
  },

  /** Closed form: μ = rate·exp(offset), rate = Σy / Σexp(offset). */
  nullModel(data: StudyData, options): NullModel {
    const y = counts(data.response);
    const { n, offset } = data;
    let events = 0;
    let shift = 0;
    if (offset !== null) {
      shift = -Infinity;
      for (let i = 0; i < n; i++) shift = Math.max(shift, offset[i]!);
    }
    let exposure = 0;
    const weighted = new CompensatedSum();
    for (let i = 0; i < n; i++) {
      const o = offset === null ? 0 : offset[i]!;
      events += y[i]!;
      exposure += Math.exp(o - shift);
      weighted.add(y[i]! * o);
    }
    const link = otherLink(options, 'log', ['identity']);
    const start = link === null ? 0 : linkedIntercept(link, events, exposure * Math.exp(shift), false);
    if (events === 0) return { logLikelihood: 0, intercept: start, dispersion: 1 };
    const intercept = Math.log(events / exposure) - shift;
    weighted.add(events * intercept);
    weighted.add(-events);
    weighted.add(-factorials(y));
    return { logLikelihood: weighted.total, intercept: link === null ? intercept : start, dispersion: 1 };
  },

  events: counts,
  trials: () => null,
};

function counts(response: Response): Float64Array {
  return response.kind === 'count' ? response.y : wrongResponse('poisson', response);
}

function rowsOf(design: BlockedDesign, y: Float64Array, start: number, rows: number): number {
  const { eta, residual, weight } = design;
  let value = 0;
  for (let k = 0; k < rows; k++) {
    const h = eta[k]!;
    const count = y[start + k]!;
    const mu = Math.exp(h);
    residual[k] = count - mu;
    weight[k] = mu;
    value += count * h - mu;
  }
  return value;
}

/** Every derivative beyond the first is −μ. */
export function higherRows(
  { weight }: BlockedDesign,
  _start: number,
  rows: number,
  third: Float64Array,
  fourth: Float64Array,
): void {
  for (let k = 0; k < rows; k++) third[k] = fourth[k] = -weight[k]!;
}

function factorials(y: Float64Array): number {
  const total = new CompensatedSum();
  for (let i = 0; i < y.length; i++) total.add(logFactorial(y[i]!));
  return total.total;
}
