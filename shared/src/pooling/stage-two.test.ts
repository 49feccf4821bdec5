import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromRows } from '../linalg/symmetric.ts';
import { DEFAULT_INFERENCE, DEFAULT_MODEL } from '../plan/defaults.ts';
import type { Warning } from '../plan/result-types.ts';
import type { Analysis, DesignColumn, Pool } from '../plan/types.ts';
import { stageTwo } from './stage-two.ts';
import type { StudyEstimates } from './study-estimates.ts';

const WITHIN = 'treatment:age.within';
const ACROSS = 'treatment:age.across';
const arm = (value: number): DesignColumn['product'][number] => ({ kind: 'treatment', arm: value });
const treatment: DesignColumn = { term: 'treatment', role: 'treatment', product: [arm(1)] };
const within: DesignColumn = {
  term: WITHIN,
  role: 'within',
  product: [arm(1), { kind: 'linear', variable: 'age', centred: true }],
};

function analysis(
  columns: readonly DesignColumn[],
  pool: Partial<Pool>,
  separate: boolean | null = null,
): Analysis {
  return {
    id: 'a',
    approach: 'two-stage',
    family: 'gaussian',
    ties: 'efron',
    strata: [],
    offset: null,
    columns,
    effectModifier: separate === null ? null : { variable: 'age', form: 'linear', separate },
    pool: {
      tau2: 'REML',
      ci: 'normal',
      level: 0.95,
      prediction: false,
      terms: columns.map(({ term }) => term),
      ...pool,
    },
    model: DEFAULT_MODEL,
    inference: DEFAULT_INFERENCE,
    unsupported: null,
  };
}

function study(
  name: string,
  terms: string[],
  estimates: number[],
  vcov: number[][],
  mean: number | null = null,
): StudyEstimates {
  return {
    study: name,
    terms,
    estimates,
    vcov: fromRows(vcov),
    modifierMeans: mean === null ? null : [{ term: 'age', mean }],
  };
}
const codes = (warnings: readonly Warning[]): string[] =>
  warnings.map(({ code, term }) => (term === undefined ? code : `${code} ${term}`));

function close(actual: number | null | undefined, expected: number, tolerance: number): void {
  assert.ok(actual !== null && actual !== undefined);
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${actual}, expected ${expected}`);
}

interface Estimate {
  estimate: number;
  se: number;
}
interface Modifier {
  estimates: number[][];
  vcov: number[][][];
  means: number[];
  joint: Record<string, { estimate: number[]; se: number[]; logLik: number }>;
  across: Record<string, Estimate>;
  separately: Record<string, { within: Estimate; across: Estimate; difference: Estimate }>;
}
const modifier: Modifier = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/stage-two/modifier.json', import.meta.url), 'utf8'),
).cases;
const trials = modifier.estimates.map((row, i) =>
  study(`s${i}`, ['treatment', WITHIN], row, modifier.vcov[i]!, modifier.means[i]),
);

test('an effect modifier: within jointly, across by meta-regression, their difference (metafor)', () => {
  for (const tau2 of ['FE', 'ML', 'REML'] as const) {
    const r = stageTwo(analysis([treatment, within], { tau2 }, true), trials);
    assert.deepEqual(
      r.pooled.map(({ term }) => term),
      ['treatment', WITHIN, ACROSS],
    );
    const joint = modifier.joint[tau2]!;
    const across = modifier.across[tau2]!;
    for (const j of [0, 1]) {
      close(r.pooled[j]!.estimate, joint.estimate[j]!, 1e-6);
      close(r.pooled[j]!.se, joint.se[j]!, 1e-6);
    }
    close(r.pooled[2]!.estimate, across.estimate, 1e-6);
    close(r.pooled[2]!.se, across.se, 1e-6);
    close(r.joint?.log_likelihood, joint.logLik, 1e-8);
    // Generalised least squares estimates are uncorrelated with the slope.
    assert.deepEqual(
      r.contrasts.map(({ term }) => term),
      [`${WITHIN} - ${ACROSS}`],
    );
    close(r.contrasts[0]!.estimate, joint.estimate[1]! - across.estimate, 1e-6);
    close(r.contrasts[0]!.se, Math.hypot(joint.se[1]!, across.se), 1e-6);
    assert.equal(r.heterogeneity_term, WITHIN);
    assert.equal(r.separate.length, 2);
    assert.deepEqual(r.heterogeneity, r.separate[1]!.heterogeneity);
    close(
      r.weights.reduce<number>((sum, weight) => sum + weight!, 0),
      100,
      1e-12,
    );
  }
});

test('a moment estimator pools term by term, and says so; the difference keeps its covariance', () => {
  for (const [key, ci] of [
    ['z', 'normal'],
    ['knha', 'HKSJ'],
  ] as const) {
    const r = stageTwo(analysis([treatment, within], { tau2: 'DL', ci }, true), trials);
    const expected = modifier.separately[key]!;
    assert.equal(r.joint, null);
    assert.ok(codes(r.warnings).includes('joint-not-available'));
    close(r.pooled[1]!.estimate, expected.within.estimate, 1e-8);
    close(r.pooled[1]!.se, expected.within.se, 1e-8);
    close(r.pooled[2]!.se, expected.across.se, 1e-8);
    close(r.contrasts[0]!.estimate, expected.difference.estimate, 1e-7);
    close(r.contrasts[0]!.se, expected.difference.se, 1e-7);
    assert.equal(r.contrasts[0]!.df, ci === 'HKSJ' ? 7 : null);
  }
});

test('too few studies, or equal means: no across-trial association', () => {
  const same = trials.map((trial) => ({ ...trial, modifierMeans: [{ term: 'age', mean: 60.1 }] }));
  for (const studies of [trials.slice(0, 2), same]) {
    const r = stageTwo(analysis([treatment, within], {}, true), studies);
    assert.equal(r.pooled[2]!.estimate, null);
    assert.equal(r.contrasts[0]!.estimate, null);
    assert.ok(codes(r.warnings).includes(`across-not-estimable ${ACROSS}`));
  }
});

test('a merged interaction is warned about', () => {
  const merged = { ...within, term: 'treatment:age' };
  const r = stageTwo(
    analysis([treatment, merged], {}, false),
    trials.map((trial) => ({ ...trial, terms: ['treatment', 'treatment:age'] })),
  );
  assert.deepEqual(
    r.pooled.map(({ term }) => term),
    ['treatment', 'treatment:age'],
  );
  assert.equal(r.warnings[0]!.code, 'ecological-bias');
  assert.equal(r.heterogeneity_term, 'treatment:age');
});

test('one term is pooled by itself; studies without it are skipped', () => {
  const studies = [
    study('a', ['treatment'], [0.2], [[0.01]]),
    study('b', [], [], []),
    study(
      'c',
      ['(intercept)', 'treatment'],
      [9, 0.4],
      [
        [1, 0],
        [0, 0.01],
      ],
    ),
  ];
  const r = stageTwo(analysis([treatment], { tau2: 'FE' }), studies);
  close(r.pooled[0]!.estimate, 0.3, 1e-14);
  close(r.weights[0], 50, 1e-14);
  assert.equal(r.weights[1], null);
  assert.equal(r.heterogeneity_term, 'treatment');
  assert.deepEqual([r.joint, r.separate, r.contrasts, r.warnings], [null, [], [], []]);
});

test('nothing to pool is null with a warning', () => {
  const r = stageTwo(analysis([treatment, within], {}, true), [study('a', [], [], [])]);
  assert.ok(r.pooled.every(({ estimate }) => estimate === null));
  assert.equal(r.heterogeneity, null);
  assert.equal(r.heterogeneity_term, null);
  assert.ok(codes(r.warnings).includes('no-study-estimates treatment'));
});

test('a term of one study stays out of the joint estimate', () => {
  const other: DesignColumn = { ...within, term: 'treatment:sex.within' };
  const both = (name: string, y: number): StudyEstimates =>
    study(
      name,
      ['treatment', WITHIN],
      [y, y / 10],
      [
        [0.02, 0],
        [0, 0.001],
      ],
      50 + 9 * y,
    );
  const studies = [
    both('a', 0.1),
    both('b', 0.5),
    both('c', 0.9),
    study(
      'd',
      ['treatment', other.term],
      [0.3, 0.7],
      [
        [0.03, 0.001],
        [0.001, 0.04],
      ],
    ),
  ];
  const r = stageTwo(analysis([treatment, within, other], {}), studies);
  assert.deepEqual(r.joint?.terms, ['treatment', WITHIN]);
  assert.equal(r.pooled[2]!.estimate, 0.7);
  assert.ok(codes(r.warnings).includes(`term-in-one-study ${other.term}`));
  assert.ok(codes(r.warnings).includes(`single-study ${other.term}`));
});

test('one study of several terms keeps its own estimates and normal intervals, whatever interval is asked for', () => {
  const vcov = [
    [0.03, 0.001],
    [0.001, 0.04],
  ];
  const one = [study('a', ['treatment', WITHIN], [0.3, 0.7], vcov, 50)];
  for (const tau2 of ['FE', 'REML'] as const) {
    for (const ci of ['normal', 'HKSJ', 'HKSJ-adhoc'] as const) {
      const r = stageTwo(analysis([treatment, within], { tau2, ci }), one);
      for (const [j, { pooled }] of r.separate.entries()) {
        assert.ok(Math.abs(r.pooled[j]!.ci![0] - pooled.ci![0]) < 1e-12);
      }
      assert.deepEqual(
        r.pooled.map(({ estimate, df }) => [estimate, df]),
        [
          [0.3, null],
          [0.7, null],
        ],
      );
      assert.ok(r.warnings.some(({ code }) => code === 'single-study'));
    }
  }
});

test('several arms: pooled jointly, each pair compared', () => {
  const arms = [1, 2, 3].map((value): DesignColumn => ({
    term: `treatment[${value}]`,
    role: 'treatment',
    product: [arm(value)],
  }));
  const vcov = [
    [0.04, 0.02, 0.02],
    [0.02, 0.05, 0.02],
    [0.02, 0.02, 0.06],
  ];
  const studies = [0, 1, 2].map((i) =>
    study(
      `s${i}`,
      arms.map(({ term }) => term),
      [0.1 * i, 0.3, 0.5 - 0.1 * i],
      vcov,
    ),
  );
  const r = stageTwo(analysis(arms, { tau2: 'FE' }), studies);
  assert.deepEqual(
    r.contrasts.map(({ term }) => term),
    ['treatment[2] - treatment[1]', 'treatment[3] - treatment[1]', 'treatment[3] - treatment[2]'],
  );
  close(r.contrasts[0]!.estimate, 0.2, 1e-12);
  close(r.contrasts[0]!.se, Math.sqrt((0.04 + 0.05 - 0.04) / 3), 1e-12);
});
