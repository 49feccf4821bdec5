import { ConcordatError } from '../errors.ts';
import type { FamilyName } from '../plan/types.ts';
import { BLOCK } from '../numerics/tile.ts';
import { BlockedDesign, CompensatedSum, type Scaling } from './blocks.ts';
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
 * ℓ(θ) = constant + Σᵢ ℓᵢ(ηᵢ), η = Xθ + offset; U = X'r; H = −X'WX, in one pass over the rows.
 */
export function glmObjective(
  data: StudyData,
  scaling: Scaling | null,
  block: GlmBlock,
  constant: number,
): Objective {
  const design = new BlockedDesign(data, scaling);
  return {
    parameters: design.p,
    evaluate(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation): void {
      design.begin();
      const value = new CompensatedSum();
      value.add(constant);
      out.gradient.fill(0);
      if (order === 2) out.hessian.fill(0);
      for (let start = 0; start < data.n; start += BLOCK) {
        const rows = design.load(start, theta);
        value.add(block(design, start, rows));
        if (order > 0) design.addGradient(rows, out.gradient);
        if (order === 2) design.subtractInformation(rows, out.hessian);
      }
      out.value = value.total;
    },
  };
}

/** Refuses a response of another kind than the family's. */
export function wrongResponse(family: FamilyName, response: Response): never {
  throw new ConcordatError(
    'numerics/invalid-input',
    `a ${family} model cannot have a ${response.kind} response`,
  );
}
