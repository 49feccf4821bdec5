import { packedIndex } from '../linalg/symmetric.ts';
import { diagnoseData } from '../models/diagnose.ts';
import { gaussian } from '../models/gaussian.ts';
import { standardise } from '../models/standardise.ts';
import type { DiagnosisCode, StageOneOutcome, StudyData } from '../models/types.ts';
import type { CovarianceKind } from './mmrm-covariance.ts';
import { project, repeatedOf } from './mmrm-patterns.ts';
import { mmrmModel } from './mmrm.ts';
import { originalScale } from './original-scale.ts';
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
export function fitMmrm(
  data: StudyData,
  options: MmrmOptions,
  treatmentTerms: readonly number[],
): MmrmOutcome {
  const response = repeatedOf(data);
  const refused = diagnoseData(gaussian, data, treatmentTerms);
  if (refused !== null) return notEstimable(refused.code, refused.terms);
  const scaling = standardise(data, false);
  const columns = data.columns.map((column, j) => {
    const [centre, scale] = [scaling.centre[j]!, scaling.scale[j]!];
    return column.map((x) => (x - centre) / scale);
  });
  const { offset } = data;
  const y = response.y.map((value, i) => value - (offset === null ? 0 : offset[i]!));
  const seen = [...new Set(response.visit)].toSorted((a, b) => a - b);
  // An autoregressive covariance counts the visits between; others know only those that there are.
  const covariance = seen.length === 1 ? 'unstructured' : options.covariance;
  const visits = covariance === 'ar1' ? Array.from({ length: response.visits }, (_, v) => v) : seen;
  const visit = response.visit.map((v) => visits.indexOf(v));
  const rows: Rows = { ...response, y, visit, visits: visits.length };
  const settings = { ...options, covariance };

  const { kept, start, fit } = fitOwn(rows, columns, data.terms, settings);
  if (treatmentTerms.length > 0 && treatmentTerms.every((j) => !kept.includes(j)))
    return notEstimable(data.n > kept.length ? 'rank-deficient' : 'too-few-participants', treatmentTerms);
  if (fit.failure !== null) {
    const { code, terms } = fit.failure;
    return notEstimable(
      code as DiagnosisCode,
      terms.map((term) => data.terms.indexOf(term)),
    );
  }
  const means = seen.map((v) => Float64Array.from(response.visit, (own) => (own === v ? 1 : 0)));
  const alone = fitOwn(rows, means, means.map(String), settings).fit;

  const gamma = Float64Array.from(fit.coefficients, ({ estimate }, a) => estimate + start[a]!);
  const spec = { ...specOf(data.terms, rows.visits, settings), intercept: scaling.intercept };
  const { coefficients, vcov } = originalScale(spec, scaling, kept, gamma, fit.vcov, null);
  const scaleDeterminant = kept.reduce((sum, j) => sum + Math.log(scaling.scale[j]!), 0);
  const fitted = fit.logLikelihood! - (options.estimation === 'REML' ? scaleDeterminant : 0);
  const at = seen.map((v) => visits.indexOf(v));
  return {
    status: 'fitted',
    estimable: data.columns.map((_, j) => kept.includes(j)),
    estimates: Float64Array.from(coefficients, ({ estimate }) => estimate),
    vcov,
    logLikelihood: { null: alone.logLikelihood ?? fitted, fitted },
    residualVariance: null,
    rounds: fit.rounds,
    badlyScaled: scaling.badlyScaled,
    df: fit.coefficients.map(({ df }) => df),
    visits: seen,
    visitCovariance: Float64Array.from(
      at.flatMap((i, a) => at.slice(0, a + 1).map((j) => fit.visitCovariance![packedIndex(i, j)]!)),
    ),
  };
}

type Rows = ReturnType<typeof repeatedOf>;

/** The program, driven by the one study's answers; `start` is the least-squares fit that was taken off y first. */
function fitOwn(
  rows: Rows,
  columns: readonly Float64Array[],
  terms: readonly string[],
  options: MmrmOptions,
): { readonly kept: readonly number[]; readonly start: Float64Array; readonly fit: OneStageFit } {
  const n = rows.y.length;
  const at = columns.map((column) => (i: number) => column[i]!);
  const { kept, coefficients } = project(n, at, [(i) => rows.y[i]!]);
  const start = coefficients[0]!;
  const y = rows.y.slice();
  kept.forEach((j, a) => columns[j]!.forEach((x, i) => (y[i]! -= start[a]! * x)));
  const own = kept.map((j) => terms[j]!);
  const spec = specOf(own, rows.visits, options);
  const scaling = {
    centre: new Float64Array(own.length),
    scale: new Float64Array(own.length).fill(1),
    intercept: -1,
  };
  const data = {
    n,
    columns: kept.map((j) => columns[j]!),
    terms: own,
    response: { ...rows, y },
    offset: null,
  };
  const answer = mmrmModel.study(spec, data, scaling);
  const entry = { studies: 1, n, scaling, start: new Float64Array(own.length), sd: new Float64Array(0) };
  const program = mmrmModel.program(spec, entry);
  let turn = program.next();
  while (turn.done !== true) turn = program.next([answer(turn.value)]);
  return { kept, start, fit: turn.value };
}

function specOf(terms: readonly string[], visits: number, options: MmrmOptions): OneStageSpec {
  return {
    kind: 'mmrm',
    options: { family: 'gaussian', ties: 'efron' },
    terms,
    columns: terms.length,
    intercept: -1,
    treatment: [],
    stratified: [],
    centredTreatment: false,
    tested: [],
    groups: [],
    random: [],
    correlated: false,
    points: 1,
    residual: 'common',
    estimation: options.estimation,
    covariance: options.covariance,
    visits,
    timeVarying: null,
    inference: { level: 0.95, ci: 'wald', df: options.df, likelihoodRatio: false, proportionalHazards: null },
  };
}

function notEstimable(code: DiagnosisCode, terms: readonly number[]): MmrmOutcome {
  return { status: 'not-estimable', diagnosis: { code, terms } };
}
