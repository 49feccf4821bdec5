import assert from 'node:assert/strict';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import type { ConditionalObjective } from './conditional.ts';
import { alongGenerically, emptyExpansion, expandNumerically } from './expansion.ts';
import type { Objective, Response, StudyData } from './types.ts';

/** Step and relative error of fourth-order central differences. */
const STEP = 1e-3;
const TOLERANCE = 1e-7;

export function evaluate(objective: Objective, theta: Float64Array): ReturnType<typeof emptyEvaluation> {
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(theta, 2, out);
  return out;
}

/** Gradient against differences of the value, Hessian against those of the gradient. */
export function assertDerivatives(objective: Objective, theta: Float64Array): void {
  const at = evaluate(objective, theta);
  const scale = 1 + Math.abs(at.value);
  for (let j = 0; j < theta.length; j++) {
    const [a, b, c, d] = [-2, -1, 1, 2].map((k) =>
      evaluate(
        objective,
        theta.map((value, i) => (i === j ? value + k * STEP : value)),
      ),
    );
    const slope = (f: (e: typeof at) => number): number =>
      (f(a!) - 8 * f(b!) + 8 * f(c!) - f(d!)) / (12 * STEP);
    near(
      `gradient ${j}`,
      at.gradient[j]!,
      slope((e) => e.value),
      scale,
    );
    for (let i = 0; i < theta.length; i++)
      near(
        `hessian ${i}, ${j}`,
        at.hessian[packedIndex(i, j)]!,
        slope((e) => e.gradient[i]!),
        scale,
      );
  }
}

/** Third and fourth derivatives against differences of the Hessian, and the plane against evaluations in all parameters. */
export function assertExpansion(
  objective: ConditionalObjective,
  phi: Float64Array,
  directions: readonly Float64Array[],
): void {
  const p = phi.length;
  const exact = emptyExpansion(p, directions.length);
  const differences = emptyExpansion(p, directions.length);
  objective.expand(phi, directions, 2, exact);
  expandNumerically(objective, phi, directions, 2, differences);
  const at = evaluate(objective, phi);
  assert.deepEqual([exact.value, exact.gradient, exact.hessian], [at.value, at.gradient, at.hessian]);
  const size = Math.max(...at.hessian.map(Math.abs));
  const matrices = (e: typeof exact): Float64Array[] => [...e.third, ...e.fourth];
  matrices(exact).forEach((matrix, k) =>
    matrix.forEach((value, i) =>
      near(`matrix ${k}, element ${i}`, value, matrices(differences)[k]![i]!, size),
    ),
  );
  const third = emptyExpansion(p, directions.length);
  objective.expand(phi, directions, 1, third);
  assert.deepEqual(third.third, exact.third);

  const plane = objective.along(phi, directions);
  const generic = alongGenerically(objective, phi, directions);
  for (const c of [
    [0, 0],
    [0.2, -0.1],
  ]) {
    const point = Float64Array.from(directions, (_, a) => c[a]!);
    const [mine, other] = [evaluate(plane, point), evaluate(generic, point)];
    assert.equal(mine.hessian.length, packedLength(directions.length));
    near('plane value', mine.value, other.value, 1e-5 * (1 + Math.abs(other.value)));
    mine.gradient.forEach((value, a) => near('plane gradient', value, other.gradient[a]!, 1e-4 * size));
    mine.hessian.forEach((value, a) => near('plane hessian', value, other.hessian[a]!, 1e-4 * size));
  }
}

export function near(what: string, actual: number, expected: number, unit = 1, tolerance = TOLERANCE): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * unit, `${what}: ${actual}, expected ${expected}`);
}

/** What R gives: estimates, their covariance (packed) and the log-likelihood. */
export interface Reference {
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly logLik: number;
}

/** Estimates to 1e-8 of their standard errors, covariances to 1e-8 of the variances' product, the log-likelihood to 1e-10. */
export function assertAsR(
  expected: Reference,
  actual: { readonly estimates: Float64Array; readonly vcov: Float64Array; readonly logLik: number },
  tolerance = 1e-8,
): void {
  const se = expected.estimates.map((_, j) => Math.sqrt(expected.vcov[packedIndex(j, j)]!));
  assert.equal(actual.estimates.length, se.length);
  near('log-likelihood', actual.logLik, expected.logLik, Math.abs(expected.logLik), 1e-10);
  expected.estimates.forEach((value, j) =>
    near(`estimate ${j}`, actual.estimates[j]!, value, se[j], tolerance),
  );
  for (let i = 0; i < se.length; i++) {
    for (let j = 0; j <= i; j++) {
      const k = packedIndex(i, j);
      near(`covariance ${i}, ${j}`, actual.vcov[k]!, expected.vcov[k]!, se[i]! * se[j]!, tolerance);
    }
  }
}

type Column = readonly number[];

interface Families {
  readonly data: Readonly<Record<string, Column>>;
  readonly negativeBinomial: Reference & { readonly seFixedSize: Column };
  readonly ordinal: Reference;
  readonly ordinalOffset: Reference;
  readonly ordinalGap: Reference;
  readonly logBinomial: Reference;
  readonly identityBinomial: Reference;
  readonly identityPoisson: Reference;
  readonly firthFixed: Reference & { readonly profile: Column; readonly lr: number };
  readonly firthSparse: Reference & { readonly profile: Column; readonly lr: number };
  readonly firthGrouped: Reference;
}

/** The records and R's results of test/fixtures/families/cases.json. */
export function fixtureOf(json: string): {
  readonly families: Families;
  readonly column: (name: string) => Float64Array;
  /** Four studies' records; `intercept`: a column of ones before treatment and x. */
  readonly records: (response: Response, how?: { intercept?: boolean; offset?: boolean }) => StudyData;
} {
  const families = JSON.parse(json) as Families;
  const column = (name: string): Float64Array => Float64Array.from(families.data[name]!);
  return {
    families,
    column,
    records(response, { intercept = true, offset = false } = {}) {
      const covariates = [column('treatment'), column('x')];
      const ones = covariates[0]!.map(() => 1);
      return {
        n: ones.length,
        columns: intercept ? [ones, ...covariates] : covariates,
        terms: intercept ? ['(intercept)', 'treatment', 'x'] : ['treatment', 'x'],
        response,
        offset: offset ? column('offset') : null,
      };
    },
  };
}

/** The rows where `keep` holds. */
export function rowsWhere(data: StudyData, keep: (row: number) => boolean): StudyData {
  const pick = <T extends Float64Array | Int32Array>(values: T): T => values.filter((_, i) => keep(i)) as T;
  const response = Object.fromEntries(
    Object.entries(data.response).map(([key, value]: [string, unknown]) => [
      key,
      value instanceof Float64Array || value instanceof Int32Array ? pick(value) : value,
    ]),
  ) as Response;
  const columns = data.columns.map(pick);
  return {
    ...data,
    n: columns[0]!.length,
    columns,
    response,
    offset: data.offset === null ? null : pick(data.offset),
  };
}
