/** The shipped thresholds and honest analyses of published data. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { FALSE_ALARMS, falseAlarmsDocument, measure } from './false-alarms.ts';
import { large } from './honest.ts';
import { available } from './reference.ts';

describe(
  'honest analyses',
  { skip: !available && 'the reference data are not beside the repository' },
  () => {
    const measured = available ? measure() : null;

    test('of a large trial, only what its answer would tell exactly is refused: small cells, and outliers', async () => {
      const { decisions } = (await measured)!;
      const refusals = decisions.filter(large).flatMap((decision) => decision.refusals);
      const other = refusals.filter(
        ({ code, observed }) =>
          !(code === 'RULE_SMALLEST_CELL' && observed < 5) && !(code === 'RULE_LEVERAGE' && observed >= 0.5),
      );
      assert.deepEqual(other, []);
    });

    test('no treatment effect alone of a large trial is refused but for a rare outcome in an arm', async () => {
      const { decisions } = (await measured)!;
      const unadjusted = ['unadjusted', 'final', 'logit', 'efron', 'breslow', 'rmst', 'poisson', 'weibull'];
      const refused = decisions.filter(
        (decision) =>
          large(decision) && unadjusted.includes(decision.analysis) && decision.refusals.length > 0,
      );
      assert.deepEqual(
        new Set(refused.flatMap(({ refusals }) => refusals.map(({ of }) => of))),
        new Set(['aspirin (level x outcome)', 'treat (level x outcome)']),
      );
      assert.equal(
        refused.some(({ question }) => /survival|death|end of|time/.test(question)),
        false,
      );
    });

    test('what is refused for other analyses of a plan, common participants mend in large trials', async () => {
      const { differencing } = (await measured)!;
      assert.ok(differencing.some(({ perAnalysis }) => perAnalysis.length > 0));
      assert.deepEqual(
        differencing.flatMap(({ common }) => common).filter(({ participants }) => participants >= 100),
        [],
      );
    });

    test('docs/false-alarms.md is what was measured', async () => {
      assert.equal(readFileSync(FALSE_ALARMS, 'utf8'), falseAlarmsDocument((await measured)!));
    });
  },
);
