/** Further models that R fits to all records with indicators of the studies: one study, whose former studies are a factor. */
import type { WrittenOutcome } from '@concordat/shared/plan/schema.ts';

import { available } from './reference.ts';
import { asOneStudy, readRecords, studiesOf } from './records.ts';
import { indicators, INTERCEPT_AND_TREATMENT, treatment, type Scenario } from './scenarios.ts';

interface Case {
  readonly dataset: string;
  readonly family: 'gaussian' | 'binomial' | 'poisson';
  readonly outcome: WrittenOutcome;
  readonly reference: string;
  /** Studies without events, which R's script leaves out. */
  readonly without?: readonly string[];
}

const binary = (variable: string): WrittenOutcome => ({ kind: 'binary', variable, event: 1 });
const cases: readonly Case[] = [
  { dataset: 'opt', family: 'binomial', outcome: binary('preterm'), reference: 'preterm-glm-logit-fixed' },
  {
    dataset: 'opt',
    family: 'gaussian',
    outcome: { kind: 'continuous', variable: 'birthweight_g' },
    reference: 'bw-lm-fixed',
  },
  {
    dataset: 'colorectal',
    family: 'binomial',
    outcome: binary('response'),
    reference: 'response-glm-logit-fixed',
  },
  {
    dataset: 'rhdnase',
    family: 'binomial',
    outcome: binary('first_event'),
    reference: 'any-glm-logit-fixed',
    without: ['I51'],
  },
  {
    // Modified Poisson regression of a binary outcome, with R's model-based standard errors.
    dataset: 'rhdnase',
    family: 'poisson',
    outcome: { kind: 'count', variable: 'first_event' },
    reference: 'any-glm-poisson-fixed',
    without: ['I51'],
  },
];

export const withIndicators: readonly Scenario[] = cases.map(
  ({ dataset, family, outcome, reference, without = [] }) => {
    const rows = available ? readRecords(dataset).filter(({ study }) => !without.includes(study!)) : [];
    const levels = studiesOf(rows);
    return {
      name: `${reference}, one study with indicators`,
      dataset,
      data: () => asOneStudy(rows),
      plan: { treatment: treatment('treat'), outcome, levels: { country: levels } },
      whole: [
        {
          name: 'fixed',
          model: { family, adjust: ['factor(country)'] },
          pooled: 'treatment',
          reference,
          terms: { ...INTERCEPT_AND_TREATMENT, ...indicators(levels) },
        },
      ],
    };
  },
);
