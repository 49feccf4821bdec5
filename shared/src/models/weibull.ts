import { drive, newton } from '../numerics/newton.ts';
import type { Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import type { Family, NullModel } from './family.ts';
import { rowObjective, type RowDerivatives, type RowLikelihood } from './row-likelihood.ts';
import { logRate, survivalTimes, type SurvivalTimes } from './survival-times.ts';
import type { Response, StudyData } from './types.ts';

/**
 * Weibull proportional hazards model: cumulative hazard H(t) = exp(η) t^κ, ηᵢ = xᵢ'β + offsetᵢ; row i is under
 * observation on (entryᵢ, timeᵢ]. Parameters: β, then s = log κ (`log(shape)`). With L = log time, L₀ = log entry, δ the
 * event,
 *
 *   ℓ = Σ δᵢ(ηᵢ + s + (κ − 1)Lᵢ) − Eᵢ + E₀ᵢ,   E = exp(η + κL), E₀ = exp(η + κL₀)
 *
 * (Kalbfleisch & Prentice 2002, §2.3.2 and eq. 3.2 for left truncation). As survival::survreg(dist = 'weibull') with
 * κ = 1/scale and β = −coefficients/scale; its log-likelihood is the same. Derivatives in η are all −E + E₀ but for the
 * events; ∂E/∂s = κL·E, ∂²E/∂s² = κL(1 + κL)·E. ℓ is concave in (β, κ), nearly always in (β, s).
 */
export const weibull: Family = {
  name: 'weibull',
  measure: 'log hazard ratio',
  intercept: true,
  divergence: 'monotone-likelihood',
  nonevents: false,

  objective: (data: StudyData, _options, scaling: Scaling | null): ConditionalObjective =>
    rowObjective(data, scaling, new Times(times(data.response))),

  /** Intercept and shape. */
  nullModel(data: StudyData, options): NullModel {
    const rate = logRate(times(data.response));
    const alone: StudyData = { ...data, columns: [new Float64Array(data.n).fill(1)], terms: ['(intercept)'] };
    const fit = drive(newton(Float64Array.of(rate, 0)), weibull.objective(alone, options, null));
    return { logLikelihood: fit.evaluation.value, intercept: fit.theta[0]!, dispersion: 1 };
  },

  events: (response) => times(response).event,
  trials: () => null,
  extra: () => [{ term: 'log(shape)', start: 0 }],
};

function times(response: Response): SurvivalTimes {
  return survivalTimes('weibull', response);
}

class Times implements RowLikelihood {
  readonly scalar = true;
  readonly #event: Float64Array;
  /** Logarithms; those of time 0 are −∞. */
  readonly #exit: Float64Array;
  readonly #entry: Float64Array | null;
  readonly #events: number;
  /** Σ δL. */
  readonly #logTimes: number;
  #shape = 1;

  constructor({ time, event, entry }: SurvivalTimes) {
    this.#event = event;
    this.#exit = time.map(Math.log);
    this.#entry = entry === null ? null : entry.map(Math.log);
    let [events, logTimes] = [0, 0];
    for (let i = 0; i < event.length; i++) {
      if (event[i] === 0) continue;
      events++;
      logTimes += this.#exit[i]!;
    }
    this.#events = events;
    this.#logTimes = logTimes;
  }

  constant(s: number): { value: number; s: number; ss: number } {
    const shape = Math.exp(s);
    this.#shape = shape;
    if (!(shape > 0 && shape < Infinity)) return { value: -Infinity, s: 0, ss: 0 };
    const scaled = shape * this.#logTimes;
    return { value: this.#events * s + scaled - this.#logTimes, s: this.#events + scaled, ss: scaled };
  }

  rows(eta: Float64Array, start: number, rows: number, _depth: number, out: RowDerivatives): number {
    const [event, exit, entry, shape] = [this.#event, this.#exit, this.#entry, this.#shape];
    const { d1, d2, d3, d4, d1s, d2s, d3s, d1ss, d2ss } = out;
    let [value, s, ss] = [0, 0, 0];
    for (let k = 0; k < rows; k++) {
      const h = eta[k]!;
      const delta = event[start + k]!;
      // κL = −∞ at time 0, where E and its derivatives are 0.
      const scaled = shape * exit[start + k]!;
      let e = Math.exp(h + scaled);
      let es = e === 0 ? 0 : e * scaled;
      let ess = e === 0 ? 0 : es * (1 + scaled);
      if (entry !== null) {
        const scaled0 = shape * entry[start + k]!;
        const e0 = Math.exp(h + scaled0);
        if (e0 > 0) {
          e -= e0;
          es -= e0 * scaled0;
          ess -= e0 * scaled0 * (1 + scaled0);
        }
      }
      value += delta * h - e;
      d1[k] = delta - e;
      s -= es;
      ss -= ess;
      d2[k] = d3[k] = d4[k] = -e;
      d1s[k] = d2s[k] = d3s[k] = -es;
      d1ss[k] = d2ss[k] = -ess;
    }
    out.s = s;
    out.ss = ss;
    return value;
  }
}
