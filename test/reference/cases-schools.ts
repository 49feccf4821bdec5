/** The star data: 79 schools; continuous outcomes, with covariates missing and constant in some schools. */
import { available, estimableStudies } from './reference.ts';
import { asOneStudy, derived, fileEach, oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  indicators,
  INTERCEPT_AND_TREATMENT,
  interaction,
  most,
  treatment,
  type Model,
  type Scenario,
} from './scenarios.ts';

const records = available
  ? readRecords('star').map((row): Row => ({
      ...row,
      gain: derived(row, ['math1', 'math0'], (after, before) => after - before),
    }))
  : [];
/** R's script analyses schools with enough pupils in each arm. */
const kindergarten = available ? estimableStudies('star', 'math0-stage1-final') : [];
const firstGrade = available ? estimableStudies('star', 'math1-stage1-final') : [];
const of = (schools: readonly string[]): Row[] => records.filter((row) => schools.includes(row['study']!));

const arms = { treatment: treatment('treat') };
const gaussian = (name: string, tag: string, turn: number, adjust: string[] = []): Model => ({
  name,
  model: { family: 'gaussian', ...(adjust.length === 0 ? {} : { adjust }) },
  term: 'treatment',
  settings: most(turn),
  stageOne: `${tag}-stage1-${name}`,
  terms: { ...INTERCEPT_AND_TREATMENT, ...Object.fromEntries(adjust.map((variable) => [variable, 'b'])) },
  stageTwo: `${tag}-stage2-${name}`,
});

/** Free lunch is constant in an arm of these schools, so that its interaction is not estimable. */
const CONSTANT = Object.fromEntries(
  ['S16', 'S31', 'S41', 'S45', 'S58'].map((school) => [school, 'not-estimable']),
);

export const schools: readonly Scenario[] = [
  {
    name: 'kindergarten mathematics and its interactions',
    dataset: 'star',
    data: () => oneFile(records),
    plan: { ...arms, studies: kindergarten, outcome: { kind: 'continuous', variable: 'math0' } },
    models: [
      gaussian('final', 'math0', 0),
      ...interaction({
        name: 'lunch',
        model: { family: 'gaussian' },
        variable: 'free_lunch',
        terms: INTERCEPT_AND_TREATMENT,
        stageOne: 'math0-int-lunch-stage1',
        stageTwo: 'math0-int-lunch-stage2',
        settings: most(1),
        excluded: CONSTANT,
      }),
      ...interaction({
        name: 'age',
        model: { family: 'gaussian' },
        variable: 'age',
        terms: INTERCEPT_AND_TREATMENT,
        stageOne: 'math0-int-age-stage1',
        stageTwo: 'math0-int-age-stage2',
        settings: most(2),
      }),
    ],
  },
  {
    name: 'grade 1 mathematics: final values and ANCOVA',
    dataset: 'star',
    data: () => fileEach(of(firstGrade)),
    plan: { ...arms, population: 'not missing(math0)', outcome: { kind: 'continuous', variable: 'math1' } },
    models: [gaussian('final', 'math1', 0), gaussian('ancova', 'math1', 1, ['math0'])],
  },
  {
    name: 'grade 1 mathematics: change scores',
    dataset: 'star',
    data: () => oneFile(records),
    plan: {
      ...arms,
      studies: firstGrade,
      population: 'not missing(math0)',
      outcome: { kind: 'continuous', variable: 'gain' },
    },
    models: [gaussian('change', 'math1', 2)],
  },
  {
    name: 'grade 1 mathematics, one study with schools as covariate',
    dataset: 'star',
    data: () => asOneStudy(of(firstGrade)),
    plan: {
      ...arms,
      outcome: { kind: 'continuous', variable: 'math1' },
      levels: { country: firstGrade.toSorted() },
    },
    whole: [
      {
        name: 'fixed',
        model: { family: 'gaussian', adjust: ['factor(country)', 'math0'] },
        pooled: 'treatment',
        reference: 'math1-lm-fixed',
        terms: { ...INTERCEPT_AND_TREATMENT, ...indicators(firstGrade.toSorted()), math0: 'b' },
      },
    ],
  },
  {
    name: 'kindergarten mathematics, one study with schools as covariate',
    dataset: 'star',
    data: () => asOneStudy(of(kindergarten)),
    plan: {
      ...arms,
      outcome: { kind: 'continuous', variable: 'math0' },
      levels: { country: studiesOf(of(kindergarten)) },
    },
    whole: [
      {
        name: 'fixed',
        model: { family: 'gaussian', adjust: ['factor(country)'] },
        pooled: 'treatment',
        reference: 'math0-lm-fixed',
        terms: { ...INTERCEPT_AND_TREATMENT, ...indicators(studiesOf(of(kindergarten))) },
      },
    ],
  },
];
