/** The treatment effects of an analysis as they can be told and compared: at the modifier's mean where it has one. */
import type { AnalysisResult, Coefficient, PooledTerm } from '@concordat/shared/plan/result-types.ts';
import type { Analysis } from '@concordat/shared/plan/types.ts';
import {
  criticalValue,
  jointEstimate,
  modifierGroups,
  modifierMeans,
  overallEffect,
} from './modifier-effects.ts';

type Estimated = Pick<Coefficient, 'term' | 'estimate' | 'se' | 'ci' | 'df'> &
  Partial<Pick<PooledTerm, 'prediction'>>;

export interface TreatmentEffect extends Estimated {
  /** Computed at the mean of the modifier over the studies, since the coefficient is the effect at mean 0. */
  readonly atMean: boolean;
}

/**
 * One a column of the treatment; an effect that cannot be told at the modifier's mean is left out. Of a merged
 * interaction, it is the effect where the modifier is 0.
 */
export function treatmentEffects(outcome: AnalysisResult, planned: Analysis): TreatmentEffect[] {
  const given: readonly Estimated[] =
    outcome.approach === 'one-stage' ? outcome.coefficients : outcome.pooled;
  return planned.columns
    .filter(({ role }) => role === 'treatment')
    .flatMap(({ term }): TreatmentEffect[] => {
      const own = given.find((entry) => entry.term === term);
      if (own === undefined) return [];
      const group = modifierGroups(planned).find(({ treatment }) => treatment === term);
      if (group === undefined || group.across.length === 0) return [{ ...own, atMean: false }];
      const means = modifierMeans(outcome, group);
      const joint = jointEstimate(outcome, planned);
      const effect = means === null || joint === null ? null : overallEffect(joint, group, means);
      if (effect === null || joint === null) return [];
      const half = criticalValue(joint, planned.pool.level) * effect.se;
      return [
        {
          term,
          ...effect,
          ci: [effect.estimate - half, effect.estimate + half],
          df: joint.df,
          atMean: true,
        },
      ];
    });
}
