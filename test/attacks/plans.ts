/** Plans as an attacker writes them, and what follows from a linear fit's estimates. */
import type { StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { cholesky, inverseFromCholesky, packedIndex } from '@concordat/shared/linalg/symmetric.ts';

export interface PlanParts {
  readonly population?: string;
  readonly treatment?: string;
  readonly outcome: string;
  readonly levels?: string;
  readonly analyses: Readonly<Record<string, string>>;
}

/** Each analysis is `id: rest`. */
export function planOf(
  { population, treatment, outcome, levels, analyses }: PlanParts,
  id = 'study',
): string {
  const lines = [
    'plan: 1',
    `id: ${id}`,
    ...(population === undefined ? [] : [`population: '${population}'`]),
    ...(treatment === undefined ? [] : [`treatment: ${treatment}`]),
    `outcome: ${outcome}`,
    ...(levels === undefined ? [] : [`levels: ${levels}`]),
    'analyses:',
    ...Object.entries(analyses).map(([name, rest]) => `  - {id: ${name}, ${rest}}`),
  ];
  return `${lines.join('\n')}\n`;
}

export const ARM = '{variable: arm, control: 0, active: 1}';
export const two = (model: string, more = ''): string => `approach: two-stage, model: {${model}}${more}`;
export const one = (model: string, more = ''): string => `approach: one-stage, model: {${model}}${more}`;

/** Sums that a linear model's estimates are another way of writing: X'X (rows), X'y, y'y, n. */
export interface LinearSums {
  readonly xx: number[][];
  readonly xy: number[];
  readonly yy: number;
  readonly n: number;
}

/**
 * V = σ²(X'X)⁻¹ and β = (X'X)⁻¹X'y, hence X'X = σ²V⁻¹, X'y = X'Xβ, and y'y = (n − p)σ² + β'X'y.
 */
export function linearSums({ estimates, vcov, residualVariance, counts }: StageOneEstimate): LinearSums {
  const p = estimates.length;
  const inverse = inverseFromCholesky(cholesky(Float64Array.from(vcov)));
  const xx = Array.from({ length: p }, (_, i) =>
    Array.from(
      { length: p },
      (__, j) => residualVariance * inverse[packedIndex(Math.max(i, j), Math.min(i, j))]!,
    ),
  );
  const xy = xx.map((row) => row.reduce((sum, value, j) => sum + value * estimates[j]!, 0));
  const n = counts!.participants.reduce((a, b) => a + b, 0);
  const yy = (n - p) * residualVariance + xy.reduce((sum, value, j) => sum + value * estimates[j]!, 0);
  return { xx, xy, yy, n };
}
