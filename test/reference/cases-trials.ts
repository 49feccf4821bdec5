/** Many small studies: the colorectal trials, and rhdnase's institutions, several without events in an arm. */
import { available, estimableStudies } from './reference.ts';
import { asOneStudy, derived, fileEach, oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  indicators,
  INTERCEPT_AND_TREATMENT,
  interaction,
  most,
  rmst,
  treatment,
  type Model,
  type Scenario,
} from './scenarios.ts';

const colorectal = available ? readRecords('colorectal') : [];
const rhdnase = available
  ? readRecords('rhdnase').map((row): Row => ({ ...row, fev10: derived(row, ['fev'], (fev) => fev / 10) }))
  : [];
const withEvents = rhdnase.filter((row) => row['study'] !== 'I51');
const arms = { treatment: treatment('treat') };

const logit = (tag: string, turn: number, excluded: Readonly<Record<string, string>> = {}): Model => ({
  name: 'logit',
  model: { family: 'binomial' },
  term: 'treatment',
  settings: most(turn),
  stageOne: `${tag}-stage1-logit`,
  terms: { '(intercept)': 'intercept', treatment: 'treat' },
  stageTwo: `${tag}-stage2-logor`,
  excluded,
});

const cox = (tag: string, turn: number, excluded: Readonly<Record<string, string>> = {}): Model[] =>
  (['efron', 'breslow'] as const).map((ties, i) => ({
    name: ties,
    model: { family: 'cox', ties },
    term: 'treatment',
    settings: most(turn + i),
    stageOne: `${tag}-stage1-cox-${ties}`,
    terms: { treatment: 'treat' },
    stageTwo: `${tag}-stage2-loghr-${ties}`,
    excluded,
  }));

const SURVIVAL = { kind: 'time-to-event', time: 'os_years', event: 'os_event' } as const;
const FIRST_EXACERBATION = { kind: 'time-to-event', time: 'first_days', event: 'first_event' } as const;

export const trials: readonly Scenario[] = [
  {
    name: 'tumour response',
    dataset: 'colorectal',
    data: () => fileEach(colorectal),
    plan: { ...arms, outcome: { kind: 'binary', variable: 'response', event: 1 } },
    models: [logit('response', 0)],
  },
  {
    name: 'survival',
    dataset: 'colorectal',
    data: () => oneFile(colorectal),
    plan: { ...arms, outcome: SURVIVAL },
    models: [...cox('os', 0), rmst('os', 1.5, 0)],
  },
  {
    name: 'survival, one study with trials as strata or covariate',
    dataset: 'colorectal',
    data: () => asOneStudy(colorectal),
    plan: { ...arms, outcome: SURVIVAL, levels: { country: studiesOf(colorectal) } },
    whole: (['efron', 'breslow'] as const).flatMap((ties) => [
      {
        name: `stratified.${ties}`,
        model: { family: 'cox', ties, strata: ['country'] },
        pooled: 'treatment',
        reference: `os-cox-stratified-${ties}`,
        terms: { treatment: 'treat' },
      },
      {
        name: `fixed.${ties}`,
        model: { family: 'cox', ties, adjust: ['factor(country)'] },
        pooled: 'treatment',
        reference: `os-cox-fixed-${ties}`,
        terms: { treatment: '.t', ...indicators(studiesOf(colorectal)) },
      },
    ]),
  },
  {
    name: 'exacerbations with time of follow-up',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: {
      ...arms,
      population: 'not missing(fev)',
      outcome: { kind: 'count', variable: 'n_exac', exposure: 'followup_days' },
    },
    models: [
      {
        name: 'poisson',
        model: { family: 'poisson' },
        term: 'treatment',
        settings: most(1),
        stageOne: 'count-stage1-poisson',
        terms: INTERCEPT_AND_TREATMENT,
        stageTwo: 'count-stage2-lograteratio',
        excluded: {
          I01: 'no-events-in-arm',
          I05: 'no-events-in-arm',
          I18: 'no-events-in-arm',
          I34: 'no-events-in-arm',
          I42: 'no-events-in-arm',
          I51: 'no-events',
        },
      },
    ],
  },
  {
    name: 'exacerbations, one study with institutions as covariate',
    dataset: 'rhdnase',
    // R's script leaves out the institution without events.
    data: () => asOneStudy(withEvents),
    plan: {
      ...arms,
      population: 'not missing(fev)',
      outcome: { kind: 'count', variable: 'n_exac', exposure: 'followup_days' },
      levels: { country: studiesOf(withEvents) },
    },
    whole: [
      {
        name: 'fixed',
        model: { family: 'poisson', adjust: ['factor(country)'] },
        pooled: 'treatment',
        reference: 'count-glm-poisson-fixed',
        terms: { ...INTERCEPT_AND_TREATMENT, ...indicators(studiesOf(withEvents)) },
      },
    ],
  },
  {
    name: 'any exacerbation',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: { ...arms, outcome: { kind: 'binary', variable: 'first_event', event: 1 } },
    models: [
      logit('any', 2, {
        I01: 'no-events-in-arm',
        I03: 'no-nonevents-in-arm',
        I05: 'no-events-in-arm',
        I18: 'no-events-in-arm',
        I23: 'no-nonevents-in-arm',
        I34: 'no-events-in-arm',
        I42: 'no-events-in-arm',
        I43: 'no-nonevents-in-arm',
        I51: 'no-events',
      }),
    ],
  },
  {
    name: 'time to the first exacerbation',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: { ...arms, outcome: FIRST_EXACERBATION },
    models: [
      ...cox('first', 2, {
        I01: 'no-events-in-arm',
        I03: 'monotone-likelihood',
        I05: 'no-events-in-arm',
        I18: 'no-events-in-arm',
        I34: 'no-events-in-arm',
        I42: 'no-events-in-arm',
        I43: 'monotone-likelihood',
        I51: 'no-events',
      }),
      rmst('first', 150, 1, {
        I03: 'short-follow-up',
        I23: 'short-follow-up',
        I43: 'short-follow-up',
        I51: 'no-events',
      }),
    ],
  },
  {
    name: 'time to the first exacerbation, one study with institutions as strata',
    dataset: 'rhdnase',
    data: () => asOneStudy(rhdnase),
    plan: { ...arms, outcome: FIRST_EXACERBATION },
    whole: (['efron', 'breslow'] as const).map((ties) => ({
      name: `stratified.${ties}`,
      model: { family: 'cox', ties, strata: ['country'] },
      pooled: 'treatment',
      reference: `first-cox-stratified-${ties}`,
      terms: { treatment: 'treat' },
    })),
  },
  {
    name: 'time to the first exacerbation, interaction with FEV',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: {
      // R's script leaves out institutions with fewer than 8 events and fits that warn.
      studies: available ? estimableStudies('rhdnase', 'first-int-fev-stage1-efron') : [],
      ...arms,
      outcome: FIRST_EXACERBATION,
    },
    models: (['efron', 'breslow'] as const).flatMap((ties, i) =>
      interaction({
        name: ties,
        model: { family: 'cox', ties },
        variable: 'fev10',
        terms: { treatment: 'treat' },
        stageOne: `first-int-fev-stage1-${ties}`,
        stageTwo: `first-int-fev-stage2-${ties}`,
        settings: most(i),
      }),
    ),
  },
];
