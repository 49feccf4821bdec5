import type { Policy } from './policy.ts';

type Threshold = number | null;

/** Of two least counts the greater; null is no rule. */
const greater = (a: Threshold, b: Threshold): Threshold => (a === null ? b : b === null ? a : Math.max(a, b));

/** Of two bounds the smaller; null is no rule. */
const smaller = (a: Threshold, b: Threshold): Threshold => (a === null ? b : b === null ? a : Math.min(a, b));

/**
 * What both policies allow: of each rule the stricter one. A plan runs under the policy that it was approved for and the one
 * in force, so that a later change can take back and never add. The name is the first policy's, and the order of the keys that
 * of a policy, which its digest depends on.
 */
export function tightestPolicy(a: Policy, b: Policy): Policy {
  return {
    policy: 1,
    name: a.name,
    grouped_rows: a.grouped_rows && b.grouped_rows,
    participants: {
      minimum: greater(a.participants.minimum, b.participants.minimum),
      per_arm: greater(a.participants.per_arm, b.participants.per_arm),
    },
    parameters_per_participant: smaller(a.parameters_per_participant, b.parameters_per_participant),
    events_per_parameter: greater(a.events_per_parameter, b.events_per_parameter),
    smallest_cell: greater(a.smallest_cell, b.smallest_cell),
    leverage: smaller(a.leverage, b.leverage),
    dominance: smaller(a.dominance, b.dominance),
    rank: a.rank || b.rank,
    evaluations: smaller(a.evaluations, b.evaluations),
    total_evaluations: smaller(a.total_evaluations, b.total_evaluations),
    differencing: greater(a.differencing, b.differencing),
    per_trial_estimates: a.per_trial_estimates && b.per_trial_estimates,
    shared_baseline: a.shared_baseline && b.shared_baseline,
    levels: {
      release: a.levels.release && b.levels.release,
      maximum: smaller(a.levels.maximum, b.levels.maximum),
    },
  };
}
