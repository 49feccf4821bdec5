import { factorOf, inverseFromCholesky, pivotedRank } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation, newton } from '../numerics/newton.ts';
import { trustRegion } from '../numerics/trust-region.ts';
import { diagnoseData } from './diagnose.ts';
import type { Family } from './family.ts';
import { gaussian } from './gaussian.ts';
import { atPoissonLimit } from './negative-binomial.ts';
import { collapse, presentLevels } from './ordinal.ts';
import { ownIntervals } from './piecewise-exponential.ts';
import { poisson } from './poisson.ts';
import { original, standardise, type Standardised } from './standardise.ts';
import type { DiagnosisCode, Fit, ModelOptions, StageOneOutcome, StudyData } from './types.ts';

/** Squared length, of 1, of what the columns before it leave of a standardised column: below it is aliased. */
const ALIASED = 1e-11;
/** A coefficient per standard deviation that no fit without a divergence comes near. */
const ENORMOUS = 20;

/**
 * One study's maximum-likelihood fit in a family with parameters beyond the columns' (thresholds, a log size or shape,
 * log hazards): jointly, from the null model's start. `estimable` and the estimates are over the columns, then those
 * parameters, in the order of `extra` for the plan's own levels: of an ordinal outcome whose levels are not all in the
 * study, the thresholds below absent levels are not estimable, as ordinal::clm drops those levels; nor are log hazards of
 * intervals without events; nor is the size of counts that vary no more than Poisson's, whose other estimates are Poisson's.
 */
export function fitWithExtra(
  family: Family,
  data: StudyData,
  plan: ModelOptions,
  treatmentTerms: readonly number[],
): StageOneOutcome {
  const refused = diagnoseData(family, data, treatmentTerms);
  if (refused !== null) return notEstimable(refused.code, refused.terms);
  const intervals = family.name === 'piecewise-exponential' ? ownIntervals(data, plan) : null;
  const options = intervals?.options ?? plan;
  const present = intervals === null ? presentThresholds(data) : new Set(intervals.kept);
  const study = intervals?.data ?? (present === null ? data : collapse(data));
  if (study.response.kind === 'ordinal' && study.response.levels < 2) return notEstimable('no-variation', []);
  const extra = family.extra?.(options, study.response) ?? [];
  const all = family.extra?.(plan, data.response) ?? [];

  const whole = standardise(study, false);
  const dependent = aliased(study, whole);
  const lost = treatmentTerms.filter((j) => dependent.has(j) && study.columns[j]!.some((x) => x !== 0));
  if (lost.length > 0) return notEstimable('rank-deficient', lost);
  if (treatmentTerms.length > 0 && treatmentTerms.every((j) => dependent.has(j)))
    return notEstimable('rank-deficient', treatmentTerms);
  const kept = study.columns.map((_, j) => j).filter((j) => !dependent.has(j));
  const p = kept.length + extra.length;
  if (study.n <= p) return notEstimable('too-few-participants', []);
  const model: StudyData = {
    ...study,
    columns: kept.map((j) => study.columns[j]!),
    terms: kept.map((j) => study.terms[j]!),
  };
  const scaling: Standardised = {
    centre: Float64Array.from(kept, (j) => whole.centre[j]!),
    scale: Float64Array.from(kept, (j) => whole.scale[j]!),
    intercept: kept.indexOf(whole.intercept),
    badlyScaled: whole.badlyScaled.filter((j) => kept.includes(j)),
  };
  const objective = family.objective(model, options, scaling);
  const nullModel = family.nullModel?.(study, options) ?? null;
  const start = new Float64Array(p);
  if (scaling.intercept >= 0) start[scaling.intercept] = nullModel?.intercept ?? 0;
  extra.forEach(({ start: at }, k) => (start[kept.length + k] = at));
  let fit = drive(trustRegion(start), objective);
  // Without overdispersion the model is Poisson's, and the size not estimable.
  const limit = family.name === 'negative-binomial' && atPoissonLimit(fit, kept.length);
  if (limit) {
    const columns = fit.theta.slice(0, kept.length);
    fit = drive(newton(columns), poisson.objective(model, { ...options, family: 'poisson' }, scaling));
  }
  if (fit.status !== 'converged') {
    const far = kept.filter((_, k) => k !== scaling.intercept && Math.abs(fit.theta[k]!) > ENORMOUS / 2);
    return fit.status === 'diverging' || fit.status === 'singular' || far.length > 0
      ? notEstimable(family.divergence, far)
      : notEstimable('not-converged', []);
  }
  const covariance = covarianceOf(fit);
  if (covariance === null) return notEstimable(family.divergence, []);
  const { estimates, vcov } = original(fit.theta, covariance, besideExtra(scaling, fit.theta.length), 1);
  const nullValue = nullModel?.logLikelihood ?? fit.evaluation.value;
  if (![...estimates, ...vcov, fit.evaluation.value, nullValue].every(Number.isFinite))
    return notEstimable('not-converged', []);
  return {
    status: 'fitted',
    estimable: [
      ...data.columns.map((_, j) => kept.includes(j)),
      ...all.map((_, k) => !limit && (present === null || present.has(k))),
    ],
    estimates,
    vcov,
    logLikelihood: { null: nullValue, fitted: fit.evaluation.value },
    residualVariance: null,
    rounds: fit.rounds,
    badlyScaled: scaling.badlyScaled,
  };
}

/** Thresholds of the plan's levels that are still there once the study's absent levels are dropped. */
function presentThresholds({ response }: StudyData): ReadonlySet<number> | null {
  if (response.kind !== 'ordinal') return null;
  const { present } = presentLevels(response.level, response.levels);
  // The threshold below each present level but the lowest.
  return present.length === response.levels ? null : new Set(present.slice(1).map((level) => level - 1));
}

/** A family's own parameters are on their own scale. */
function besideExtra(scaling: Standardised, p: number): Standardised {
  const centre = new Float64Array(p);
  const scale = new Float64Array(p).fill(1);
  centre.set(scaling.centre);
  scale.set(scaling.scale);
  return { ...scaling, centre, scale };
}

/** Columns that the columns before them determine. */
function aliased(data: StudyData, scaling: Standardised): ReadonlySet<number> {
  const squares = gaussian.objective(
    { ...data, response: { kind: 'continuous', y: new Float64Array(data.n) }, offset: null },
    { family: 'gaussian', ties: 'efron' },
    scaling,
  );
  const at = emptyEvaluation(squares.parameters);
  squares.evaluate(new Float64Array(squares.parameters), 2, at);
  return new Set(
    pivotedRank(
      at.hessian.map((value) => -value),
      ALIASED,
    ).dependent,
  );
}

function covarianceOf({ evaluation }: Fit): Float64Array | null {
  const factor = factorOf(evaluation.hessian.map((value) => -value));
  return factor === null ? null : inverseFromCholesky(factor);
}

function notEstimable(code: DiagnosisCode, terms: readonly number[]): StageOneOutcome {
  return { status: 'not-estimable', diagnosis: { code, terms } };
}
