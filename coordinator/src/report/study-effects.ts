/** Studies' own effects, as the empirical Bayes predictions of a one-stage model with random effects give them. */
import { normalQuantile } from '@concordat/shared/numerics/distributions.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { OneStageResult, StudyResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { directionsOf } from './directions.ts';
import type { Drawing } from './drawing.ts';
import { forestPlot } from './forest.ts';
import { levelPercent, plural } from './format.ts';
import { estimateWithInterval } from './phrases.ts';
import { capitalise, inSentence, readMeasure, termLabel } from './terms.ts';
import { treatmentEffects } from './treatment-effects.ts';
import { armCell, arms, includedStudies } from './view.ts';

export interface StudyEffect {
  readonly study: StudyResult;
  /** Average effect plus the study's predicted deviation. */
  readonly estimate: number;
  /** Standard deviation of the deviation given the data and the model's parameters. */
  readonly se: number;
}

/** Empty where the treatment effect is common, its variance is zero, or no site let its own leave. */
export function studyEffects(outcome: OneStageResult, planned: Analysis, term: string): StudyEffect[] {
  const variance = outcome.random_effects.find((effect) => effect.term === term)?.variance ?? 0;
  const average = treatmentEffects(outcome, planned).find((effect) => effect.term === term);
  if (!(variance > 0) || average?.estimate == null) return [];
  const { estimate } = average;
  return includedStudies(outcome).flatMap((study) => {
    const own = outcome.predicted.find((entry) => entry.study === study.study && entry.term === term);
    return own === undefined ? [] : [{ study, estimate: estimate + own.estimate, se: own.se }];
  });
}

/** A forest plot of the predicted effects around the average. */
export function studyEffectDrawings(
  outcome: OneStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Drawing[] {
  const measure = readMeasure(outcome.measure);
  return treatmentEffects(outcome, planned).flatMap((average): Drawing[] => {
    const { term, estimate, ci, atMean } = average;
    const effects = studyEffects(outcome, planned, term);
    if (effects.length === 0) return [];
    const label = inSentence(termLabel(term, planned, plan));
    const kept = includedStudies(outcome).length - effects.length;
    return [
      {
        suffix: 'study-effects',
        term,
        label: `Predicted study effects of ${planned.id}, ${label}`,
        draw: (id) =>
          forestPlot({
            id,
            title: `Predicted study effects of ${planned.id}: ${measure.name}, ${label}`,
            description: `Empirical Bayes predictions of ${plural(effects.length, 'study', 'studies')} by the one-stage model. Average: ${estimateWithInterval(
              average,
              measure.isRatio,
              planned.pool.level,
            )}. The same numbers are in the table of predicted study effects.`,
            interval: `${levelPercent(planned.pool.level)} interval`,
            columns: arms(plan).map(({ head }) => head),
            unit: hasEvents(plan) ? 'events/n' : 'n',
            rows: effects.map(({ study, estimate: own, se }) => ({
              study: study.study,
              cells: arms(plan).map((arm) => armCell(study, arm, plan)),
              estimate: own,
              se,
              weight: null,
              size: 1 / (se * se),
              note: null,
            })),
            pooled:
              estimate === null || ci === null
                ? null
                : {
                    label: `Average effect${atMean ? ', at the mean' : ''}`,
                    estimate,
                    ci,
                    prediction: null,
                  },
            effect: capitalise(measure.name),
            isRatio: measure.isRatio,
            level: planned.pool.level,
            z: normalQuantile((1 + planned.pool.level) / 2),
            noEffectLine: true,
            directions: directionsOf(term, planned, plan, measure),
            footnotes: [
              'Empirical Bayes: average effect plus the study’s predicted deviation, shrunk towards the average; these are not the studies’ own estimates. Intervals take the model’s parameters as known.',
              ...(atMean ? ['Effects at the mean of the effect modifier over the studies.'] : []),
              ...(kept === 0
                ? []
                : [`${plural(kept, 'study', 'studies')} kept their own prediction at the site.`]),
            ],
          }),
      },
    ];
  });
}
