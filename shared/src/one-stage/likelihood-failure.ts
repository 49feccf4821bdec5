import { ConcordatError } from '../errors.ts';
import { cholesky, packedIndex, pivotedRank, solveCholesky } from '../linalg/symmetric.ts';
import { families } from '../models/registry.ts';
import { failedFit } from './failed.ts';
import type { Maximum } from './maximise.ts';
import type { OneStageFailureCode, OneStageFit, OneStageSpec } from './types.ts';

/** Of a squared column length, what the columns before it leave: below, it is aliased. */
const ALIASED = 1e-11;
const SINGULAR = 1e-8;
/** A coefficient per standard deviation that no fit without a divergence comes near. */
export const ENORMOUS = 20;
/** Information about a coefficient per participant below which its column does not vary beside the study's own parameters. */
export const SILENT = 1e-11;
/** A fit that ends while a Newton step still moves a coefficient by this is one that goes on for ever. */
const DIVERGING_STEP = 0.5;
/** Thresholds further from the middle, or closer to each other, than any level with participants leaves them. */
const FAR = 12;
const TOGETHER = 1e-4;

/** A fit that did not converge, with the terms that cause it. */
export function failedLikelihood(
  spec: OneStageSpec,
  common: readonly number[],
  fit: Maximum,
  rounds: number,
): OneStageFit {
  const names = (positions: readonly number[]): string[] =>
    // What is no parameter of φ is of a random effect's.
    [
      ...new Set(
        positions.flatMap((k) =>
          k < common.length ? [spec.terms[common[k]!]!] : spec.random.map(({ term }) => term),
        ),
      ),
    ];
  const columns = [...common.keys()];
  const information = fit.full.hessian.map((value) => -value);
  const most = Math.max(...columns.map((k) => information[packedIndex(k, k)]!));
  const silent = columns.filter((k) => !(information[packedIndex(k, k)]! > SILENT * most));
  const dependent =
    silent.length > 0
      ? silent
      : pivotedRank(information, fit.status === 'singular' ? SINGULAR : ALIASED).dependent;
  const far = columns.filter((k) => Math.abs(fit.theta[k]!) > ENORMOUS / 2 && common[k] !== spec.intercept);
  const farColumns = far.filter((k) => common[k]! < spec.columns);
  let [code, terms]: [OneStageFailureCode, readonly string[]] = ['not-converged', []];
  const divergence = families[spec.options.family].divergence as OneStageFailureCode;
  const empty = emptyLevels(spec, common, fit);
  if (empty.length > 0 && farColumns.length === 0) [code, terms] = ['no-variation', names(empty)];
  else if (fit.full.value === -Infinity)
    code = (spec.options.link ?? null) === null ? 'not-converged' : 'link-boundary';
  else if (fit.status === 'singular' && far.length === 0 && dependent.length > 0)
    [code, terms] = ['rank-deficient', names(dependent)];
  else if (fit.status === 'diverging' || fit.status === 'singular' || far.length > 0) {
    const moving =
      farColumns.length > 0 ? farColumns : far.length > 0 ? far : movingPositions(fit, common, spec);
    code = divergence;
    terms = names(moving);
  } else if ((spec.options.link ?? null) !== null) code = 'link-boundary';
  else if (Math.max(0, ...movements(fit, common, spec)) > DIVERGING_STEP)
    [code, terms] = [divergence, names(movingPositions(fit, common, spec))];
  const gradientNorm = Math.hypot(...fit.evaluation.gradient);
  return {
    ...failedFit(code, terms, rounds),
    gradientNorm: Number.isFinite(gradientNorm) ? gradientNorm : null,
  };
}

/** Common thresholds that a level without participants leaves together, or at infinity. */
function emptyLevels(
  { options, columns, terms }: OneStageSpec,
  common: readonly number[],
  { theta }: Maximum,
): number[] {
  if (options.family !== 'ordinal' || !common.includes(columns)) return [];
  const thresholds = [...common.keys()].filter((k) => common[k]! >= columns && common[k]! < terms.length);
  return thresholds.filter((k, i) => {
    const below = i === 0 ? (options.anchored === true ? 0 : -Infinity) : theta[thresholds[i - 1]!]!;
    return Math.abs(theta[k]!) > FAR || theta[k]! - below < TOGETHER;
  });
}

/** Columns that the last Newton step still moves most. */
function movingPositions(fit: Maximum, common: readonly number[], spec: OneStageSpec): number[] {
  const sizes = movements(fit, common, spec);
  const largest = Math.max(...sizes);
  return sizes.flatMap((size, k) => (size > 0 && size >= largest / 10 ? [k] : []));
}

/** How far one more Newton step would move each column's coefficient. */
function movements(fit: Maximum, common: readonly number[], spec: OneStageSpec): number[] {
  let step: Float64Array;
  try {
    step = solveCholesky(cholesky(fit.full.hessian.map((value) => -value)), fit.full.gradient);
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    step = fit.theta;
  }
  return common.map((j, k) => (j === spec.intercept || j >= spec.columns ? 0 : Math.abs(step[k]!)));
}
