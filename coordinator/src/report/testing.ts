import { DEFAULT_INFERENCE, DEFAULT_MODEL } from '@concordat/shared/plan/defaults.ts';
/** A realistic run for this folder's tests, and a strict check that markup is well formed. */
import assert from 'node:assert/strict';
import type {
  OneStageResult,
  Result,
  StudyResult,
  TwoStageResult,
} from '@concordat/shared/plan/result-types.ts';
import type { Analysis, DesignColumn, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { stageTwo } from '@concordat/shared/pooling/stage-two.ts';
import type { ReportInput } from './view.ts';

/** BCG vaccine against tuberculosis: cases and persons vaccinated, then control (Colditz 1994, JAMA 271:698). */
const BCG: readonly (readonly [string, number, number, number, number])[] = [
  ['Aronson 1948', 4, 123, 11, 139],
  ['Ferguson & Simes 1949', 6, 306, 29, 303],
  ['Rosenthal 1960', 3, 231, 11, 220],
  ['Hart & Sutherland 1977', 62, 13598, 248, 12867],
  ['Frimodt-Moller 1973', 33, 5069, 47, 5808],
  ['Stein & Aronson 1953', 180, 1541, 372, 1451],
  ['Vandiviere 1973', 8, 2545, 10, 629],
  ['TPT Madras 1980', 505, 88391, 499, 88391],
  ['Coetzee & Berjak 1968', 29, 7499, 45, 7277],
  ['Rosenthal 1961', 17, 1716, 65, 1665],
  ['Comstock 1974', 186, 50634, 141, 27338],
  ['Comstock & Webster 1969', 5, 2498, 3, 2341],
  ['Comstock 1976', 27, 16913, 29, 17854],
];

const intercept: DesignColumn = {
  term: '(intercept)',
  role: 'intercept',
  product: [{ kind: 'intercept' }],
};
const treatment: DesignColumn = {
  term: 'treatment',
  role: 'treatment',
  product: [{ kind: 'treatment', arm: 1 }],
};
const age = { kind: 'linear', variable: 'age', centred: true } as const;

export const MAIN: Analysis = {
  id: 'main',
  approach: 'two-stage',
  family: 'binomial',
  ties: 'efron',
  strata: [],
  offset: null,
  columns: [intercept, treatment],
  effectModifier: null,
  pool: { tau2: 'REML', ci: 'HKSJ', level: 0.95, prediction: true, terms: ['treatment'] },
  model: DEFAULT_MODEL,
  inference: DEFAULT_INFERENCE,
  unsupported: null,
};

export const BY_AGE: Analysis = {
  ...MAIN,
  id: 'by-age',
  columns: [
    intercept,
    treatment,
    { term: 'age', role: 'modifier', product: [age] },
    { term: 'treatment:age.within', role: 'within', product: [{ kind: 'treatment', arm: 1 }, age] },
  ],
  effectModifier: { variable: 'age', form: 'linear', separate: true },
  pool: { ...MAIN.pool, terms: ['treatment', 'treatment:age.within'] },
};

export const PLAN: ExpandedPlan = {
  id: 'bcg',
  title: 'BCG vaccination against tuberculosis',
  registration: 'CRD42000000000',
  studies: 'all',
  population: null,
  populationText: 'age >= 1',
  treatment: { variable: 'vaccinated', control: 0, active: [1] },
  outcome: { kind: 'binary', variable: 'tuberculosis', event: 1 },
  levels: {},
  undeclared: [],
  participants: 'per-analysis',
  minimumStudies: 1,
  timeLimit: 3600,
  approvalLimit: 1_209_600,
  analyses: [MAIN],
};

/** Log odds ratios of the 13 trials; with a second term, an interaction that varies by a fixed pattern. */
export function bcgStudies(terms: readonly string[] = ['treatment']): StudyResult[] {
  return BCG.map(([study, cases, vaccinated, controlCases, controls], i) => {
    const cells = [cases, vaccinated - cases, controlCases, controls - controlCases] as const;
    const estimate = Math.log((cells[0] * cells[3]) / (cells[1] * cells[2]));
    const se = Math.sqrt(cells.reduce((sum, cell) => sum + 1 / cell, 0));
    const own = terms.map((term, t) =>
      t === 0 ? { term, estimate, se } : { term, estimate: 0.01 * Math.sin(i), se: se / 20 },
    );
    return {
      study,
      status: 'included',
      participants: { control: controls, active: vaccinated, left_out: i },
      left_out_by_reason: { missing_outcome: i },
      events: { control: controlCases, active: cases },
      estimates: own,
      vcov: own.map((a, row) => own.map((_, column) => (row === column ? a.se * a.se : 0))),
      modifier_means: [{ term: 'age', mean: 20 + i }],
    };
  });
}

/** The analysis of these studies as the coordinator makes it; those not included are carried along. */
export function analysed(
  planned: Analysis,
  studies: readonly StudyResult[],
  measure = 'log odds ratio',
): TwoStageResult {
  const included = studies.filter((study) => study.status === 'included');
  const { weights, warnings, ...pooled } = stageTwo(
    planned,
    included.map(({ study, estimates = [], modifier_means: modifierMeans = [] }) => ({
      study,
      terms: estimates.map(({ term }) => term),
      estimates: estimates.map(({ estimate }) => estimate),
      vcov: estimates.flatMap(({ se }, row) =>
        estimates.slice(0, row + 1).map((_, at) => (at === row ? se * se : 0)),
      ),
      modifierMeans,
    })),
  );
  return {
    approach: 'two-stage',
    status: 'done',
    measure,
    studies: studies.map((study) => {
      const at = included.indexOf(study);
      return at < 0 ? study : { ...study, weight: weights[at] ?? null };
    }),
    ...pooled,
    warnings,
  };
}

export const ONE: Analysis = {
  ...MAIN,
  id: 'one',
  approach: 'one-stage',
  columns: [
    { ...intercept, stratified: true },
    { ...treatment, product: [{ kind: 'treatment', arm: 1, centred: true }] },
  ],
  model: { ...DEFAULT_MODEL, treatmentEffect: 'random' },
  inference: { ...DEFAULT_INFERENCE, likelihoodRatio: true },
};

/** A coefficient with its Wald interval. */
export function coefficient(
  term: string,
  estimate: number,
  se: number,
): OneStageResult['coefficients'][number] {
  const half = 1.959963984540054 * se;
  return {
    term,
    estimate,
    se,
    ci: [estimate - half, estimate + half],
    statistic: estimate / se,
    df: null,
    p: 0.01,
  };
}

/** A one-stage analysis of these studies, with independent coefficients unless `over` says otherwise. */
export function fitted(
  coefficients: OneStageResult['coefficients'],
  studies: readonly StudyResult[],
  over: Partial<OneStageResult> = {},
): OneStageResult {
  return {
    approach: 'one-stage',
    status: 'done',
    measure: 'log odds ratio',
    studies: studies.map(({ estimates: _, vcov: __, ...study }) => study),
    coefficients,
    vcov: coefficients.map((a, i) => coefficients.map((__, j) => (i === j ? (a.se ?? 0) ** 2 : 0))),
    random_effects: [],
    correlations: [],
    residual_variance: [],
    log_likelihood: -1234.5678,
    tests: [],
    predicted: [],
    convergence: { converged: true, rounds: 8, gradient_norm: 1e-9, bytes_up: 52_000, bytes_down: 26_000 },
    warnings: [],
    ...over,
  };
}

/** As the coordinator reports `ONE` of the BCG trials: random treatment effect, an intercept of each study. */
export function oneStage(studies: readonly StudyResult[] = bcgStudies()): OneStageResult {
  const included = studies.filter((study) => study.status === 'included');
  return fitted(
    [
      coefficient('treatment', -0.7473, 0.1792),
      ...included.map(({ study }, i) => coefficient(`(intercept)[${study}]`, -3 - 0.1 * i, 0.2)),
    ],
    studies,
    {
      random_effects: [{ term: 'treatment', variance: 0.3025 }],
      correlations: [[1]],
      tests: [{ test: 'likelihood ratio', term: 'treatment', statistic: 12.34, df: 1, p: 0.00044 }],
      predicted: included.map(({ study }, i) => ({
        study,
        term: 'treatment',
        estimate: 0.5 * Math.sin(i),
        se: 0.2,
      })),
    },
  );
}

export const MISSING: readonly StudyResult[] = [
  {
    study: 'Refuser',
    status: 'refused',
    reason: { code: 'participants', message: 'fewer than 20 participants in the analysis set' },
    participants: null,
  },
  {
    study: 'Pilot',
    status: 'excluded',
    reason: { code: 'no-events-in-arm', message: 'an arm has no event' },
    participants: { control: 40, active: 41, left_out: 2 },
    events: { control: 3, active: 0 },
  },
  {
    study: 'Silent',
    status: 'unreachable',
    reason: { code: 'unreachable', message: 'no answer within the time limit' },
    participants: null,
  },
];

export function input(
  analyses: Readonly<Record<string, Result['analyses'][string]>>,
  plan: ExpandedPlan = PLAN,
  policy: Result['run']['policy'] = null,
): ReportInput {
  return {
    plan,
    planText: 'plan: 1\nid: bcg\n',
    result: {
      result: 1,
      plan: { id: plan.id, sha256: 'a'.repeat(64) },
      run: {
        id: 'run-1',
        started: '2026-03-01T09:30:12.123Z',
        finished: '2026-03-01T09:30:19Z',
        software: 'concordat 0.1.0',
        policy,
        sites: [
          { study: 'Aronson 1948', status: 'answered' },
          { study: 'Silent', status: 'unreachable', reason: { code: 'unreachable', message: 'no answer' } },
        ],
      },
      analyses,
    },
  };
}

const VOID = new Set(['meta', 'br', 'wbr']);
const TAG = /^<(\/?)([a-zA-Z][\w-]*)((?:\s+[a-zA-Z][\w:-]*="[^"<]*")*)\s*(\/?)>/;
const ENTITY = /&(?!(?:amp|lt|gt|quot|#39);)/;

/** Fails unless every element is closed in order, every attribute quoted and named once, every & and < escaped. */
export function assertWellFormed(markup: string): void {
  const open: string[] = [];
  let rest = markup.replace(/^<!doctype html>\n/, '');
  while (rest !== '') {
    const next = rest.indexOf('<');
    const words = next < 0 ? rest : rest.slice(0, next);
    assert.doesNotMatch(words, ENTITY);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(words, /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
    rest = rest.slice(words.length);
    if (rest === '') break;
    const tag = TAG.exec(rest);
    assert.ok(tag, `not a tag: ${rest.slice(0, 80)}`);
    const [whole, closing, name = '', attributes = '', selfClosing] = tag;
    assert.doesNotMatch(attributes, ENTITY);
    const names = [...attributes.matchAll(/\s([\w:-]+)="/g)].map((match) => match[1]);
    assert.equal(new Set(names).size, names.length, `an attribute twice: ${whole}`);
    if (closing === '/') assert.equal(open.pop(), name);
    else if (selfClosing !== '/' && !VOID.has(name)) open.push(name);
    rest = rest.slice(whole.length);
  }
  assert.deepEqual(open, []);
}
