import { codeKey } from './codes.ts';
import type { WrittenAnalysis, WrittenOutcome, WrittenPlan } from './schema.ts';
import {
  basisKey,
  factorColumns,
  isStratified,
  parseTerm,
  productColumns,
  type Term,
  type TermColumn,
} from './terms.ts';
import type { Basis, Code, DesignColumn } from './types.ts';

/** Levels of factors, reference first. A factor that is not named here has no columns yet. */
export type Levels = Readonly<Record<string, readonly Code[]>>;

type WrittenTreatment = NonNullable<WrittenPlan['treatment']>;

export const activeArms = (treatment: WrittenTreatment): readonly Code[] => [treatment.active].flat();

/** `treatment`, or `treatment[arm]` for each of several. */
function treatmentColumns(treatment: WrittenTreatment): TermColumn[] {
  const arms = activeArms(treatment);
  return arms.map((arm) => ({
    term: arms.length === 1 ? 'treatment' : `treatment[${arm}]`,
    product: [{ kind: 'treatment', arm }],
  }));
}

/** Families whose design has a column of ones; the others have a baseline, or thresholds. */
const WITH_INTERCEPT: readonly WrittenAnalysis['model']['family'][] = [
  'gaussian',
  'binomial',
  'poisson',
  'negative-binomial',
  'weibull',
];

/** Study intercepts are columns of ones: also beside common thresholds, of which the first is then fixed at 0. */
function hasIntercept({ approach, model }: WrittenAnalysis): boolean {
  if (model.family !== 'ordinal') return WITH_INTERCEPT.includes(model.family);
  return (
    approach === 'one-stage' &&
    model.thresholds !== 'stratified' &&
    (model.intercept ?? 'stratified') === 'stratified'
  );
}

/** One-stage: the intercept is each study's own. */
const stratifiedIntercept = ({ model }: WrittenAnalysis): boolean =>
  model.family === 'weibull'
    ? model.baseline !== 'shared' || model.intercept === 'stratified'
    : model.intercept !== 'random';

/** In place of an intercept: thresholds, or a hazard, of each study's own. A partial likelihood does not depend on the coding. */
const ownBaseline = ({ model }: WrittenAnalysis): boolean =>
  model.family === 'ordinal'
    ? model.thresholds === 'stratified'
    : model.family !== 'cox' && model.baseline !== 'shared';

export const adjustTerms = (analysis: WrittenAnalysis): Term[] =>
  (analysis.model.adjust ?? []).map((text, i) => parseTerm(text, `${analysis.id}: model.adjust[${i}]`));

/** The effect modifier as a term of its own. */
export function modifierTerm(analysis: WrittenAnalysis): Term {
  const modifier = analysis.effect_modifier;
  if (modifier === undefined) return [];
  const { variable, form = 'linear', knots = 4 } = modifier;
  if (form === 'linear') return [{ kind: 'linear', variable, centred: false }];
  return form === 'factor' ? [{ kind: 'factor', variable }] : [{ kind: 'rcs', variable, knots }];
}

function termColumns(term: Term, levels: Levels, centred = false): TermColumn[] {
  const lists = term.map((factor) => factorColumns(factor, centred, levels[factor.variable] ?? []));
  return lists.slice(1).reduce(productColumns, lists[0] ?? []);
}

/**
 * The parameters of an analysis that columns carry, in order: intercept, treatment, covariates, main effect of the
 * modifier (columns that the covariates do not already span), and its interactions with each arm. With `separate`, the
 * modifier's columns are centred at the study's mean, so that `treatment` is the effect at that mean and the
 * interaction holds within-trial information only (Riley et al., Stat Med 2020;39:2115).
 *
 * In one stage the study's mean itself, times the treatment, carries the across-trial information; `treatment` is then
 * the effect where that mean is 0. Where study intercepts, thresholds or hazards are stratified and the treatment effect is
 * random, the treatment's column is centred within study (Riley et al., Stat Med 2020;39:2536), but for REML, which does not
 * depend on it. Of a repeated outcome every column stands once a visit.
 */
export function designColumns(
  plan: Pick<WrittenPlan, 'treatment' | 'outcome'>,
  analysis: WrittenAnalysis,
  levels: Levels,
): DesignColumn[] {
  const oneStage = analysis.approach === 'one-stage';
  const separate = analysis.effect_modifier?.separate ?? true;
  const treatment = plan.treatment === undefined ? [] : treatmentColumns(plan.treatment);
  const adjust = adjustTerms(analysis).flatMap((term) =>
    termColumns(term, levels).map((column) => ({ ...column, stratified: oneStage && isStratified(term) })),
  );
  const modifier = termColumns(modifierTerm(analysis), levels, separate);
  const spanned = new Set(adjust.map(spanKey));
  const ownIntercept = oneStage && stratifiedIntercept(analysis);
  const { family, estimation, treatment_effect } = analysis.model;
  const restricted = family === 'gaussian' && estimation !== 'ML';
  const own = hasIntercept(analysis) ? ownIntercept : ownBaseline(analysis);
  const centred = oneStage && own && treatment_effect === 'random' && !restricted;
  const columns: DesignColumn[] = [];
  if (hasIntercept(analysis)) {
    columns.push({
      term: '(intercept)',
      role: 'intercept',
      product: [{ kind: 'intercept' }],
      ...(ownIntercept ? { stratified: true } : {}),
    });
  }
  for (const column of treatment) {
    const product = centred ? column.product.map((basis) => ({ ...basis, centred })) : column.product;
    columns.push({ ...column, product, role: 'treatment' });
  }
  for (const { stratified, ...column } of adjust)
    columns.push({ ...column, role: 'adjust', ...(stratified ? { stratified } : {}) });
  for (const column of modifier) {
    if (!spanned.has(spanKey(column))) columns.push({ ...column, role: 'modifier' });
  }
  for (const arm of treatment) {
    for (const column of modifier) {
      columns.push({
        term: `${arm.term}:${column.term}${separate ? '.within' : ''}`,
        role: 'within',
        product: [...arm.product, ...column.product],
      });
    }
    if (!oneStage || !separate) continue;
    for (const column of termColumns(modifierTerm(analysis), levels)) {
      columns.push({
        term: `${arm.term}:${column.term}.across`,
        role: 'across',
        product: [...arm.product, ...column.product.map((of): Basis => ({ kind: 'study-mean', of }))],
      });
    }
  }
  return plan.outcome?.kind === 'repeated' ? byVisit(columns, plan.outcome, ownIntercept) : columns;
}

/** Each column at each visit: effects by visit, and study × visit means. */
function byVisit(
  columns: readonly DesignColumn[],
  outcome: Extract<WrittenOutcome, { kind: 'repeated' }>,
  stratified: boolean,
): DesignColumn[] {
  return columns.flatMap((column) =>
    outcome.visits.map((visit): DesignColumn => ({
      ...column,
      term: `${column.term}:factor(${outcome.visit})${visit}`,
      product: [...column.product, { kind: 'visit', visit }],
      ...(column.role === 'intercept' && stratified ? { stratified } : {}),
    })),
  );
}

const spanKey = (column: Pick<TermColumn, 'product'>): string =>
  column.product.map(basisKey).toSorted().join(' × ');

/** Factors that the analysis uses, each once. */
export function analysisFactors(analysis: WrittenAnalysis): string[] {
  const terms = [...adjustTerms(analysis).flat(), ...modifierTerm(analysis)];
  return [...new Set(terms.filter((term) => term.kind === 'factor').map((term) => term.variable))];
}

/** Codes that are the same as an earlier one in the list. */
export function repeatedCodes(codes: readonly Code[]): Code[] {
  const keys = codes.map(codeKey);
  return codes.filter((_, i) => keys.indexOf(keys[i]!) < i);
}
