import { packedIndex } from '../linalg/symmetric.ts';
import { standardise } from '../models/standardise.ts';
import type { DiagnosisCode, ModelOptions, StageOneOutcome, StudyData } from '../models/types.ts';
import type { CovarianceKind } from './mmrm-covariance.ts';
import { project } from './mmrm-patterns.ts';
import { mmrmModel } from './mmrm.ts';
import type { OneStageFit, OneStageSpec } from './types.ts';

export interface MmrmOptions {
  readonly covariance: CovarianceKind;
  readonly estimation: 'ML' | 'REML';
  readonly df: 'satterthwaite' | null;
}

/** As a stage-one fit, and the covariance of the visits. */
export type MmrmOutcome =
  | (Extract<StageOneOutcome, { status: 'fitted' }> & {
      /** Of the estimates: degrees of freedom of t statistics; null: normal. */
      readonly df: readonly (number | null)[];
      /** Visits that the study has, ascending, and their covariance matrix, packed. */
      readonly visits: readonly number[];
      readonly visitCovariance: Float64Array;
    })
  | Extract<StageOneOutcome, { status: 'not-estimable' }>;

/**
 * One study's model for repeated measures alone: all columns are its own, all estimates are given; as nlme's
 * gls(y ~ 0 + visit + visit:treat + …). Columns that the study cannot tell apart (of a visit that it does not have) are left
 * out, later ones first. `null` log-likelihood: means by visit alone, under the same covariance and estimation; restricted
 * likelihoods of the two do not compare. Throws `numerics/invalid-input` for another response than a repeated one.
 */
export function fitMmrm(data: StudyData, options: MmrmOptions, treatmentTerms: readonly number[]): MmrmOutcome {
  const { response } = data;
  if (data.n === 0 || response.kind !== 'repeated') {
    return data.n === 0 ? notEstimable('no-participants', []) : notEstimable('not-converged', []);
  }
  const scaling = standardise(data, false);
  const columns = data.columns.map((column, j) => column.map((x) => (x - scaling.centre[j]!) / scaling.scale[j]!));
  const y = response.y.map((value, i) => value - (data.offset === null ? 0 : data.offset[i]!));
  const { kept, coefficients } = project(data.n, columns.map((column) => (i: number) => column[i]!), [(i) => y[i]!]);
  if (treatmentTerms.length > 0 && treatmentTerms.every((j) => !kept.includes(j)))
    return notEstimable('single-arm', treatmentTerms);
}
