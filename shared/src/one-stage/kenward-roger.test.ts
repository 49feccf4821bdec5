import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fitRecords, type ModelOfTest, type Records } from './gaussian-testing.ts';

interface Case extends ModelOfTest {
  readonly name: string;
  readonly data: string;
  readonly scale: number;
  readonly terms: readonly string[];
  readonly variances: readonly number[];
  readonly kr?: { readonly se: readonly number[]; readonly df: readonly number[] };
  readonly satterthwaite?: readonly number[];
}

const fixture = new URL('../../../test/fixtures/gaussian-one-stage/cases.json', import.meta.url);
const { cases, data } = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly cases: readonly Case[];
  readonly data: Readonly<Record<string, Records>>;
};
const restricted = cases.filter(({ kr }) => kr !== undefined);

const fitWith = (item: Case, df: 'kenward-roger' | 'satterthwaite') => {
  const records = data[item.data]!;
  const scaled = { ...records, x: records.x.map((value) => value * item.scale) };
  return fitRecords({ ...item, inference: { ci: 't', df } }, scaled);
};

function close(actual: number | null | undefined, expected: number, tolerance: number, what: string): void {
  assert.ok(
    typeof actual === 'number' && Math.abs(actual / expected - 1) <= tolerance,
    `${what}: ${actual}, not ${expected}`,
  );
}

for (const item of restricted) {
  const common = item.terms
    .map((term, k) => ({ term, k }))
    .filter(({ term }) => item.stratified?.includes(term) !== true);

  test(`${item.name}: Kenward–Roger as pbkrtest`, () => {
    const fit = fitWith(item, 'kenward-roger');
    for (const { term, k } of common) {
      const one = fit.coefficients.find((coefficient) => coefficient.term === term)!;
      close(one.se, item.kr!.se[k]!, 2e-6, `se of ${term}`);
      close(one.df, item.kr!.df[k]!, 2e-6, `df of ${term}`);
    }
  });

  test(`${item.name}: Satterthwaite as lmerTest`, () => {
    const fit = fitWith(item, 'satterthwaite');
    for (const { term, k } of common) {
      const one = fit.coefficients.find((coefficient) => coefficient.term === term)!;
      close(one.df, item.satterthwaite![k]!, 1e-4, `df of ${term}`);
    }
  });
}

test('sleepstudy: F of Days is 45.85296 on 17', () => {
  const fit = fitWith(
    restricted.find(({ name }) => name === 'sleepstudy')!,
    'kenward-roger',
  );
  const days = fit.coefficients.find(({ term }) => term === 'treatment')!;
  close((days.estimate / days.se!) ** 2, 45.85296, 2e-6, 'F');
  close(days.df, 17, 1e-9, 'df');
});

test('without REML, or with stratified residual variances, there are no degrees of freedom, and a warning', () => {
  for (const [estimation, residual] of [
    ['ML', 'common'],
    ['REML', 'stratified'],
  ] as const) {
    const fit = fitRecords(
      {
        random: ['treatment'],
        stratified: ['(intercept)'],
        estimation,
        residual,
        inference: { df: 'kenward-roger' },
      },
      data['trials']!,
    );
    assert.ok(fit.coefficients.every(({ df }) => df === null));
    assert.deepEqual(fit.warnings, [{ code: 'no-degrees-of-freedom', terms: [] }]);
  }
});

test('without random effects the residual degrees of freedom are exact', () => {
  const fit = fitRecords({ stratified: ['(intercept)'], inference: { ci: 't' } }, data['trials']!);
  assert.ok(fit.coefficients.every(({ df }) => df === data['trials']!.y.length - 10));
});
