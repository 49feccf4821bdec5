import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { packedIndex } from '@concordat/shared/linalg/symmetric.ts';
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import type { StudyData } from '@concordat/shared/models/types.ts';
import type { FamilyName } from '@concordat/shared/plan/types.ts';

/** R's per-study fits to the shared data sets, each study fitted here from its own rows. */
const shared = new URL('../../../shared/', import.meta.url);

type Row = ReadonlyMap<string, string>;
type Value = (row: Row) => number;

const of =
  (name: string): Value =>
  (row) => {
    const cell = row.get(name);
    return cell === undefined || cell === '' || cell === 'NA' ? Number.NaN : Number(cell);
  };
const times =
  (a: Value, b: Value): Value =>
  (row) =>
    a(row) * b(row);
const tenth =
  (a: Value): Value =>
  (row) =>
    a(row) / 10;
const interaction = (treatment: Value, x: Value): Value[] => [treatment, x, times(treatment, x)];

interface Reference {
  readonly dataset: string;
  readonly id: string;
  readonly family: FamilyName;
  readonly ties?: 'efron' | 'breslow';
  /** Without the intercept; the treatment first. */
  readonly columns: readonly Value[];
  readonly y: Value;
  readonly time?: Value;
  readonly offset?: Value;
}

function references(): Reference[] {
  const logistic = (dataset: string, id: string, y: string, columns: Value[]): Reference => ({
    dataset,
    id,
    family: 'binomial',
    columns,
    y: of(y),
  });
  const linear = (dataset: string, id: string, y: Value, columns: Value[]): Reference => ({
    dataset,
    id,
    family: 'gaussian',
    columns,
    y,
  });
  const survival = (dataset: string, id: string, y: Value, time: Value, columns: Value[]): Reference[] =>
    (['efron', 'breslow'] as const).map((ties) => ({
      dataset,
      id: `${id}-${ties}`,
      family: 'cox',
      ties,
      columns,
      y,
      time,
    }));
  const treat = of('treat');
  const aspirin = of('aspirin');
  const change =
    (after: string, before: string): Value =>
    (row) =>
      of(after)(row) - of(before)(row);
  const spline = [0, 1, 2].map(
    (index): Value =>
      (row) =>
        rcsBasis(of('age')(row), [50, 65, 74, 85], index),
  );
  const sixMonths: Value = (row) =>
    Number.isNaN(of('time_days')(row)) ? Number.NaN : Math.min(of('time_days')(row), 182);
  const diedBy: Value = (row) => (of('died')(row) === 1 && of('time_days')(row) <= 182 ? 1 : 0);
  return [
    logistic('colorectal', 'response-stage1-logit', 'response', [treat]),
    ...survival('colorectal', 'os-stage1-cox', of('os_event'), of('os_years'), [treat]),
    logistic('ist-aspirin', 'died14-stage1-logit', 'died14', [aspirin]),
    logistic('ist-aspirin', 'deaddep-stage1-logit', 'dead_dep6m', [aspirin]),
    logistic('ist-aspirin', 'deaddep-int-age-stage1', 'dead_dep6m', interaction(aspirin, tenth(of('age')))),
    logistic('ist-aspirin', 'deaddep-int-female-stage1', 'dead_dep6m', interaction(aspirin, of('female'))),
    logistic('ist-aspirin', 'factorial-stage1', 'dead_dep6m', [aspirin, of('heparin')]),
    logistic('ist-aspirin', 'rcs-stage1', 'dead_dep6m', [
      aspirin,
      ...spline,
      ...spline.map((s) => times(aspirin, s)),
    ]),
    ...survival('ist-aspirin', 'death6m-stage1-cox', diedBy, sixMonths, [aspirin]),
    ...survival(
      'ist-aspirin',
      'death6m-int-age-stage1',
      diedBy,
      sixMonths,
      interaction(aspirin, tenth(of('age'))),
    ),
    linear('opt', 'pd5-stage1-final', of('pd5'), [treat]),
    linear('opt', 'pd5-stage1-change', change('pd5', 'pd0'), [treat]),
    linear('opt', 'pd5-stage1-ancova', of('pd5'), [treat, of('pd0')]),
    linear('opt', 'bw-stage1-final', of('birthweight_g'), [treat]),
    linear('opt', 'pd5-int-age-stage1', of('pd5'), [treat, of('age'), of('pd0'), times(treat, of('age'))]),
    linear('opt', 'pd5-int-pd0-stage1', of('pd5'), interaction(treat, of('pd0'))),
    logistic('opt', 'preterm-stage1-logit', 'preterm', [treat]),
    logistic('opt', 'preterm-int-age-stage1', 'preterm', interaction(treat, tenth(of('age')))),
    ...survival('opt', 'ga-stage1-cox', of('delivered'), of('ga_end_days'), [treat]),
    {
      dataset: 'rhdnase',
      id: 'count-stage1-poisson',
      family: 'poisson',
      columns: [treat],
      y: of('n_exac'),
      offset: (row) => Math.log(of('followup_days')(row)),
    },
    ...survival('rhdnase', 'first-stage1-cox', of('first_event'), of('first_days'), [treat]),
    ...survival(
      'rhdnase',
      'first-int-fev-stage1',
      of('first_event'),
      of('first_days'),
      interaction(treat, tenth(of('fev'))),
    ),
    logistic('rhdnase', 'any-stage1-logit', 'first_event', [treat]),
    linear('star', 'math0-stage1-final', of('math0'), [treat]),
    linear('star', 'math1-stage1-change', change('math1', 'math0'), [treat]),
    linear('star', 'math1-stage1-ancova', of('math1'), [treat, of('math0')]),
    linear('star', 'math0-int-lunch-stage1', of('math0'), interaction(treat, of('free_lunch'))),
    linear('star', 'math0-int-age-stage1', of('math0'), interaction(treat, of('age'))),
  ];
}

interface StudyReference {
  readonly estimable?: boolean;
  readonly coefficients: readonly { readonly term: string; readonly estimate: number; readonly se: number }[];
  readonly vcov: { readonly values: readonly (readonly number[])[] };
  readonly logLik: number;
  readonly logLikNull?: number;
}

function readRows(dataset: string): Row[] {
  const [header, ...lines] = readFileSync(new URL(`data/${dataset}/ipd.csv`, shared), 'utf8')
    .trim()
    .split(/\r?\n/);
  const names = header!.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return new Map(names.map((name, k) => [name.replaceAll('"', ''), cells[k]!.replaceAll('"', '')]));
  });
}

function studyOf(rows: readonly Row[], item: Reference): StudyData {
  const needed = [
    ...item.columns,
    item.y,
    ...(item.time ? [item.time] : []),
    ...(item.offset ? [item.offset] : []),
  ];
  const complete = rows.filter((row) => needed.every((value) => !Number.isNaN(value(row))));
  const column = (value: Value) => Float64Array.from(complete, value);
  const design = item.family === 'cox' ? item.columns : [() => 1, ...item.columns];
  const y = column(item.y);
  return {
    n: complete.length,
    columns: design.map(column),
    terms: design.map((_, j) => `column ${j}`),
    offset: item.offset === undefined ? null : column(item.offset),
    response:
      item.family === 'cox'
        ? { kind: 'time-to-event', time: column(item.time!), event: y, entry: null, stratum: null }
        : item.family === 'binomial'
          ? { kind: 'binary', events: y, trials: null }
          : item.family === 'poisson'
            ? { kind: 'count', y }
            : { kind: 'continuous', y },
  };
}

for (const dataset of existsSync(shared) ? new Set(references().map((item) => item.dataset)) : []) {
  const rows = Map.groupBy(readRows(dataset), (row) => row.get('study')!);
  const { models } = JSON.parse(readFileSync(new URL(`reference/${dataset}.json`, shared), 'utf8')) as {
    readonly models: Readonly<Record<string, { readonly result: Readonly<Record<string, StudyReference>> }>>;
  };
  for (const item of references().filter((candidate) => candidate.dataset === dataset)) {
    test(`${dataset} ${item.id}`, () => compare(item, rows, models[item.id]!.result));
  }
}

function compare(
  item: Reference,
  rows: ReadonlyMap<string, readonly Row[]>,
  result: Readonly<Record<string, StudyReference>>,
): void {
  let fitted = 0;
  for (const [study, expected] of Object.entries(result)) {
    const data = studyOf(rows.get(study)!, item);
    const treatment = item.family === 'cox' ? 0 : 1;
    const outcome = fitStageOne(data, { family: item.family, ties: item.ties ?? 'efron' }, [treatment]);
    if (expected.estimable === false) {
      // R's scripts also leave out fits with few degrees of freedom; with one covariate they are estimable or
      // not.
      if (item.columns.length === 1 && item.family !== 'gaussian') {
        assert.equal(outcome.status, 'not-estimable', study);
      }
      continue;
    }
    assert.ok(outcome.status === 'fitted', `${study}: ${JSON.stringify(outcome)}`);
    fitted++;
    const close = (what: string, actual: number, wanted: number, unit: number, tolerance = 1e-8) =>
      assert.ok(
        Math.abs(actual - wanted) <= tolerance * unit,
        `${study} ${what}: ${actual}, R has ${wanted}`,
      );
    expected.coefficients.forEach(({ estimate, se }, i) => {
      const actualSe = Math.sqrt(outcome.vcov[packedIndex(i, i)]!);
      close(`estimate ${i}`, outcome.estimates[i]!, estimate, Math.max(Math.abs(estimate), 0.1 * se));
      // R's glm takes its covariance one iteration before the last.
      const tolerance = item.family === 'binomial' || item.family === 'poisson' ? 2e-7 : 1e-8;
      close(`standard error ${i}`, actualSe, se, se, tolerance);
      for (let j = 0; j < i; j++) {
        const wanted = expected.vcov.values[i]![j]!;
        const unit = se * expected.coefficients[j]!.se;
        close(`covariance ${i}, ${j}`, outcome.vcov[packedIndex(i, j)]!, wanted, unit, 2 * tolerance);
      }
    });
    close('log-likelihood', outcome.logLikelihood.fitted, expected.logLik, Math.abs(expected.logLik));
    if (expected.logLikNull !== undefined) {
      close(
        'null log-likelihood',
        outcome.logLikelihood.null,
        expected.logLikNull,
        Math.abs(expected.logLikNull),
      );
    }
  }
  assert.ok(fitted > 0, 'no study was compared');
}
