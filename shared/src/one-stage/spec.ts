import { timeVaryingTerms, type TimeVaryingEffects } from '../models/cox-time-varying.ts';
import { families } from '../models/registry.ts';
import type { ExtraParameter } from '../models/family.ts';
import type { ModelOptions, Response } from '../models/types.ts';
import type { Analysis, ExpandedPlan, Outcome } from '../plan/types.ts';
import type { OneStageSpec } from './types.ts';

type Plan = Pick<ExpandedPlan, 'outcome'>;

/** What a family needs to know of an analysis. */
export function modelOptions(analysis: Analysis): ModelOptions {
  const { model } = analysis;
  return {
    family: likelihoodFamily(analysis),
    ties: analysis.ties,
    link: model.link === canonicalLink(analysis) ? null : model.link,
    cuts: model.cuts,
    knots: model.knots,
    anchored: analysis.family === 'ordinal' && analysis.columns.some(({ role }) => role === 'intercept'),
    information: hasRandomEffects(analysis) ? 'observed' : 'expected',
  };
}

/** A family that has a likelihood; a restricted mean survival time has none, and is estimated from the survival curve. */
function likelihoodFamily(analysis: Analysis): ModelOptions['family'] {
  return analysis.family === 'rmst' ? 'cox' : analysis.family;
}

function canonicalLink({ family }: Analysis): Analysis['model']['link'] {
  if (family === 'binomial') return 'logit';
  return family === 'gaussian'
    ? 'identity'
    : family === 'poisson' || family === 'negative-binomial'
      ? 'log'
      : null;
}

const hasRandomEffects = ({ approach, model }: Analysis): boolean =>
  approach === 'one-stage' && (model.intercept === 'random' || model.treatmentEffect === 'random');

/** A response of the plan's kind without rows: what a family's own parameters follow from. */
function emptyResponse(outcome: Outcome): Response {
  const none = new Float64Array(0);
  switch (outcome.kind) {
    case 'ordinal':
      return { kind: 'ordinal', level: new Int32Array(0), levels: outcome.levels.length };
    case 'time-to-event':
      return { kind: 'time-to-event', time: none, event: none, entry: null, stratum: null };
    case 'count':
      return { kind: 'count', y: none };
    case 'binary':
    case 'binary-grouped':
      return { kind: 'binary', events: none, trials: null };
    default:
      return { kind: 'continuous', y: none };
  }
}

/** A family's own parameters, named as the result names them. */
function extraParameters(plan: Plan, analysis: Analysis): readonly ExtraParameter[] {
  const options = modelOptions(analysis);
  const effects = timeVaryingEffects(analysis);
  if (effects !== null) {
    const names = analysis.columns.map(({ term }) => term);
    return timeVaryingTerms(names, effects).map((term) => ({ term, start: 0 }));
  }
  const extra = families[options.family].extra?.(options, emptyResponse(plan.outcome)) ?? [];
  if (plan.outcome.kind !== 'ordinal') return extra;
  const { levels } = plan.outcome;
  const first = options.anchored === true ? 1 : 0;
  return extra.map((parameter, k) => ({
    ...parameter,
    term: `threshold[${levels[first + k]}|${levels[first + k + 1]}]`,
  }));
}

/** The treatment's columns, and how their coefficients change with time; null where they do not. */
function timeVaryingEffects({ columns, model }: Analysis): TimeVaryingEffects | null {
  if (model.timeVarying === null) return null;
  return {
    ...model.timeVarying,
    columns: columns.flatMap(({ role }, j) => (role === 'treatment' ? [j] : [])),
  };
}

/** Columns by the term that they come from: those of a factor or of a spline are one. */
function groupsOf(columns: Analysis['columns']): OneStageSpec['groups'] {
  const nameOf = ({ term, product }: Analysis['columns'][number]): string =>
    product.every((basis) => basis.kind === 'level' || basis.kind === 'rcs')
      ? product
          .map(
            (basis) =>
              `${basis.kind === 'rcs' ? 'rcs' : 'factor'}(${'variable' in basis ? basis.variable : ''})`,
          )
          .join(':')
      : term;
  const groups = Map.groupBy(columns.keys(), (j) => nameOf(columns[j]!));
  return [...groups].map(([term, positions]) => ({ term, columns: positions }));
}

/** Names of all parameters: the columns', then the family's own. */
export function parameterTerms(plan: Plan, analysis: Analysis): string[] {
  return [...analysis.columns, ...extraParameters(plan, analysis)].map(({ term }) => term);
}

/** The specification that a plan's one-stage analysis has, at the coordinator as at every site. */
export function oneStageSpec(plan: Plan, analysis: Analysis): OneStageSpec {
  const { columns, model, inference } = analysis;
  const terms = parameterTerms(plan, analysis);
  const positions = (holds: (column: Analysis['columns'][number]) => boolean): number[] =>
    columns.flatMap((column, j) => (holds(column) ? [j] : []));
  const intercept = columns.findIndex(({ role }) => role === 'intercept');
  const treatment = positions(({ role }) => role === 'treatment');
  const extras = terms.map((_, j) => j).slice(columns.length);
  const ownBaseline =
    (analysis.family === 'ordinal' && model.thresholds === 'stratified') ||
    (isParametricSurvival(analysis) && model.baseline === 'stratified');
  const parameters = {
    options: modelOptions(analysis),
    terms,
    columns: columns.length,
    intercept: plan.outcome.kind === 'repeated' ? -1 : intercept,
    treatment,
  };
  return {
    ...parameters,
    kind: kindOf(plan, analysis),
    stratified: [...positions(({ stratified }) => stratified === true), ...(ownBaseline ? extras : [])],
    centredTreatment: treatment.some((j) =>
      columns[j]!.product.some((basis) => basis.kind === 'treatment' && basis.centred === true),
    ),
    tested: positions(({ role }) => role === 'treatment' || role === 'within' || role === 'across'),
    groups: groupsOf(columns),
    random: randomEffects(analysis, parameters),
    correlated: model.correlated,
    points: model.quadrature,
    residual: model.residual,
    estimation: model.estimation,
    covariance: model.covariance,
    ...(plan.outcome.kind === 'repeated' ? { visits: plan.outcome.visits.length } : {}),
    ...(model.grid.length > 0 ? { grid: Float64Array.from(model.grid) } : {}),
    ...(model.frailty === null ? {} : { frailty: model.frailty }),
    timeVarying: timeVaryingEffects(analysis),
    inference: {
      level: analysis.pool.level,
      ci: inference.ci,
      df: inference.df,
      likelihoodRatio: inference.likelihoodRatio,
      proportionalHazards: inference.proportionalHazards,
    },
  };
}

const isParametricSurvival = ({ family }: Analysis): boolean =>
  family === 'weibull' || family === 'piecewise-exponential' || family === 'royston-parmar';

function kindOf({ outcome }: Plan, { family, model }: Analysis): OneStageSpec['kind'] {
  if (outcome.kind === 'repeated') return 'mmrm';
  if (family === 'gaussian') return 'gaussian';
  if (model.penalty === 'firth') return 'firth';
  return family === 'cox' && model.baseline === 'shared' ? 'frailty' : 'likelihood';
}

/** How a study's level moves parameter j: an intercept, or thresholds (down), log hazards or a spline's level in its place. */
export function levelOf(
  spec: Pick<OneStageSpec, 'options' | 'columns' | 'intercept'>,
  j: number,
): -1 | 0 | 1 {
  if (spec.intercept >= 0 || j < spec.columns) return j === spec.intercept ? 1 : 0;
  if (spec.options.family === 'ordinal') return -1;
  return spec.options.family === 'royston-parmar' && j > spec.columns ? 0 : 1;
}

function randomEffects(
  { model, family }: Analysis,
  spec: Pick<OneStageSpec, 'options' | 'columns' | 'intercept' | 'terms' | 'treatment'>,
): OneStageSpec['random'] {
  const random: { term: string; direction: Float64Array }[] = [];
  if (model.intercept === 'random' && family !== 'cox')
    random.push({
      term: '(intercept)',
      direction: Float64Array.from(spec.terms, (_, j) => levelOf(spec, j)),
    });
  if (model.treatmentEffect === 'random') {
    const [treatment] = spec.treatment;
    random.push({
      term: spec.terms[treatment!]!,
      direction: Float64Array.from(spec.terms, (_, j) => (j === treatment ? 1 : 0)),
    });
  }
  return random;
}
