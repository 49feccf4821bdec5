import { ConcordatError } from '../errors.ts';
import { BlockedDesign, type Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { glmObjective, type GlmHigher } from './family.ts';
import type { Link, ModelOptions, StudyData } from './types.ts';

/**
 * Links that are not canonical: binomial with log (coefficients are log risk ratios) and identity (risk differences),
 * Poisson with identity (rate differences). The mean μ = g⁻¹(η) has a range that η can leave, 0 < μ < 1 or 0 < μ: there
 * the log-likelihood is −Infinity, and an optimiser shortens its step.
 *
 * Binomial, k events of m trials, ℓ = k log μ + (m − k) log(1 − μ):
 *   log, q = 1 − μ:  ℓ' = k − (m − k)μ/q,    ℓ'' = −(m − k)μ/q²,    ℓ''' = −(m − k)μ(1 + μ)/q³,
 *                    ℓ'''' = −(m − k)μ(1 + 4μ + μ²)/q⁴;     expected information mμ/q
 *   identity:        ℓ' = k/μ − (m − k)/q, and so on;       expected information m/(μq)
 * Poisson, exposure E = e^offset, mean Eη (an additive rate model), ℓ = y log(Eη) − Eη:
 *   ℓ' = y/η − E, ℓ'' = −y/η², ℓ''' = 2y/η³, ℓ'''' = −6y/η⁴;  expected information E/η
 *
 * All three are concave. `options.information` 'expected' makes the Hessian minus the expected information, as R's glm
 * does for its standard errors; 'observed' (the default) the second derivatives, which random effects need. Derivatives
 * of the Hessian are always the observed one's.
 *
 * A log-binomial or identity maximum can lie on the edge of the region (μ → 1, or 0 with an identity link), where the score
 * is not zero: an optimiser then ends without converging (`step-failure`, `iteration-limit`), after values of −Infinity,
 * which is how `link-boundary` is told from a separation, where coefficients run away (`diverging`).
 */
interface LinkedRows {
  /** Fills residual ℓ' and weight (−ℓ'', or its expectation) of a block from `design.eta`; returns ℓ. */
  readonly block: (design: BlockedDesign, start: number, rows: number) => number;
  readonly higher: GlmHigher;
}

/** The family's link where it is not the canonical one, else null. Refuses a link that the family does not have. */
export function otherLink(options: ModelOptions, canonical: Link, others: readonly Link[]): Link | null {
  const link = options.link ?? canonical;
  if (link === canonical) return null;
  if (others.includes(link)) return link;
  throw new ConcordatError('numerics/invalid-input', `a ${options.family} model has no ${link} link`);
}

/** Binomial with a log or identity link. `constant`: what of ℓ does not depend on η. */
export function linkedBinomial(
  data: StudyData,
  scaling: Scaling | null,
  options: ModelOptions,
  link: Link,
  { events, trials, constant }: { events: Float64Array; trials: Float64Array | null; constant: number },
): ConditionalObjective {
  const expected = options.information === 'expected';
  const rows =
    link === 'log' ? logBinomial(events, trials, expected) : identityBinomial(events, trials, expected);
  return glmObjective(data, scaling, rows.block, constant, rows.higher);
}

/** Poisson with an identity link; an offset is the logarithm of an exposure, whose mean count is E·x'β. */
export function identityPoisson(
  data: StudyData,
  scaling: Scaling | null,
  options: ModelOptions,
  y: Float64Array,
  constant: number,
): ConditionalObjective {
  const expected = options.information === 'expected';
  const exposure = data.offset === null ? null : data.offset.map(Math.exp);
  let value = constant;
  if (data.offset !== null) for (let i = 0; i < data.n; i++) value += y[i]! * data.offset[i]!;
  const rows: LinkedRows = {
    block({ eta, residual, weight }, start, count) {
      let sum = 0;
      for (let k = 0; k < count; k++) {
        const h = eta[k]!;
        const e = exposure === null ? 1 : exposure[start + k]!;
        const events = y[start + k]!;
        if (!(h > 0)) return -Infinity;
        residual[k] = events / h - e;
        weight[k] = expected ? e / h : events / (h * h);
        if (events > 0) sum += events * Math.log(h);
        sum -= e * h;
      }
      return sum;
    },
    higher({ eta }, start, count, third, fourth) {
      for (let k = 0; k < count; k++) {
        const h = eta[k]!;
        const cubed = (2 * y[start + k]!) / (h * h * h);
        third[k] = cubed;
        fourth[k] = (-3 * cubed) / h;
      }
    },
  };
  return glmObjective({ ...data, offset: null }, scaling, rows.block, value, rows.higher);
}

function logBinomial(events: Float64Array, trials: Float64Array | null, expected: boolean): LinkedRows {
  return {
    block({ eta, residual, weight }, start, rows) {
      let value = 0;
      for (let k = 0; k < rows; k++) {
        const h = eta[k]!;
        const y = events[start + k]!;
        const m = trials === null ? 1 : trials[start + k]!;
        const q = -Math.expm1(h);
        if (!(h < 0)) return -Infinity;
        const odds = Math.exp(h) / q;
        residual[k] = y - (m - y) * odds;
        weight[k] = expected ? m * odds : ((m - y) * odds) / q;
        value += y * h;
        if (y < m) value += (m - y) * (h > LOG_HALF ? Math.log(q) : Math.log1p(-Math.exp(h)));
      }
      return value;
    },
    higher({ eta }, start, rows, third, fourth) {
      for (let k = 0; k < rows; k++) {
        const mu = Math.exp(eta[k]!);
        const q = -Math.expm1(eta[k]!);
        const m = trials === null ? 1 : trials[start + k]!;
        const w = ((m - events[start + k]!) * mu) / (q * q * q);
        third[k] = -w * (1 + mu);
        fourth[k] = (-w * (1 + mu * (4 + mu))) / q;
      }
    },
  };
}

function identityBinomial(events: Float64Array, trials: Float64Array | null, expected: boolean): LinkedRows {
  return {
    block({ eta, residual, weight }, start, rows) {
      let value = 0;
      for (let k = 0; k < rows; k++) {
        const mu = eta[k]!;
        const q = 1 - mu;
        const y = events[start + k]!;
        const m = trials === null ? 1 : trials[start + k]!;
        if (!(mu > 0 && mu < 1)) return -Infinity;
        residual[k] = y / mu - (m - y) / q;
        weight[k] = expected ? m / (mu * q) : y / (mu * mu) + (m - y) / (q * q);
        if (y > 0) value += y * Math.log(mu);
        if (y < m) value += (m - y) * Math.log1p(-mu);
      }
      return value;
    },
    higher({ eta }, start, rows, third, fourth) {
      for (let k = 0; k < rows; k++) {
        const mu = eta[k]!;
        const q = 1 - mu;
        const y = events[start + k]!;
        const m = trials === null ? 1 : trials[start + k]!;
        const [one, none] = [(2 * y) / (mu * mu * mu), (2 * (m - y)) / (q * q * q)];
        third[k] = one - none;
        fourth[k] = -3 * (one / mu + none / q);
      }
    },
  };
}

const LOG_HALF = -Math.LN2;

/**
 * The model of an intercept alone from totals: its mean is the share of events, or the rate. `intercept` is a start inside
 * the region: ½ is added where the mean would lie on its edge. All other coefficients may start at 0 in columns that are
 * centred, or are no large multiples of their standard deviation.
 */
export function linkedIntercept(link: Link, events: number, trials: number, bounded: boolean): number {
  const edge = events === 0 || (bounded && events === trials);
  const mean = edge ? (events + 0.5) / (trials + 1) : events / trials;
  return link === 'log' ? Math.log(mean) : mean;
}

/**
 * Where a study's own intercept may start, given the other coefficients in φ: at `intercept` where every mean is inside its
 * range there, else at one that keeps them inside; `intercept` where there is none. Links whose means have no bounds in η:
 * `intercept`.
 */
export function interceptInside(
  data: StudyData,
  scaling: Scaling | null,
  { family, link }: Pick<ModelOptions, 'family' | 'link'>,
  phi: Float64Array,
  position: number,
  intercept: number,
): number {
  if ((link ?? null) === null) return intercept;
  const others = new Float64Array(data.n);
  const at = Float64Array.from(data.columns, (_, j) => (j === position ? 0 : phi[j]!));
  new BlockedDesign(data, scaling).predictAll(at, family === 'binomial', others);
  let [lowest, highest] = [Infinity, -Infinity];
  for (let i = 0; i < others.length; i++) {
    lowest = Math.min(lowest, others[i]!);
    highest = Math.max(highest, others[i]!);
  }
  const top = family === 'binomial' ? (link === 'log' ? 0 : 1) : Infinity;
  const bottom = link === 'log' ? -Infinity : 0;
  const inside = intercept + lowest > bottom && intercept + highest < top;
  if (inside || data.n === 0) return intercept;
  if (link === 'log') return intercept - Math.max(highest, 0);
  const room = top === Infinity ? 1 : 1 - (highest - lowest);
  return room > 0 ? -lowest + Math.min(Math.max(intercept, EDGE), 1 - EDGE) * room : intercept;
}

/** Distance from a range's ends, of 1. */
const EDGE = 1e-3;
