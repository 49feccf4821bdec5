import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { publishedSchemas } from './published.ts';
import { validateResult } from './validate-result.ts';
import type { OneStageResult, PooledTerm, Result, TwoStageResult } from './result-types.ts';

const pooled: PooledTerm = {
  term: 'treatment',
  estimate: -0.2,
  se: 0.1,
  ci: [-0.4, 0],
  statistic: -2,
  df: 4,
  p: 0.1,
  prediction: null,
};
const heterogeneity = { tau2: 0, tau2_se: null, tau2_ci: null, q: 1, q_df: 1, q_p: 0.3, i2: 0, h2: 1 };
const reason = { code: 'unsupported', message: 'not computed by this version' };

const twoStage: TwoStageResult = {
  approach: 'two-stage',
  status: 'done',
  measure: 'log hazard ratio',
  studies: [
    {
      study: 'A',
      status: 'included',
      participants: { control: 101, active: 99, left_out: 3 },
      left_out_by_reason: { missing_outcome: 3 },
      events: { control: 40, active: 31 },
      estimates: [{ term: 'treatment', estimate: -0.2, se: 0.1 }],
      vcov: [[0.01]],
      log_likelihood: { null: -10, fitted: -9 },
      weight: 100,
    },
    { study: 'B', status: 'refused', reason, participants: null },
  ],
  pooled: [pooled],
  heterogeneity,
  heterogeneity_term: 'treatment',
  joint: {
    terms: ['treatment', 'treatment:age.within'],
    sigma: [
      [0, 0],
      [0, 0],
    ],
    correlations: [
      [null, null],
      [null, null],
    ],
    q: 1,
    q_df: 2,
    q_p: 0.6,
    log_likelihood: null,
  },
  separate: [{ term: 'treatment', pooled, heterogeneity }],
  contrasts: [],
  warnings: [{ code: 'boundary', message: 'τ² is 0' }],
};

const oneStage: OneStageResult = {
  approach: 'one-stage',
  status: 'failed',
  reason,
  measure: 'log hazard ratio',
  studies: [],
  coefficients: [],
  vcov: [],
  random_effects: [],
  correlations: [],
  residual_variance: [],
  log_likelihood: null,
  tests: [],
  predicted: [],
  convergence: null,
  warnings: [],
};

const result: Result = {
  result: 1,
  plan: { id: 'p', sha256: 'a'.repeat(64) },
  run: {
    id: 'r',
    started: '2024-01-01T00:00:00Z',
    finished: '2024-01-01T00:00:01.5Z',
    software: 'concordat 0.1.0',
    policy: { name: 'default', sha256: 'b'.repeat(64), open: false },
    sites: [
      { study: 'A', status: 'answered' },
      { study: 'C', status: 'unreachable', reason },
    ],
  },
  analyses: { cvd: twoStage, 'cvd-one-stage': oneStage },
};

const refused = (change: (copy: Result) => unknown): boolean => {
  const copy = structuredClone(result);
  change(copy);
  try {
    validateResult(copy);
    return false;
  } catch (error) {
    assert.ok(error instanceof ConcordatError && error.code === 'store/corrupt');
    return true;
  }
};

test('a result of both approaches is valid, also after a way through JSON', () => {
  validateResult(result);
  validateResult(JSON.parse(JSON.stringify(result)));
});

test('what is not finite, unknown, missing, or unexplained is refused', () => {
  const analysis = (copy: Result): Record<string, unknown> =>
    copy.analyses['cvd'] as unknown as Record<string, unknown>;
  assert.ok(!refused(() => undefined));
  assert.ok(refused((copy) => Object.assign(twoStageOf(copy).pooled[0]!, { estimate: NaN })));
  assert.ok(refused((copy) => Object.assign(twoStageOf(copy).pooled[0]!, { se: Infinity })));
  assert.ok(refused((copy) => Object.assign(twoStageOf(copy).pooled[0]!, { p: 1.5 })));
  assert.ok(refused((copy) => Object.assign(analysis(copy), { extra: 1 })));
  assert.ok(refused((copy) => delete analysis(copy)['pooled']));
  assert.ok(refused((copy) => Object.assign(analysis(copy), { status: 'failed' })));
  assert.ok(refused((copy) => Object.assign(analysis(copy), { approach: 'one-stage' })));
  assert.ok(refused((copy) => Object.assign(twoStageOf(copy).studies[0]!, { status: 'excluded' })));
  assert.ok(refused((copy) => Object.assign(copy.run, { started: 'yesterday' })));
});

const twoStageOf = (copy: Result): TwoStageResult => copy.analyses['cvd'] as TwoStageResult;

test('the published JSON Schemas are those of the code (else run shared/scripts/write-schemas.ts)', () => {
  const folder = new URL('../../schema/', import.meta.url);
  const published = publishedSchemas();
  assert.deepEqual(readdirSync(folder).toSorted(), published.map(({ file }) => file).toSorted());
  for (const { file, text } of published)
    assert.equal(readFileSync(new URL(file, folder), 'utf8'), text, file);
});
