/** Which answers the switches of a policy are about, by what they are and whatever numbers they hold. */
import type { Counts, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';

import type { Ask } from '../one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '../plan/types.ts';

/** What tells one trial's own effect, and not only its part of a sum. An entry into such an analysis is refused with it. */
export function isPerTrial(
  payload: NonNullable<SiteMessage['payload']>,
  plan: ExpandedPlan | null,
  { family, approach }: Analysis,
  ask: Ask | null,
): boolean {
  switch (payload.$case) {
    case 'stageOneEstimate':
      return true;
    case 'stageOneFailure':
      return tellsEvents(payload.value);
    case 'oneStageEntry':
      return (
        tellsEvents(payload.value) ||
        payload.value.estimates.length > 0 ||
        (family === 'gaussian' && plan?.outcome.kind !== 'repeated')
      );
    case 'objectiveValue':
      return ask?.gather !== 'sum' || approach === 'two-stage';
    default:
      return false;
  }
}

/** Events by arm are a risk ratio. */
const tellsEvents = ({ counts }: { readonly counts?: Counts | undefined }): boolean =>
  counts !== undefined && counts.events.length > 0;

/** A baseline hazard that studies share. */
export const needsRiskSets = ({ approach, family, model }: Analysis): boolean =>
  approach === 'one-stage' && family === 'cox' && model.baseline === 'shared';
