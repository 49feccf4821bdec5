/** Parts of a methods paragraph that both approaches have. */
import type { Analysis, DesignColumn, ExpandedPlan, Outcome } from '@concordat/shared/plan/types.ts';

export function outcomePhrase(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'continuous':
      return outcome.variable;
    case 'ordinal':
      return `the ordered levels ${outcome.levels.join(' < ')} of ${outcome.variable}`;
    case 'repeated':
      return `${outcome.variable} at the visits ${outcome.visits.join(', ')} of ${outcome.visit}`;
    case 'binary':
      return `${outcome.variable} (event: ${outcome.event})`;
    case 'binary-grouped':
      return `${outcome.events} out of ${outcome.trials}`;
    case 'count':
      return outcome.exposure === null
        ? `the count ${outcome.variable}`
        : `the count ${outcome.variable}, with the logarithm of ${outcome.exposure} as offset`;
    case 'time-to-event':
      return `the time ${outcome.time} to ${outcome.event}${
        outcome.entry === null ? '' : `, with delayed entry at ${outcome.entry}`
      }`;
  }
}

export function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1) ?? ''}`;
}

/** Covariates in words, each once although a factor or a spline has several columns. */
function covariates(columns: readonly DesignColumn[], plan: ExpandedPlan): string[] {
  const phrases = columns.map((column) => {
    const own = column.stratified === true ? ', with a coefficient of its own in each study' : '';
    return `${column.product
      .map((basis) => {
        switch (basis.kind) {
          case 'linear':
            return basis.variable + (basis.centred ? ' (centred at the study’s mean)' : '');
          case 'level': {
            const reference = plan.levels[basis.variable]?.[0];
            const against = reference === undefined ? '' : `, reference ${reference}`;
            return `${basis.variable} (as a factor${against}${basis.centred ? ', centred at the study’s means' : ''})`;
          }
          case 'rcs':
            return `${basis.variable} (restricted cubic spline, knots at ${basis.knots.join(', ')}${
              basis.centred ? ', centred at the study’s means' : ''
            })`;
          case 'visit':
          case 'study-mean':
            return '';
          case 'intercept':
          case 'treatment':
            return basis.kind;
        }
      })
      .filter((text) => text !== '')
      .join(' × ')}${own}`;
  });
  return [...new Set(phrases)];
}

/** `treatment (treat: 1 against 0), adjusted for age, with log(years) as offset`. */
export function designPhrase(planned: Analysis, plan: ExpandedPlan): string {
  const adjust = covariates(
    planned.columns.filter(({ role }) => role === 'adjust' || role === 'modifier'),
    plan,
  );
  const { treatment } = plan;
  const exposure =
    treatment === null
      ? list(adjust)
      : `treatment (${treatment.variable}: ${list(treatment.active.map(String))} against ${treatment.control})`;
  const adjusted = treatment === null || adjust.length === 0 ? '' : `, adjusted for ${list(adjust)}`;
  const offset = planned.offset === null ? '' : `, with ${planned.offset} as offset`;
  return `${exposure === '' ? '' : ` on ${exposure}`}${adjusted}${offset}`;
}

export function analysisSet(plan: ExpandedPlan): string {
  const population = plan.populationText === null ? 'All rows' : `Rows with ${plan.populationText}`;
  const arms = plan.treatment === null ? '' : ' in one of these arms';
  return `${population}${arms} that are complete for the analysis were used; nothing was imputed.`;
}
