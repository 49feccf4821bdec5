import schema from '../../schema/policy.schema.json' with { type: 'json' };
import { documentReader } from '../plan/document.ts';

/**
 * The disclosure policy: the thresholds that an agent holds every release against, before it leaves. `rules.ts` applies
 * them. A document names only what it changes; every other threshold keeps the shipped value. `null` switches a rule off.
 */
export interface Policy {
  readonly policy: 1;
  readonly name: string;
  /** Whether rows of a grouped outcome are aggregates, whose trials count as participants. */
  readonly grouped_rows: boolean;
  readonly participants: {
    /** Least number of participants in an analysis set. */
    readonly minimum: number | null;
    /** Least number in each arm. */
    readonly per_arm: number | null;
  };
  /** Most parameters of a model for each participant. */
  readonly parameters_per_participant: number | null;
  /** Least number of events (of the rarer outcome, where binary) for each parameter. */
  readonly events_per_parameter: number | null;
  /** Least count of a cell that is not empty. */
  readonly smallest_cell: number | null;
  /** The largest hat value must be below it. */
  readonly leverage: number | null;
  /** A participant's share of a sum that leaves must be below it. */
  readonly dominance: number | null;
  /** Whether a rank-deficient or nearly rank-deficient design is refused. */
  readonly rank: boolean;
  /** Most questions about parameters that one analysis may ask. */
  readonly evaluations: number | null;
  /** Most different questions about parameters of the same records, over all runs. */
  readonly total_evaluations: number | null;
  /** Least number of participants by which two sets that were both answered about may differ, where they differ at all. */
  readonly differencing: number | null;
  /** Whether a trial's own estimates may leave; otherwise only its part of sums over trials does. */
  readonly per_trial_estimates: boolean;
  /** Whether sums over risk sets on a time grid may leave, from which a baseline hazard common to studies is made. */
  readonly shared_baseline: boolean;
  /** Levels of factors that the plan does not declare. */
  readonly levels: {
    /** Whether they may leave; only those with at least `smallest_cell` participants do. */
    readonly release: boolean;
    /** Most levels that may leave for one factor. */
    readonly maximum: number | null;
  };
}

/** A policy file names only what it changes. */
type WrittenPolicy = Pick<Policy, 'policy' | 'name'> &
  Partial<Omit<Policy, 'participants' | 'levels'>> & {
    readonly participants?: Partial<Policy['participants']>;
    readonly levels?: Partial<Policy['levels']>;
  };

/** The shipped policy, equal to `node-agent/policies/default.yaml`. */
export const DEFAULT_POLICY: Policy = {
  policy: 1,
  name: 'default',
  grouped_rows: false,
  participants: { minimum: 20, per_arm: 5 },
  parameters_per_participant: 0.1,
  events_per_parameter: 5,
  smallest_cell: 5,
  leverage: 0.5,
  dominance: 0.5,
  rank: true,
  evaluations: 60,
  total_evaluations: 600,
  differencing: 10,
  per_trial_estimates: true,
  shared_baseline: false,
  levels: { release: true, maximum: 50 },
};

/** Every threshold off, equal to `node-agent/policies/open.yaml`: for method comparisons on public data only. */
export const OPEN_POLICY: Policy = {
  policy: 1,
  name: 'open',
  grouped_rows: true,
  participants: { minimum: null, per_arm: null },
  parameters_per_participant: null,
  events_per_parameter: null,
  smallest_cell: null,
  leverage: null,
  dominance: null,
  rank: false,
  evaluations: null,
  total_evaluations: null,
  differencing: null,
  per_trial_estimates: true,
  shared_baseline: true,
  levels: { release: true, maximum: null },
};

/** Whether every threshold is off, whatever the policy is called. */
export function isOpenPolicy(policy: Policy): boolean {
  return JSON.stringify({ ...policy, name: '' }) === JSON.stringify({ ...OPEN_POLICY, name: '' });
}

const readPolicy = documentReader<WrittenPolicy>({
  name: 'policy',
  schema,
  syntaxCode: 'policy/invalid',
  schemaCode: 'policy/invalid',
});

/**
 * Reads a policy file's text; what it does not name keeps the shipped value.
 * @throws ConcordatError `policy/invalid`, listing every fault
 */
export function parsePolicy(text: string, place: string): Policy {
  const written = readPolicy(text, place);
  return {
    ...DEFAULT_POLICY,
    ...written,
    participants: { ...DEFAULT_POLICY.participants, ...written.participants },
    levels: { ...DEFAULT_POLICY.levels, ...written.levels },
  };
}
