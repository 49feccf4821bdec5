import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { assertAsR, fixtureOf, near, rowsWhere } from './derivatives-testing.ts';
import { fitStageOne } from './stage-one.ts';
import type { ModelOptions, StageOneOutcome, StudyData } from './types.ts';

const file = new URL('../../../test/fixtures/families/cases.json', import.meta.url);
const { families, column, records } = fixtureOf(readFileSync(file, 'utf8'));
const level = Int32Array.from(column('level'));
const scores = records({ kind: 'ordinal', level, levels: 4 }, { intercept: false });
const counts = records({ kind: 'count', y: column('count') }, { offset: true });
const negativeBinomial: ModelOptions = { family: 'negative-binomial', ties: 'efron' };
const ordinal: ModelOptions = { family: 'ordinal', ties: 'efron' };

type Fitted = Extract<StageOneOutcome, { status: 'fitted' }>;
function fitted(data: StudyData, options: ModelOptions, treatment: number): Fitted {
  const outcome = fitStageOne(data, options, [treatment]);
  assert.equal(outcome.status, 'fitted');
  return outcome;
}
const asReference = ({ estimates, vcov, logLikelihood }: Fitted) => ({
  estimates,
  vcov,
  logLik: logLikelihood.fitted,
});

test('as R: one study, negative binomial and proportional odds', () => {
  assertAsR(families.negativeBinomial, asReference(fitted(counts, negativeBinomial, 1)));
  assertAsR(families.ordinal, asReference(fitted(scores, ordinal, 0)));
});

test('an absent level has no threshold, and the others keep their places', () => {
  const gap = fitted(
    rowsWhere(scores, (i) => level[i] !== 1),
    ordinal,
    0,
  );
  assertAsR(families.ordinalGap, asReference(gap));
  assert.deepEqual(gap.estimable, [true, true, false, true, true]);
});

test('one level alone is no variation', () => {
  assert.deepEqual(
    fitStageOne(
      rowsWhere(scores, (i) => level[i] === 2),
      ordinal,
      [0],
    ),
    { status: 'not-estimable', diagnosis: { code: 'no-variation', terms: [] } },
  );
});

test('counts that vary less than Poisson have Poisson estimates, and no size', () => {
  const y = column('treatment').map((x, i) => 3 - x + (i % 3 === 0 ? 1 : 0));
  const even: StudyData = { ...counts, response: { kind: 'count', y }, offset: null };
  const [mine, poisson] = [
    fitted(even, negativeBinomial, 1),
    fitted(even, { family: 'poisson', ties: 'efron' }, 1),
  ];
  assert.deepEqual(mine.estimable, [true, true, true, false]);
  mine.estimates.forEach((value, j) => near('estimate', value, poisson.estimates[j]!, 1, 1e-12));
  mine.vcov.forEach((value, k) => near('covariance', value, poisson.vcov[k]!, 1, 1e-12));
  near('log-likelihood', mine.logLikelihood.fitted, poisson.logLikelihood.fitted, 1, 1e-9);
});
