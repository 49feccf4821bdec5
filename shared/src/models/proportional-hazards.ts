import { ConcordatError } from '../errors.ts';
import { cholesky, packedIndex, packedLength, solveCholesky } from '../linalg/symmetric.ts';
import { chiSquareUpper } from '../numerics/distributions.ts';
import type { Evaluation } from './types.ts';

/** A term and the columns that make it, as positions among the p columns of the model. */
export interface TestedTerm {
  readonly term: string;
  readonly columns: readonly number[];
}

/** Null where the information says nothing about the term. */
export interface ProportionalHazardsResult {
  /** `global`: all of them. */
  readonly term: string;
  readonly statistic: number | null;
  readonly df: number;
  readonly p: number | null;
}

/**
 * Test of proportional hazards: the score test of γ = 0 in a model whose log hazard ratio of column j is βⱼ + γⱼ g(t) (Grambsch
 * & Therneau 1994, Biometrika 81:515), in the form of survival::cox.zph from version 3 on:
 *
 *   (U_γ − I_γβ I_ββ⁻¹ U_β)' [I_γγ − I_γβ I_ββ⁻¹ I_βγ]⁻¹ (U_γ − I_γβ I_ββ⁻¹ U_β)
 *
 * by term (that term's γ alone, all of β) and for all. It does not change with the origin of g, so that the sums over
 * sites of their evaluations give the pooled test.
 *
 * @param evaluation of the model of `cox-time-varying.ts` in all columns with one function of time, order 2, at (β̂, 0)
 * @param p number of columns
 */
export function proportionalHazardsTest(
  { gradient, hessian }: Evaluation,
  p: number,
  terms: readonly TestedTerm[],
): ProportionalHazardsResult[] {
  const statistic = (columns: readonly number[]): number | null => {
    const kept = [...Array.from({ length: p }).keys(), ...columns.map((j) => p + j)];
    const information = new Float64Array(packedLength(kept.length));
    kept.forEach((i, a) =>
      kept.slice(0, a + 1).forEach((j, b) => (information[packedIndex(a, b)] = -hessian[packedIndex(i, j)]!)),
    );
    const score = Float64Array.from(kept, (j) => gradient[j]!);
    const beta = score.slice(0, p);
    try {
      // U'I⁻¹U of all less that of β is the statistic of γ given β.
      const all = quadratic(information, score);
      return Math.max(0, all - quadratic(information.slice(0, packedLength(p)), beta));
    } catch (error) {
      if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
      throw error;
    }
  };
  const result = (term: string, columns: readonly number[]): ProportionalHazardsResult => {
    const found = columns.length === 0 ? null : statistic(columns);
    const df = columns.length;
    return { term, statistic: found, df, p: found === null ? null : chiSquareUpper(found, df) };
  };
  return [
    ...terms.map(({ term, columns }) => result(term, columns)),
    result(
      'global',
      terms.flatMap(({ columns }) => columns),
    ),
  ];
}

function quadratic(information: Float64Array, score: Float64Array): number {
  const solved = solveCholesky(cholesky(information), score);
  return solved.reduce((sum, value, k) => sum + value * score[k]!, 0);
}
