import { codeKey } from './codes.ts';
import type { WrittenAnalysis, WrittenPlan } from './schema.ts';
import { basisKey, factorColumns, parseTerm, productColumns, type Term, type TermColumn } from './terms.ts';
import type { Code, DesignColumn } from './types.ts';

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
 * The parameters of a two-stage analysis, in order: intercept, treatment, covariates, main effect of the modifier
 * (columns that the covariates do not already span), and its interactions with each arm. With `separate`, the
 * modifier's columns are centred at the study's mean, so that `treatment` is the effect at that mean and the
 * interaction holds within-trial information only (Riley et al., Stat Med 2020;39:2115).
 */
export function designColumns(
  plan: Pick<WrittenPlan, 'treatment'>,
  analysis: WrittenAnalysis,
  levels: Levels,
): DesignColumn[] {
  const separate = analysis.effect_modifier?.separate ?? true;
  const treatment = plan.treatment === undefined ? [] : treatmentColumns(plan.treatment);
  const adjust = adjustTerms(analysis).flatMap((term) => termColumns(term, levels));
  const modifier = termColumns(modifierTerm(analysis), levels, separate);
  const spanned = new Set(adjust.map(spanKey));
  const columns: DesignColumn[] = [];
  if (analysis.model.family !== 'cox') {
    columns.push({ term: '(intercept)', role: 'intercept', product: [{ kind: 'intercept' }] });
  }
  for (const column of treatment) columns.push({ ...column, role: 'treatment' });
  for (const column of adjust) columns.push({ ...column, role: 'adjust' });
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
  }
  return columns;
}

const spanKey = (column: TermColumn): string => column.product.map(basisKey).toSorted().join(' × ');

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
