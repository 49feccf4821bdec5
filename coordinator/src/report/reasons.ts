import { RULE_REMEDIES } from '@concordat/shared/wire/words.ts';
import type { DiagnosisCode } from '@concordat/shared/models/types.ts';
import type { AnalysisResult, Reason, StudyResult } from '@concordat/shared/plan/result-types.ts';

const NO_CORRECTION =
  'Nothing is added to the cells. A one-stage model could use this study; here it stays out of the pooled estimate.';
const CHECK_FILE = 'Ask the site to check its data file against its own log.';
const CUSTODIAN = 'Only the custodian can change the threshold, in the site’s own agreement.';

const DIAGNOSIS_REMEDIES: Readonly<Record<DiagnosisCode, string>> = {
  'no-participants':
    'Check the population, the treatment codes and the variables with missing values at this site.',
  'single-arm': 'Check the treatment codes at this site.',
  'no-events': 'Check the event code; a study without events carries no information on a ratio.',
  'all-events': 'Check the event code; a study in which all have the event carries none on a ratio.',
  'no-events-in-arm': NO_CORRECTION,
  'no-nonevents-in-arm': NO_CORRECTION,
  separation: 'Leave out the covariate, or merge sparse levels of the factor.',
  'monotone-likelihood': 'Leave out the covariate on one side of which all events fall.',
  'rank-deficient': 'Leave out the covariate that is collinear with treatment at this site.',
  'too-few-participants': 'Use fewer covariates.',
  'not-converged': 'Use fewer covariates, and check their units and codes at this site.',
  'no-variation': 'Check the outcome variable at this site.',
  'short-follow-up': 'Choose a time of restriction to which every study was followed.',
};

/** Rules whose threshold, or permission, is the custodian's to change. */
const THRESHOLDS = [
  'participants',
  'participants-per-arm',
  'parameters-per-participant',
  'events-per-parameter',
  'smallest-cell',
  'budget',
  'evaluations',
  'per-trial-estimates',
  'shared-baseline',
];

/** Disclosure rules, problems with the records, and the exchange. */
const OTHER_REMEDIES: Readonly<Record<string, string>> = {
  ...RULE_REMEDIES,
  ...Object.fromEntries(
    THRESHOLDS.map((code) => [
      code,
      [RULE_REMEDIES[code], CUSTODIAN].filter((part) => part !== undefined).join(' '),
    ]),
  ),
  'not-estimable': 'Check the treatment and the effect modifier at this site.',
  'honest-question':
    'Run the same version on both sides. If it happens again, compare the message logs of both sides, and report it.',
  agreement: 'Ask the custodian what the site agreed to, and have this plan approved.',
  'data/missing-column': 'Ask the site to map the variable in its harmonisation map.',
  'data/not-numeric': 'Write factor(x) in the plan, or ask the site to map the codes to numbers.',
  'data/impossible-code': 'Ask the site to map the code, or declare it in the plan.',
  'data/changed': 'Ask the site to leave its records as they are while a run lasts, and run the plan again.',
  'data/too-large': 'Ask the site to give its agent more memory.',
  'data/encoding': 'Ask the site to save the file in UTF-8.',
  'data/duplicate-header': 'Ask the site to rename one of the columns.',
  'data/unreadable': CHECK_FILE,
  'data/empty': CHECK_FILE,
  'data/malformed': CHECK_FILE,
  data: CHECK_FILE,
  'map/invalid': 'Ask the site to correct its harmonisation map.',
  'plan/schema': 'Ask the site to update its agent.',
  internal: 'Ask the site for the entry in its agent’s log.',
  unreachable: 'Check that the site’s agent runs and reaches the coordinator, then run the plan again.',
  'too-few-studies':
    'The table of studies says why, study by study. Change what it names, or ask for fewer studies by minimum_studies in the plan.',
  'not-computed':
    'Look in the table of studies for numbers that cannot be right, and check that study’s records.',
  'site-lost':
    'Check that the site’s agent runs and what its policy allows, then run the plan again: a fit that has begun is never carried on with one site fewer.',
  'link-boundary':
    'Use the canonical link (logit, log), or leave out the covariates that drive fitted means to the edge of their range.',
  unsupported: 'Change the plan as the reason says, and run it again; the other analyses stand.',
};

/** Of a whole one-stage fit, where it is not the same as of one site's. */
const FIT_REMEDIES: Readonly<Record<string, string>> = {
  separation:
    'Leave out the covariate that is named, or merge sparse levels of the factor; for a common effect of sparse binary events, use penalty: firth.',
  'monotone-likelihood': 'Leave out the covariate that is named: all events fall on one side of it.',
  'rank-deficient':
    'Leave out one of the terms that are named: over all studies, the others determine it. An across-trial term needs studies whose means differ.',
  'not-converged':
    'Use fewer random effects (treatment_effect: common, or correlated: false) or fewer covariates, and check units and codes at the sites.',
  'too-few-participants': 'Use fewer covariates, or intercept: random.',
  'no-events': 'Check the event code: no study that took part had an event.',
  'no-variation': 'Check the outcome variable and its codes.',
};

export const REMEDIES: Readonly<Record<string, string>> = { ...OTHER_REMEDIES, ...DIAGNOSIS_REMEDIES };

function lookUp(remedies: Readonly<Record<string, string>>, code: string): string | null {
  return Object.hasOwn(remedies, code) ? (remedies[code] ?? null) : null;
}

/** What to do about a site's or a study's reason; null where the message has to speak for itself. */
export function remedyFor({ code }: Reason): string | null {
  return lookUp(REMEDIES, code);
}

/** What to do about the reason of a whole analysis. */
export function analysisRemedy(approach: AnalysisResult['approach'], { code }: Reason): string | null {
  return (approach === 'one-stage' ? lookUp(FIT_REMEDIES, code) : null) ?? lookUp(REMEDIES, code);
}

/** The message as a sentence: sites' and the coordinator's messages are phrases without a full stop. */
export function asSentence(message: string): string {
  const text = message.trim();
  if (text === '') return text;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

export const STATUS_WORDS: Readonly<Record<StudyResult['status'], string>> = {
  included: 'Included',
  excluded: 'Excluded',
  refused: 'Refused',
  unreachable: 'Unreachable',
};

/** `Excluded: an arm has no event`. */
export function missingNote(study: StudyResult): string {
  const word = STATUS_WORDS[study.status];
  return study.reason === undefined ? word : `${word}: ${study.reason.message}`;
}
