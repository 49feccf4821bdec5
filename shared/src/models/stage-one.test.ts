import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { FamilyName } from '../plan/types.ts';
import { packedIndex } from '../linalg/symmetric.ts';
import { fitStageOne } from './stage-one.ts';
import type { Diagnosis, Response, StudyData } from './types.ts';

interface Case {
  readonly name: string;
  readonly family: FamilyName;
  readonly ties: 'efron' | 'breslow';
  readonly terms: readonly string[];
  readonly columns: readonly (readonly number[])[];
  readonly response: Readonly<Record<string, unknown>>;
  readonly offset: readonly number[] | null;
  readonly treatmentTerms: readonly number[];
  readonly diagnosis?: Diagnosis;
  readonly estimable: readonly boolean[];
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly null: number;
  readonly fitted: number;
  readonly residualVariance?: number;
}

const fixture = new URL('../../../test/fixtures/stage-one/cases.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(fixture, 'utf8')) as { readonly cases: readonly Case[] };

function studyOf(item: Case): StudyData {
  const arrays = Object.entries(item.response).map(([key, value]) => {
    if (!Array.isArray(value)) return [key, value ?? null];
    return [key, key === 'stratum' ? Int32Array.from(value) : Float64Array.from(value)];
  });
  return {
    n: item.columns[0]!.length,
    columns: item.columns.map((column) => Float64Array.from(column)),
    terms: item.terms,
    response: Object.fromEntries(arrays) as Response,
    offset: item.offset === null ? null : Float64Array.from(item.offset),
  };
}

/** Relative to the value, or where it is a covariance, to what its variances make of it. */
function close(
  what: string,
  actual: number,
  expected: number,
  unit = Math.abs(expected),
  tolerance = 1e-8,
): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * unit, `${what}: ${actual}, R has ${expected}`);
}

for (const item of cases) {
  test(`as R: ${item.name}`, () => {
    const outcome = fitStageOne(studyOf(item), { family: item.family, ties: item.ties }, item.treatmentTerms);
    if (item.diagnosis !== undefined) {
      assert.deepEqual(outcome, { status: 'not-estimable', diagnosis: item.diagnosis });
      return;
    }
    assert.equal(outcome.status, 'fitted', JSON.stringify(outcome));
    assert.ok(outcome.status === 'fitted');
    assert.deepEqual(outcome.estimable, item.estimable);
    const variance = (i: number) => item.vcov[packedIndex(i, i)]!;
    item.estimates.forEach((expected, i) => {
      close(
        `estimate ${i}`,
        outcome.estimates[i]!,
        expected,
        Math.max(Math.abs(expected), 0.01 * Math.sqrt(variance(i))),
      );
      for (let j = 0; j <= i; j++) {
        const at = packedIndex(i, j);
        close(
          `vcov ${i},${j}`,
          outcome.vcov[at]!,
          item.vcov[at]!,
          Math.sqrt(variance(i) * variance(j)),
          2e-8,
        );
      }
    });
    close('fitted log-likelihood', outcome.logLikelihood.fitted, item.fitted);
    close('null log-likelihood', outcome.logLikelihood.null, item.null);
    if (item.residualVariance !== undefined)
      close('residual variance', outcome.residualVariance!, item.residualVariance);
  });
}

test('gaussian: nearly collinear columns keep the digits of a closed form', () => {
  // Orthogonal patterns of ±1; every value below is exact in double precision, and so is the solution.
  const pattern = (bit: number) => Float64Array.from({ length: 64 }, (_, i) => ((i >> bit) & 1 ? 1 : -1));
  const [a, b, residual] = [pattern(0), pattern(1), pattern(2)];
  for (const exponent of [8, 10, 12]) {
    const near = a.map((value, i) => value + 2 ** -exponent * b[i]!);
    const y = residual.map((value, i) => 8 + 3 * a[i]! - 5 * near[i]! + value);
    const data: StudyData = {
      n: 64,
      columns: [new Float64Array(64).fill(1), a, near],
      terms: ['(intercept)', 'a', 'near'],
      response: { kind: 'continuous', y },
      offset: null,
    };
    const outcome = fitStageOne(data, { family: 'gaussian', ties: 'efron' }, []);
    assert.equal(outcome.status, 'fitted');
    if (outcome.status !== 'fitted') continue;
    [8, 3, -5].forEach((value, j) => {
      assert.ok(
        Math.abs(outcome.estimates[j]! / value - 1) <= 1e-9,
        `2^-${exponent}: ${outcome.estimates[j]}`,
      );
    });
  }
});
