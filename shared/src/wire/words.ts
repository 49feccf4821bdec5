/** What the closed codes of a site's answers mean, in the same words at the site, at the coordinator and in the report. */
import { Diagnosis, Objection, Problem, Rule } from '@concordat/proto/concordat/v1/site.ts';

/** Code and words of a refusal; `{}` stands for the threshold. */
export const REFUSALS: Readonly<Record<Rule, readonly [string, string]>> = {
  [Rule.RULE_UNSPECIFIED]: ['refused', 'the site refused'],
  [Rule.UNRECOGNIZED]: ['refused', 'the site refused'],
  [Rule.RULE_PARTICIPANTS]: ['participants', 'fewer than {} participants in the analysis set'],
  [Rule.RULE_PARTICIPANTS_PER_ARM]: ['participants-per-arm', 'fewer than {} participants in an arm'],
  [Rule.RULE_PARAMETERS_PER_PARTICIPANT]: [
    'parameters-per-participant',
    'more than {} parameters per participant',
  ],
  [Rule.RULE_EVENTS_PER_PARAMETER]: ['events-per-parameter', 'fewer than {} events per parameter'],
  [Rule.RULE_SMALLEST_CELL]: ['smallest-cell', 'the answer would tell a cell of fewer than {} participants'],
  [Rule.RULE_LEVERAGE]: ['leverage', 'one participant would have a leverage of {} or more'],
  [Rule.RULE_RANK]: [
    'rank',
    'the design is nearly rank-deficient, so that the answer would single out participants',
  ],
  [Rule.RULE_FACTOR_LEVELS]: [
    'factor-levels',
    "the site's policy does not release the levels of a factor (at most {})",
  ],
  [Rule.RULE_HONEST_QUESTION]: [
    'honest-question',
    "the site's own replay of the fit asks another question next than the one it was asked",
  ],
  [Rule.RULE_EVALUATIONS]: ['evaluations', 'more than {} questions about parameters in one analysis'],
  [Rule.RULE_PER_TRIAL_ESTIMATES]: [
    'per-trial-estimates',
    "the site's policy keeps the trial's own estimates and releases its part of sums only",
  ],
  [Rule.RULE_SHARED_BASELINE]: [
    'shared-baseline',
    "the site's policy does not release sums over risk sets, which a baseline shared between studies needs",
  ],
  [Rule.RULE_AGREEMENT]: ['agreement', 'the site did not agree to the plan as offered'],
  [Rule.RULE_DOMINANCE]: ['dominance', 'one participant would make up {} or more of a sum'],
  [Rule.RULE_DIFFERENCING]: [
    'differencing',
    'the participants differ from those of an earlier answer by fewer than {}, whom subtraction would single out; `participants: common` in the plan avoids it within a plan',
  ],
  [Rule.RULE_BUDGET]: ['budget', 'more than {} questions about parameters of the same records over all runs'],
  [Rule.RULE_ASKER]: ['asker', "the plan is not signed by a statistician whom the site's agreement names"],
  [Rule.RULE_EXPIRED]: ['expired', "the site's agreement has expired"],
  [Rule.RULE_VARIABLE]: ['variable', "the plan uses a variable that the site's agreement does not name"],
  [Rule.RULE_OUTCOME]: ['outcome', "the plan's outcome is none that the site's agreement names"],
  [Rule.RULE_FAMILY]: ['family', "the model's family is none that the site's agreement names"],
  [Rule.RULE_ROSTER]: [
    'roster',
    "the roster has fewer sites, or a smaller minimum, than the site's custodian approved for this plan",
  ],
  [Rule.RULE_CUSTODIAN]: ['custodian', "the site's custodian refused"],
};

/** What in the plan, or in the records, would make acceptable what a rule refused; by the refusal's code. */
export const RULE_REMEDIES: Readonly<Record<string, string>> = {
  participants: 'A wider population may reach it.',
  'parameters-per-participant': 'Use fewer covariates.',
  'events-per-parameter': 'Use fewer covariates.',
  'smallest-cell':
    'Merge sparse levels of a factor, or leave the factor or its interaction out; take a population that leaves out nobody there or more.',
  leverage:
    'Check the covariates at this site for outlying values; ask several analyses of one outcome with the same covariates, of `participants: common`.',
  dominance: 'Check the outcome and the time observed at this site for an outlying value.',
  differencing:
    'Write participants: common in the plan, so that its analyses use the same participants; or take a population that differs from those asked about before by more people.',
  budget: 'Use fewer one-stage analyses of the same records.',
  rank: 'Leave out covariates that nearly determine each other.',
  'factor-levels': 'Declare the factor’s levels in the plan.',
  evaluations: 'Use fewer covariates, or fewer analyses.',
  'per-trial-estimates': 'The site’s part of a one-stage fit may still be possible.',
  'shared-baseline': 'Use baseline: stratified, or a piecewise-exponential or Royston–Parmar model.',
  asker: 'Have the plan signed by a statistician whom the site names: concordat plan sign.',
  expired: 'Ask the custodian whether the agreement is renewed.',
  variable: 'Leave the variable out of the plan, or ask the custodian whether the agreement can name it.',
  outcome: 'Choose an outcome that the agreement names, or ask the custodian whether it can name this one.',
  family: 'Choose a model that the agreement names, or ask the custodian whether it can name this one.',
  roster: 'Run the plan with all the sites that it was approved for, or have it approved as it is.',
  custodian: 'Ask the custodian what would make the plan acceptable.',
};

/** What a custodian objected to; empty where nothing is said. */
export const OBJECTIONS: Readonly<Record<Objection, string>> = {
  [Objection.OBJECTION_UNSPECIFIED]: '',
  [Objection.UNRECOGNIZED]: '',
  [Objection.OBJECTION_PURPOSE]: 'the purpose',
  [Objection.OBJECTION_POPULATION]: 'the population',
  [Objection.OBJECTION_VARIABLES]: 'the variables',
  [Objection.OBJECTION_OUTCOME]: 'the outcome',
  [Objection.OBJECTION_METHOD]: 'the method',
  [Objection.OBJECTION_DISCLOSURE]: 'what would leave',
  [Objection.OBJECTION_DATA_NOT_READY]: 'the records are not ready',
  [Objection.OBJECTION_OTHER]: 'a reason of its own',
};

/** Code and words of what is wrong with the records. */
export const PROBLEMS: Readonly<Record<Problem, readonly [string, string]>> = {
  [Problem.PROBLEM_UNSPECIFIED]: ['data', 'the records could not be used'],
  [Problem.UNRECOGNIZED]: ['data', 'the records could not be used'],
  [Problem.PROBLEM_SOURCE_UNREADABLE]: ['data/unreadable', 'the records could not be read'],
  [Problem.PROBLEM_SOURCE_EMPTY]: ['data/empty', 'there are no records'],
  [Problem.PROBLEM_ENCODING]: ['data/encoding', 'the records are not in UTF-8'],
  [Problem.PROBLEM_DUPLICATE_HEADER]: ['data/duplicate-header', 'a column name occurs twice'],
  [Problem.PROBLEM_MALFORMED]: ['data/malformed', 'the records are malformed'],
  [Problem.PROBLEM_MISSING_COLUMN]: [
    'data/missing-column',
    'a variable of the plan is not among the columns',
  ],
  [Problem.PROBLEM_NOT_NUMERIC]: ['data/not-numeric', 'a variable that must be a number holds text'],
  [Problem.PROBLEM_IMPOSSIBLE_CODE]: [
    'data/impossible-code',
    'a variable holds a code that the plan does not allow',
  ],
  [Problem.PROBLEM_TOO_LARGE]: ['data/too-large', 'there are more records than the agent can hold'],
  [Problem.PROBLEM_MAP_INVALID]: ['map/invalid', 'the harmonisation map is invalid'],
  [Problem.PROBLEM_PLAN_NOT_UNDERSTOOD]: ['plan/schema', "the agent's version does not understand the plan"],
  [Problem.PROBLEM_RECORDS_CHANGED]: [
    'data/changed',
    'the records are not those that the site entered the analysis with',
  ],
  [Problem.PROBLEM_INTERNAL]: ['internal', 'the agent failed'],
};

/** Code and words of why a model could not be fitted. */
export const DIAGNOSES: Readonly<Record<Diagnosis, readonly [string, string]>> = {
  [Diagnosis.DIAGNOSIS_UNSPECIFIED]: ['not-estimable', 'the model could not be fitted'],
  [Diagnosis.UNRECOGNIZED]: ['not-estimable', 'the model could not be fitted'],
  [Diagnosis.DIAGNOSIS_NO_PARTICIPANTS]: ['no-participants', 'no complete record is left for the analysis'],
  [Diagnosis.DIAGNOSIS_SINGLE_ARM]: ['single-arm', 'only one arm has participants, so there is no contrast'],
  [Diagnosis.DIAGNOSIS_NO_EVENTS]: [
    'no-events',
    'no participant had an event, so the effect is not estimable',
  ],
  [Diagnosis.DIAGNOSIS_ALL_EVENTS]: [
    'all-events',
    'every participant had an event, so the effect is not estimable',
  ],
  [Diagnosis.DIAGNOSIS_NO_EVENTS_IN_ARM]: [
    'no-events-in-arm',
    'an arm has no event: the maximum-likelihood estimate is infinite',
  ],
  [Diagnosis.DIAGNOSIS_NO_NONEVENTS_IN_ARM]: [
    'no-nonevents-in-arm',
    'in an arm everyone had an event: the maximum-likelihood estimate is infinite',
  ],
  [Diagnosis.DIAGNOSIS_SEPARATION]: [
    'separation',
    'covariates separate events from non-events: the maximum-likelihood estimate is infinite',
  ],
  [Diagnosis.DIAGNOSIS_MONOTONE_LIKELIHOOD]: [
    'monotone-likelihood',
    'the partial likelihood is monotone: the maximum-likelihood estimate is infinite',
  ],
  [Diagnosis.DIAGNOSIS_RANK_DEFICIENT]: [
    'rank-deficient',
    'the treatment effect cannot be told apart from other terms',
  ],
  [Diagnosis.DIAGNOSIS_TOO_FEW_PARTICIPANTS]: [
    'too-few-participants',
    'there are not more participants than parameters',
  ],
  [Diagnosis.DIAGNOSIS_NOT_CONVERGED]: ['not-converged', 'the fit did not converge'],
  [Diagnosis.DIAGNOSIS_NO_VARIATION]: ['no-variation', 'the outcome does not vary'],
  [Diagnosis.DIAGNOSIS_SHORT_FOLLOW_UP]: [
    'short-follow-up',
    'an arm is not followed to the time of restriction',
  ],
};
