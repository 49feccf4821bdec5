/**
 * Runs of one-stage plans without processes: the coordinator's program, and the agent's own code over records in memory.
 * What must hold whatever the records are: of every family.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SiteAnswer } from '@concordat/shared/runs/answers.ts';
import { runProgram, type RunOutcome } from '@concordat/shared/runs/program.ts';
import type { RunTask } from '@concordat/shared/runs/rounds.ts';
import type { Table } from '@concordat/node-agent/data/table.ts';
import { draftEntry, openAnalysis, type OpenAnalysis } from '@concordat/node-agent/fit/one-stage.ts';
import { draftStageOne } from '@concordat/node-agent/fit/stage-one.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import { families } from '@concordat/shared/models/registry.ts';
import type { StudyData } from '@concordat/shared/models/types.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { Replay } from '@concordat/shared/one-stage/replay.ts';
import { modelOptions, oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { OneStageResult } from '@concordat/shared/plan/result-types.ts';
import type { FamilyName } from '@concordat/shared/plan/types.ts';
import { toldQuestion } from '@concordat/shared/wire/one-stage.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import fc from 'fast-check';
import { oneStageTrial, planOf, type Records } from './trials.ts';

type Payload = Extract<SiteAnswer, { kind: 'reply' }>['payload'];
type Trials = Readonly<Record<string, Records>>;

/** One study's answers, by the agent's own code. */
class Site {
  readonly #plan: ReturnType<typeof expandPlan>;
  readonly #study: string;
  readonly #table: Table;
  readonly #fits = new Map<string, { readonly open: OpenAnalysis; readonly replay: Replay }>();

  constructor(text: string, study: string, records: Records) {
    this.#plan = expandPlan(parsePlan(text, 'the plan'));
    this.#study = study;
    this.#table = tableOf(records);
  }

  answer({ analysis: id, payload }: RunTask): Payload {
    const analysis = this.#plan.analyses.find((candidate) => candidate.id === id)!;
    switch (payload.$case) {
      case 'planOffer':
        return { $case: 'planAccepted', value: { policyDigest: new Uint8Array(32), openPolicy: true } };
      case 'stageOneQuestion':
        return draftStageOne(this.#plan, analysis, this.#table, true).payload;
      case 'entryQuestion': {
        const open = openAnalysis({ data: this.#study, map: null }, this.#plan, analysis, {
          table: this.#table,
          snapshot: null,
        });
        this.#fits.set(id, { open, replay: new Replay(oneStageSpec(this.#plan, analysis)) });
        return draftEntry(this.#plan, open, true).payload;
      }
      case 'objectiveQuestion': {
        const { open, replay } = this.#fits.get(id)!;
        const ask = replay.next(toldQuestion(payload.value, open.spec));
        if (typeof ask === 'string') throw new Error(`${this.#study}, step ${payload.value.step}: ${ask}`);
        open.answer ??= {
          key: '',
          ask: oneStageModels[open.spec.kind].study(open.spec, open.set.data, replay.entry!.scaling),
        };
        return { $case: 'objectiveValue', value: { values: [...open.answer.ask(ask)] } };
      }
      default:
        return { $case: 'runLeft', value: {} };
    }
  }
}

function tableOf(records: Records): Table {
  const columns = new Map(
    Object.entries(records).map(([name, values]) => [
      name,
      { kind: 'numeric', values: Float64Array.from(values) } as const,
    ]),
  );
  return { rows: Object.values(records)[0]!.length, columns, available: [...columns.keys()] };
}

/** From offer to close; `lose` says which tasks get no answer. */
function play(
  text: string,
  trials: Trials,
  lose: (task: RunTask, round: number) => boolean = () => false,
): RunOutcome {
  const studies = Object.keys(trials);
  const sites = new Map(studies.map((study) => [study, new Site(text, study, trials[study]!)]));
  const roster = { sites: [], minimumStudies: 1, masked: false };
  const program = runProgram({
    plan: parsePlan(text, 'the plan'),
    studies,
    offer: { $case: 'planOffer', value: planOffer(text, roster) },
  });
  let turn = program.next();
  while (turn.done !== true) {
    const { tasks, round } = turn.value;
    turn = program.next(
      tasks.map((task): SiteAnswer =>
        lose(task, round)
          ? { kind: 'unreachable' }
          : { kind: 'reply', payload: sites.get(task.study)!.answer(task) },
      ),
    );
  }
  return turn.value;
}

function fitOf(outcome: RunOutcome, id = 'fit'): OneStageResult {
  const analysis = outcome.analyses[id]!;
  assert.equal(analysis.status, 'done', JSON.stringify(analysis).slice(0, 400));
  assert.ok(analysis.approach === 'one-stage');
  return analysis;
}

const trialsOf = (studies: readonly string[], n?: number): Trials =>
  Object.fromEntries(studies.map((study) => [study, oneStageTrial(study, n)]));
const STUDIES = ['A', 'B', 'C', 'D'];
const TRIALS = trialsOf(STUDIES);

type Outcome = Parameters<typeof planOf>[0];
/** Of each family a model with parameters of the study's own, and one with random effects. */
const FAMILIES: Readonly<Record<FamilyName, readonly [Outcome, string, string, string?]>> = {
  gaussian: ['continuous', '', 'intercept: random, treatment_effect: random'],
  binomial: ['binary', '', 'intercept: random, treatment_effect: random'],
  poisson: ['count', '', 'intercept: random'],
  'negative-binomial': ['count', '', 'intercept: random'],
  ordinal: ['ordinal', '', 'intercept: random'],
  cox: ['survival', '', 'treatment_effect: random'],
  weibull: ['survival', '', 'baseline: shared, intercept: random'],
  'piecewise-exponential': ['survival', '', 'baseline: shared, intercept: random', 'cuts: [3, 6]'],
  'royston-parmar': ['survival', '', 'baseline: shared, intercept: random', 'knots: [0.5, 3, 11]'],
};
const planFor = (family: FamilyName, variant: 1 | 2, adjust = '[age]'): string => {
  const [outcome, , , more] = FAMILIES[family];
  const options = [`family: ${family}`, `adjust: ${adjust}`, FAMILIES[family][variant], more ?? ''];
  return planOf(outcome, {
    fit: `approach: one-stage, model: {${options.filter((option) => option !== '').join(', ')}}`,
  }).replace('minimum_studies: 2\n', '');
};

const close = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));
function assertClose(a: number | null, b: number | null, tolerance: number, what: string): void {
  assert.ok(a !== null && b !== null && close(a, b, tolerance), `${what}: ${a} and ${b}`);
}
function coefficient(fit: OneStageResult, term: string): { readonly estimate: number; readonly se: number } {
  const { estimate, se } = fit.coefficients.find((candidate) => candidate.term === term)!;
  assert.ok(estimate !== null && se !== null, term);
  return { estimate, se };
}

for (const family of Object.keys(families) as FamilyName[]) {
  for (const variant of [1, 2] as const) {
    const what = `${family}, ${FAMILIES[family][variant] || 'own parameters of each study'}`;
    test(`${what}: the order of the sites changes the order of tables, and no bit of a number`, () => {
      const text = planFor(family, variant);
      const straight = fitOf(play(text, TRIALS));
      const order = ['C', 'A', 'D', 'B'];
      const turned = fitOf(play(text, Object.fromEntries(order.map((study) => [study, TRIALS[study]!]))));
      const { studies, ...numbers } = turned;
      const { studies: _, ...straightNumbers } = straight;
      assert.deepEqual(numbers, straightNumbers);
      assert.deepEqual(
        studies.map(({ study }) => study),
        order,
      );
    });

    test(`${what}: a covariate in another unit has its coefficient in that unit, and nothing else changes`, () => {
      const text = planFor(family, variant);
      const straight = fitOf(play(text, TRIALS));
      for (const unit of [1e6, 1e-6]) {
        const scaled = Object.fromEntries(
          Object.entries(TRIALS).map(([study, records]) => [
            study,
            { ...records, age: records['age']!.map((age) => age * unit) },
          ]),
        );
        const other = fitOf(play(text, scaled));
        assertClose(
          coefficient(other, 'age').estimate * unit,
          coefficient(straight, 'age').estimate,
          1e-9,
          `age × ${unit}`,
        );
        for (const figure of ['estimate', 'se'] as const) {
          assertClose(
            coefficient(other, 'treatment')[figure],
            coefficient(straight, 'treatment')[figure],
            1e-8,
            `treatment ${figure}, × ${unit}`,
          );
        }
        // A restricted likelihood has ½ log|X'X| in it, and so the unit.
        const restricted = family === 'gaussian' && variant === 2 ? Math.log(unit) : 0;
        assertClose(other.log_likelihood! + restricted, straight.log_likelihood, 1e-9, 'log-likelihood');
      }
    });
  }
}

/** All records in one table, with a column for each study. */
function pooledData(text: string, trials: Trials): { readonly data: StudyData; readonly treatment: number } {
  const studies = Object.keys(trials);
  const names = Object.keys(trials[studies[0]!]!);
  const merged: Records = Object.fromEntries(
    names.map((name) => [name, studies.flatMap((study) => [...trials[study]![name]!])]),
  );
  const studyOf = studies.flatMap((study, i) => trials[study]!['arm']!.map(() => i));
  const plan = expandPlan(parsePlan(text, 'the plan'));
  const analysis = plan.analyses[0]!;
  const { data } = openAnalysis({ data: text, map: null }, plan, analysis, {
    table: tableOf(merged),
    snapshot: null,
  }).set;
  const indicators = studies
    .slice(1)
    .map((_, i) => Float64Array.from(studyOf, (study) => (study === i + 1 ? 1 : 0)));
  const response =
    data.response.kind === 'time-to-event'
      ? { ...data.response, stratum: Int32Array.from(studyOf) }
      : data.response;
  const own = data.response.kind === 'time-to-event' ? [] : indicators;
  return {
    data: {
      ...data,
      response,
      columns: [...data.columns, ...own],
      terms: [...data.terms, ...own.map((_, i) => `study ${i}`)],
    },
    treatment: data.terms.indexOf('treatment'),
  };
}

for (const family of ['binomial', 'poisson', 'negative-binomial', 'ordinal', 'cox'] as const) {
  test(`${family}: with one covariate more that says nothing, sites’ sums give what the pooled records give`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), (seed) => {
        let state = seed;
        const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
        const trials = Object.fromEntries(
          Object.entries(TRIALS).map(([study, records]) => [
            study,
            { ...records, noise: records['arm']!.map(() => Math.round(1e4 * random()) / 1e3) },
          ]),
        );
        const text = planFor(family, 1, '[age, noise]');
        const federated = fitOf(play(text, trials));
        const plan = expandPlan(parsePlan(text, 'the plan'));
        const { data, treatment } = pooledData(text, trials);
        const pooled = fitStageOne(data, { ...modelOptions(plan.analyses[0]!), anchored: true }, [treatment]);
        assert.ok(pooled.status === 'fitted');
        for (const term of ['treatment', 'age', 'noise']) {
          const j = data.terms.indexOf(term);
          const { estimate, se } = coefficient(federated, term);
          assertClose(estimate, pooled.estimates[j]!, 1e-7, term);
          assertClose(se, Math.sqrt(pooled.vcov[(j * (j + 1)) / 2 + j]!), 1e-6, `${term} se`);
        }
        const { estimate, se } = coefficient(federated, 'noise');
        assert.ok(Math.abs(estimate) < 5 * se, 'noise is near nothing');
      }),
      { numRuns: 3 },
    );
  });
}

for (const family of ['binomial', 'poisson', 'negative-binomial', 'ordinal', 'cox', 'weibull'] as const) {
  test(`${family}: one site alone is its own fit`, () => {
    const text = planFor(family, 1);
    const { A } = TRIALS;
    const federated = fitOf(play(text, { A: A! }));
    const own = play(text.replace('one-stage', 'two-stage'), { A: A!, B: TRIALS['B']! }).analyses['fit']!;
    const [study] = own.studies;
    for (const { term, estimate, se } of study!.estimates!.filter(
      ({ term: name }) => name === 'treatment' || name === 'age',
    )) {
      assertClose(coefficient(federated, term).estimate, estimate, 1e-7, term);
      assertClose(coefficient(federated, term).se, se, 1e-6, `${term} se`);
    }
    assert.ok(federated.warnings.some(({ code }) => code === 'single-study'));
  });
}

const SIDE_BY_SIDE = planOf('binary', {
  two: 'approach: two-stage, model: {family: binomial, adjust: [age]}',
  stratified: 'approach: one-stage, model: {family: binomial, adjust: [age]}',
  mixed:
    'approach: one-stage, model: {family: binomial, adjust: [age], intercept: random, treatment_effect: random}',
});

test('a site that is lost in the middle of a fit fails that analysis with its name; the others go on', () => {
  const whole = play(SIDE_BY_SIDE, TRIALS);
  for (const from of [3, 5]) {
    const outcome = play(
      SIDE_BY_SIDE,
      TRIALS,
      (task, round) => task.study === 'C' && task.analysis === 'mixed' && round >= from,
    );
    const { mixed, ...others } = outcome.analyses;
    assert.ok(mixed?.status === 'failed' && mixed.approach === 'one-stage');
    assert.equal(mixed.reason?.code, 'site-lost');
    assert.match(mixed.reason.message, /^C left the fit/);
    const { mixed: _, ...undisturbed } = whole.analyses;
    assert.deepEqual(others, undisturbed);
  }
});

test('a site that is lost before it entered is left out, and the fit is that of the others', () => {
  const outcome = play(SIDE_BY_SIDE, TRIALS, (task, round) => task.study === 'C' && round >= 2);
  const { C: _, ...others } = TRIALS;
  const without = play(SIDE_BY_SIDE, others);
  for (const id of ['stratified', 'mixed']) {
    const fit = fitOf(outcome, id);
    assert.deepEqual(fit.coefficients, fitOf(without, id).coefficients);
    assert.deepEqual(
      fit.studies.map(({ status }) => status),
      ['included', 'included', 'unreachable', 'included'],
    );
  }
});
