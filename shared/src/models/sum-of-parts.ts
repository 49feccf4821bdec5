import { packedIndex } from '../linalg/symmetric.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { emptyExpansion } from './expansion.ts';
import type { ConditionalObjective } from './conditional.ts';
import type { Evaluation, Objective } from './types.ts';

/** A part of a log-likelihood: its k-th parameter is the whole's at positions[k], ascending. */
export interface Part {
  readonly objective: ConditionalObjective;
  readonly positions: readonly number[];
}

/** constant + Σ parts, as one log-likelihood of `parameters` parameters. */
export function sumOfParts(
  parameters: number,
  parts: readonly Part[],
  constant: number,
): ConditionalObjective {
  const at = (phi: Float64Array, { positions }: Part): Float64Array =>
    Float64Array.from(positions, (j) => phi[j]!);

  function begin(out: Evaluation): void {
    out.value = constant;
    out.gradient.fill(0);
    out.hessian.fill(0);
  }

  function add(part: Evaluation, { positions }: Part, order: 0 | 1 | 2, out: Evaluation): void {
    out.value += part.value;
    if (order > 0) positions.forEach((j, k) => (out.gradient[j]! += part.gradient[k]!));
    if (order === 2) addMatrix(part.hessian, positions, out.hessian);
  }

  const scratch = parts.map(({ positions }) => emptyEvaluation(positions.length));
  return {
    parameters,

    evaluate(theta, order, out): void {
      begin(out);
      parts.forEach((part, i) => {
        part.objective.evaluate(at(theta, part), order, scratch[i]!);
        add(scratch[i]!, part, order, out);
      });
    },

    expand(phi, directions, order, out): void {
      begin(out);
      for (const matrix of [...out.third, ...out.fourth]) matrix.fill(0);
      for (const part of parts) {
        const own = emptyExpansion(part.positions.length, directions.length);
        part.objective.expand(
          at(phi, part),
          directions.map((direction) => at(direction, part)),
          order,
          own,
        );
        add(own, part, 2, out);
        own.third.forEach((matrix, a) => addMatrix(matrix, part.positions, out.third[a]!));
        if (order === 2) own.fourth.forEach((matrix, k) => addMatrix(matrix, part.positions, out.fourth[k]!));
      }
    },

    along(phi, directions): Objective {
      const q = directions.length;
      const planes = parts.map((part) =>
        part.objective.along(
          at(phi, part),
          directions.map((direction) => at(direction, part)),
        ),
      );
      const own = emptyEvaluation(q);
      return {
        parameters: q,
        evaluate(c, order, out): void {
          begin(out);
          for (const plane of planes) {
            plane.evaluate(c, order, own);
            out.value += own.value;
            if (order > 0) for (let a = 0; a < q; a++) out.gradient[a]! += own.gradient[a]!;
            if (order === 2) for (let k = 0; k < own.hessian.length; k++) out.hessian[k]! += own.hessian[k]!;
          }
        },
      };
    },
  };
}

function addMatrix(part: Float64Array, positions: readonly number[], whole: Float64Array): void {
  positions.forEach((i, a) => {
    for (let b = 0; b <= a; b++) whole[packedIndex(i, positions[b]!)]! += part[packedIndex(a, b)]!;
  });
}
