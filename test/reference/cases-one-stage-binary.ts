/** Binary outcomes in one stage: logistic, log and identity links, Firth's penalty, random effects, modified Poisson. */
import { available, stageOne } from './reference.ts';
import { csv, derived, folderOf, oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  EARLY,
  EXACT,
  GLM,
  GLMM,
  RANDOM_INTERCEPT,
  TMB,
  TREATMENT,
  intercepts,
  type Held,
  type OneStageCase,
  type OneStageScenario,
} from './one-stage.ts';
import {
  binaryCases,
  bothRandom,
  interactionCases,
  logChoose,
  logit,
  modifiedPoisson,
} from './one-stage-binary.ts';
import { treatment } from './scenarios.ts';

const read = (dataset: string, file?: string): Row[] => (available ? readRecords(dataset, file) : []);
const colorectal = read('colorectal');
const rhdnase = read('rhdnase');
const opt = read('opt').map((row): Row => ({ ...row, age10: derived(row, ['age'], (age) => age / 10) }));
const stroke = read('ist-aspirin').map((row): Row => ({
  ...row,
  decades: derived(row, ['age'], (age) => age / 10),
  age10: derived(row, ['age'], (age) => (age - 70) / 10),
  sbp20: derived(row, ['sbp'], (sbp) => (sbp - 160) / 20),
}));
const countries = studiesOf(stroke);
const withoutJapan = countries.filter((country) => country !== 'JAPA');
/** R's scripts leave out countries with 3 or fewer events or non-events in an arm. */
const analysed = (dataset: string, id: string): string[] =>
  available ? Object.keys(stageOne(dataset, id)).toSorted() : [];
const sparse = read('ad-sparse-catheter', 'studies.csv').flatMap(({ study, e1, n1, e0, n0 }): Row[] => [
  { study: study!, treat: '1', e: e1!, n: n1! },
  { study: study!, treat: '0', e: e0!, n: n0! },
]);
const bcg = read('ad-bcg', 'studies.csv').flatMap(({ study, e1, n1, e0, n0 }): Row[] => [
  { study: study!, treat: '1', e: e1!, n: n1! },
  { study: study!, treat: '0', e: e0!, n: n0! },
]);
const coefficientsOf = (rows: readonly Row[], events: string, trials: string): number =>
  rows.reduce((sum, row) => sum + logChoose(Number(row[trials]), Number(row[events])), 0);
const tables = coefficientsOf(sparse, 'e', 'n');
const herds = read('cbpp');

const COVARIATES = ['heparin', 'age10', 'female', 'alert', 'sbp20'];
const covariates = Object.fromEntries(COVARIATES.map((name) => [name, name]));
const SPLINE = [1, 2, 3];
const PERIODS = Object.fromEntries([2, 3, 4].map((period) => [`factor(period)${period}`, `period${period}`]));
const GROUPED = { kind: 'binary', events: 'e', trials: 'n' } as const;
const of = (variable: string) => ({ kind: 'binary', variable, event: 1 }) as const;

/** rma.glmm's own glm() stops at a deviance within 1e-8, and glmer() earlier; it tells the treatment alone. */
const COMMON_TABLES: Held = { id: 'glmm-um-fs', part: 'common', tolerance: { ...EXACT, se: 2e-6 } };
const RANDOM_TABLES: OneStageCase = {
  name: 'ri',
  model: { ...logit, intercept: 'random', quadrature: 7 },
  terms: TREATMENT,
  against: [{ id: 'glmm-um-rs', part: 'common', tolerance: EARLY, constant: null }],
};

export const binary: readonly OneStageScenario[] = [
  {
    name: 'tumour response',
    dataset: 'colorectal',
    data: () => oneFile(colorectal),
    plan: { treatment: treatment('treat'), outcome: of('response') },
    cases: binaryCases({ tag: 'response', studies: studiesOf(colorectal) }),
  },
  modifiedPoisson('colorectal', 'response', colorectal, 'treat', 'response'),
  {
    name: 'death within 14 days',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: { treatment: treatment('aspirin'), outcome: of('died14') },
    cases: binaryCases({
      tag: 'died14',
      studies: countries,
      both: withoutJapan,
      sparse: true,
      constantEffect: true,
    }),
  },
  modifiedPoisson('ist-aspirin', 'died14', stroke, 'aspirin', 'died14'),
  {
    name: 'death or dependency, adjusted, by a spline of age',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: { treatment: treatment('aspirin'), outcome: of('dead_dep6m') },
    cases: [
      ...binaryCases({ tag: 'deaddep', studies: countries, tmb: false, constantEffect: true }),
      {
        name: 'adjusted',
        model: { ...logit, adjust: [...COVARIATES, 'delay_h'] },
        terms: { ...intercepts(countries), ...TREATMENT, ...covariates, delay_h: 'delay_h' },
        against: [{ id: 'deaddep-adjusted-fixed', tolerance: GLM }],
      },
      {
        name: 'adjusted.random',
        model: { ...bothRandom, correlated: false, adjust: COVARIATES },
        terms: { ...RANDOM_INTERCEPT, ...covariates },
        against: [{ id: 'deaddep-adjusted-glmer', tolerance: GLMM }],
      },
      {
        name: 'spline',
        model: logit,
        effect_modifier: { variable: 'age', form: 'rcs', knots: [50, 65, 74, 85], separate: false },
        terms: {
          ...intercepts(countries),
          ...TREATMENT,
          ...Object.fromEntries(SPLINE.map((i) => [`rcs(age)${i}`, `a${i}`])),
          ...Object.fromEntries(SPLINE.map((i) => [`treatment:rcs(age)${i}`, `treat:a${i}`])),
        },
        against: [{ id: 'rcs-onestage', tolerance: GLM }],
      },
    ],
  },
  modifiedPoisson('ist-aspirin', 'deaddep', stroke, 'aspirin', 'dead_dep6m'),
  {
    name: 'death or dependency by age and sex',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: {
      studies: analysed('ist-aspirin', 'deaddep-int-age-stage1'),
      treatment: treatment('aspirin'),
      outcome: of('dead_dep6m'),
    },
    cases: ['age', 'female'].flatMap((name) =>
      interactionCases({
        tag: `deaddep-int-${name}`,
        variable: name === 'age' ? 'decades' : name,
        studies: analysed('ist-aspirin', `deaddep-int-${name}-stage1`),
      }),
    ),
  },
  {
    name: 'preterm birth, by age',
    dataset: 'opt',
    data: () => oneFile(opt),
    plan: { treatment: treatment('treat'), outcome: of('preterm') },
    cases: [
      ...binaryCases({ tag: 'preterm', studies: studiesOf(opt), constantEffect: true }),
      ...interactionCases({ tag: 'preterm-int-age', variable: 'age10', studies: studiesOf(opt) }),
    ],
  },
  modifiedPoisson('opt', 'preterm', opt, 'treat', 'preterm'),
  {
    name: 'any exacerbation',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: { treatment: treatment('treat'), outcome: of('first_event') },
    cases: binaryCases({
      tag: 'any',
      studies: studiesOf(rhdnase),
      both: studiesOf(rhdnase).filter((study) => study !== 'I51'),
      sparse: true,
      certain: true,
      perfect: true,
      constantEffect: true,
    }),
  },
  {
    name: 'tables with zeros',
    dataset: 'ad-sparse-catheter',
    data: () => oneFile(sparse),
    plan: { treatment: treatment('treat'), outcome: GROUPED },
    cases: binaryCases({
      tag: 'onestage',
      studies: studiesOf(sparse),
      both: studiesOf(sparse).filter((study) => study !== 'T15'),
      identity: false,
      constant: tables,
      sparse: true,
    }).map((item) => {
      if (item.name === 'firth')
        return {
          ...item,
          against: [...item.against, { id: 'firth-fixed', tolerance: EXACT, constant: tables }],
        };
      return item.name === 'fixed' ? { ...item, against: [...item.against, COMMON_TABLES] } : item;
    }),
  },
  {
    // rma.glmm leaves out a study without events.
    name: 'tables with events',
    dataset: 'ad-sparse-catheter',
    data: () => oneFile(sparse.filter(({ study }) => study !== 'T15')),
    plan: { treatment: treatment('treat'), outcome: GROUPED },
    cases: [RANDOM_TABLES],
  },
  modifiedPoisson('ad-sparse-catheter', 'onestage', sparse, 'treat', 'e', 'n'),
  {
    name: 'tables',
    dataset: 'ad-bcg',
    data: () => oneFile(bcg),
    plan: { treatment: treatment('treat'), outcome: GROUPED },
    cases: [{ name: 'fixed', model: logit, terms: TREATMENT, against: [COMMON_TABLES] }, RANDOM_TABLES],
  },
  {
    name: 'herds, grouped rows without a treatment',
    dataset: 'cbpp',
    data: () => folderOf({ 'ipd.csv': csv(herds) }),
    plan: {
      outcome: { kind: 'binary', events: 'incidence', trials: 'size' },
      levels: { period: [1, 2, 3, 4] },
    },
    cases: [
      {
        name: 'fixed',
        model: { ...logit, adjust: ['factor(period)'] },
        terms: { ...intercepts(studiesOf(herds)), ...PERIODS },
        against: [{ id: 'glm-fixed', tolerance: GLM }],
      },
      ...[1, 5, 9, 25].map((points): OneStageCase => ({
        name: `ri.${points}`,
        model: { ...logit, intercept: 'random', quadrature: points, adjust: ['factor(period)'] },
        terms: { '(intercept)': '(Intercept)', ...PERIODS },
        against: [
          { id: `glmer-agq${points}`, tolerance: GLMM, constant: coefficientsOf(herds, 'incidence', 'size') },
          ...(points === 1 ? [{ id: 'tmb', tolerance: TMB }] : []),
        ],
      })),
    ],
  },
];
