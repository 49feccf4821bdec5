import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { BLOCK } from '../numerics/tile.ts';
import { BlockedDesign, CompensatedSum, type Scaling } from './blocks.ts';
import type { ConditionalObjective } from './conditional.ts';
import { alongGenerically } from './expansion.ts';
import type { Evaluation, Objective, StudyData } from './types.ts';

/**
 * Log-likelihoods Σ f(ηᵢ; s) of one linear predictor η = Xβ + offset and one parameter s besides (a log dispersion), as
 * objectives in (β, s), with third and fourth derivatives along directions that leave s where it is.
 *
 * With żₐ = Xdₐ and f's derivatives by subscripts:
 *   H        = [X' diag(f_ηη) X,           X'f_ηs;           Σ f_ss]
 *   ∂H/∂cₐ   = [X' diag(f_ηηη żₐ) X,       X'(f_ηηs żₐ);     Σ f_ηss żₐ]
 *   ∂²H/∂cₐ∂c_b likewise with f_ηηηη, f_ηηηs, f_ηηss and żₐż_b.
 */
export interface RowLikelihood {
  /** What does not depend on η at s: value, and its first and second derivative in s. −Infinity: s is out of range. */
  constant(s: number): { readonly value: number; readonly s: number; readonly ss: number };
  /**
   * Log-likelihood of rows `start` … `start + rows − 1` at `eta`, at the s of the last `constant`. Fills `out` as far as
   * `depth`: 1 first derivatives, 2 second, 3 and 4 likewise; those in s with them.
   */
  rows(eta: Float64Array, start: number, rows: number, depth: number, out: RowDerivatives): number;
}

/** By row, BLOCK of them; sums where s alone is varied. */
export interface RowDerivatives {
  /** f_η, f_ηη, f_ηηη, f_ηηηη. */
  readonly d1: Float64Array;
  readonly d2: Float64Array;
  readonly d3: Float64Array;
  readonly d4: Float64Array;
  /** f_ηs, f_ηηs, f_ηηηs. */
  readonly d1s: Float64Array;
  readonly d2s: Float64Array;
  readonly d3s: Float64Array;
  /** f_ηss, f_ηηss. */
  readonly d1ss: Float64Array;
  readonly d2ss: Float64Array;
  /** Σ f_s, Σ f_ss over the rows. */
  s: number;
  ss: number;
}

const block = (): Float64Array => new Float64Array(BLOCK);
/** Shared: an evaluation runs to its end without giving way. */
const at: RowDerivatives = {
  d1: block(),
  d2: block(),
  d3: block(),
  d4: block(),
  d1s: block(),
  d2s: block(),
  d3s: block(),
  d1ss: block(),
  d2ss: block(),
  s: 0,
  ss: 0,
};
const scratch = block();

export function rowObjective(
  data: StudyData,
  scaling: Scaling | null,
  likelihood: RowLikelihood,
): ConditionalObjective {
  const { n } = data;
  const design = new BlockedDesign(data, scaling);
  const p = design.p;
  const corner = packedIndex(p, p);

  /** Value, gradient, Hessian (depth ≥ 2), then what `more` adds from each block's derivatives. */
  function pass(
    phi: Float64Array,
    depth: number,
    out: Evaluation,
    more: ((start: number, rows: number) => void) | null,
  ): void {
    const constant = likelihood.constant(phi[p]!);
    out.gradient.fill(0);
    if (depth >= 2) out.hessian.fill(0);
    out.value = constant.value;
    if (constant.value === -Infinity) return;
    design.begin();
    const value = new CompensatedSum();
    value.add(constant.value);
    let [s, ss] = [constant.s, constant.ss];
    for (let start = 0; start < n; start += BLOCK) {
      const rows = design.load(start, phi);
      value.add(likelihood.rows(design.eta, start, rows, depth, at));
      if (depth >= 1) {
        design.residual.set(at.d1.subarray(0, rows));
        design.addGradient(rows, out.gradient);
        s += at.s;
      }
      if (depth >= 2) {
        const { weight } = design;
        for (let k = 0; k < rows; k++) weight[k] = -at.d2[k]!;
        design.subtractInformation(rows, out.hessian);
        design.residual.set(at.d1s.subarray(0, rows));
        design.addGradient(rows, out.hessian.subarray(packedLength(p)));
        ss += at.ss;
      }
      more?.(start, rows);
    }
    out.value = value.total;
    if (depth >= 1) out.gradient[p] = s;
    if (depth >= 2) out.hessian[corner] = ss;
  }

  /** One block's part of ∂H/∂cₐ or ∂²H/∂cₐ∂c_b; `along` is żₐ or żₐż_b at the block's rows. */
  function addMatrix(
    rows: number,
    along: Float64Array,
    [inEta, cross, own]: readonly [Float64Array, Float64Array, Float64Array],
    target: Float64Array,
  ): void {
    const { weight, residual } = design;
    for (let k = 0; k < rows; k++) weight[k] = -inEta[k]! * along[k]!;
    design.subtractInformation(rows, target);
    let sum = 0;
    for (let k = 0; k < rows; k++) {
      residual[k] = cross[k]! * along[k]!;
      sum += own[k]! * along[k]!;
    }
    design.addGradient(rows, target.subarray(packedLength(p)));
    target[corner]! += sum;
  }

  /** Xd of all rows; kept while the directions are the same ones. */
  let kept: { readonly directions: readonly Float64Array[]; readonly z: readonly Float64Array[] } | null =
    null;
  function movements(directions: readonly Float64Array[]): readonly Float64Array[] {
    if (directions.some((direction) => direction[p] !== 0)) {
      throw new ConcordatError(
        'numerics/invalid-input',
        'a random effect cannot move a dispersion parameter',
      );
    }
    const same = (d: Float64Array, a: number): boolean =>
      d.every((value, j) => value === kept!.directions[a]?.[j]);
    if (kept === null || kept.directions.length !== directions.length || !directions.every(same)) {
      const z = directions.map((direction) => {
        const column = new Float64Array(n);
        design.predictAll(direction, false, column);
        return column;
      });
      kept = { directions: directions.map((direction) => direction.slice()), z };
    }
    return kept.z;
  }

  let eta: Float64Array | null = null;
  const whole: ConditionalObjective = {
    parameters: p + 1,
    evaluate: (theta, order, out) => pass(theta, order, out, null),
    expand(phi, directions, order, out): void {
      for (const matrix of out.third) matrix.fill(0);
      for (const matrix of out.fourth) matrix.fill(0);
      const z = movements(directions);
      pass(phi, order + 2, out, (start, rows) => {
        z.forEach((za, a) => {
          addMatrix(rows, za.subarray(start), [at.d3, at.d2s, at.d1ss], out.third[a]!);
          for (let b = 0; b <= a && order === 2; b++) {
            for (let k = 0; k < rows; k++) scratch[k] = za[start + k]! * z[b]![start + k]!;
            addMatrix(rows, scratch, [at.d4, at.d3s, at.d2ss], out.fourth[packedIndex(a, b)]!);
          }
        });
      });
    },
    along(phi, directions): Objective {
      // No random effect moves a dispersion; what is maximised over within a study may.
      if (directions.some((direction) => direction[p] !== 0)) return alongGenerically(whole, phi, directions);
      const z = movements(directions);
      const from = (eta ??= new Float64Array(n));
      design.predictAll(phi, true, from);
      return {
        parameters: z.length,
        evaluate(c, order, out): void {
          const { value: constant } = likelihood.constant(phi[p]!);
          const value = new CompensatedSum();
          value.add(constant);
          out.gradient.fill(0);
          out.hessian.fill(0);
          for (let start = 0; start < n && constant > -Infinity; start += BLOCK) {
            const rows = Math.min(BLOCK, n - start);
            scratch.set(from.subarray(start, start + rows));
            for (let a = 0; a < z.length; a++) {
              const za = z[a]!;
              for (let k = 0; k < rows; k++) scratch[k]! += c[a]! * za[start + k]!;
            }
            value.add(likelihood.rows(scratch, start, rows, order, at));
            if (order > 0) addAlong(z, start, rows, order, out);
          }
          out.value = value.total;
        },
      };
    },
  };
  return whole;
}

function addAlong(
  z: readonly Float64Array[],
  start: number,
  rows: number,
  order: 0 | 1 | 2,
  { gradient, hessian }: Evaluation,
): void {
  const { d1, d2 } = at;
  for (let a = 0; a < z.length; a++) {
    const za = z[a]!;
    let sum = 0;
    for (let k = 0; k < rows; k++) sum += d1[k]! * za[start + k]!;
    gradient[a]! += sum;
    for (let b = 0; b <= a && order === 2; b++) {
      const zb = z[b]!;
      let second = 0;
      for (let k = 0; k < rows; k++) second += d2[k]! * za[start + k]! * zb[start + k]!;
      hessian[packedIndex(a, b)]! += second;
    }
  }
}
