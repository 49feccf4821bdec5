import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { StudyData } from '../models/types.ts';
import { studyPart } from './frailty-study.ts';
import { frailtyModel } from './frailty.ts';
import type { Ask, Entry, OneStageFit, OneStageSpec } from './types.ts';

interface Fitted {
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly theta: number;
  readonly logLik?: number;
  readonly penalized?: number;
  readonly frailty: readonly number[];
}
interface Records {
  readonly study: readonly number[];
  readonly treatment: readonly number[];
  readonly age10: readonly number[];
  readonly time: readonly number[];
  readonly event: readonly number[];
}
const fixture = new URL('../../../test/fixtures/survival/cases.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as { readonly frailtyData: Records } & Record<
  string,
  Fitted
>;
const records = cases.frailtyData;

/** Each study's own rows, as its site holds them. */
function studiesOf({ study, treatment, age10, time, event }: Records): StudyData[] {
  return [...new Set(study)].map((id) => {
    const rows = [...study.keys()].filter((i) => study[i] === id);
    const take = (values: readonly number[]): Float64Array => Float64Array.from(rows, (i) => values[i]!);
    return {
      n: rows.length,
      columns: [take(treatment), take(age10)],
      terms: ['treatment', 'age10'],
      response: { kind: 'time-to-event', time: take(time), event: take(event), entry: null, stratum: null },
      offset: null,
    };
  });
}

function gridOf({ time, event }: Records): Float64Array {
  return Float64Array.from(new Set(time.filter((_, i) => event[i] === 1))).sort();
}

function specOf(
  frailty: 'gamma' | 'gaussian',
  ties: 'efron' | 'breslow',
  grid = gridOf(records),
  likelihoodRatio = false,
): OneStageSpec {
  return {
    kind: 'frailty',
    options: { family: 'cox', ties },
    terms: ['treatment', 'age10'],
    columns: 2,
    intercept: -1,
    treatment: [0],
    stratified: [],
    centredTreatment: false,
    tested: [0],
    groups: [],
    random: [],
    correlated: false,
    points: 1,
    residual: 'common',
    estimation: 'ML',
    grid,
    frailty,
    timeVarying: null,
    inference: { level: 0.95, ci: 'wald', df: null, likelihoodRatio, proportionalHazards: null },
  };
}

const entry = (studies: readonly StudyData[], scale = 1): Entry => ({
  studies: studies.length,
  n: studies.reduce((sum, { n }) => sum + n, 0),
  scaling: {
    centre: Float64Array.of(0, scale === 1 ? 0 : 0.7),
    scale: Float64Array.of(1, scale),
    intercept: -1,
  },
  start: new Float64Array(2),
  sd: new Float64Array(0),
});

/** Asks every site, and tells the program the sum or each, as the coordinator does. */
function run(spec: OneStageSpec, studies: readonly StudyData[], given = entry(studies)): OneStageFit {
  const sites = studies.map((data) => frailtyModel.study(spec, data, given.scaling));
  const program = frailtyModel.program(spec, given);
  let turn = program.next();
  while (turn.done !== true) {
    const ask: Ask = turn.value;
    const answers = sites.map((site) => site(ask));
    for (const values of answers) {
      assert.equal(values.length, ask.length);
      assert.ok(values.every(Number.isFinite));
    }
    if (ask.gather === 'each') {
      turn = program.next(answers);
      continue;
    }
    const sum = new Float64Array(ask.length);
    for (const values of answers) values.forEach((value, k) => (sum[k]! += value));
    turn = program.next([sum]);
  }
  return turn.value;
}

function close(
  what: string,
  actual: number,
  expected: number,
  tolerance: number,
  unit = Math.abs(expected),
): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * unit, `${what}: ${actual}, R has ${expected}`);
}

const studies = studiesOf(records);

for (const ties of ['efron', 'breslow'] as const) {
  for (const frailty of ['gamma', 'gaussian'] as const) {
    test(`with the grid at the event times as coxph: ${frailty}, ${ties}`, () => {
      const expected = cases[`${frailty}-${ties}`]!;
      const fit = run(specOf(frailty, ties), studies);
      assert.equal(fit.failure, null);
      assert.ok(fit.rounds <= 15, `${fit.rounds} rounds`);
      // coxph's search for θ stops early, at about 1e-6 of it.
      close('theta', fit.randomEffects[0]!.variance, expected.theta, 1e-4);
      fit.coefficients.forEach(({ estimate, se }, j) => {
        close(`coefficient ${j}`, estimate, expected.estimates[j]!, 1e-5);
        close(`se ${j}`, se!, Math.sqrt(expected.vcov[j === 0 ? 0 : 2]!), 1e-5);
      });
      close('log-likelihood', fit.logLikelihood!, (expected.logLik ?? expected.penalized)!, 1e-6);
      fit.predicted.forEach(({ study, estimate }) =>
        close(`frailty ${study}`, estimate, expected.frailty[study]!, 1e-4, 1),
      );
    });
  }
}

describe('whatever the frailty', () => {
  for (const frailty of ['gamma', 'gaussian'] as const) {
    test(`${frailty}: standardising changes nothing`, () => {
      const plain = run(specOf(frailty, 'efron'), studies);
      const scaled = run(specOf(frailty, 'efron'), studies, entry(studies, 4));
      plain.coefficients.forEach(({ estimate, se }, j) => {
        close('estimate', scaled.coefficients[j]!.estimate, estimate, 1e-8);
        close('se', scaled.coefficients[j]!.se!, se!, 1e-8);
      });
    });

    test(`${frailty}: a coarse grid is the data with event times moved to its ends`, () => {
      const grid = Float64Array.of(3, 6, 12);
      const moved: Records = {
        ...records,
        time: records.time.map((t, i) =>
          records.event[i] === 1 ? (grid.find((end) => t <= end) ?? 1000) : t > 12 ? 1000 : t,
        ),
      };
      const coarse = run(specOf(frailty, 'efron', grid), studies);
      const exact = run(specOf(frailty, 'efron', gridOf(moved)), studiesOf(moved));
      coarse.coefficients.forEach(({ estimate }, j) =>
        close('estimate', estimate, exact.coefficients[j]!.estimate, 1e-8),
      );
      close('variance', coarse.randomEffects[0]!.variance, exact.randomEffects[0]!.variance, 1e-6);
    });

    test(`${frailty}: studies that do not differ have no variance, and the fit is that of one study`, () => {
      const same: Records = {
        ...records,
        study: [...records.study, ...records.study.map(() => 9)].map((_, i) =>
          Math.floor(i / records.study.length),
        ),
        treatment: [...records.treatment, ...records.treatment],
        age10: [...records.age10, ...records.age10],
        time: [...records.time, ...records.time],
        event: [...records.event, ...records.event],
      };
      const fit = run(specOf(frailty, 'breslow'), studiesOf(same));
      assert.deepEqual(
        fit.warnings.map(({ code }) => code),
        ['boundary'],
      );
      assert.equal(fit.randomEffects[0]!.variance, 0);
      const whole = run(specOf(frailty, 'breslow'), studiesOf({ ...same, study: same.study.map(() => 0) }));
      fit.coefficients.forEach(({ estimate, se }, j) => {
        close('estimate', estimate, whole.coefficients[j]!.estimate, 1e-9);
        close('se', se!, whole.coefficients[j]!.se!, 1e-9);
      });
      close('log-likelihood', fit.logLikelihood!, whole.logLikelihood!, 1e-12);
    });
  }

  test('a likelihood ratio is that of the marginal likelihoods', () => {
    const fit = run(specOf('gamma', 'efron', gridOf(records), true), studies);
    const without = run(
      { ...specOf('gamma', 'efron'), terms: ['age10'], columns: 1, treatment: [], tested: [] },
      studies.map((study) => ({ ...study, columns: [study.columns[1]!], terms: ['age10'] })),
      { ...entry(studies), start: new Float64Array(1) },
    );
    const [{ statistic, term, p }] = fit.tests as [OneStageFit['tests'][number]];
    assert.equal(term, 'treatment');
    close('statistic', statistic!, 2 * (fit.logLikelihood! - without.logLikelihood!), 1e-8);
    assert.ok(p! > 0 && p! < 0.05);
  });

  test('failures have a name', () => {
    const spec = specOf('gamma', 'efron');
    const none = studies.map((study) => ({
      ...study,
      response: { ...study.response, event: new Float64Array(study.n) } as StudyData['response'],
    }));
    assert.equal(run(spec, none).failure?.code, 'no-events');
    const monotone = studies.map((study) => {
      const { response } = study;
      assert.ok(response.kind === 'time-to-event');
      return { ...study, columns: [response.event.map((e) => 1 - e), study.columns[1]!] };
    });
    assert.deepEqual(run(spec, monotone).failure, { code: 'monotone-likelihood', terms: ['treatment'] });
    const twice = studies.map((study) => ({ ...study, columns: [study.columns[0]!, study.columns[0]!] }));
    assert.deepEqual(run(spec, twice).failure, { code: 'rank-deficient', terms: ['age10'] });
    const { grid: _, ...without } = spec;
    assert.throws(() => frailtyModel.program(without, entry(studies)).next(), {
      code: 'numerics/invalid-input',
    });
  });
});

test('a study’s part has the derivatives of its value', () => {
  for (const gamma of [true, false]) {
    for (const [d, a, theta] of [
      [7, 4.2, 0.3],
      [0, 2.5, 1.7],
      [40, 55, 0.01],
    ] as const) {
      const at = (da: number, ds: number): number => studyPart(gamma, d, a + da, theta * Math.exp(ds)).k;
      const h = 1e-3;
      const { kA, kAA, kS, kSS, kSA, w, delta } = studyPart(gamma, d, a, theta);
      close('kA', kA, (at(h, 0) - at(-h, 0)) / (2 * h), 1e-5);
      close('kAA', kAA, (at(h, 0) - 2 * at(0, 0) + at(-h, 0)) / (h * h), 1e-4, Math.abs(kAA) + 1e-4);
      close('e^w', -kA, Math.exp(w), 1e-12);
      assert.ok(delta > 0);
      if (!gamma) continue;
      close('kS', kS, (at(0, h) - at(0, -h)) / (2 * h), 1e-4, Math.abs(kS) + 1e-4);
      close('kSS', kSS, (at(0, h) - 2 * at(0, 0) + at(0, -h)) / (h * h), 1e-3, Math.abs(kSS) + 1e-3);
      close(
        'kSA',
        kSA,
        (at(h, h) - at(h, -h) - at(-h, h) + at(-h, -h)) / (4 * h * h),
        1e-3,
        Math.abs(kSA) + 1e-3,
      );
    }
  }
});
