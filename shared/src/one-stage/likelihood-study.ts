import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { timeVarying } from '../models/cox-time-varying.ts';
import type { ConditionalObjective } from '../models/conditional.ts';
import { conditional } from '../models/expansion.ts';
import { interceptInside } from '../models/links.ts';
import { marginal, type MarginalObjective } from '../models/marginal.ts';
import { collapse, presentLevels } from '../models/ordinal.ts';
import { amongAllIntervals, ownIntervals, type OwnIntervals } from '../models/piecewise-exponential.ts';
import { profiled, type ProfiledObjective } from '../models/profile.ts';
import { families } from '../models/registry.ts';
import type { ModelOptions, Objective, StudyData } from '../models/types.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { ownProportionalHazards, proportionalHazardsScore, testsLength } from './hazard-tests.ts';
import { pack } from './maximise.ts';
import type { StudyEffects } from './original-scale.ts';
import type { Ask, ObjectiveOf, OneStageSpec } from './types.ts';

/** Positions of φ that travel, ascending. */
export function commonPositions(spec: OneStageSpec): number[] {
  return [...spec.terms.keys()].filter((j) => !spec.stratified.includes(j));
}

/** Entries of Λ: [λ₁], [λ₁, λ₂] where independent, [λ₁₁, λ₂₁, λ₂₂] where correlated. */
export function lambdaCount({ random, correlated }: OneStageSpec): number {
  return random.length === 2 && correlated ? 3 : random.length;
}

/**
 * Whether standard errors are the expected information's: as R's glm, under a link that is not canonical. Until it has
 * converged the fit uses the observed one, so that Newton's method converges quadratically and sees where a maximum lies on
 * the edge of the means' range.
 */
export const asksExpected = ({ options, random }: OneStageSpec): boolean =>
  options.information === 'expected' && (options.link ?? null) !== null && random.length === 0;

/** One study's side of `likelihoodModel`. */
export function study(
  spec: OneStageSpec,
  data: StudyData,
  scaling: Scaling,
  objectiveOf?: ObjectiveOf,
): (ask: Ask) => Float64Array {
  const { options } = spec;
  const family = families[options.family];
  const baseOf = (information: 'observed' | 'expected'): ConditionalObjective => {
    const own = { ...options, information };
    const objective =
      spec.timeVarying === null
        ? ownObjective(
            { ...spec, options: own },
            data,
            scaling,
            objectiveOf ?? ((...given) => family.objective(...given)),
          )
        : timeVarying(data, own, scaling, spec.timeVarying);
    return isConditional(objective) ? objective : conditional(objective);
  };
  const start = ownStart(spec, data);
  const own = spec.stratified.indexOf(spec.intercept);
  const inside =
    own < 0 || (options.link ?? null) === null
      ? start
      : (point: Float64Array): Float64Array =>
          start.with(own, interceptInside(data, scaling, options, point, spec.intercept, start[own]!));
  const directions = spec.random.map(({ direction }) => direction);
  const build = (points: number, information: 'observed' | 'expected'): Built => {
    const base = baseOf(information);
    const random =
      directions.length === 0 ? null : marginal(base, { directions, correlated: spec.correlated, points });
    const whole: Objective = random ?? base;
    return {
      objective: spec.stratified.length === 0 ? whole : profiled(whole, spec.stratified, inside),
      random,
    };
  };
  const laplace = build(1, 'observed');
  const full = spec.points > 1 && directions.length > 0 ? build(spec.points, 'observed') : laplace;
  let expected: Built | null = null;
  const reported = (): Built => (asksExpected(spec) ? (expected ??= build(1, 'expected')) : full);
  const asked: Partial<Record<Ask['objective'], () => Built>> = {
    'laplace-log-likelihood': () => laplace,
    'expected-information': reported,
  };
  return (ask) => {
    if (ask.objective === 'study-effects') return studyEffects(spec, data, reported(), ask);
    if (ask.objective === 'proportional-hazards') return proportionalHazardsScore(spec, data, scaling, ask);
    const { objective } = asked[ask.objective]?.() ?? full;
    const out = emptyEvaluation(objective.parameters);
    objective.evaluate(ask.theta, ask.order, out);
    return pack(out);
  };
}

interface Built {
  readonly objective: Objective;
  /** Null without random effects. */
  readonly random: MarginalObjective | null;
}

/**
 * Of a study with a baseline of its own, an interval of it without events leaves no trace but its name; nor does a level
 * that no participant has, where thresholds are the study's own.
 */
function ownObjective(
  { options, stratified, columns, terms }: OneStageSpec,
  data: StudyData,
  scaling: Scaling,
  objectiveOf: ObjectiveOf,
): Objective {
  const own = stratified.includes(columns) ? ownBaseline(data, options) : null;
  if (own === null) return objectiveOf(data, options, scaling);
  const objective = objectiveOf(own.data, own.options, scaling);
  return amongAllIntervals(
    isConditional(objective) ? objective : conditional(objective),
    columns,
    terms.length - columns,
    own.kept,
  );
}

/** Null where the study has all parameters of its baseline. */
function ownBaseline(data: StudyData, options: ModelOptions): OwnIntervals | null {
  if (options.family === 'piecewise-exponential') return ownIntervals(data, options);
  const { response } = data;
  if (options.family !== 'ordinal' || response.kind !== 'ordinal') return null;
  const { present } = presentLevels(response.level, response.levels);
  if (present.length === response.levels) return null;
  // The threshold below each level that is there but the lowest.
  return { data: collapse(data), options, kept: present.slice(1).map((level) => level - 1) };
}

function isConditional(objective: Objective): objective is ConditionalObjective {
  return 'expand' in objective && 'along' in objective;
}

/** Where a study's own parameters start: at its null model. */
function ownStart(spec: OneStageSpec, data: StudyData): Float64Array {
  const { options } = spec;
  const family = families[options.family];
  const start = new Float64Array(spec.terms.length);
  (family.extra?.(options, data.response) ?? []).forEach(
    ({ start: at }, k) => (start[spec.columns + k] = at),
  );
  if (spec.intercept >= 0) start[spec.intercept] = family.nullModel?.(data, options).intercept ?? 0;
  return Float64Array.from(spec.stratified, (j) => start[j]!);
}

/**
 * A study's own part of the fit at ψ̂: the s stratified parameters, the inverse of their information I_αα (packed),
 * dα̂/dψ by rows, the means of the treatment's columns, then the random effects' modes and their variances.
 */
function studyEffects(
  spec: OneStageSpec,
  data: StudyData,
  { objective, random }: Built,
  { theta, length }: Ask,
): Float64Array {
  const values = new Float64Array(length);
  const s = spec.stratified.length;
  let at = 0;
  const add = (part: ArrayLike<number>): void => {
    values.set(part, at);
    at += part.length;
  };
  const own = s === 0 ? null : (objective as ProfiledObjective).nuisanceAt(theta);
  if (own !== null) {
    add(own.values);
    add(own.variance);
    for (const slope of own.slopes) add(slope);
  }
  add(spec.treatment.map((_, arm) => data.treatmentMeans?.[arm] ?? 0));
  const mode = random?.modeOf(own === null ? theta : insert(spec, theta, own.values)) ?? null;
  if (mode !== null) {
    add(mode.b);
    add(mode.b.map((_, a) => mode.variance[packedIndex(a, a)]!));
  }
  if (spec.inference.proportionalHazards !== null) {
    values.set(ownProportionalHazards(spec, data), length - testsLength(spec));
  }
  return values;
}

function insert(spec: OneStageSpec, theta: Float64Array, own: Float64Array): Float64Array {
  const p = spec.terms.length;
  const psi = new Float64Array(theta.length + own.length);
  commonPositions(spec).forEach((j, k) => (psi[j] = theta[k]!));
  spec.stratified.forEach((j, k) => (psi[j] = own[k]!));
  psi.set(theta.subarray(p - own.length), p);
  return psi;
}

export const effectsLength = (spec: OneStageSpec, m: number): number => {
  const s = spec.stratified.length;
  const tests = spec.inference.proportionalHazards === null ? 0 : testsLength(spec);
  return s + packedLength(s) + s * m + spec.treatment.length + 2 * spec.random.length + tests;
};

export function readEffects(spec: OneStageSpec, m: number, values: Float64Array): StudyEffects {
  const s = spec.stratified.length;
  const q = spec.random.length;
  let at = 0;
  const take = (count: number): Float64Array => values.slice(at, (at += count));
  return {
    values: take(s),
    covariance: take(packedLength(s)),
    slopes: take(s * m),
    treatmentMeans: take(spec.treatment.length),
    modes: take(q),
    modeSes: take(q).map((variance) => Math.sqrt(Math.max(0, variance))),
  };
}
