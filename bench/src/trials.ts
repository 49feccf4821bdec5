/** Trials of one treatment, the same on every machine: study effects, six covariates and the outcomes of each family. */
import { TERMS, uniform } from './data.ts';

export interface Trial {
  readonly n: number;
  /** As `TERMS`: the first is the column of ones. */
  readonly columns: readonly Float64Array[];
  readonly outcomes: Readonly<Record<OutcomeName, Float64Array>>;
}

export const OUTCOMES = ['continuous', 'binary', 'count', 'overdispersed', 'time', 'event'] as const;
export type OutcomeName = (typeof OUTCOMES)[number];

/** Trial number `study` of n participants: intercepts vary with standard deviation 0.4, treatment effects with 0.2. */
export function makeTrial(study: number, n: number): Trial {
  const next = uniform(20_261_125 + 7919 * study);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const poisson = (mean: number): number => {
    const limit = Math.exp(-mean);
    let [count, product] = [0, next()];
    for (; product > limit; count++) product *= next();
    return count;
  };
  const [intercept, effect] = [0.4 * normal(), -0.3 + 0.2 * normal()];
  const columns = TERMS.map(() => new Float64Array(n));
  const outcomes = Object.fromEntries(OUTCOMES.map((name) => [name, new Float64Array(n)])) as Record<
    OutcomeName,
    Float64Array
  >;
  for (let i = 0; i < n; i++) {
    const row = [
      1,
      Number(next() < 0.5),
      normal(),
      Number(next() < 0.5),
      normal(),
      normal(),
      Number(next() < 0.2),
      Number(next() < 0.15),
    ] as const;
    row.forEach((value, j) => (columns[j]![i] = value));
    const eta =
      intercept + effect * row[1] + 0.4 * row[2] + 0.3 * row[3] + 0.15 * row[4] + 0.4 * row[6] + 0.5 * row[7];
    outcomes.continuous[i] = 5 * eta + 12 * normal();
    outcomes.binary[i] = Number(next() < 1 / (1 + Math.exp(1.5 - eta)));
    outcomes.count[i] = poisson(Math.exp(eta - 0.5));
    // Gamma(2) of mean 1 times the rate: negative binomial of size 2.
    const gamma = -Math.log((1 - next()) * (1 - next())) / 2;
    outcomes.overdispersed[i] = poisson(gamma * Math.exp(eta - 0.5));
    const at = Math.ceil((-Math.log(1 - next()) / (0.0002 * Math.exp(eta))) * 10) / 10;
    const end = 365 + Math.floor(1461 * next());
    outcomes.time[i] = Math.min(at, end);
    outcomes.event[i] = Number(at <= end);
  }
  return { n, columns, outcomes };
}
