import type { OneStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import type { Figure } from './figures.ts';
import { figureList } from './figure-list.ts';
import { count, fixed, significant } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { modifierSection } from './modifier-section.ts';
import {
  coefficientTables,
  fitTable,
  predictedTable,
  randomEffectsTable,
  residualTable,
  testsTable,
  visitTable,
} from './one-stage-tables.ts';
import { estimateWithInterval } from './phrases.ts';
import {
  capitalise,
  effectName,
  inSentence,
  isInteraction,
  readMeasure,
  termKind,
  termLabel,
} from './terms.ts';
import { treatmentEffects } from './treatment-effects.ts';
import { basis } from './view.ts';

/** What the analysis found, in a sentence or two. */
function lead(outcome: OneStageResult, planned: Analysis, plan: ExpandedPlan): Markup {
  const measure = readMeasure(outcome.measure);
  const { level } = planned.pool;
  const effects = planned.effectModifier?.separate === false ? [] : treatmentEffects(outcome, planned);
  const { effectModifier: modifier } = planned;
  const mean = modifier?.form === 'factor' ? 'mean mix of' : 'mean of';
  const shown = [
    ...effects.map(({ atMean, ...effect }) => ({
      effect,
      where: atMean && modifier !== null ? ` at the studies’ ${mean} ${modifier.variable}` : '',
    })),
    ...outcome.coefficients
      .filter(({ term }) => {
        const kind = termKind(term, planned);
        const wanted = modifier?.form === 'linear' && (kind === 'within' || kind === 'merged');
        return (
          wanted || (effects.length === 0 && plan.treatment === null && planned.pool.terms.includes(term))
        );
      })
      .map((effect) => ({ effect, where: '' })),
  ];
  const sentences = shown.map(
    ({ effect, where }) =>
      markup`${effectName(effect.term, planned, measure)}, ${inSentence(
        termLabel(effect.term, planned, plan),
      )}${where}: <strong>${estimateWithInterval(effect, measure.isRatio && termKind(effect.term, planned) !== 'parameter', level)}</strong>. `,
  );
  const spread = outcome.random_effects.flatMap(({ term, variance }) =>
    termKind(term, planned) === 'treatment' && variance !== null
      ? [
          ` The treatment effect varies between studies with a standard deviation of ${
            variance === 0 ? '0' : significant(Math.sqrt(variance), 2)
          }${measure.isRatio ? ' on the log scale' : ''}.`,
        ]
      : [],
  );
  return markup`<p class="lead">${sentences}${capitalise(basis(outcome, plan))}, in one model.${spread}</p>`;
}

/** The body of a one-stage analysis that is done; its studies, warnings and methods are shown as in two stages. */
export function oneStageBody(
  outcome: OneStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
  drawn: readonly Figure[],
): Markup {
  const ofModifier = drawn.filter(({ suffix }) => suffix === 'modifier' || suffix === 'subgroups');
  const others = drawn.filter((figure) => !ofModifier.includes(figure));
  const { convergence } = outcome;
  const notes = treatmentEffects(outcome, planned).some(({ atMean }) => atMean)
    ? markup`<p class="notes">The coefficient <code>treatment</code> is the effect where the study’s mean of ${
        planned.effectModifier?.variable ?? 'the modifier'
      } is 0${
        planned.effectModifier?.form === 'factor' ? ' (all participants at the reference level)' : ''
      }; the first sentence has the effect at the studies’ mean.</p>`
    : null;
  return markup`${lead(outcome, planned, plan)}${figureList(others)}${coefficientTables(outcome, planned, plan)}${notes}${modifierSection(
    outcome.coefficients.filter(({ term }) => isInteraction(term, planned)),
    { planned, outcome },
    plan,
    ofModifier,
  )}${randomEffectsTable(outcome, planned, plan)}${residualTable(outcome)}${visitTable(outcome, plan)}${testsTable(
    outcome,
    planned,
    plan,
  )}${predictedTable(outcome, planned, plan)}${
    convergence === null
      ? null
      : markup`<details><summary>Fit: ${convergence.converged ? 'converged' : 'not converged'} in ${count(
          convergence.rounds,
        )} rounds, log-likelihood ${fixed(outcome.log_likelihood, 2)}</summary>${fitTable(outcome)}</details>`
  }`;
}
