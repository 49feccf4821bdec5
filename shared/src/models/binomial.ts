import { drive, newton } from '../numerics/newton.ts';
import { logChoose } from '../numerics/log-gamma.ts';
import { CompensatedSum, type BlockedDesign, type Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { glmObjective, wrongResponse, type Family, type GlmHigher, type NullModel } from './family.ts';
import { linkedBinomial, linkedIntercept, otherLink } from './links.ts';
import type { Response, StudyData } from './types.ts';

/**
 * Logistic model: kᵢ events of mᵢ trials (mᵢ = 1 where rows are participants), logit μᵢ = ηᵢ = xᵢ'β +
 * offsetᵢ.
 *
 * ℓ = Σ [kᵢηᵢ − mᵢ log(1 + e^ηᵢ) + log C(mᵢ, kᵢ)], U = X'(k − mμ), H = −X' diag(mμ(1 − μ)) X. For grouped
 * rows the binomial coefficient is included, as in R's logLik(glm); for 0/1 rows it is 0. Everything is
 * computed from e = exp(−|η|): μ = 1/(1 + e) or e/(1 + e), μ(1 − μ) = e/(1 + e)², and log(1 + e^η) = max(η,
 * 0) + log(1 + e), so that nothing overflows and no digits of small probabilities are lost. Log and identity links:
 * links.ts.
 */
export const binomial: Family = {
  name: 'binomial',
  measure: 'log odds ratio',
  intercept: true,
  divergence: 'separation',
  nonevents: true,

  objective(data: StudyData, options, scaling: Scaling | null): ConditionalObjective {
    const { events, trials } = binary(data.response);
    const link = otherLink(options, 'logit', ['log', 'identity']);
    if (link !== null) {
      const constant = trials === null ? 0 : coefficients(events, trials);
      return linkedBinomial(data, scaling, options, link, { events, trials, constant });
    }
    const higher: GlmHigher = (design, start, rows, third, fourth) =>
      higherRows(design, events, trials, start, rows, third, fourth);
    return trials === null
      ? glmObjective(data, scaling, (design, start, rows) => design.logistic(events, start, rows), 0, higher)
      : glmObjective(
          data,
          scaling,
          (design, start, rows) => groupedRows(design, events, trials, start, rows),
          coefficients(events, trials),
          higher,
        );
  },

  nullModel(data: StudyData, options): NullModel {
    const { events, trials } = binary(data.response);
    const k = sum(events);
    const m = trials === null ? data.n : sum(trials);
    const link = otherLink(options, 'logit', ['log', 'identity']);
    if (data.offset === null || k === 0 || k === m) {
      const value = (k === 0 ? 0 : k * Math.log(k / m)) + (k === m ? 0 : (m - k) * Math.log1p(-k / m));
      return {
        logLikelihood: value + (trials === null ? 0 : coefficients(events, trials)),
        intercept:
          link !== null ? linkedIntercept(link, k, m, true) : k === 0 || k === m ? 0 : Math.log(k / (m - k)),
        dispersion: 1,
      };
    }
    const alone: StudyData = { ...data, columns: [new Float64Array(data.n).fill(1)], terms: ['(intercept)'] };
    const start = link === null ? 0 : linkedIntercept(link, k, m, true);
    const fit = drive(newton(Float64Array.of(start)), binomial.objective(alone, options, null));
    return { logLikelihood: fit.evaluation.value, intercept: fit.theta[0]!, dispersion: 1 };
  },

  events: (response) => binary(response).events,
  trials: (response) => binary(response).trials,
};

function binary(response: Response): Extract<Response, { kind: 'binary' }> {
  return response.kind === 'binary' ? response : wrongResponse('binomial', response);
}

function groupedRows(
  design: BlockedDesign,
  events: Float64Array,
  trials: Float64Array,
  start: number,
  rows: number,
): number {
  const { eta, residual, weight } = design;
  let value = 0;
  for (let k = 0; k < rows; k++) {
    const h = eta[k]!;
    const y = events[start + k]!;
    const m = trials[start + k]!;
    const e = Math.exp(-Math.abs(h));
    const inverse = 1 / (1 + e);
    const small = e * inverse;
    residual[k] = h >= 0 ? y - m + m * small : y - m * small;
    weight[k] = m * small * inverse;
    value += (h >= 0 ? y - m : y) * h - m * Math.log1p(e);
  }
  return value;
}

/** With w = mμ(1 − μ): ∂³ℓ/∂η³ = −w(1 − 2μ), ∂⁴ℓ/∂η⁴ = −w(1 − 6μ(1 − μ)); mμ is k − ∂ℓ/∂η. */
function higherRows(
  { residual, weight }: BlockedDesign,
  events: Float64Array,
  trials: Float64Array | null,
  start: number,
  rows: number,
  third: Float64Array,
  fourth: Float64Array,
): void {
  for (let k = 0; k < rows; k++) {
    const share = trials === null ? 1 : 1 / trials[start + k]!;
    const w = weight[k]!;
    third[k] = -w * (1 - 2 * share * (events[start + k]! - residual[k]!));
    fourth[k] = -w * (1 - 6 * share * w);
  }
}

function coefficients(events: Float64Array, trials: Float64Array): number {
  const total = new CompensatedSum();
  for (let i = 0; i < events.length; i++) total.add(logChoose(trials[i]!, events[i]!));
  return total.total;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
