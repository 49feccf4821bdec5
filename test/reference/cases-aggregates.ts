/** Published tables as grouped rows: two rows a trial. */
import { folderOf, csv, oneFile, readRecords, type Row } from './records.ts';
import { every, INTERCEPT_AND_TREATMENT, one, treatment, type Scenario } from './scenarios.ts';

/** One row an arm; `columns` gives the table's columns of the active (1) and control (0) arm by their names without the digit. */
const arms = (dataset: string, columns: readonly string[]): string =>
  oneFile(
    readRecords(dataset, 'studies.csv').flatMap((row) =>
      ['1', '0'].map((arm): Row => ({
        study: row['study']!,
        treat: arm,
        ...Object.fromEntries(columns.map((name) => [name, row[name + arm]!])),
      })),
    ),
  );

export const aggregates: readonly Scenario[] = [
  {
    name: 'log odds ratios from grouped rows',
    dataset: 'ad-bcg',
    data: () => arms('ad-bcg', ['e', 'n']),
    plan: { treatment: treatment('treat'), outcome: { kind: 'binary', events: 'e', trials: 'n' } },
    models: [
      {
        name: 'or',
        model: { family: 'binomial' },
        term: 'treatment',
        settings: every,
        terms: INTERCEPT_AND_TREATMENT,
        stageTwo: 'stage2-or',
      },
    ],
  },
  {
    name: 'log rate ratios from events and catheter-days',
    dataset: 'ad-rates-catheter',
    data: () => arms('ad-rates-catheter', ['x', 't']),
    plan: { treatment: treatment('treat'), outcome: { kind: 'count', variable: 'x', exposure: 't' } },
    models: [
      {
        name: 'irr',
        model: { family: 'poisson' },
        term: 'treatment',
        settings: every,
        terms: INTERCEPT_AND_TREATMENT,
        stageTwo: 'stage2-irr',
      },
    ],
  },
  {
    // R's second stages add 1/2 to tables with a zero; without, only the other studies' estimates are comparable.
    name: 'tables with zeros are excluded, each with its reason',
    dataset: 'ad-sparse-catheter',
    data: () => arms('ad-sparse-catheter', ['e', 'n']),
    plan: { treatment: treatment('treat'), outcome: { kind: 'binary', events: 'e', trials: 'n' } },
    models: [
      {
        name: 'or',
        model: { family: 'binomial' },
        term: 'treatment',
        settings: one,
        terms: INTERCEPT_AND_TREATMENT,
        estimates: 'stage2-or-cc-only0',
        excluded: {
          T01: 'no-events-in-arm',
          T04: 'no-events-in-arm',
          T11: 'no-events-in-arm',
          T12: 'no-events-in-arm',
          T15: 'no-events',
          T16: 'no-events-in-arm',
        },
      },
    ],
  },
  {
    name: 'herds as one study, grouped rows without a treatment',
    dataset: 'cbpp',
    data: () => folderOf({ 'ALL.csv': csv(readRecords('cbpp').map(({ study: _, ...row }) => row)) }),
    plan: {
      outcome: { kind: 'binary', events: 'incidence', trials: 'size' },
      levels: { period: [1, 2, 3, 4] },
    },
    whole: [
      {
        name: 'pooled',
        model: { family: 'binomial', adjust: ['factor(period)'] },
        pooled: 'factor(period)2',
        reference: 'glm-pooled',
        terms: {
          '(intercept)': '(Intercept)',
          'factor(period)2': 'period2',
          'factor(period)3': 'period3',
          'factor(period)4': 'period4',
        },
      },
    ],
  },
];
