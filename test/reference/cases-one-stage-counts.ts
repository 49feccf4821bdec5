/** Counts with exposure in one stage: Poisson and negative binomial, with random effects. */
import { available } from './reference.ts';
import { derived, folderOf, csv, oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  EARLY,
  EXACT,
  GLM,
  GLMM_DIFFERENCES,
  RANDOM_INTERCEPT,
  TMB,
  TREATMENT,
  intercepts,
  type OneStageScenario,
  type Sums,
} from './one-stage.ts';
import { treatment } from './scenarios.ts';

const SIZE: Sums = { 'log(size)': 'log(size)' };
const poisson = { family: 'poisson' } as const;
const nb = { family: 'negative-binomial' } as const;

const rhdnase = available
  ? readRecords('rhdnase').map((row): Row => ({ ...row, fev10: derived(row, ['fev'], (fev) => fev / 10) }))
  : [];
const withEvents = studiesOf(rhdnase.filter(({ n_exac }) => n_exac !== '0'));
const rates = available
  ? readRecords('ad-rates-catheter', 'studies.csv').flatMap(({ study, x1, t1, x0, t0 }): Row[] => [
      { study: study!, treat: '1', x: x1!, t: t1! },
      { study: study!, treat: '0', x: x0!, t: t0! },
    ])
  : [];
const arms = { treatment: treatment('treat') };
const own = { ...intercepts(withEvents), ...TREATMENT };
/** Standard errors of glm.nb() are those of a known size. */
const GLM_NB = { ...EARLY, se: Infinity };

export const counts: readonly OneStageScenario[] = [
  {
    name: 'exacerbations',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: { ...arms, outcome: { kind: 'count', variable: 'n_exac', exposure: 'followup_days' } },
    cases: [
      {
        name: 'fixed',
        model: poisson,
        terms: own,
        against: [{ id: 'count-glm-poisson-fixed', tolerance: GLM }],
      },
      {
        name: 'nb.fixed',
        model: nb,
        terms: { ...own, ...SIZE },
        against: [{ id: 'count-glm-nb-fixed', tolerance: GLM_NB }],
      },
      {
        name: 'ri',
        model: { ...poisson, intercept: 'random' },
        terms: RANDOM_INTERCEPT,
        against: [
          { id: 'count-glmer-ri-agq1', tolerance: GLMM_DIFFERENCES },
          { id: 'count-tmb-poisson-ri', tolerance: TMB },
        ],
      },
      {
        name: 'ri.9',
        model: { ...poisson, intercept: 'random', quadrature: 9 },
        terms: RANDOM_INTERCEPT,
        against: [{ id: 'count-glmer-ri-agq9', tolerance: GLMM_DIFFERENCES }],
      },
      {
        name: 'ris',
        model: { ...poisson, intercept: 'random', treatment_effect: 'random' },
        terms: RANDOM_INTERCEPT,
        against: [{ id: 'count-glmer-ris-corr', tolerance: GLMM_DIFFERENCES }],
      },
      {
        name: 'ris.independent',
        model: { ...poisson, intercept: 'random', treatment_effect: 'random', correlated: false },
        terms: RANDOM_INTERCEPT,
        against: [{ id: 'count-glmer-ris-indep', tolerance: GLMM_DIFFERENCES }],
      },
      {
        name: 'nb.ri',
        model: { ...nb, intercept: 'random' },
        terms: { ...RANDOM_INTERCEPT, ...SIZE },
        against: [{ id: 'count-tmb-nb-ri', tolerance: TMB }],
      },
      {
        name: 'nb.ris',
        model: { ...nb, intercept: 'random', treatment_effect: 'random', correlated: false },
        terms: { ...RANDOM_INTERCEPT, ...SIZE },
        against: [{ id: 'count-tmb-nb-ris', tolerance: TMB }],
      },
      {
        name: 'nb.adjusted',
        model: { ...nb, intercept: 'random', adjust: ['fev10'] },
        terms: { ...RANDOM_INTERCEPT, ...SIZE, fev10: 'x10' },
        against: [{ id: 'count-nb-adjusted-ri', tolerance: TMB }],
      },
      {
        name: 'fev',
        model: poisson,
        effect_modifier: { variable: 'fev10' },
        terms: {
          ...own,
          fev10: 'xw',
          'treatment:fev10.within': 'treat:xw',
          'treatment:fev10.across': 'treat:xm',
        },
        against: [{ id: 'count-int-within-across', tolerance: GLM }],
      },
    ],
  },
  {
    name: 'exacerbations, no effects of institutions',
    dataset: 'rhdnase',
    data: () => folderOf({ 'ALL.csv': csv(rhdnase.map(({ study: _, ...row }) => row)) }),
    plan: { ...arms, outcome: { kind: 'count', variable: 'n_exac', exposure: 'followup_days' } },
    cases: [
      {
        name: 'nb',
        model: nb,
        terms: { '(intercept)[ALL]': '(Intercept)', ...TREATMENT, ...SIZE },
        against: [{ id: 'count-glm-nb-pooled', tolerance: GLM_NB }],
      },
    ],
  },
  {
    name: 'infections by catheter-days',
    dataset: 'ad-rates-catheter',
    data: () => oneFile(rates),
    plan: { ...arms, outcome: { kind: 'count', variable: 'x', exposure: 't' } },
    cases: [
      {
        name: 'fixed',
        model: poisson,
        terms: { ...intercepts(studiesOf(rates)), ...TREATMENT },
        against: [
          { id: 'glm-fixed', tolerance: GLM },
          // Its own glm() stops at a deviance within 1e-8.
          { id: 'glmm-um-fs', part: 'common', tolerance: { ...EXACT, se: 2e-6 } },
        ],
      },
      {
        name: 'ri',
        model: { ...poisson, intercept: 'random', quadrature: 7 },
        terms: TREATMENT,
        against: [{ id: 'glmm-um-rs', part: 'common', tolerance: EARLY, constant: null }],
      },
    ],
  },
];
