import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { families } from '../models/registry.ts';
import { profileAt, varianceDerivatives, type Structure } from './gaussian-likelihood.ts';
import { readAnswer, sumsOf, writeAnswer, type Sums } from './gaussian-sums.ts';
import { specOf, studiesOf, type ModelOfTest, type Records } from './gaussian-testing.ts';

/** A small generator of uniform numbers, so that a property's seed is all there is to a data set. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function records(seed: number): Records {
  const next = uniform(seed);
  const study = [6, 4, 9, 5, 1].flatMap((n, i) => Array.from({ length: n }, () => i));
  return {
    study,
    treat: study.map((_, i) => i % 2),
    x: study.map(() => 4 * next() - 2),
    y: study.map((i) => 3 * next() + i),
  };
}

function sumsFor(model: ModelOfTest, data: Records): { sums: Sums; columns: number[][]; y: number[] } {
  const spec = specOf(model);
  const studies = studiesOf(spec, data);
  const theta = Float64Array.of(1, 0.3, -0.2);
  const scaling = { centre: new Float64Array(3), scale: new Float64Array(3).fill(1), intercept: 0 };
  const answers = studies.map((study) =>
    readAnswer(
      spec,
      writeAnswer(spec, study, families.gaussian.objective(study, spec.options, scaling), theta),
    ),
  );
  const sums = sumsOf(spec, answers);
  const columns: number[][] = sums.common.map((j) => studies.flatMap((study) => [...study.columns[j]!]));
  sums.studies.forEach(({ own }, i) =>
    own.forEach((j) =>
      columns.push(
        studies.flatMap((study, k) => [...study.columns[j]!].map((value) => (k === i ? value : 0))),
      ),
    ),
  );
  return { sums, columns, y: data.study.flatMap((_, i) => [data.y[i]!]) };
}

/** Plain Gaussian elimination: the inverse and log |det|. */
function inverse(matrix: number[][]): { inverse: number[][]; logDet: number } {
  const n = matrix.length;
  const a = matrix.map((row, i) => [...row, ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0))]);
  let logDet = 0;
  for (let i = 0; i < n; i++) {
    const pivot = a[i]![i]!;
    logDet += Math.log(Math.abs(pivot));
    a[i] = a[i]!.map((value) => value / pivot);
    for (let k = 0; k < n; k++) {
      if (k === i) continue;
      const factor = a[k]![i]!;
      a[k] = a[k]!.map((value, j) => value - factor * a[i]![j]!);
    }
  }
  return { inverse: a.map((row) => row.slice(n)), logDet };
}

const product = (a: number[][], b: number[][]): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const transpose = (a: number[][]): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));

/** The criterion's parts with V written out. */
function dense(
  model: ModelOfTest,
  data: Records,
  { columns, y, sums }: { sums: Sums; columns: number[][]; y: number[] },
  psi: Float64Array,
  residual: Float64Array,
): { logDetV: number; logDetM: number; squares: number } {
  const spec = specOf(model);
  const mean = (i: number): number => {
    const rows = data.treat.filter((_, k) => data.study[k] === i);
    return rows.reduce((sum, value) => sum + value, 0) / rows.length;
  };
  const z = spec.random.map(({ term }) =>
    data.study.map((i, k) =>
      term === '(intercept)' ? 1 : data.treat[k]! - (spec.centredTreatment ? mean(i) : 0),
    ),
  );
  const v = data.study.map((i, k) =>
    data.study.map((j, l) => {
      let value = k === l ? residual[residual.length === 1 ? 0 : i]! : 0;
      if (i === j)
        z.forEach((za, a) => z.forEach((zb, b) => (value += psi[a * sums.effects + b]! * za[k]! * zb[l]!)));
      return value;
    }),
  );
  const { inverse: w, logDet } = inverse(v);
  const x = transpose(columns);
  const wx = product(w, x);
  const m = inverse(product(columns, wx));
  const beta = product(
    m.inverse,
    product(
      transpose(wx),
      y.map((value) => [value]),
    ),
  );
  const r = y.map((value, k) => [value - x[k]!.reduce((sum, entry, j) => sum + entry * beta[j]![0]!, 0)]);
  return { logDetV: logDet, logDetM: m.logDet, squares: product(transpose(r), product(w, r))[0]![0]! };
}

const MODELS: readonly ModelOfTest[] = [
  { random: ['(intercept)', 'treatment'], correlated: true },
  { random: ['treatment'], stratified: ['(intercept)'] },
  { random: ['treatment'], stratified: ['(intercept)', 'x'] },
  { random: ['(intercept)', 'treatment'], residual: 'stratified' },
  { stratified: ['(intercept)'] },
];

function variancesOf(model: ModelOfTest, seed: number): { structure: Structure; gamma: number[] } {
  const next = uniform(seed + 17);
  const q = model.random?.length ?? 0;
  const residuals = model.residual === 'stratified' ? 5 : 1;
  const entries: [number, number][] =
    q === 2
      ? [
          [0, 0],
          [1, 0],
          [1, 1],
        ]
      : q === 1
        ? [[0, 0]]
        : [];
  const psi = entries.map(([a, b]) => (a === b ? 0.2 + next() : 0.3 * (next() - 0.5)));
  return {
    structure: { entries, residual: model.residual ?? 'common' },
    gamma: [...psi, ...Array.from({ length: residuals }, () => 0.5 + next())],
  };
}

function at({ entries }: Structure, q: number, gamma: readonly number[]) {
  const psi = new Float64Array(q * q);
  entries.forEach(([a, b], k) => {
    psi[a * q + b] = gamma[k]!;
    psi[b * q + a] = gamma[k]!;
  });
  return { psi, residual: Float64Array.from(gamma.slice(entries.length)) };
}

const near = (a: number, b: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${what}: ${a}, not ${b}`);

test('property: determinants and squares are those of V written out', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), fc.nat(1e6), (model, seed) => {
      const data = records(seed);
      const made = sumsFor(model, data);
      const { structure, gamma } = variancesOf(model, seed);
      const variances = at(structure, made.sums.effects, gamma);
      const profile = profileAt(made.sums, variances);
      const expected = dense(model, data, made, variances.psi, variances.residual);
      near(profile.logDetV, expected.logDetV, 1e-9, 'log|V|');
      near(profile.logDetM, expected.logDetM, 1e-9, "log|X'V⁻¹X|");
      near(profile.squares, expected.squares, 1e-9, 'squares');
    }),
    { numRuns: 40 },
  );
});

test('property: first and second derivatives by the variances agree with differences', () => {
  const H = 1e-5;
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), fc.nat(1e6), fc.boolean(), (model, seed, restricted) => {
      const { sums } = sumsFor(model, records(seed));
      const { structure, gamma } = variancesOf(model, seed);
      const profile = (values: readonly number[]) => profileAt(sums, at(structure, sums.effects, values));
      const derivatives = (values: readonly number[]) =>
        varianceDerivatives(sums, structure, profile(values), restricted);
      const here = derivatives(gamma);
      gamma.forEach((_, c) => {
        const moved = (h: number): number[] => gamma.map((value, k) => (k === c ? value + h : value));
        const [up, down] = [profile(moved(H)), profile(moved(-H))];
        const logs = (p: typeof up): number => p.logDetV + (restricted ? p.logDetM : 0);
        near(here.trace[c]!, (logs(up) - logs(down)) / (2 * H), 1e-6, 'trace');
        near(-here.quadratic[c]!, (up.squares - down.squares) / (2 * H), 1e-6, 'quadratic');
        const [above, below] = [derivatives(moved(H)), derivatives(moved(-H))];
        gamma.forEach((_value, d) => {
          near(
            -here.traces[c * here.size + d]!,
            (above.trace[d]! - below.trace[d]!) / (2 * H),
            1e-5,
            'traces',
          );
          const change = (above.quadratic[d]! - below.quadratic[d]!) / (2 * H);
          near(-2 * here.quadratics[c * here.size + d]!, change, 1e-5, 'quadratics');
        });
      });
    }),
    { numRuns: 40 },
  );
});
