import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { capitalise, inSentence, termLabel, type Measure } from './terms.ts';

/** Words for the two sides of the line of no effect; the plan does not say which side is better. */
export function directionsOf(
  term: string,
  planned: Analysis,
  plan: ExpandedPlan,
  measure: Measure,
): readonly [string, string] | null {
  const column = planned.columns.find((candidate) => candidate.term === term);
  if (column === undefined || column.role === 'intercept') return null;
  const [less, more] = hasEvents(plan) ? ['Fewer events', 'More events'] : ['Lower', 'Higher'];
  const bases = column.product.filter((basis) => basis.kind === 'linear' || basis.kind === 'level');
  const covariate = bases
    .map((basis) =>
      basis.kind === 'level' ? `${basis.variable} ${basis.level}` : `higher ${basis.variable}`,
    )
    .join(' and ');
  if (column.role === 'treatment') {
    const active = inSentence(termLabel(term, planned, plan)).replace(/ v control$/, '');
    return [`${less} with ${active}`, `${more} with ${active}`];
  }
  if (column.role === 'within') {
    const name = capitalise(measure.name);
    return [`${name} lower with ${covariate}`, `${name} higher with ${covariate}`];
  }
  return [`${less} with ${covariate}`, `${more} with ${covariate}`];
}
