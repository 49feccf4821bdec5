import { ConcordatError } from '../errors.ts';
import { cholesky, inverseFromCholesky, pivotedRank, solveCholesky } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation, newton } from '../numerics/newton.ts';
import { diagnoseData } from './diagnose.ts';
import type { Family, NullModel } from './family.ts';
import { interceptAlone, logLikelihood } from './gaussian.ts';
import { families } from './registry.ts';
import { SAMPLE_ROWS, everyRow, original, standardise, strideFor, type Standardised } from './standardise.ts';
import { fitWithExtra } from './stage-one-extra.ts';
import type {
  Diagnosis,
  DiagnosisCode,
  Fit,
  ModelOptions,
  Objective,
  StageOneOutcome,
  StudyData,
} from './types.ts';

/**
 * Squared length, of 1, of what the columns before it leave of a standardised column, weighted as in the
 * information: below it the column is aliased. The normal equations then have no digits for it.
 */
const ALIASED = 1e-11;
/** A residual standard deviation below this share of the total one, or of the fitted values, is rounding. */
const EXACT_FIT = 1e-12;
/**
 * A coefficient per standard deviation (e²⁰ in odds or hazard) that no fit without a divergence comes near.
 */
const ENORMOUS = 20;
/** A smaller sample's fit need only be good enough to start from. */
const START_TOLERANCE = 1e-8;
/** From one sample to the next. */
const SAMPLE_RATIO = 17;
/**
 * A coefficient moves with a diverging fit when its standardised step is at least this share of the largest.
 */
const DIVERGING_SHARE = 0.1;

/**
 * Fits one study's model by maximum likelihood, as R's lm, glm and coxph would. `treatmentTerms` are the
 * columns that carry the treatment (0/1 in each active arm, and interactions); the others may be dropped
 * where this study cannot estimate them. What cannot be fitted is a typed diagnosis; no outcome holds a
 * number that is not finite.
 *
 * The fit is in standardised columns z = (x − c)/s, and goes back by β = γ/s, β₀ = γ₀ − Σ γc/s.
 */
export function fitStageOne(
  data: StudyData,
  options: ModelOptions,
  treatmentTerms: readonly number[],
): StageOneOutcome {
  const family = families[options.family];
  if (family.extra !== undefined) return fitWithExtra(family, data, options, treatmentTerms);
  const refused = diagnoseData(family, data, treatmentTerms);
  if (refused !== null) return notEstimable(refused.code, refused.terms);

  const whole = standardise(data, !family.intercept);
  // A quadratic is known everywhere from one pass over the rows, which serves all that follows.
  const quadratic = family.name === 'gaussian' ? family.objective(data, options, whole) : null;
  const nullModel =
    quadratic !== null && whole.intercept >= 0
      ? interceptAlone(quadratic, whole.intercept, data.n)
      : (family.nullModel?.(data, options) ?? null);
  const dependent =
    quadratic === null
      ? aliasedTerms(family, data, options, whole)
      : aliasedBy(quadratic, nullStart(nullModel, whole));
  const emptyOrIndependent = (term: number) =>
    !dependent.has(term) || data.columns[term]!.every((x) => x === 0);
  const aliasedTreatment = treatmentTerms.filter((term) => !emptyOrIndependent(term));
  if (aliasedTreatment.length > 0) return notEstimable('rank-deficient', aliasedTreatment);
  if (treatmentTerms.length > 0 && treatmentTerms.every((term) => dependent.has(term))) {
    return notEstimable('rank-deficient', treatmentTerms);
  }

  const kept = data.columns.map((_, j) => j).filter((j) => !dependent.has(j));
  if (kept.length === 0) return notEstimable('rank-deficient', [...dependent]);
  if (!enoughRows(data, kept.length)) return notEstimable('too-few-participants', []);
  const model: StudyData = {
    ...data,
    columns: kept.map((j) => data.columns[j]!),
    terms: kept.map((j) => data.terms[j]!),
  };
  const dispersion = nullModel?.dispersion ?? 1;
  if (!(dispersion > 0)) return notEstimable('no-variation', []);
  const scaling: Standardised = {
    centre: Float64Array.from(kept, (j) => whole.centre[j]!),
    scale: Float64Array.from(kept, (j) => whole.scale[j]!),
    intercept: kept.indexOf(whole.intercept),
    badlyScaled: whole.badlyScaled.filter((j) => kept.includes(j)),
  };

  const objective = inUnitsOf(
    dispersion,
    quadratic !== null && dependent.size === 0 ? quadratic : family.objective(model, options, scaling),
  );
  const start = sampledStart(family, model, options, scaling) ?? nullStart(nullModel, scaling);
  const fit = drive(newton(start), objective);
  if (fit.status !== 'converged') {
    // The columns are independent: information that is singular all the same has lost its weights to a
    // divergence.
    const diverged =
      fit.status === 'diverging' ||
      fit.status === 'singular' ||
      fit.theta.some((value, j) => j !== scaling.intercept && Math.abs(value) > ENORMOUS);
    return diverged
      ? notEstimable(
          family.divergence,
          divergingTerms(fit, scaling).map((j) => kept[j]!),
        )
      : notEstimable('not-converged', []);
  }
  return outcome(
    data,
    family,
    kept,
    scaling,
    dispersion,
    fit,
    nullModel?.logLikelihood ?? valueAtZero(objective),
  );
}

/**
 * A sum of squares relative to the outcome's variance, so that the optimiser's tolerance does not depend on the
 * outcome's unit.
 */
function inUnitsOf(dispersion: number, objective: Objective): Objective {
  if (dispersion === 1) return objective;
  return {
    parameters: objective.parameters,
    evaluate(theta, order, out): void {
      objective.evaluate(theta, order, out);
      out.value /= dispersion;
      for (let j = 0; j < out.gradient.length; j++) out.gradient[j]! /= dispersion;
      for (let k = 0; k < out.hessian.length; k++) out.hessian[k]! /= dispersion;
    },
  };
}

function notEstimable(code: DiagnosisCode, terms: readonly number[]): StageOneOutcome {
  const diagnosis: Diagnosis = { code, terms };
  return { status: 'not-estimable', diagnosis };
}

/**
 * Where there are many rows, the fit to a sample of them, itself started from a smaller sample: within a few
 * standard errors of the whole's maximum, so that Newton's method needs three passes over all rows. Null
 * where the sample has no fit.
 */
function sampledStart(
  family: Family,
  data: StudyData,
  options: ModelOptions,
  scaling: Standardised,
): Float64Array | null {
  if (data.n < SAMPLE_ROWS * SAMPLE_RATIO || family.name === 'gaussian') return null;
  const sample = everyRow(data, SAMPLE_RATIO);
  const start =
    sampledStart(family, sample, options, scaling) ??
    nullStart(family.nullModel?.(sample, options) ?? null, scaling);
  const fit = drive(
    newton(start, { tolerance: START_TOLERANCE }),
    family.objective(sample, options, scaling),
  );
  return fit.status === 'converged' ? fit.theta : null;
}

function nullStart(nullModel: NullModel | null, scaling: Standardised): Float64Array {
  const start = new Float64Array(scaling.scale.length);
  if (nullModel !== null && scaling.intercept >= 0) start[scaling.intercept] = nullModel.intercept;
  return start;
}

function valueAtZero(objective: Objective): number {
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(new Float64Array(objective.parameters), 0, out);
  return out.value;
}

/**
 * Columns that the columns before them determine, as seen by the information at the starting values: on a
 * sample of the rows first, since what is independent there is independent.
 */
function aliasedTerms(
  family: Family,
  data: StudyData,
  options: ModelOptions,
  scaling: Standardised,
): ReadonlySet<number> {
  const stride = strideFor(data.n);
  const dependent = aliasedOn(family, stride === 1 ? data : everyRow(data, stride), options, scaling);
  return stride > 1 && dependent.size > 0 ? aliasedOn(family, data, options, scaling) : dependent;
}

function aliasedOn(
  family: Family,
  data: StudyData,
  options: ModelOptions,
  scaling: Standardised,
): ReadonlySet<number> {
  const start = nullStart(family.nullModel?.(data, options) ?? null, scaling);
  // A covariate that is constant in each baseline stratum leaves rounding errors, to be measured against the
  // events.
  const events = family.intercept ? null : family.events(data.response);
  const reference =
    events === null
      ? undefined
      : new Float64Array(start.length).fill(events.reduce((sum, event) => sum + event, 0));
  return aliasedBy(family.objective(data, options, scaling), start, reference);
}

function aliasedBy(objective: Objective, start: Float64Array, reference?: Float64Array): ReadonlySet<number> {
  const at = emptyEvaluation(objective.parameters);
  objective.evaluate(start, 2, at);
  const information = at.hessian.map((value) => -value);
  return new Set(pivotedRank(information, ALIASED, reference).dependent);
}

/**
 * More rows than coefficients; rows that stand for several observations may be as many as the coefficients.
 */
function enoughRows(data: StudyData, q: number): boolean {
  const { response, n } = data;
  const aggregated = response.kind === 'count' || (response.kind === 'binary' && response.trials !== null);
  return aggregated ? n >= q : n > q;
}

/** Non-intercept columns that the last Newton step still moves. */
function divergingTerms(fit: Fit, scaling: Standardised): number[] {
  let direction = fit.theta;
  try {
    direction = solveCholesky(
      cholesky(fit.evaluation.hessian.map((value) => -value)),
      fit.evaluation.gradient,
    );
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
  }
  const sizes = Array.from(direction, (value, j) => (j === scaling.intercept ? 0 : Math.abs(value)));
  const largest = Math.max(...sizes);
  return sizes.flatMap((size, j) => (size > 0 && size >= DIVERGING_SHARE * largest ? [j] : []));
}

function outcome(
  data: StudyData,
  family: Family,
  kept: readonly number[],
  scaling: Standardised,
  dispersion: number,
  fit: Fit,
  nullLogLikelihood: number,
): StageOneOutcome {
  const q = kept.length;
  let fitted = fit.evaluation.value;
  let residualVariance: number | null = null;
  // The information is in units of 1/dispersion; the covariance wants the estimated residual variance.
  let factor = 1;
  if (family.name === 'gaussian') {
    const rss = -2 * fit.evaluation.value * dispersion;
    const size =
      EXACT_FIT * Math.sqrt(dispersion) + Number.EPSILON * Math.abs(fit.theta[scaling.intercept] ?? 0);
    if (rss <= data.n * size * size) return notEstimable('no-variation', []);
    residualVariance = rss / (data.n - q);
    factor = residualVariance / dispersion;
    fitted = logLikelihood(rss, data.n);
  }
  const covariance = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
  const { estimates, vcov } = original(fit.theta, covariance, scaling, factor);
  const numbers = [...estimates, ...vcov, fitted, nullLogLikelihood];
  if (!numbers.every(Number.isFinite)) return notEstimable('not-converged', []);
  return {
    status: 'fitted',
    estimable: data.columns.map((_, j) => kept.includes(j)),
    estimates,
    vcov,
    logLikelihood: { null: nullLogLikelihood, fitted },
    residualVariance,
    rounds: fit.rounds,
    badlyScaled: scaling.badlyScaled,
  };
}
