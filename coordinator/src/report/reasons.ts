import type { DiagnosisCode } from '@concordat/shared/models/types.ts';
import type { Reason, StudyResult } from '@concordat/shared/plan/result-types.ts';

interface Words {
  /** Completes "Excluded: …". */
  readonly short: string;
  readonly remedy: string;
}

const DIAGNOSIS_WORDS: Readonly<Record<DiagnosisCode, Words>> = {
  'no-participants': {
    short: 'no participants in the analysis set',
    remedy: 'Check the population, the treatment codes and the variables with missing values at this site.',
  },
  'single-arm': {
    short: 'only one arm has participants',
    remedy: 'Check the treatment codes at this site; a study with one arm cannot estimate the effect.',
  },
  'no-events': {
    short: 'no events in any arm',
    remedy: 'Check the event code. A study without events carries no information on a ratio.',
  },
  'all-events': {
    short: 'every participant had the event',
    remedy: 'Check the event code. A study in which all have the event carries no information on a ratio.',
  },
  'no-events-in-arm': {
    short: 'no events in one arm',
    remedy:
      'The estimate is infinite. A one-stage model can use this study; nothing is added to its cells here.',
  },
  'no-nonevents-in-arm': {
    short: 'every participant of one arm had the event',
    remedy:
      'The estimate is infinite. A one-stage model can use this study; nothing is added to its cells here.',
  },
  separation: {
    short: 'a covariate predicts the outcome perfectly (separation)',
    remedy: 'Remove the covariate that the warning names, or merge sparse levels of the factor.',
  },
  'monotone-likelihood': {
    short: 'the likelihood has no maximum (monotone)',
    remedy: 'Remove the covariate that the warning names: all events fall on one side of it.',
  },
  'rank-deficient': {
    short: 'the treatment effect cannot be told apart from a covariate',
    remedy: 'Remove the covariate that is collinear with treatment at this site.',
  },
  'too-few-participants': {
    short: 'not more participants than parameters',
    remedy: 'Use fewer covariates.',
  },
  'not-converged': {
    short: 'the fit did not converge',
    remedy: 'Use fewer covariates, and check their units and codes at this site.',
  },
  'no-variation': {
    short: 'the outcome does not vary',
    remedy: 'Check the outcome variable at this site.',
  },
};

/** Disclosure rules, problems with the records, and silence. */
const OTHER_WORDS: Readonly<Record<string, Words>> = {
  participants: {
    short: 'fewer participants than the disclosure policy allows',
    remedy: 'The study takes part only if its custodian loosens the threshold in the site’s agreement.',
  },
  'participants-per-arm': {
    short: 'fewer participants in an arm than the disclosure policy allows',
    remedy: 'The study takes part only if its custodian loosens the threshold in the site’s agreement.',
  },
  'parameters-per-participant': {
    short: 'too many parameters for its number of participants (disclosure policy)',
    remedy: 'Use fewer covariates.',
  },
  'events-per-parameter': {
    short: 'too few events for the number of parameters (disclosure policy)',
    remedy: 'Use fewer covariates.',
  },
  'smallest-cell': {
    short: 'a cell is smaller than the disclosure policy allows',
    remedy: 'Merge sparse levels of a factor, or drop the factor.',
  },
  leverage: {
    short: 'one participant would dominate what is released (disclosure policy)',
    remedy: 'Check the covariates for outlying values at this site.',
  },
  rank: {
    short: 'the design is nearly rank deficient (disclosure policy)',
    remedy: 'Remove covariates that nearly determine each other.',
  },
  'factor-levels': {
    short: 'the disclosure policy does not release the levels of a factor',
    remedy: 'Declare the factor’s levels in the plan.',
  },
  agreement: {
    short: 'the plan is not within the site’s agreement',
    remedy: 'Ask the custodian what the agreement covers, and have the plan approved.',
  },
  'source-unreadable': { short: 'its records could not be read', remedy: 'Ask the site to check its data file.' },
  'source-empty': { short: 'its data file is empty', remedy: 'Ask the site to check its data file.' },
  encoding: {
    short: 'its data file is not in UTF-8',
    remedy: 'Ask the site to save the file in UTF-8.',
  },
  'duplicate-header': {
    short: 'two columns of its data file have the same name',
    remedy: 'Ask the site to rename one of them.',
  },
  malformed: { short: 'its data file is malformed', remedy: 'Ask the site to check its data file.' },
  'missing-column': {
    short: 'a variable of the plan is missing',
    remedy: 'Ask the site to add the variable to its harmonisation map.',
  },
  'not-numeric': {
    short: 'a numeric variable holds text',
    remedy: 'Write factor(x) in the plan, or ask the site to map the codes.',
  },
  'impossible-code': {
    short: 'a variable holds a code that the plan does not know',
    remedy: 'Ask the site to map the code, or declare it in the plan.',
  },
  'too-large': { short: 'its data file is too large', remedy: 'Ask the site to raise its memory limit.' },
  'map-invalid': {
    short: 'its harmonisation map is invalid',
    remedy: 'Ask the site to correct the map; its own log says where.',
  },
  'plan-not-understood': {
    short: 'its agent does not understand the plan',
    remedy: 'Ask the site to update its agent.',
  },
  internal: { short: 'its agent failed', remedy: 'Ask the site for the entry in its own log.' },
  unreachable: {
    short: 'no answer within the time limit',
    remedy: 'Check that the site’s agent runs and can reach the coordinator, then run the plan again.',
  },
};

function wordsFor(code: string): Words | null {
  const words: Readonly<Record<string, Words>> = { ...OTHER_WORDS, ...DIAGNOSIS_WORDS };
  const key = code.slice(code.lastIndexOf('/') + 1);
  return Object.hasOwn(words, key) ? (words[key] ?? null) : null;
}

/** The reason in a few words, for a row of a figure; the message itself where the code is not known. */
export function shortReason(reason: Reason): string {
  return wordsFor(reason.code)?.short ?? reason.message;
}

/** What to do about it, or null where the message has to speak for itself. */
export function remedyFor(reason: Reason): string | null {
  return wordsFor(reason.code)?.remedy ?? null;
}

export const STATUS_WORDS: Readonly<Record<StudyResult['status'], string>> = {
  included: 'Included',
  excluded: 'Excluded',
  refused: 'Refused',
  unreachable: 'Unreachable',
};

/** `Excluded: no events in one arm`. */
export function missingNote(study: StudyResult): string {
  const word = STATUS_WORDS[study.status];
  return study.reason === undefined ? word : `${word}: ${shortReason(study.reason)}`;
}
