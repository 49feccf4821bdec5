import { ConcordatError } from '../errors.ts';
import type { FamilyName } from '../plan/types.ts';
import { packedIndex } from '../linalg/symmetric.ts';
import { BLOCK } from '../numerics/tile.ts';
import { BlockedDesign, CompensatedSum, type Scaling } from './blocks.ts';
import type { ConditionalObjective, Expansion } from './conditional.ts';
import { expandNumerically } from './expansion.ts';
import type { DiagnosisCode, Evaluation, ModelOptions, Objective, Response, StudyData } from './types.ts';

/** The model of an intercept and the offset alone. */
export interface NullModel {
  /** R's constants included. */
  readonly logLikelihood: number;
  readonly intercept: number;
  /** Gaussian: total sum of squares / n. Elsewhere 1. */
  readonly dispersion: number;
}

/** A model family: what it fits, as an objective that an optimiser or a sum over sites can use. */
export interface Family {
  readonly name: FamilyName;
  /** What a treatment coefficient measures, as the result names it. */
  readonly measure: string;
  /** Whether a design has a column of ones. */
  readonly intercept: boolean;
  /**
   * What it is called when coefficients run away; a quadratic does that only where columns are all but
   * collinear.
   */
  readonly divergence: DiagnosisCode;
  /**
   * The log-likelihood of one study as a function of its columns' coefficients, constants included (gaussian:
   * at residual variance 1, constants left out). Sums over studies or over parts of a study are the
   * pooled objective's.
   */
  objective(data: StudyData, options: ModelOptions, scaling: Scaling | null): Objective;
  /** Closed form where there is one. Null in a family without intercept: its null model is θ = 0. */
  readonly nullModel: ((data: StudyData, options: ModelOptions) => NullModel) | null;
  /** Events of each row; null where the outcome is no event. */
  events(response: Response): Float64Array | null;
  /** Trials of each row; null: one a row. */
  trials(response: Response): Float64Array | null;
  /** Whether a row can have a non-event, so that a whole arm of events diverges too. */
  readonly nonevents: boolean;
  /** Parameters after the columns' coefficients; none where it is absent. */
  readonly extra?: (options: ModelOptions, response: Response) => readonly ExtraParameter[];
}

/** A parameter that is no column's coefficient. */
export interface ExtraParameter {
  /** As the result names it, e.g. `log(dispersion)`. */
  readonly term: string;
  /** Where a fit may start without knowing better. */
  readonly start: number;
}

/**
 * One block of a generalised linear model: from `design.eta` fills `design.residual` with ∂ℓ/∂η and
 * `design.weight` with −∂²ℓ/∂η², for rows `start` … `start + rows − 1`; returns their log-likelihood.
 */
export type GlmBlock = (design: BlockedDesign, start: number, rows: number) => number;

/**
 * After a GlmBlock: fills `third` and `fourth` with ∂³ℓ/∂η³ and ∂⁴ℓ/∂η⁴ of the block's rows; `design` still holds
 * what the GlmBlock left there.
 */
export type GlmHigher = (
  design: BlockedDesign,
  start: number,
  rows: number,
  third: Float64Array,
  fourth: Float64Array,
) => void;

/**
 * ℓ(θ) = constant + Σᵢ ℓᵢ(ηᵢ), η = Xθ + offset; U = X'r; H = −X'WX, in one pass over the rows. With z_a = Xd_a, the
 * derivatives of H along directions are X' diag(ℓᵢ‴z_a) X and X' diag(ℓᵢ⁗z_a z_b) X, and the plane φ + Σ c_a d_a is a
 * model of the same kind with columns z and offset Xφ + offset. Without `higher`, derivatives of H are differences.
 */
export function glmObjective(
  data: StudyData,
  scaling: Scaling | null,
  block: GlmBlock,
  constant: number,
  higher: GlmHigher | null = null,
): ConditionalObjective {
  const design = new BlockedDesign(data, scaling);
  const third = new Float64Array(BLOCK);
  const fourth = new Float64Array(BLOCK);
  let planes: readonly Plane[] = [];

  /** The pass over the rows; `directions` null where H alone is asked for. */
  function pass(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation, along: Along | null): void {
    design.begin();
    const value = new CompensatedSum();
    value.add(constant);
    out.gradient.fill(0);
    if (order === 2) out.hessian.fill(0);
    for (let start = 0; start < data.n; start += BLOCK) {
      const rows = design.load(start, theta);
      value.add(block(design, start, rows));
      if (order > 0) design.addGradient(rows, out.gradient);
      if (order === 2) {
        if (along !== null) higher!(design, start, rows, third, fourth);
        design.subtractInformation(rows, out.hessian);
        if (along !== null) addHigher(start, rows, along);
      }
    }
    out.value = value.total;
  }

  function addHigher(start: number, rows: number, { z, expansion, order }: Along): void {
    const { weight } = design;
    z.forEach((za, a) => {
      for (let k = 0; k < rows; k++) weight[k] = -third[k]! * za[start + k]!;
      design.subtractInformation(rows, expansion.third[a]!);
      for (let b = 0; order === 2 && b <= a; b++) {
        const zb = z[b]!;
        for (let k = 0; k < rows; k++) weight[k] = -fourth[k]! * za[start + k]! * zb[start + k]!;
        design.subtractInformation(rows, expansion.fourth[packedIndex(a, b)]!);
      }
    });
  }

  /** Columns z and the model on the plane; kept for the directions asked for last. */
  function planeOf(directions: readonly Float64Array[]): Plane {
    const known = planes.find((plane) => sameVectors(plane.directions, directions));
    if (known !== undefined) return known;
    const z = directions.map((direction) => {
      const column = new Float64Array(data.n);
      design.predictAll(direction, false, column);
      return column;
    });
    const eta = new Float64Array(data.n);
    const terms = directions.map((_, a) => `c${a + 1}`);
    const plane: Plane = {
      directions: directions.map((direction) => direction.slice()),
      z,
      eta,
      objective: glmObjective({ ...data, columns: z, terms, offset: eta }, null, block, constant, higher),
    };
    planes = [plane, ...planes].slice(0, PLANES);
    return plane;
  }

  const objective: ConditionalObjective = {
    parameters: design.p,
    evaluate: (theta, order, out) => pass(theta, order, out, null),
    along(phi, directions): ConditionalObjective {
      const found = planeOf(directions);
      design.predictAll(phi, true, found.eta);
      return found.objective;
    },
    expand(phi, directions, order, out): void {
      if (higher === null) return expandNumerically(objective, phi, directions, order, out);
      for (const matrix of out.third) matrix.fill(0);
      for (const matrix of out.fourth) matrix.fill(0);
      pass(phi, 2, out, { z: planeOf(directions).z, expansion: out, order });
    },
  };
  return objective;
}

/** Planes kept: along a study's random effects, and along these and what the study has for itself. */
const PLANES = 2;

/** What an expansion needs besides what an evaluation does. */
interface Along {
  readonly z: readonly Float64Array[];
  readonly expansion: Expansion;
  readonly order: 1 | 2;
}

interface Plane {
  readonly directions: readonly Float64Array[];
  /** z_a = Xd_a. */
  readonly z: readonly Float64Array[];
  /** The plane's offset, Xφ + offset. */
  readonly eta: Float64Array;
  readonly objective: ConditionalObjective;
}

function sameVectors(a: readonly Float64Array[], b: readonly Float64Array[]): boolean {
  return a.length === b.length && a.every((vector, i) => vector.every((value, j) => value === b[i]![j]));
}

/** Refuses a response of another kind than the family's. */
export function wrongResponse(family: FamilyName, response: Response): never {
  throw new ConcordatError(
    'numerics/invalid-input',
    `a ${family} model cannot have a ${response.kind} response`,
  );
}
