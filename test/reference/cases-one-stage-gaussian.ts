/** Continuous and repeated outcomes in one stage: random intercepts and treatment effects, residual variances, visits. */
import { available, estimableStudies, stageOne } from './reference.ts';
import { oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  EXACT,
  GLS,
  LMER,
  RANDOM_INTERCEPT,
  TREATMENT,
  intercepts,
  type Held,
  type OneStageCase,
  type OneStageScenario,
  type Sums,
} from './one-stage.ts';
import { treatment } from './scenarios.ts';

const ML = { family: 'gaussian', estimation: 'ML' } as const;
const REML = { family: 'gaussian', estimation: 'REML' } as const;

interface Block {
  readonly tag: string;
  readonly studies: readonly string[];
  readonly baseline?: string;
  readonly residual?: boolean;
}

/** What R's scripts fit to every continuous outcome. */
function continuousCases({ tag, studies, baseline, residual = false }: Block): OneStageCase[] {
  const adjust = baseline === undefined ? {} : { adjust: [baseline] };
  const b: Sums = baseline === undefined ? {} : { [baseline]: 'b' };
  const own = { ...intercepts(studies), ...TREATMENT, ...b };
  const random = { ...RANDOM_INTERCEPT, ...b };
  const held = (...ids: string[]): Held[] => ids.map((id) => ({ id: `${tag}-${id}`, tolerance: LMER }));
  const fixed = { tolerance: EXACT, id: `${tag}-lm-fixed` };
  const residualCases: OneStageCase[] = [
    {
      name: 'residual',
      model: { ...REML, ...adjust, treatment_effect: 'random', residual: 'stratified' },
      terms: own,
      against: [{ id: `${tag}-lme-strat-rs-resvar-reml`, tolerance: LMER }],
    },
  ];
  return [
    { name: `fixed`, model: { ...REML, ...adjust }, terms: own, against: [fixed] },
    { name: `fixed.ml`, model: { ...ML, ...adjust }, terms: own, against: [fixed] },
    ...[REML, ML].flatMap((model): OneStageCase[] => {
      const suffix = model.estimation.toLowerCase();
      const both = { ...model, ...adjust, intercept: 'random', treatment_effect: 'random' } as const;
      return [
        {
          name: `ri.${suffix}`,
          model: { ...model, ...adjust, intercept: 'random' },
          terms: random,
          against: held(`lmer-ri-${suffix}`),
        },
        { name: `ris.${suffix}`, model: both, terms: random, against: held(`lmer-ris-corr-${suffix}`) },
        {
          name: `ris.independent.${suffix}`,
          model: { ...both, correlated: false },
          terms: random,
          against: held(`lmer-ris-indep-${suffix}`),
        },
        {
          name: `rs.${suffix}`,
          model: { ...model, ...adjust, treatment_effect: 'random' },
          terms: own,
          // Restricted likelihood does not depend on where the treatment is centred.
          against: held(
            `lmer-strat-rs-centred-${suffix}`,
            ...(suffix === 'reml' ? ['lmer-strat-rs-reml'] : []),
          ),
        },
      ];
    }),
    ...(baseline === undefined ? [] : slopeCases(tag, studies, baseline)),
    ...(residual ? residualCases : []),
  ];
}

/** The baseline's slope is each study's own. */
function slopeCases(tag: string, studies: readonly string[], baseline: string): OneStageCase[] {
  const adjust = [`stratified(${baseline})`];
  const slopesOf = (theirs: string): Sums =>
    Object.fromEntries(
      studies.map((study) => [`stratified(${baseline})[${study}]`, `factor(study)${study}:${theirs}`]),
    );
  const fixed = [{ id: `${tag}-lm-fixed-stratbase`, tolerance: EXACT }];
  // lm()'s intercepts are at a baseline of 0, ours at the study's mean.
  const terms = { ...TREATMENT, ...slopesOf('b') };
  return [
    { name: 'slopes', model: { ...REML, adjust }, terms, against: fixed },
    { name: 'slopes.ml', model: { ...ML, adjust }, terms, against: fixed },
    {
      name: 'slopes.rs',
      model: { ...REML, treatment_effect: 'random', adjust },
      terms: { ...intercepts(studies), ...TREATMENT, ...slopesOf('bc') },
      against: [{ id: `${tag}-lmer-stratbase-rs-reml`, tolerance: LMER }],
    },
  ];
}

/** Of a covariate with a common slope; `baseline` is a further covariate. */
function interactionCases(
  tag: string,
  variable: string,
  studies: readonly string[],
  baseline?: string,
): OneStageCase[] {
  const adjust = baseline === undefined ? {} : { adjust: [baseline] };
  const terms: Sums = {
    ...intercepts(studies),
    ...TREATMENT,
    [variable]: 'xw',
    [`treatment:${variable}.within`]: 'treat:xw',
    [`treatment:${variable}.across`]: 'treat:xm',
    ...(baseline === undefined ? {} : { [baseline]: 'b' }),
  };
  const item = (name: string, model: OneStageCase['model'], held: Held): OneStageCase => ({
    name: `${variable}.${name}`,
    model,
    effect_modifier: { variable },
    terms,
    against: [held],
  });
  return [
    item('fixed', { ...REML, ...adjust }, { id: `${tag}-onestage-lm`, tolerance: EXACT }),
    item('fixed.ml', { ...ML, ...adjust }, { id: `${tag}-onestage-lm`, tolerance: EXACT }),
    item(
      'rs',
      { ...REML, ...adjust, treatment_effect: 'random' },
      { id: `${tag}-onestage-reml`, tolerance: LMER },
    ),
  ];
}

/** One row a participant and visit, of those that were made. */
function byVisit(
  rows: readonly Row[],
  visits: Readonly<Record<string, string>>,
  keep: readonly string[],
): Row[] {
  return rows.flatMap((row) =>
    Object.entries(visits).flatMap(([visit, variable]) =>
      row[variable] === ''
        ? []
        : [
            {
              study: row['study']!,
              person: row['id']!,
              ...Object.fromEntries(keep.map((name) => [name, row[name]!])),
              visit,
              y: row[variable]!,
            },
          ],
    ),
  );
}

const opt = available ? readRecords('opt') : [];
const clinics = studiesOf(opt);
const star = available ? readRecords('star') : [];
/** R's script analyses schools with enough pupils in each arm. */
const kindergarten = available ? estimableStudies('star', 'math0-stage1-final').toSorted() : [];
const firstGrade = available ? estimableStudies('star', 'math1-stage1-final').toSorted() : [];
const largest = available ? Object.keys(stageOne('star', 'mmrm-stage1')).toSorted() : [];
const arms = { treatment: treatment('treat') };
const outcome = (variable: string) => ({ kind: 'continuous', variable }) as const;

const visitTerms = (
  term: string,
  theirs: string,
  visits: readonly (string | number)[],
  prefix: string,
): Sums =>
  Object.fromEntries(visits.map((visit) => [`${term}:factor(visit)${visit}`, `${prefix}${visit}:${theirs}`]));
const OPT_VISITS = [3, 5];
const GRADES = [0, 1, 2, 3];
/** Means by study and visit are not reported. */
const optTerms: Sums = {
  ...visitTerms('pd0', 'pd0', OPT_VISITS, 'vf'),
  ...visitTerms('treatment', 'treat', OPT_VISITS, 'vf'),
};
const starTerms = visitTerms('treatment', 'treat', GRADES, 'gf');
const repeated = (visits: readonly number[]) =>
  ({ kind: 'repeated', variable: 'y', subject: 'person', visit: 'visit', visits: [...visits] }) as const;
const mmrm = (adjust: readonly string[], terms: Sums): OneStageCase[] =>
  [REML, ML].map((model) => ({
    name: `unstructured.${model.estimation.toLowerCase()}`,
    model: { ...model, covariance: 'unstructured', ...(adjust.length === 0 ? {} : { adjust: [...adjust] }) },
    terms,
    against: [{ id: `mmrm-onestage-${model.estimation.toLowerCase()}`, tolerance: GLS }],
  }));

export const continuous: readonly OneStageScenario[] = [
  {
    name: 'pocket depth, by age and baseline',
    dataset: 'opt',
    data: () => oneFile(opt),
    plan: { ...arms, population: 'not missing(pd0)', outcome: outcome('pd5') },
    cases: [
      ...continuousCases({ tag: 'pd5', studies: clinics, baseline: 'pd0', residual: true }),
      ...interactionCases('pd5-int-age', 'age', clinics, 'pd0'),
      ...interactionCases('pd5-int-pd0', 'pd0', clinics),
    ],
  },
  {
    name: 'birth weight',
    dataset: 'opt',
    data: () => oneFile(opt),
    plan: { ...arms, outcome: outcome('birthweight_g') },
    cases: continuousCases({ tag: 'bw', studies: clinics, residual: true }),
  },
  {
    name: 'pocket depth at two visits',
    dataset: 'opt',
    data: () => oneFile(byVisit(opt, { 3: 'pd3', 5: 'pd5' }, ['treat', 'pd0'])),
    plan: { ...arms, outcome: repeated(OPT_VISITS) },
    cases: [
      ...mmrm(['pd0'], optTerms),
      {
        // A patient's random intercept makes any two visits equally correlated.
        name: 'compound-symmetry',
        model: { ...REML, covariance: 'compound-symmetry', adjust: ['pd0'] },
        terms: optTerms,
        against: [{ id: 'mmrm-lmer', tolerance: LMER }],
      },
    ],
  },
  {
    name: 'kindergarten mathematics, by free lunch and age',
    dataset: 'star',
    data: () => oneFile(star),
    plan: { ...arms, studies: kindergarten, outcome: outcome('math0') },
    cases: [
      ...continuousCases({ tag: 'math0', studies: kindergarten }),
      ...interactionCases('math0-int-lunch', 'free_lunch', kindergarten),
      ...interactionCases('math0-int-age', 'age', kindergarten),
    ],
  },
  {
    name: 'grade 1 mathematics, adjusted for kindergarten',
    dataset: 'star',
    data: () => oneFile(star),
    plan: { ...arms, studies: firstGrade, population: 'not missing(math0)', outcome: outcome('math1') },
    cases: continuousCases({ tag: 'math1', studies: firstGrade, baseline: 'math0' }),
  },
  {
    name: 'mathematics in four grades',
    dataset: 'star',
    data: () => oneFile(byVisit(star, { 0: 'math0', 1: 'math1', 2: 'math2', 3: 'math3' }, ['treat'])),
    plan: { ...arms, studies: largest, outcome: repeated(GRADES) },
    cases: mmrm([], starTerms),
  },
];
