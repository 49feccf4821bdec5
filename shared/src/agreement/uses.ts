/** Which variables a plan reads, and what for: what an agreement's lists are held against, and what a custodian is told. */
import { adjustTerms, modifierTerm } from '../plan/columns.ts';
import { parseExpression, variablesOf } from '../plan/expression.ts';
import type { WrittenAnalysis, WrittenOutcome, WrittenPlan } from '../plan/schema.ts';
import type { TermFactor } from '../plan/terms.ts';

export interface VariableUse {
  readonly variable: string;
  /** Which list of the agreement has to name it. */
  readonly list: 'outcomes' | 'variables';
  /** In words: `covariate`, `stratum of the baseline hazard`. */
  readonly use: string;
  /** Id of the analysis; null where the use is the whole plan's. */
  readonly analysis: string | null;
}

/**
 * Every use of every variable. Taken from the plan as written, because factors whose levels are not agreed yet have no
 * columns in the expanded plan.
 *
 * @param plan as `parsePlan` returned it
 */
export function variableUses(plan: WrittenPlan): VariableUse[] {
  const ofPlan = (variable: string, use: string): VariableUse => ({
    variable,
    list: 'variables',
    use,
    analysis: null,
  });
  const { treatment, population } = plan;
  return [
    ...(treatment === undefined ? [] : [ofPlan(treatment.variable, 'treatment')]),
    ...outcomeUses(plan.outcome),
    ...(population === undefined
      ? []
      : variablesOf(parseExpression(population, 'population')).map((variable) =>
          ofPlan(variable, 'selects the population'),
        )),
    ...plan.analyses.flatMap(analysisUses),
    // Only factors that an analysis uses may have levels: said again so that none goes by unseen.
    ...Object.keys(plan.levels ?? {}).map((variable) =>
      ofPlan(variable, 'factor with levels that the plan names'),
    ),
  ];
}

/** What is measured is the outcome; what places a record (time at risk, participant, visit) is a variable beside it. */
function outcomeUses(outcome: WrittenOutcome): VariableUse[] {
  const as =
    (list: VariableUse['list']) =>
    (variable: string | undefined, use: string): VariableUse[] =>
      variable === undefined ? [] : [{ variable, list, use, analysis: null }];
  const measured = as('outcomes');
  const beside = as('variables');
  switch (outcome.kind) {
    case 'continuous':
    case 'ordinal':
      return measured(outcome.variable, 'outcome');
    case 'binary':
      return [
        ...measured(outcome.variable, 'outcome'),
        ...measured(outcome.events, 'outcome: number of events'),
        ...measured(outcome.trials, 'outcome: number of trials'),
      ];
    case 'count':
      return [...measured(outcome.variable, 'outcome'), ...beside(outcome.exposure, 'exposure of the count')];
    case 'repeated':
      return [
        ...measured(outcome.variable, 'outcome'),
        ...beside(outcome.subject, 'participant of a repeated outcome'),
        ...beside(outcome.visit, 'visit of a repeated outcome'),
      ];
    case 'time-to-event':
      return [
        ...measured(outcome.time, 'outcome: time of event or censoring'),
        ...measured(outcome.event, 'outcome: event'),
        ...beside(outcome.entry, 'time of entry'),
      ];
  }
}

function analysisUses(analysis: WrittenAnalysis): VariableUse[] {
  const { model } = analysis;
  const used = (variable: string, use: string): VariableUse => ({
    variable,
    list: 'variables',
    use,
    analysis: analysis.id,
  });
  return [
    ...adjustTerms(analysis).flatMap((term) =>
      term.map((factor) => used(factor.variable, term.length > 1 ? 'interaction' : FORM[factor.kind])),
    ),
    ...modifierTerm(analysis).map(({ variable }) => used(variable, 'effect modifier')),
    ...(model.strata ?? []).map((variable) => used(variable, 'stratum of the baseline hazard')),
    ...(model.offset === undefined ? [] : [used(model.offset, 'offset')]),
  ];
}

const FORM: Readonly<Record<TermFactor['kind'], string>> = {
  linear: 'covariate',
  factor: 'covariate (factor)',
  rcs: 'covariate (spline)',
};

/** Each variable once, with all that it is used for: `covariate in primary, secondary`. */
export function usesByVariable(
  uses: readonly VariableUse[],
): { readonly variable: string; readonly uses: readonly string[] }[] {
  return [...Map.groupBy(uses, ({ variable }) => variable)].map(([variable, own]) => {
    const told = own.filter(({ use }) => own.length === 1 || !use.startsWith('factor with levels'));
    return {
      variable,
      uses: [...Map.groupBy(told, ({ use }) => use)].map(([use, same]) => {
        const analyses = [...new Set(same.flatMap(({ analysis }) => analysis ?? []))];
        return analyses.length === 0 ? use : `${use} in ${analyses.join(', ')}`;
      }),
    };
  });
}
