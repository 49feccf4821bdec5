/** One large study, the same on every machine: a treatment, six covariates and three outcomes. */

/** SplitMix32: small, seeded, enough for timing. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

export interface BenchData {
  readonly n: number;
  /** Ones, treatment, age, sex, sbp, bmi, smoker, diabetes: eight columns, the first the intercept. */
  readonly columns: readonly Float64Array[];
  readonly continuous: Float64Array;
  readonly binary: Float64Array;
  readonly time: Float64Array;
  readonly event: Float64Array;
}

export const TERMS = ['(intercept)', 'treatment', 'age', 'sex', 'sbp', 'bmi', 'smoker', 'diabetes'] as const;

export function makeData(n: number): BenchData {
  const next = uniform(20_261_123);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const columns = TERMS.map(() => new Float64Array(n));
  const [continuous, binary, time, event] = [0, 1, 2, 3].map(() => new Float64Array(n)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let i = 0; i < n; i++) {
    const row = [
      1,
      Number(next() < 0.5),
      60 + 10 * normal(),
      Number(next() < 0.5),
      150 + 15 * normal(),
      28 + 4 * normal(),
      Number(next() < 0.2),
      Number(next() < 0.15),
    ] as const;
    row.forEach((value, j) => {
      columns[j]![i] = value;
    });
    const eta =
      -0.3 * row[1] +
      0.04 * (row[2] - 60) +
      0.3 * row[3] +
      0.01 * (row[4] - 150) +
      0.4 * row[6] +
      0.5 * row[7];
    continuous[i] = 140 + 5 * eta + 12 * normal();
    binary[i] = Number(next() < 1 / (1 + Math.exp(1.5 - eta)));
    const at = Math.ceil((-Math.log(1 - next()) / (0.0002 * Math.exp(eta))) * 10) / 10;
    const end = 365 + Math.floor(1461 * next());
    time[i] = Math.min(at, end);
    event[i] = Number(at <= end);
  }
  return { n, columns, continuous, binary, time, event };
}
