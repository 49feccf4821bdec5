/** Times to an event in one stage: baselines by study with common and random treatment effects, interactions, proportional hazards. */
import { available } from './reference.ts';
import { asOneStudy, derived, oneFile, readRecords, studiesOf, type Row } from './records.ts';
import {
  COX_RANDOM,
  EXACT,
  FRAILTY,
  TREATMENT,
  type Held,
  type OneStageCase,
  type OneStageScenario,
  type Sums,
} from './one-stage.ts';
import { indicators, treatment } from './scenarios.ts';

const TIES = ['efron', 'breslow'] as const;
/** Of the reference's integration over a random treatment effect. */
const POINTS = 61;

const proportional = (id: string, transform: 'identity' | 'log') => ({
  inference: { proportional_hazards: transform },
  proportional: { id, transform },
});

function survivalCases(tag: string): OneStageCase[] {
  const held = (id: string, tolerance = EXACT): Held[] => [{ id: `${tag}-${id}`, tolerance }];
  const random = { family: 'cox', treatment_effect: 'random' } as const;
  return [
    {
      name: 'efron',
      model: { family: 'cox', ties: 'efron' },
      ...proportional(`${tag}-zph`, 'identity'),
      terms: TREATMENT,
      against: held('cox-stratified-efron'),
    },
    {
      name: 'breslow',
      model: { family: 'cox', ties: 'breslow' },
      terms: TREATMENT,
      against: held('cox-stratified-breslow'),
    },
    { name: 'rs', model: random, terms: TREATMENT, against: held('cox-random-slope-laplace', COX_RANDOM) },
    {
      name: 'rs.61',
      model: { ...random, quadrature: POINTS },
      terms: TREATMENT,
      against: held('cox-random-slope-agq', COX_RANDOM),
    },
    {
      name: 'zph.log',
      model: { family: 'cox' },
      ...proportional(`${tag}-zph`, 'log'),
      terms: TREATMENT,
      against: [],
    },
  ];
}

/** A frailty of each study beside one baseline, on a grid of every event's time: what coxph() has. */
function frailtyCases(tag: string, rows: readonly Row[], time: string, event: string): OneStageCase[] {
  const times = rows.flatMap((row) => (row[event] === '1' ? [Number(row[time])] : []));
  const grid = [...new Set(times)].toSorted((a, b) => a - b);
  return (['gamma', 'gaussian'] as const).map((frailty) => ({
    name: frailty,
    model: { family: 'cox', baseline: 'shared', frailty, grid },
    terms: TREATMENT,
    against: [
      { id: `${tag}-frailty-${frailty === 'gamma' ? 'gamma' : 'gaussian-reml'}`, tolerance: FRAILTY },
    ],
  }));
}

function interactionCases(tag: string, variable: string): OneStageCase[] {
  return TIES.flatMap((ties): OneStageCase[] => [
    {
      name: `${variable}.${ties}`,
      model: { family: 'cox', ties },
      effect_modifier: { variable },
      terms: {
        ...TREATMENT,
        [variable]: 'xw',
        [`treatment:${variable}.within`]: 'treat:xw',
        [`treatment:${variable}.across`]: 'treat:xm',
      },
      against: [{ id: `${tag}-onestage-within-across-${ties}`, tolerance: EXACT }],
    },
    {
      name: `${variable}.merged.${ties}`,
      model: { family: 'cox', ties },
      effect_modifier: { variable, separate: false },
      terms: { ...TREATMENT, [variable]: 'x', [`treatment:${variable}`]: 'treat:x' },
      against: [{ id: `${tag}-onestage-naive-${ties}`, tolerance: EXACT }],
    },
  ]);
}

const colorectal = available ? readRecords('colorectal') : [];
const opt = available ? readRecords('opt') : [];
const rhdnase = available
  ? readRecords('rhdnase').map((row): Row => ({ ...row, fev10: derived(row, ['fev'], (fev) => fev / 10) }))
  : [];
const stroke = available
  ? readRecords('ist-aspirin').map((row): Row => ({
      ...row,
      decades: derived(row, ['age'], (age) => age / 10),
      age10: derived(row, ['age'], (age) => (age - 70) / 10),
      sbp20: derived(row, ['sbp'], (sbp) => (sbp - 160) / 20),
      t6: derived(row, ['time_days'], (time) => Math.min(time, 182)),
      e6: derived(row, ['time_days', 'died'], (time, died) => (died === 1 && time <= 182 ? 1 : 0)),
    }))
  : [];
const COVARIATES = ['heparin', 'age10', 'female', 'alert', 'sbp20'];
const adjusted: Sums = { ...TREATMENT, ...Object.fromEntries(COVARIATES.map((name) => [name, name])) };
const arms = { treatment: treatment('treat') };
const outcome = (time: string, event: string) => ({ kind: 'time-to-event', time, event }) as const;

/** One baseline with indicators of the studies that have events: a Cox model of one study. */
function oneBaseline(
  dataset: string,
  tag: string,
  all: readonly Row[],
  arm: OneStageScenario['plan']['treatment'],
  times: ReturnType<typeof outcome>,
): OneStageScenario {
  const withEvents = studiesOf(all.filter((row) => row[times.event] === '1'));
  const rows = all.filter(({ study }) => withEvents.includes(study!));
  return {
    name: `${tag}, one baseline with indicators of studies`,
    dataset,
    data: () => asOneStudy(rows),
    plan: {
      ...(arm === undefined ? {} : { treatment: arm }),
      outcome: times,
      levels: { country: withEvents },
    },
    cases: TIES.map((ties) => ({
      name: ties,
      model: { family: 'cox', ties, adjust: ['factor(country)'] },
      terms: { ...TREATMENT, ...indicators(withEvents) },
      against: [{ id: `${tag}-cox-fixed-${ties}`, tolerance: EXACT }],
    })),
  };
}

export const survival: readonly OneStageScenario[] = [
  {
    name: 'survival',
    dataset: 'colorectal',
    data: () => oneFile(colorectal),
    plan: { ...arms, outcome: outcome('os_years', 'os_event') },
    cases: survivalCases('os'),
  },
  {
    name: 'death within six months, adjusted, by age',
    dataset: 'ist-aspirin',
    data: () => oneFile(stroke),
    plan: { treatment: treatment('aspirin'), outcome: outcome('t6', 'e6') },
    cases: [
      ...survivalCases('death6m'),
      ...interactionCases('death6m-int-age', 'decades'),
      ...TIES.map((ties): OneStageCase => ({
        name: `adjusted.${ties}`,
        model: { family: 'cox', ties, adjust: COVARIATES },
        ...(ties === 'efron' ? proportional('death6m-cox-adjusted-zph', 'identity') : {}),
        terms: adjusted,
        against: [{ id: 'death6m-cox-adjusted', part: ties, tolerance: EXACT }],
      })),
    ],
  },
  oneBaseline('ist-aspirin', 'death6m', stroke, treatment('aspirin'), outcome('t6', 'e6')),
  {
    name: 'end of pregnancy',
    dataset: 'opt',
    data: () => oneFile(opt),
    plan: { ...arms, outcome: outcome('ga_end_days', 'delivered') },
    cases: [...survivalCases('ga'), ...frailtyCases('ga', opt, 'ga_end_days', 'delivered')],
  },
  {
    name: 'first exacerbation, by lung function',
    dataset: 'rhdnase',
    data: () => oneFile(rhdnase),
    plan: { ...arms, outcome: outcome('first_days', 'first_event') },
    cases: [...survivalCases('first'), ...interactionCases('first-int-fev', 'fev10')],
  },
  oneBaseline('rhdnase', 'first', rhdnase, treatment('treat'), outcome('first_days', 'first_event')),
];
