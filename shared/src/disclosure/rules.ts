import type { DisclosureFacts } from './facts.ts';
import type { Policy } from './policy.ts';

/** Why the gate held something back. `observed` stays at the site unless its agreement says otherwise. */
export interface Refusal {
  readonly rule: string;
  /** As in the wire contract's enumeration of rules. */
  readonly code:
    | 'RULE_PARTICIPANTS'
    | 'RULE_PARTICIPANTS_PER_ARM'
    | 'RULE_PARAMETERS_PER_PARTICIPANT'
    | 'RULE_EVENTS_PER_PARAMETER'
    | 'RULE_SMALLEST_CELL'
    | 'RULE_LEVERAGE'
    | 'RULE_RANK'
    | 'RULE_FACTOR_LEVELS'
    | 'RULE_AGREEMENT'
    | 'RULE_HONEST_QUESTION'
    | 'RULE_EVALUATIONS'
    | 'RULE_PER_TRIAL_ESTIMATES'
    | 'RULE_SHARED_BASELINE'
    | 'RULE_DOMINANCE'
    | 'RULE_DIFFERENCING'
    | 'RULE_BUDGET'
    | 'RULE_ASKER'
    | 'RULE_EXPIRED'
    | 'RULE_VARIABLE'
    | 'RULE_OUTCOME'
    | 'RULE_FAMILY'
    | 'RULE_ROSTER'
    | 'RULE_CUSTODIAN';
  readonly threshold: number;
  readonly observed: number;
}

type RuleCheck = (facts: DisclosureFacts, policy: Policy) => Refusal | null;

/** Stops isolation: an estimate from few people, or from a population expression that selects few, is about them. */
const participants = (
  facts: Pick<DisclosureFacts, 'participants'>,
  { participants: { minimum } }: Policy,
): Refusal | null =>
  minimum !== null && facts.participants < minimum
    ? { rule: 'participants', code: 'RULE_PARTICIPANTS', threshold: minimum, observed: facts.participants }
    : null;

/**
 * Stops isolation within an arm: a contrast with an arm of one person is that person's outcome. An arm that the trial does
 * not have is nobody's: of a plan with several, most trials have some.
 */
const participantsPerArm: RuleCheck = (facts, { participants: { per_arm } }) => {
  const observed = Math.min(...facts.perArm.filter((count) => count > 0));
  return per_arm !== null && observed < per_arm
    ? { rule: 'participants per arm', code: 'RULE_PARTICIPANTS_PER_ARM', threshold: per_arm, observed }
    : null;
};

/** Stops saturation: with as many parameters as participants the fitted values, hence the estimates, are the data. */
const parametersPerParticipant: RuleCheck = (facts, { parameters_per_participant: threshold }) =>
  threshold !== null && facts.parameters > threshold * facts.participants
    ? {
        rule: 'parameters per participant',
        code: 'RULE_PARAMETERS_PER_PARTICIPANT',
        threshold,
        observed: facts.participants === 0 ? facts.parameters : facts.parameters / facts.participants,
      }
    : null;

/** Stops saturation where the information is in events: score and estimates then tell who had them. */
const eventsPerParameter: RuleCheck = (facts, { events_per_parameter: threshold }) =>
  threshold !== null && facts.events !== null && facts.events < threshold * facts.parameters
    ? {
        rule: 'events per parameter',
        code: 'RULE_EVENTS_PER_PARAMETER',
        threshold,
        observed: facts.parameters === 0 ? facts.events : facts.events / facts.parameters,
      }
    : null;

/**
 * Stops table reconstruction: counts of a level, and of its participants by arm and outcome, can be read off X'X, the
 * score and one-hot columns; a small cell names few people. An empty cell names nobody.
 */
const smallestCell: RuleCheck = (facts, { smallest_cell: threshold }) => {
  const counts = facts.cells.map(({ count }) => count).filter((count) => count > 0);
  const observed = Math.min(...counts);
  return threshold !== null && observed < threshold
    ? { rule: 'smallest cell', code: 'RULE_SMALLEST_CELL', threshold, observed }
    : null;
};

/** Stops reading one row off a sum: where leverage is near 1, the fit passes through that participant's outcome. */
const leverage: RuleCheck = (facts, { leverage: threshold }) =>
  threshold !== null && !(facts.leverage < threshold)
    ? { rule: 'leverage', code: 'RULE_LEVERAGE', threshold, observed: facts.leverage }
    : null;

/**
 * Stops nearly equal columns, whose difference singles out the few rows where they differ. An exact combination is
 * not refused: stage one drops it, and it adds nothing to what its columns tell.
 */
const rank: RuleCheck = (facts, policy) =>
  policy.rank && facts.rank.nearDeficient
    ? { rule: 'rank', code: 'RULE_RANK', threshold: 0, observed: 1 }
    : null;

const RULES: readonly RuleCheck[] = [
  participants,
  participantsPerArm,
  parametersPerParticipant,
  eventsPerParameter,
  smallestCell,
  leverage,
  rank,
];

/** Stops asking at many parameter values, from whose answers the data could be solved for. */
export function checkEvaluations(step: number, { evaluations }: Policy): Refusal[] {
  return evaluations !== null && step > evaluations
    ? [{ rule: 'evaluations', code: 'RULE_EVALUATIONS', threshold: evaluations, observed: step }]
    : [];
}

/** Every rule that an analysis set fails under a policy, in the order above; none: its estimates may leave. */
export function checkRelease(facts: DisclosureFacts, policy: Policy): Refusal[] {
  return RULES.flatMap((rule) => rule(facts, policy) ?? []);
}

/**
 * The rules for saying that something is wrong with the values of the rows that a plan selects: of one person's row,
 * whether its codes are among those that the plan expects is what the codes are.
 */
export function checkSelection(selected: number, policy: Policy): Refusal[] {
  return [participants({ participants: selected }, policy) ?? []].flat();
}
