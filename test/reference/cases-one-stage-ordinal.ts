/** Ordered outcomes in one stage: proportional odds with study shifts, random intercepts or own thresholds. */
import { available } from './reference.ts';
import { oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  CLMM,
  EXACT,
  GLMM_DIFFERENCES,
  TREATMENT,
  type Held,
  type OneStageCase,
  type OneStageScenario,
  type Sums,
} from './one-stage.ts';
import { treatment } from './scenarios.ts';

const ordinal = { family: 'ordinal' } as const;
const LEVELS = [1, 2, 3, 4];
const thresholds: Sums = Object.fromEntries(
  ['1|2', '2|3', '3|4'].map((name) => [`threshold[${name}]`, name]),
);

/**
 * clm() moves the linear predictor of every study but the first; study intercepts are beside a first threshold of 0. R's
 * script keeps studies in the order of the file, of which the first is the reference.
 */
function shifts(studies: readonly string[]): Sums {
  return {
    ...Object.fromEntries(
      studies.map((study, i) => [`(intercept)[${study}]`, i === 0 ? ['-1|2'] : [`study${study}`, '-1|2']]),
    ),
    'threshold[2|3]': ['2|3', '-1|2'],
    'threshold[3|4]': ['3|4', '-1|2'],
  };
}

function ordinalCases(
  studies: readonly string[],
  clmm: readonly ('agq1' | 'agq9' | 'ris')[],
): OneStageCase[] {
  const mixed = (how: string): Held => ({ id: `ordinal-mixed-ri-${how}`, tolerance: GLMM_DIFFERENCES });
  const early = (id: string): Held[] => [{ id: `ordinal-clmm-${id}`, tolerance: CLMM }];
  const random = { ...ordinal, intercept: 'random' } as const;
  const terms = { ...thresholds, ...TREATMENT };
  return [
    {
      name: 'fixed',
      model: ordinal,
      terms: { ...shifts(studies), ...TREATMENT },
      against: [{ id: 'ordinal-clm-fixed', tolerance: EXACT }],
    },
    { name: 'ri', model: random, terms, against: [mixed('laplace'), ...early('ri-agq1')] },
    { name: 'ri.15', model: { ...random, quadrature: 15 }, terms, against: [mixed('agq')] },
    ...(clmm.includes('agq9')
      ? [{ name: 'ri.9', model: { ...random, quadrature: 9 }, terms, against: early('ri-agq9') }]
      : []),
    ...(clmm.includes('ris')
      ? [
          {
            name: 'ris',
            model: { ...random, treatment_effect: 'random' as const },
            terms,
            against: early('ris'),
          },
        ]
      : []),
  ];
}

const ownThresholds: OneStageCase = {
  name: 'thresholds',
  model: { ...ordinal, thresholds: 'stratified' },
  terms: TREATMENT,
  against: [{ id: 'ordinal-clm-strat-thresholds', tolerance: EXACT }],
};

const colorectal = available ? readRecords('colorectal-ordinal') : [];
const stroke = available ? readRecords('ist-aspirin').filter(({ outcome6m }) => outcome6m !== '') : [];
const inOrder = (rows: readonly Row[]): string[] => [...new Set(rows.map(({ study }) => study!))];
/** R's script gives their own thresholds to countries that show every level. */
const everyLevel = studiesOf(stroke).filter((study) => {
  const shown = new Set(stroke.filter((row) => row['study'] === study).map(({ outcome6m }) => outcome6m));
  return shown.size === LEVELS.length;
});
const STROKE = {
  treatment: treatment('aspirin'),
  outcome: { kind: 'ordinal', variable: 'outcome6m', levels: LEVELS },
} as const;

export const ordered: readonly OneStageScenario[] = [
  {
    name: 'tumour response',
    dataset: 'colorectal-ordinal',
    data: () => oneFile(colorectal),
    plan: {
      treatment: treatment('treat'),
      outcome: { kind: 'ordinal', variable: 'response_score', levels: LEVELS },
    },
    cases: [...ordinalCases(inOrder(colorectal), ['agq1', 'agq9', 'ris']), ownThresholds],
  },
  {
    name: 'outcome at six months',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: STROKE,
    cases: [
      ...ordinalCases(inOrder(stroke), ['agq1']),
      ...[1, 15].map((points): OneStageCase => ({
        // Without variation, whether the treatment is coded 0/1, as R's, or centred.
        name: `rs.${points}`,
        model: { ...ordinal, treatment_effect: 'random', quadrature: points },
        terms: TREATMENT,
        against: [
          { id: `ordinal-mixed-strat-rs-${points === 1 ? 'laplace' : 'agq'}`, tolerance: GLMM_DIFFERENCES },
        ],
      })),
    ],
  },
  {
    name: 'outcome at six months, countries with every level',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: { ...STROKE, studies: everyLevel },
    cases: [ownThresholds],
  },
];
