/** The opt data: four clinics; continuous, binary and time-to-event outcomes, with missing values. */
import { available } from './reference.ts';
import {
  asOneStudy,
  derived,
  fileEach,
  oneFile,
  parquetEach,
  readRecords,
  studiesOf,
  type Row,
} from './records.ts';
import {
  every,
  indicators,
  INTERCEPT_AND_TREATMENT,
  interaction,
  most,
  rmst,
  treatment,
  type Model,
  type Scenario,
} from './scenarios.ts';

const records = available
  ? readRecords('opt').map((row): Row => ({
      ...row,
      pd_change: derived(row, ['pd5', 'pd0'], (after, before) => after - before),
      age10: derived(row, ['age'], (age) => age / 10),
    }))
  : [];
const clinicLevels = studiesOf(records);
/** R's script keeps the records that have the baseline, whatever the model. */
const WITH_BASELINE = { treatment: treatment('treat'), population: 'not missing(pd0)' };

const gaussian = (name: string, tag: string, adjust: string[] = []): Model => ({
  name,
  model: { family: 'gaussian', ...(adjust.length === 0 ? {} : { adjust }) },
  term: 'treatment',
  settings: every,
  stageOne: `${tag}-stage1-${name}`,
  terms: { ...INTERCEPT_AND_TREATMENT, ...Object.fromEntries(adjust.map((variable) => [variable, 'b'])) },
  stageTwo: `${tag}-stage2-${name}`,
});

const cox = (ties: 'efron' | 'breslow'): Model => ({
  name: ties,
  model: { family: 'cox', ties },
  term: 'treatment',
  settings: ties === 'efron' ? every : most(0),
  stageOne: `ga-stage1-cox-${ties}`,
  terms: { treatment: 'treat' },
  stageTwo: `ga-stage2-loghr-${ties}`,
});

export const clinics: readonly Scenario[] = [
  {
    name: 'pocket depth: final values, ANCOVA and interactions',
    dataset: 'opt',
    data: () => fileEach(records),
    plan: { ...WITH_BASELINE, outcome: { kind: 'continuous', variable: 'pd5' } },
    models: [
      gaussian('final', 'pd5'),
      gaussian('ancova', 'pd5', ['pd0']),
      ...interaction({
        name: 'age',
        model: { family: 'gaussian', adjust: ['pd0'] },
        variable: 'age',
        terms: { ...INTERCEPT_AND_TREATMENT, pd0: 'b' },
        stageOne: 'pd5-int-age-stage1',
        stageTwo: 'pd5-int-age-stage2',
        settings: most(1),
      }),
      ...interaction({
        name: 'pd0',
        model: { family: 'gaussian' },
        variable: 'pd0',
        terms: INTERCEPT_AND_TREATMENT,
        stageOne: 'pd5-int-pd0-stage1',
        stageTwo: 'pd5-int-pd0-stage2',
        settings: most(2),
      }),
    ],
  },
  {
    name: 'pocket depth: change scores, from Parquet',
    dataset: 'opt',
    data: () => parquetEach(records),
    plan: { ...WITH_BASELINE, outcome: { kind: 'continuous', variable: 'pd_change' } },
    models: [gaussian('change', 'pd5')],
  },
  {
    name: 'birth weight',
    dataset: 'opt',
    data: () => oneFile(records),
    plan: { treatment: treatment('treat'), outcome: { kind: 'continuous', variable: 'birthweight_g' } },
    models: [gaussian('final', 'bw')],
  },
  {
    name: 'preterm birth and its interaction with age',
    dataset: 'opt',
    data: () => oneFile(records),
    plan: { treatment: treatment('treat'), outcome: { kind: 'binary', variable: 'preterm', event: 1 } },
    models: [
      {
        name: 'logit',
        model: { family: 'binomial' },
        term: 'treatment',
        settings: every,
        stageOne: 'preterm-stage1-logit',
        terms: { '(intercept)': 'intercept', treatment: 'treat' },
        stageTwo: 'preterm-stage2-logor',
      },
      ...interaction({
        name: 'age',
        model: { family: 'binomial' },
        variable: 'age10',
        terms: INTERCEPT_AND_TREATMENT,
        stageOne: 'preterm-int-age-stage1',
        stageTwo: 'preterm-int-age-stage2',
        settings: most(0),
      }),
    ],
  },
  {
    name: 'end of pregnancy',
    dataset: 'opt',
    data: () => fileEach(records),
    plan: {
      treatment: treatment('treat'),
      outcome: { kind: 'time-to-event', time: 'ga_end_days', event: 'delivered' },
    },
    models: [cox('efron'), cox('breslow'), rmst('ga', 270, 2)],
  },
  {
    name: 'end of pregnancy, one study with clinics as strata or covariate',
    dataset: 'opt',
    data: () => asOneStudy(records),
    plan: {
      treatment: treatment('treat'),
      outcome: { kind: 'time-to-event', time: 'ga_end_days', event: 'delivered' },
      levels: { country: clinicLevels },
    },
    whole: (['efron', 'breslow'] as const).flatMap((ties) => [
      {
        name: `stratified.${ties}`,
        model: { family: 'cox', ties, strata: ['country'] },
        pooled: 'treatment',
        reference: `ga-cox-stratified-${ties}`,
        terms: { treatment: 'treat' },
      },
      {
        name: `fixed.${ties}`,
        model: { family: 'cox', ties, adjust: ['factor(country)'] },
        pooled: 'treatment',
        reference: `ga-cox-fixed-${ties}`,
        terms: { treatment: '.t', ...indicators(clinicLevels) },
      },
    ]),
  },
  {
    name: 'pocket depth, one study with clinics as covariate',
    dataset: 'opt',
    data: () => asOneStudy(records),
    plan: {
      ...WITH_BASELINE,
      outcome: { kind: 'continuous', variable: 'pd5' },
      levels: { country: clinicLevels },
    },
    whole: [
      {
        name: 'fixed',
        model: { family: 'gaussian', adjust: ['factor(country)', 'pd0'] },
        pooled: 'treatment',
        reference: 'pd5-lm-fixed',
        terms: { ...INTERCEPT_AND_TREATMENT, ...indicators(clinicLevels), pd0: 'b' },
      },
      {
        // R gives every clinic its own slope, the plan the first one's slope and the others' differences from it.
        name: 'slopes',
        model: { family: 'gaussian', adjust: ['factor(country)', 'pd0', 'factor(country):pd0'] },
        pooled: 'treatment',
        reference: 'pd5-lm-fixed-stratbase',
        terms: {
          ...INTERCEPT_AND_TREATMENT,
          ...indicators(clinicLevels),
          pd0: `factor(study)${clinicLevels[0]}:b`,
        },
      },
    ],
  },
];
