/** Every threshold of the disclosure rules in sentences that a custodian understands, and against the shipped default. */
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';

import { count } from './words.ts';

type Value = number | boolean | null;

interface Wording {
  /** What the rule does at this value; null is off. */
  readonly says: (value: Value) => string;
  /** Why there is such a rule: for the template. */
  readonly why: string;
  /** Which values allow more than the default does. */
  readonly looser: 'lower' | 'higher' | true | false;
}

const percent = (share: Value): string => `${Number((Number(share) * 100).toPrecision(3))} %`;
const off = (sentence: string, otherwise: (value: number) => string) => (value: Value) =>
  value === null ? `switched off: ${sentence}` : otherwise(Number(value));
const either = (yes: string, no: string) => (value: Value) => (value === true ? yes : no);

/** By the key's path in the agreement's `disclosure`. */
const WORDING: Readonly<Record<string, Wording>> = {
  'participants.minimum': {
    looser: 'lower',
    why: 'Results on very few people are results about those people.',
    says: off(
      'results on any number of participants may leave, even on one',
      (n) => `no results on fewer than ${count(n, 'participant')}`,
    ),
  },
  'participants.per_arm': {
    looser: 'lower',
    why: 'An arm of one or two shows its members’ outcomes in the treatment effect.',
    says: off(
      'an arm may hold a single participant',
      (n) => `no results where an arm of the trial holds fewer than ${count(n, 'participant')}`,
    ),
  },
  grouped_rows: {
    looser: true,
    why: 'A plan could have any number in a row stand for how many people the row is.',
    says: either(
      'rows may be groups of people, as many as a column of the records says',
      'each row is one participant or one visit: plans that take rows for groups are refused',
    ),
  },
  parameters_per_participant: {
    looser: 'higher',
    why: 'A model with nearly as many parameters as people can be solved backwards for their data.',
    says: off(
      'a model may have as many parameters as people, and then its results are their data',
      (share) =>
        `at most one parameter of a model for every ${Number((1 / share).toPrecision(3))} participants`,
    ),
  },
  events_per_parameter: {
    looser: 'lower',
    why: 'With few events a coefficient says who had them.',
    says: off(
      'a model may have as many parameters as there are events, and then tells who had them',
      (n) => `at least ${count(n, 'event')} (or non-events, where rarer) for each parameter of a model`,
    ),
  },
  smallest_cell: {
    looser: 'lower',
    why: 'A small cell of a table lists people: "the two women on treatment who died".',
    says: off(
      'tables may hold a single person in a cell',
      (n) =>
        `in every table that could be read off an answer (level by arm by outcome), each cell is empty or holds at least ${count(n, 'participant')}`,
    ),
  },
  leverage: {
    looser: 'higher',
    why: 'One unusual person can dominate a fit, so that it passes through that person’s outcome.',
    says: off(
      'a result may depend on one person alone',
      (bound) => `nobody makes up ${percent(bound)} or more of their own fitted value (leverage)`,
    ),
  },
  dominance: {
    looser: 'higher',
    why: 'A sum to which one person contributes most gives that person’s values.',
    says: off(
      'a sum may be almost one person’s value alone',
      (bound) => `nobody makes up ${percent(bound)} or more of a sum that leaves`,
    ),
  },
  rank: {
    looser: false,
    why: 'Columns that almost repeat each other can be arranged to differ for one person only.',
    says: either(
      'no models with columns that almost repeat each other, because their difference singles people out',
      'switched off: models may hold columns that almost repeat each other, whose difference singles people out',
    ),
  },
  evaluations: {
    looser: 'higher',
    why: 'Very many answers at well-chosen parameters can be solved for what was summed.',
    says: off(
      'a one-stage analysis may ask for sums without end, and from enough of them the data follow',
      (n) => `a one-stage analysis may ask for sums at most ${n === 1 ? 'once' : `${n} times`}`,
    ),
  },
  total_evaluations: {
    looser: 'higher',
    why: 'The same by many analyses and runs over the same records.',
    says: off(
      'all runs together may ask about the same records without end',
      (n) => `all runs together may ask at most ${count(n, 'different question')} about the same records`,
    ),
  },
  differencing: {
    looser: 'lower',
    why: 'Two answers about sets that differ by a few people differ by those few.',
    says: off(
      'two answers may be about sets that differ by one participant, and their difference is that participant',
      (n) =>
        `two sets of participants that are answered about are the same, or differ by at least ${count(n, 'participant')}`,
    ),
  },
  per_trial_estimates: {
    looser: true,
    why: 'Whether this trial’s own estimates may leave, or only its part of sums over trials.',
    says: either(
      'this trial’s own estimates may leave (effects with their standard errors, events by arm)',
      'this trial’s own estimates stay here; what leaves is its part of sums over trials, so that two-stage analyses are refused',
    ),
  },
  shared_baseline: {
    looser: true,
    why: 'Sums over those at risk drop by one person’s share whenever somebody leaves: on a fine grid they list people.',
    says: either(
      'sums over those still at risk may leave, at the times of a plan’s grid',
      'no sums over those still at risk, so that models with a baseline hazard common to trials are refused',
    ),
  },
  'levels.release': {
    looser: true,
    why: 'Where a plan does not name a factor’s levels, which of them occur here may be told; a rare one can identify.',
    says: either(
      'where a plan does not name the codes of a factor, those that occur here may be told, rare ones left out',
      'the codes that occur in a factor are not told: plans must name them',
    ),
  },
  'levels.maximum': {
    looser: 'higher',
    why: 'A "factor" with very many levels is an identifier, such as a date or a postcode.',
    says: off(
      'a variable with any number of codes counts as a factor, even one with a code for each person',
      (n) => `a variable with more than ${count(n, 'code')} is no factor, and none of its codes are told`,
    ),
  },
};

export interface ThresholdExplanation {
  /** As in the agreement's `disclosure`: `participants.minimum`. */
  readonly key: string;
  readonly value: Value;
  readonly standard: Value;
  readonly sentence: string;
  readonly why: string;
  readonly against: 'default' | 'tighter' | 'looser';
}

/** Every threshold of a policy, in the shipped policy's order. */
export function explainThresholds(policy: Policy): ThresholdExplanation[] {
  const standard = leaves(DEFAULT_POLICY);
  const values = leaves(policy);
  return [...standard].map(([key, shipped]): ThresholdExplanation => {
    const wording = WORDING[key]!;
    const value = values.get(key)!;
    return {
      key,
      value,
      standard: shipped,
      sentence: wording.says(value),
      why: wording.why,
      against: value === shipped ? 'default' : isLooser(value, shipped, wording) ? 'looser' : 'tighter',
    };
  });
}

function isLooser(value: Value, standard: Value, { looser }: Wording): boolean {
  if (standard === null) return false;
  if (value === null) return true;
  if (typeof looser === 'boolean') return value === looser;
  return looser === 'lower' ? Number(value) < Number(standard) : Number(value) > Number(standard);
}

/** `participants.minimum` → 20, …; what names and versions the policy is no threshold. */
function leaves({ policy: _version, name: _name, ...thresholds }: Policy): Map<string, Value> {
  return new Map(
    Object.entries(thresholds).flatMap(([key, value]): [string, Value][] =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).map(([part, inner]) => [`${key}.${part}`, inner])
        : [[key, value]],
    ),
  );
}
