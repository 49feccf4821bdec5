/** R's reference figures, through the published command. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { WrittenAnalysis } from '@concordat/shared/plan/schema.ts';
import type { Result, StudyResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';

import { aggregates } from './cases-aggregates.ts';
import { clinics } from './cases-clinics.ts';
import { withIndicators } from './cases-indicators.ts';
import { schools } from './cases-schools.ts';
import { stroke } from './cases-stroke.ts';
import { trials } from './cases-trials.ts';
import {
  compareCounts,
  compareFit,
  compareJoint,
  compareStageTwo,
  compareTable,
  Differences,
  EXACT,
  seTolerance,
} from './compare.ts';
import { available, jointStageTwo, stageOne, stageTwo, wholeFit } from './reference.ts';
import { runLocal } from './run-local.ts';
import type { JointModel, Model, Scenario, WholeModel } from './scenarios.ts';

const JOINT_METHODS = ['REML', 'ML', 'FE'] as const;

function analysesOf({ models = [], joint = [], whole = [] }: Scenario): WrittenAnalysis[] {
  const common = ({ model, effect_modifier }: Model | JointModel) => ({
    approach: 'two-stage' as const,
    model,
    ...(effect_modifier === undefined ? {} : { effect_modifier }),
  });
  return [
    ...models.flatMap((model) =>
      model.settings.map(({ tau2, ci }) => ({
        id: `${model.name}.${tau2}.${ci}`,
        ...common(model),
        pool: { tau2, ci, ...(model.jointly === true ? {} : { term: model.term }) },
      })),
    ),
    ...joint.flatMap((model) =>
      JOINT_METHODS.map((tau2) => ({
        id: `${model.name}.${tau2}`,
        ...common(model),
        pool: { tau2, term: model.pooled },
      })),
    ),
    ...whole.map(({ name, model, pooled }) => ({
      id: name,
      approach: 'two-stage' as const,
      model,
      pool: { tau2: 'FE' as const, term: pooled },
    })),
  ];
}

function twoStage(result: Result, id: string): TwoStageResult {
  const analysis = result.analyses[id];
  assert.ok(
    analysis?.approach === 'two-stage' && analysis.status === 'done',
    `${id}: ${JSON.stringify(analysis?.reason)}`,
  );
  return analysis;
}

const byName = (analysis: TwoStageResult): Map<string, StudyResult> =>
  new Map(analysis.studies.map((study) => [study.study, study]));

/** Where R has no first stage, its estimates of the studies are escalc()'s, which are exact. */
const seOf = ({ stageOne: id, model }: Model): number =>
  id === undefined ? EXACT : seTolerance(model.family);

function compareModel(d: Differences, dataset: string, model: Model, result: Result): void {
  const reference = model.stageTwo === undefined ? null : stageTwo(dataset, model.stageTwo);
  model.settings.forEach((setting, i) => {
    const id = `${model.name}.${setting.tau2}.${setting.ci}`;
    const analysis = twoStage(result, id);
    const studies = byName(analysis);
    if (i === 0) compareStudies(d, dataset, model, analysis);
    if (reference === null) return;
    const pool = model.jointly === true ? analysis.separate.find(({ term }) => term === model.term) : null;
    const pooled = pool === null ? analysis.pooled.find(({ term }) => term === model.term) : pool?.pooled;
    const weights = new Map([...studies].map(([name, { weight }]) => [name, weight]));
    const heterogeneity = pool?.heterogeneity ?? analysis.heterogeneity;
    compareStageTwo(d, pooled!, heterogeneity, weights, reference, setting, seOf(model), id);
  });
}

const sorted = (pairs: readonly (readonly [string, string])[]): string[] =>
  pairs.map((pair) => pair.join(': ')).toSorted();

/** Stage one; every analysis of the model has the same. */
function compareStudies(d: Differences, dataset: string, model: Model, analysis: TwoStageResult): void {
  const { family } = model.model;
  const studies = byName(analysis);
  const gives = ({ study }: { readonly study: string }): boolean =>
    studies.get(study)!.estimates?.some(({ term }) => term === model.term) === true;
  const reasons = analysis.studies.flatMap((study) => {
    if (gives(study) && study.status === 'included') return [];
    // Where other terms are pooled too, the study is there for those, and says so.
    const partly = study.warnings?.find((warning) => warning.term === model.term);
    const status = model.jointly === true && partly !== undefined ? 'excluded' : study.status;
    return [[study.study, `${status} ${study.reason?.code ?? partly?.code.replace('term-', '')}`] as const];
  });
  const expected = Object.entries(model.excluded ?? {}).map(
    ([study, code]) => [study, `excluded ${code}`] as const,
  );
  d.same(sorted(reasons), sorted(expected), `${model.name} studies without estimate`);
  const estimates = model.estimates ?? model.stageTwo;
  if (estimates !== undefined) {
    const { studies: names, yi, sei } = stageTwo(dataset, estimates);
    const expectedNames = names.filter((name) => !Object.hasOwn(model.excluded ?? {}, name));
    d.same(
      analysis.studies
        .map(({ study }) => study)
        .filter((study) => gives({ study }))
        .toSorted(),
      expectedNames.toSorted(),
      `${model.name} studies`,
    );
    names.forEach((name, i) => {
      if (!expectedNames.includes(name)) return;
      const fit = { coefficients: [{ term: 'y', estimate: yi[i]!, se: sei[i]! }] };
      compareFit(
        d,
        studies.get(name)!,
        fit,
        { [model.term]: 'y' },
        family,
        `${model.name} ${name}`,
        seOf(model),
      );
    });
  }
  if (model.stageOne === undefined) return;
  for (const [name, fit] of Object.entries(stageOne(dataset, model.stageOne))) {
    const study = studies.get(name);
    if (study === undefined) continue;
    compareCounts(d, study, fit, `${model.name} ${name}`);
    d.same(gives(study), fit.estimable !== false, `${model.name} ${name} gives an estimate`);
    if (fit.estimable === false) continue;
    compareFit(d, study, fit, model.terms, family, `${model.name} ${name}`);
    if (family === 'binomial') compareTable(d, study, fit, `${model.name} ${name}`);
  }
}

function compareJointModel(d: Differences, dataset: string, model: JointModel, result: Result): void {
  const reference = jointStageTwo(dataset, model.stageTwo);
  for (const method of JOINT_METHODS) {
    const id = `${model.name}.${method}`;
    const analysis = twoStage(result, id);
    compareJoint(d, analysis, model.pooled, method, reference, model.tolerance, id);
    if (method !== JOINT_METHODS[0]) continue;
    d.same(
      analysis.studies.map(({ study }) => study).toSorted(),
      reference.studies.toSorted(),
      `${id} studies`,
    );
    for (const [name, fit] of Object.entries(stageOne(dataset, model.stageOne))) {
      const study = byName(analysis).get(name)!;
      compareFit(d, study, fit, model.terms, model.model.family, `${id} ${name}`);
      compareCounts(d, study, fit, `${id} ${name}`);
    }
  }
}

function compareWhole(d: Differences, { dataset, plan }: Scenario, model: WholeModel, result: Result): void {
  const fit = wholeFit(dataset, model.reference, model.part);
  const analysis = twoStage(result, model.name);
  const study = analysis.studies[0]!;
  compareFit(d, study, fit, model.terms, model.model.family, model.name, model.se);
  // R's n counts rows.
  if (!('trials' in plan.outcome)) compareCounts(d, study, fit, model.name);
  const e = study.estimates?.find(({ term }) => term === model.pooled);
  // One study is its own pooled estimate.
  d.close(analysis.pooled[0]?.estimate, e?.estimate ?? null, EXACT, `${model.name} pooled`);
  d.close(analysis.pooled[0]?.se, e?.se ?? null, EXACT, `${model.name} pooled SE`);
}

const scenarios = available
  ? [...aggregates, ...clinics, ...trials, ...stroke, ...schools, ...withIndicators]
  : [];

describe(
  'R through the command line',
  { skip: !available && 'the reference data are not beside the repository', concurrency: 2 },
  () => {
    for (const scenario of scenarios) {
      test(`${scenario.dataset}: ${scenario.name}`, async (t) => {
        const plan = {
          plan: 1 as const,
          id: `${scenario.dataset}-reference`,
          ...scenario.plan,
          analyses: analysesOf(scenario),
        };
        const maps = scenario.maps?.();
        const result = await runLocal({
          plan,
          data: await scenario.data(),
          ...(maps === undefined ? {} : { map: maps }),
        });
        const d = new Differences();
        for (const model of scenario.models ?? []) compareModel(d, scenario.dataset, model, result);
        for (const model of scenario.joint ?? []) compareJointModel(d, scenario.dataset, model, result);
        for (const model of scenario.whole ?? []) compareWhole(d, scenario, model, result);
        t.diagnostic(`${d.compared} figures compared`);
        assert.deepEqual(d.found, [], `${d.found.length} of ${d.compared} figures differ`);
        assert.ok(d.compared > 0);
      });
    }
  },
);
