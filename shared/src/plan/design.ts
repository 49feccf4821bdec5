/** What follows from a plan's arms and design columns alone. */
import type { Analysis, DesignColumn, ExpandedPlan } from './types.ts';

/** Names of the arms as the result's counts have them: `control`, `active` or the active arms' codes; `total` without a treatment. */
export function armNames(plan: Pick<ExpandedPlan, 'treatment'>): readonly string[] {
  if (plan.treatment === null) return ['total'];
  const { active } = plan.treatment;
  return ['control', ...(active.length === 1 ? ['active'] : active.map(String))];
}

/** Whether an outcome counts events. */
export function hasEvents({ outcome }: Pick<ExpandedPlan, 'outcome'>): boolean {
  return !['continuous', 'ordinal', 'repeated'].includes(outcome.kind);
}

/**
 * The effect modifier's own columns, one for each interaction of an arm, uncentred: their study means carry the
 * across-trial information. Empty unless the analysis keeps within- and across-trial information apart.
 */
export function modifierColumns(analysis: Analysis): readonly Pick<DesignColumn, 'term' | 'product'>[] {
  if (analysis.effectModifier?.separate !== true) return [];
  const arm = analysis.columns.find(({ role }) => role === 'treatment');
  if (arm === undefined) return [];
  return analysis.columns
    .filter(({ role, term }) => role === 'within' && term.startsWith(`${arm.term}:`))
    .map(({ term, product }) => ({
      term: term.slice(arm.term.length + 1).replace(/\.within$/, ''),
      product: product.slice(arm.product.length),
    }));
}
