/** R's one-stage figures, through the published command. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { OneStageResult, Result } from '@concordat/shared/plan/result-types.ts';

import { aggregates } from './cases-aggregates.ts';
import { clinics } from './cases-clinics.ts';
import { withIndicators } from './cases-indicators.ts';
import { binary } from './cases-one-stage-binary.ts';
import { counts } from './cases-one-stage-counts.ts';
import { continuous } from './cases-one-stage-gaussian.ts';
import { ordered } from './cases-one-stage-ordinal.ts';
import { survival } from './cases-one-stage-survival.ts';
import { stroke } from './cases-stroke.ts';
import { trials } from './cases-trials.ts';
import { Differences } from './compare.ts';
import { analysisOf, compareOneStage, compareProportional } from './one-stage.ts';
import { available, DATASETS, modelIds } from './reference.ts';
import { runLocal } from './run-local.ts';
import type { Scenario } from './scenarios.ts';

const scenarios = available ? [...binary, ...continuous, ...counts, ...ordered, ...survival] : [];

function oneStage(result: Result, name: string): OneStageResult {
  const analysis = result.analyses[name];
  assert.ok(analysis?.approach === 'one-stage', name);
  return analysis;
}

describe(
  'R in one stage through the command line',
  { skip: !available && 'the reference data are not beside the repository', concurrency: 2 },
  () => {
    for (const { name, dataset, data, plan, cases } of scenarios) {
      test(`${dataset}: ${name}`, async (t) => {
        const analyses = cases.map(analysisOf);
        const written = { plan: 1 as const, id: `${dataset}-one-stage`, ...plan, analyses };
        const result = await runLocal({ plan: written, data: await data() });
        const d = new Differences();
        for (const item of cases) {
          const analysis = oneStage(result, item.name);
          for (const held of item.against) compareOneStage(d, dataset, item, held, analysis);
          if (item.proportional !== undefined)
            compareProportional(d, dataset, item, item.proportional, analysis);
        }
        t.diagnostic(`${d.compared} figures compared`);
        assert.deepEqual(d.found, [], `${d.found.length} of ${d.compared} figures differ`);
        assert.ok(d.compared > 0);
      });
    }

    test('every one-stage model of the reference is compared, or is listed with a reason', () => {
      const missing = DATASETS.flatMap((dataset) => {
        const compared = comparedModels(dataset);
        return modelIds(dataset).flatMap((id) =>
          TWO_STAGE.test(id) || compared.has(id) ? [] : [{ dataset, id }],
        );
      });
      const without = missing.filter(({ id }) => !NOT_COMPARED.some(({ models }) => models.test(id)));
      assert.deepEqual(without, [], 'neither compared nor listed');
      for (const { models, reason } of NOT_COMPARED)
        assert.ok(
          missing.some(({ id }) => models.test(id)),
          `nothing is left out because of ${reason}`,
        );
    });
  },
);

function comparedModels(dataset: string): ReadonlySet<string> {
  const own = scenarios.filter((scenario) => scenario.dataset === dataset).flatMap(({ cases }) => cases);
  const whole = AS_ONE_STUDY.filter((scenario) => scenario.dataset === dataset).flatMap(
    (item) => item.whole ?? [],
  );
  return new Set([
    ...own.flatMap(({ against }) => against.map(({ id }) => id)),
    ...own.flatMap(({ proportional }) => (proportional === undefined ? [] : [proportional.id])),
    ...whole.map(({ reference }) => reference),
  ]);
}

/** Of which the former studies are a factor or strata of one: Cox models with one baseline and indicators. */
const AS_ONE_STUDY: readonly Scenario[] = [
  ...aggregates,
  ...clinics,
  ...trials,
  ...stroke,
  ...withIndicators,
];

/** Not models of all records at once: studies one by one, their pooling, tables and summaries. */
const TWO_STAGE =
  /stage1|stage2|metareg|^(?:mv|nma|univariate|cumulative|subgroup|rcs-basis)|-summary$|-km$|-rmst$/;

const NOT_COMPARED: readonly { readonly models: RegExp; readonly reason: string }[] = [
  {
    models:
      /glmer-strat-rs-agq\d$|tmb-strat-rs$|lmer-strat-rs-ml$|lmer-stratbase-rs-ml$|resvar-ml$|mixed-strat-rs-|clmm-strat-rs$|int-\w+-onestage-(?:ml|glmer)$/,
    reason:
      'a random effect of a treatment coded 0 and 1 beside study indicators: by maximum likelihood ours is centred within study, another model',
  },
  { models: /-cluster$|-robust$/, reason: 'sandwich variances' },
  { models: /quasipoisson/, reason: 'a dispersion beside a Poisson likelihood' },
  { models: /mh-peto$|^mh$|-mh$|-logrank$/, reason: 'not a model: Mantel–Haenszel, Peto, log-rank' },
  {
    models: /glm-logit-separate$|cox-study-interaction$/,
    reason: 'the treatment effect as each study’s own',
  },
  {
    models: /^(?:os|death6m|first)-frailty-/,
    reason:
      'one baseline on a grid of 125 to 969 event times: every answer is a matrix of that size squared, minutes for each fit; `ga` has 92',
  },
  { models: /clm-partial$/, reason: 'a treatment effect that differs between thresholds' },
  {
    models: /onestage-within-(?:efron|breslow)$/,
    reason: 'a within-study interaction without the across-study one',
  },
  { models: /glmm-cm-(?:al|el)$/, reason: 'the conditional likelihood of the tables’ margins' },
];
