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
  /** For the custodian's log alone: which variables and table, or which sum, fell short. */
  readonly of?: string;
}

type RuleCheck = (facts: DisclosureFacts, policy: Policy) => Refusal | null;

/**
 * Stops isolation: an estimate from few people, or from a population expression, an offset or strata that leave the
 * information to few, is about them.
 */
const participants = (
  facts: Pick<DisclosureFacts, 'participants' | 'effective'>,
  { participants: { minimum } }: Policy,
): Refusal | null => {
  const observed = Math.min(facts.participants, facts.effective);
  return minimum !== null && !(observed >= minimum)
    ? {
        rule: 'participants',
        code: 'RULE_PARTICIPANTS',
        threshold: minimum,
        observed,
        ...(observed < facts.participants ? { of: 'participants who carry the information' } : {}),
      }
    : null;
};

/**
 * Stops rows of one person that a plan calls groups: with somebody's age for their number of trials, twenty people are a
 * thousand. Whether rows are aggregates only the custodian knows.
 */
const groupedRows: RuleCheck = ({ grouped, participants: observed }, policy) =>
  grouped && !policy.grouped_rows && policy.participants.minimum !== null
    ? {
        rule: 'grouped rows',
        code: 'RULE_PARTICIPANTS',
        threshold: policy.participants.minimum,
        observed,
        of: 'rows that the plan calls groups, which `grouped_rows` in the agreement does not allow',
      }
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
const parametersPerParticipant: RuleCheck = (facts, { parameters_per_participant: threshold }) => {
  const people = Math.min(facts.participants, facts.effective);
  return threshold !== null && facts.parameters > threshold * people
    ? {
        rule: 'parameters per participant',
        code: 'RULE_PARAMETERS_PER_PARTICIPANT',
        threshold,
        observed: people === 0 ? facts.parameters : facts.parameters / people,
      }
    : null;
};

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
 * Stops table reconstruction: counts of a level, and of its participants by arm, other levels and outcome, can be read off
 * X'X, the score, the Hessian and one-hot columns; a small cell names few people. An empty cell names nobody.
 */
const smallestCell = (
  facts: Pick<DisclosureFacts, 'cells'>,
  { smallest_cell: threshold }: Policy,
): Refusal | null => {
  const filled = facts.cells.filter(({ count }) => count > 0);
  const first = filled[0];
  if (threshold === null || first === undefined) return null;
  const { what, variable, count } = filled.reduce((a, b) => (b.count < a.count ? b : a), first);
  return count < threshold
    ? {
        rule: 'smallest cell',
        code: 'RULE_SMALLEST_CELL',
        threshold,
        observed: count,
        of: `${variable} (${what})`,
      }
    : null;
};

/** Stops reading one row off a sum: where leverage is near 1, the fit passes through that participant's outcome. */
const leverage: RuleCheck = (facts, { leverage: threshold }) =>
  threshold !== null && !(facts.leverage < threshold)
    ? { rule: 'leverage', code: 'RULE_LEVERAGE', threshold, observed: facts.leverage }
    : null;

/** Stops reading one participant's value off a sum that is mostly theirs. */
const dominance: RuleCheck = (facts, { dominance: threshold }) => {
  if (threshold === null) return null;
  const first = facts.shares.find(({ share }) => !(share < threshold));
  if (first === undefined) return null;
  const { what, variable, share } = first;
  return {
    rule: 'dominance',
    code: 'RULE_DOMINANCE',
    threshold,
    observed: share,
    of: `${variable} (${what})`,
  };
};

/**
 * Stops nearly equal columns, whose difference singles out the few rows where they differ. An exact combination is
 * not refused: stage one drops it, and it adds nothing to what its columns tell.
 */
const rank: RuleCheck = (facts, policy) =>
  policy.rank && facts.rank.nearDeficient
    ? { rule: 'rank', code: 'RULE_RANK', threshold: 0, observed: 1 }
    : null;

/** Fewest participants among whom an answer about parameters is divided: as many as an analysis must have, or half of what it has. */
const leastCarriers = (people: number, { participants: { minimum } }: Policy): number =>
  Math.min(minimum ?? 0, people / 2);

/** Stops parameters as selectors: steep ones make a sum over all participants one over the few at their threshold. */
const carriers: RuleCheck = (facts, policy) => {
  const threshold = leastCarriers(facts.participants, policy);
  const observed = facts.carriers ?? Infinity;
  return observed >= threshold
    ? null
    : { rule: 'participants at these parameters', code: 'RULE_PARTICIPANTS', threshold, observed };
};

/**
 * The coordinator is told the first rule that refuses. A population that parts few people from the others is refused as such, whatever
 * else it fails: after a rule on how many it selects, which of the two codes came would tell whether those few are selected.
 */
const population = (facts: Pick<DisclosureFacts, 'cells'>, policy: Policy): Refusal | null =>
  smallestCell({ cells: facts.cells.filter(({ what }) => what === 'population') }, policy);

const RULES: readonly RuleCheck[] = [
  participants,
  groupedRows,
  participantsPerArm,
  parametersPerParticipant,
  eventsPerParameter,
  smallestCell,
  leverage,
  dominance,
  rank,
  carriers,
];

/** Stops asking at many parameter values, from whose answers the data could be solved for. */
export function checkEvaluations(step: number, { evaluations }: Policy): Refusal[] {
  return evaluations !== null && step > evaluations
    ? [{ rule: 'evaluations', code: 'RULE_EVALUATIONS', threshold: evaluations, observed: step }]
    : [];
}

/** Stops the same over many analyses and runs. `asked`: different questions about these records, this one included. */
export function checkBudget(asked: number, { total_evaluations: threshold }: Policy): Refusal[] {
  return threshold !== null && asked > threshold
    ? [{ rule: 'total evaluations', code: 'RULE_BUDGET', threshold, observed: asked }]
    : [];
}

/**
 * Stops differencing: of two answers about sets of participants that are nearly the same, the difference is about the few.
 * `differences`: participants by which the set differs from each one that was answered about, and from combinations of
 * them; 0: the same people.
 */
export function checkDifferencing(differences: readonly number[], { differencing }: Policy): Refusal[] {
  const apart = differences.filter((count) => count > 0);
  const observed = apart.length === 0 ? Infinity : apart.reduce((a, b) => Math.min(a, b));
  return differencing !== null && observed < differencing
    ? [{ rule: 'differencing', code: 'RULE_DIFFERENCING', threshold: differencing, observed }]
    : [];
}

/** Stops the same as `leverage` by several models, none of which has it alone: by subtraction what they tell is one design's. */
export function checkTogether(
  { leverageTogether: observed }: DisclosureFacts,
  { leverage: threshold }: Policy,
): Refusal[] {
  if (threshold === null || observed === undefined || observed < threshold) return [];
  const of = 'the columns of this and of other analyses that were answered';
  return [{ rule: 'leverage', code: 'RULE_LEVERAGE', threshold, observed, of }];
}

/** Every rule that an analysis set fails under a policy, in the order above, the population's first; none: its estimates may leave. */
export function checkRelease(facts: DisclosureFacts, policy: Policy): Refusal[] {
  return populationFirst(
    population(facts, policy),
    RULES.flatMap((rule) => rule(facts, policy) ?? []),
  );
}

/**
 * The rules for saying something about the rows that a plan selects (which levels occur, that a code is impossible): of one
 * person's row that is what the codes are. `cells`: of the division that the plan's population makes.
 */
export function checkSelection(
  selected: number,
  policy: Policy,
  cells: DisclosureFacts['cells'] = [],
): Refusal[] {
  const facts = { participants: selected, effective: selected, cells };
  return populationFirst(
    population(facts, policy),
    [participants(facts, policy) ?? [], smallestCell(facts, policy) ?? []].flat(),
  );
}

const populationFirst = (first: Refusal | null, others: readonly Refusal[]): Refusal[] =>
  first === null ? [...others] : [first, ...others.filter(({ code }) => code !== first.code)];
