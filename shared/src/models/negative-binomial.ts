import { drive } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { logFactorial } from '../numerics/log-gamma.ts';
import { CompensatedSum, type Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { wrongResponse, type Family, type NullModel } from './family.ts';
import { poisson } from './poisson.ts';
import { rowObjective, type RowDerivatives, type RowLikelihood } from './row-likelihood.ts';
import type { Fit, Response, StudyData } from './types.ts';

/**
 * Negative binomial model of counts (NB2), log link: log μᵢ = ηᵢ = xᵢ'β + offsetᵢ, var yᵢ = μᵢ + μᵢ²/θ. Parameters: β,
 * then s = log θ (`log(size)`), θ the size of MASS::glm.nb and of glmmTMB's nbinom2.
 *
 * ℓ = Σ [Σ_{j<yᵢ} log(1 + j/θ) + yᵢηᵢ − (yᵢ + θ) log(1 + μᵢ/θ) − log yᵢ!]
 *
 * which is Γ(y + θ)/(Γ(θ) y!) · θ^θ μ^y/(θ + μ)^(y + θ) with the powers of θ cancelled, so that θ → ∞ goes to Poisson's
 * ℓ without loss of digits. With p = μ/(μ + θ), q = 1 − p, m = yp + μq and L = log(1 + μ/θ):
 *   f_η = q(y − μ), f_ηη = −mq, f_ηηη = −mq(q − p), f_ηηηη = −mq(1 − 6pq)
 *   f_s = −θ(L − p) + yp − Σ_j j/(θ + j), f_ss = −θ(L − p) − pq(y − μ) + Σ_j jθ/(θ + j)²
 *   f_ηs = pq(y − μ), f_ηηs = pq(y(q − p) − 2μq), f_ηss = −pq(q − p)(y − μ)
 *   f_ηηηs = pq(y(1 − 6pq) − 2μq(2q − p)), f_ηηss = −pq(1 − 6pq)(y − μ) + pq(q − p)μ
 * and θ(L − p) = μpq·g, g = (−log(1 − p) − p)/p² = ½ + p/3 + p²/4 + …, a series where p is small.
 *
 * The Hessian is the joint observed one in (β, s), as glmmTMB's; MASS::glm.nb reports the standard errors of β from the
 * expected information at fixed θ.
 *
 * Without overdispersion ℓ rises for ever as θ → ∞: see `atPoissonLimit`.
 */
export const negativeBinomial: Family = {
  name: 'negative-binomial',
  measure: 'log rate ratio',
  intercept: true,
  divergence: 'separation',
  nonevents: false,

  objective(data: StudyData, _options, scaling: Scaling | null): ConditionalObjective {
    return rowObjective(data, scaling, new Counts(counts(data.response)));
  },

  /** Intercept and size; where the counts are not overdispersed, Poisson's. */
  nullModel(data: StudyData, options): NullModel {
    const limit = poisson.nullModel!(data, options);
    const alone: StudyData = { ...data, columns: [new Float64Array(data.n).fill(1)], terms: ['(intercept)'] };
    const start = Float64Array.of(limit.intercept, startingLogSize(counts(data.response)));
    const fit = drive(trustRegion(start), negativeBinomial.objective(alone, options, null));
    if (fit.status !== 'converged' || fit.evaluation.value < limit.logLikelihood) return limit;
    return { logLikelihood: fit.evaluation.value, intercept: fit.theta[0]!, dispersion: 1 };
  },

  events: counts,
  trials: () => null,
  extra: (_options, response) => [{ term: 'log(size)', start: startingLogSize(counts(response)) }],
};

/** A size of e³⁰ differs from Poisson by less than rounding; hold log(size) here to fit the rest at the boundary. */
export const POISSON_LIMIT = 30;
/** No data can tell sizes beyond e¹⁵ apart. */
const BEYOND = 15;
/** Share of a last step that belongs to log(size) where that alone runs away. */
const ALONE = 0.99;

/**
 * Whether a fit ended at the boundary θ → ∞ (counts are not more variable than Poisson's): log(size), at `position` of θ,
 * has run off, or is all that its last steps were still moving, by about 1 each, and upwards.
 */
export function atPoissonLimit({ status, theta, evaluation }: Fit, position: number): boolean {
  if (theta[position]! > BEYOND) return true;
  if (status === 'converged') return false;
  const { gradient } = evaluation;
  const own = gradient[position]!;
  return own > 0 && theta[position]! > 0 && own >= ALONE * Math.hypot(...gradient);
}

/** Sizes that a sample of counts can tell from 0 and from Poisson. */
const START_RANGE = 5;

/** log θ by the method of moments, mean²/(variance − mean): 0 for no counts, at most 5. */
function startingLogSize(y: Float64Array): number {
  if (y.length === 0) return 0;
  let mean = 0;
  for (let i = 0; i < y.length; i++) mean += y[i]! / y.length;
  let variance = 0;
  for (let i = 0; i < y.length; i++) variance += (y[i]! - mean) ** 2 / y.length;
  if (!(variance > mean)) return mean > 0 ? START_RANGE : 0;
  return Math.max(-START_RANGE, Math.min(START_RANGE, Math.log((mean * mean) / (variance - mean))));
}

function counts(response: Response): Float64Array {
  return response.kind === 'count' ? response.y : wrongResponse('negative-binomial', response);
}

/** Beyond, e^|s| overflows in products. */
const LARGEST_LOG_SIZE = 300;
/** Below, the terms of g's series fall by p each. */
const SERIES = 0.06;

/** Where the sums over j of large counts begin to be integrals but for rounding. */
const FIRST_OF_RUN = 1000;

/**
 * Σ log(1 + j/θ), Σ j/(θ + j) and Σ jθ/(θ + j)² for j = from … to − 1 (Euler & Maclaurin), with x = θ + j at both ends:
 * Σ f = ∫f − Δf/2 + Δf'/12 − Δf‴/720, the next term below 10⁻¹⁷ of f.
 */
function sumOfRun(from: number, to: number, theta: number): { value: number; first: number; second: number } {
  const [a, b] = [theta + from, theta + to];
  /** Δ x⁻ᵏ. */
  const fall = (k: number): number => b ** -k - a ** -k;
  const ratio = Math.log1p((to - from) / a);
  const [atFrom, atTo] = [Math.log1p(from / theta), Math.log1p(to / theta)];
  const value = b * atTo - a * atFrom - (to - from) - ratio / 2 + fall(1) / 12 - fall(3) / 360;
  const inverse = ratio - fall(1) / 2 - fall(2) / 12 + fall(4) / 120;
  const squared = -fall(1) - fall(2) / 2 - fall(3) / 6 + fall(5) / 30;
  return { value, first: to - from - theta * inverse, second: theta * (inverse - theta * squared) };
}

class Counts implements RowLikelihood {
  readonly #y: Float64Array;
  /** Distinct positive counts, ascending, and how many rows have each or more. */
  readonly #distinct: Float64Array;
  readonly #atLeast: Float64Array;
  readonly #factorials: number;
  #s = 0;
  #theta = 1;

  constructor(y: Float64Array) {
    this.#y = y;
    const rows = new Map<number, number>();
    for (let i = 0; i < y.length; i++) if (y[i]! > 0) rows.set(y[i]!, (rows.get(y[i]!) ?? 0) + 1);
    this.#distinct = Float64Array.from(rows.keys()).sort();
    this.#atLeast = new Float64Array(rows.size);
    const factorials = new CompensatedSum();
    let more = 0;
    for (let k = rows.size - 1; k >= 0; k--) {
      const count = this.#distinct[k]!;
      const here = rows.get(count)!;
      more += here;
      this.#atLeast[k] = more;
      factorials.add(here * logFactorial(count));
    }
    this.#factorials = factorials.total;
  }

  /** Σᵢ Σ_{j<yᵢ} log(1 + j/θ): each j as often as there are rows with more. */
  constant(s: number): { value: number; s: number; ss: number } {
    if (!(Math.abs(s) <= LARGEST_LOG_SIZE)) return { value: -Infinity, s: 0, ss: 0 };
    const theta = Math.exp(s);
    [this.#s, this.#theta] = [s, theta];
    const value = new CompensatedSum();
    value.add(-this.#factorials);
    let [first, second] = [0, 0];
    let j = 1;
    for (let k = 0; k < this.#distinct.length; k++) {
      const rows = this.#atLeast[k]!;
      const next = this.#distinct[k]!;
      for (; j < Math.min(next, FIRST_OF_RUN); j++) {
        const share = j / (theta + j);
        value.add(rows * Math.log1p(j / theta));
        first -= rows * share;
        second += rows * share * (theta / (theta + j));
      }
      if (j === next) continue;
      const run = sumOfRun(j, next, theta);
      value.add(rows * run.value);
      first -= rows * run.first;
      second += rows * run.second;
      j = next;
    }
    return { value: value.total, s: first, ss: second };
  }

  rows(eta: Float64Array, start: number, rows: number, depth: number, out: RowDerivatives): number {
    const y = this.#y;
    const [theta, s] = [this.#theta, this.#s];
    const { d1, d2, d3, d4, d1s, d2s, d3s, d1ss, d2ss } = out;
    let [value, sumS, sumSs] = [0, 0, 0];
    for (let k = 0; k < rows; k++) {
      const h = eta[k]!;
      const count = y[start + k]!;
      const t = h - s;
      const e = Math.exp(-Math.abs(t));
      const inverse = 1 / (1 + e);
      const p = t >= 0 ? inverse : e * inverse;
      const q = t >= 0 ? e * inverse : inverse;
      // μq = θp, whichever of the two does not overflow.
      const muq = theta * p;
      // θ·L without the difference of large numbers that y·(η − L) would be.
      const log1p = (t > 0 ? t : 0) + Math.log1p(e);
      value += count * (h - log1p) - theta * log1p;
      if (depth < 1) continue;
      const residual = count * q - muq;
      d1[k] = residual;
      const g = p < SERIES ? seriesOf(p) : (log1p - p) / (p * p);
      const excess = muq * p * g;
      sumS += count * p - excess;
      if (depth < 2) continue;
      const weight = (count * p + muq) * q;
      const pResidual = p * residual;
      d2[k] = -weight;
      d1s[k] = pResidual;
      sumSs -= excess + pResidual;
      if (depth < 3) continue;
      const pq = p * q;
      d3[k] = -weight * (q - p);
      d2s[k] = pq * (count * (q - p) - 2 * muq);
      d1ss[k] = -pResidual * (q - p);
      if (depth < 4) continue;
      const kurtosis = 1 - 6 * pq;
      d4[k] = -weight * kurtosis;
      d3s[k] = pq * (count * kurtosis - 2 * muq * (2 * q - p));
      d2ss[k] = p * (muq * (q - p) - residual * kurtosis);
    }
    out.s = sumS;
    out.ss = sumSs;
    return value;
  }
}

/** ½ + p/3 + p²/4 + …, to rounding for p < 0.06. */
function seriesOf(p: number): number {
  let sum = 0;
  for (let k = 13; k >= 0; k--) sum = sum * p + 1 / (k + 2);
  return sum;
}
