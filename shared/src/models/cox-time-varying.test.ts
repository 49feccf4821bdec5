import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cholesky, inverseFromCholesky } from '../linalg/symmetric.ts';
import { drive, emptyEvaluation, newton } from '../numerics/newton.ts';
import { timeVarying, timeVaryingTerms, type TimeVaryingEffects } from './cox-time-varying.ts';
import { cox } from './cox.ts';
import { proportionalHazardsTest } from './proportional-hazards.ts';
import type { ModelOptions, StudyData } from './types.ts';

interface Setting {
  readonly ties: 'efron' | 'breslow';
  readonly entry: boolean;
  readonly time: 'time' | 'week';
  readonly transform: 'identity' | 'log' | 'piecewise';
}
interface Zph extends Setting {
  readonly statistic: readonly number[];
  readonly df: readonly number[];
  readonly p: readonly number[];
}
interface Fitted extends Setting {
  readonly estimates: readonly number[];
  readonly vcov: readonly number[];
  readonly logLik: number;
}
const fixture = new URL('../../../test/fixtures/survival/cases.json', import.meta.url);
const cases = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly data: Readonly<Record<string, readonly number[]>>;
  readonly zph: readonly Zph[];
  readonly timeVarying: readonly Fitted[];
};
const column = (name: string): Float64Array => Float64Array.from(cases.data[name]!);
const n = column('time').length;

function study({ entry, time }: Pick<Setting, 'entry' | 'time'>): StudyData {
  const own = column('entry');
  return {
    n,
    columns: [column('treatment'), column('age10')],
    terms: ['treatment', 'age10'],
    response: {
      kind: 'time-to-event',
      time: column(time),
      event: column('event'),
      entry: entry ? (time === 'week' ? own.map(Math.floor) : own) : null,
      stratum: Int32Array.from(cases.data['study']!),
    },
    offset: null,
  };
}

const optionsOf = (ties: Setting['ties']): ModelOptions => ({ family: 'cox', ties });
const effects = (
  transform: TimeVaryingEffects['transform'],
  columns: readonly number[],
): TimeVaryingEffects => ({
  columns,
  transform,
  cuts: transform === 'piecewise' ? [4, 9] : [],
});
const scaling = { centre: Float64Array.of(0.5, 0), scale: Float64Array.of(0.5, 2), intercept: -1 };

function close(
  what: string,
  actual: number,
  expected: number,
  tolerance: number,
  unit = Math.abs(expected),
): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * unit, `${what}: ${actual}, R has ${expected}`);
}

const title = ({ ties, entry, time, transform }: Setting): string =>
  `${transform}, ${ties}, ${time}${entry ? ', left truncation' : ''}`;

for (const item of cases.zph) {
  test(`test of proportional hazards as cox.zph: ${title(item)}`, () => {
    const data = study(item);
    const options = optionsOf(item.ties);
    const { theta } = drive(newton(new Float64Array(2)), cox.objective(data, options, null));
    // In standardised columns, which must not matter.
    const at = Float64Array.of(theta[0]! * 0.5, theta[1]! * 2, 0, 0);
    const out = emptyEvaluation(4);
    timeVarying(data, options, scaling, effects(item.transform, [0, 1])).evaluate(at, 2, out);
    const tests = proportionalHazardsTest(out, 2, [
      { term: 'treatment', columns: [0] },
      { term: 'age10', columns: [1] },
    ]);
    assert.deepEqual(
      tests.map(({ term }) => term),
      ['treatment', 'age10', 'global'],
    );
    tests.forEach(({ statistic, df, p }, k) => {
      close('statistic', statistic!, item.statistic[k]!, 1e-7);
      assert.equal(df, item.df[k]);
      close('p', p!, item.p[k]!, 1e-7);
    });
  });
}

for (const item of cases.timeVarying) {
  test(`a treatment effect that changes with time as coxph: ${title(item)}`, () => {
    const objective = timeVarying(study(item), optionsOf(item.ties), null, effects(item.transform, [0]));
    const fit = drive(newton(new Float64Array(objective.parameters)), objective);
    assert.equal(fit.status, 'converged');
    close('log-likelihood', fit.evaluation.value, item.logLik, 1e-10);
    fit.theta.forEach((value, j) => close(`estimate ${j}`, value, item.estimates[j]!, 1e-8));
    const vcov = inverseFromCholesky(cholesky(fit.evaluation.hessian.map((value) => -value)));
    const unit = Math.max(...item.vcov.map(Math.abs));
    vcov.forEach((value, k) => close(`vcov ${k}`, value, item.vcov[k]!, 1e-8, unit));
  });
}

for (const entry of [false, true]) {
  for (const ties of ['efron', 'breslow'] as const) {
    test(`with γ = 0 the fast way and the general one agree: ${ties}${entry ? ', left truncation' : ''}`, () => {
      const data = study({ entry, time: 'week' });
      for (const transform of ['log', 'piecewise'] as const) {
        const objective = timeVarying(data, optionsOf(ties), scaling, effects(transform, [1, 0]));
        const p = objective.parameters;
        const [zero, nearly] = [emptyEvaluation(p), emptyEvaluation(p)];
        const theta = new Float64Array(p);
        theta.set([-0.3, 0.2]);
        objective.evaluate(theta, 2, zero);
        theta.fill(1e-300, 2);
        objective.evaluate(theta, 2, nearly);
        const alone = emptyEvaluation(2);
        cox.objective(data, optionsOf(ties), scaling).evaluate(theta.slice(0, 2), 2, alone);
        close('value', zero.value, alone.value, 1e-13);
        close('value', nearly.value, alone.value, 1e-13);
        alone.gradient.forEach((value, j) => close('gradient', zero.gradient[j]!, value, 1e-11, 10));
        alone.hessian.forEach((value, k) => close('hessian', zero.hessian[k]!, value, 1e-11, 10));
        zero.gradient.forEach((value, j) => close('gradient', nearly.gradient[j]!, value, 1e-11, 10));
        zero.hessian.forEach((value, k) => close('hessian', nearly.hessian[k]!, value, 1e-11, 100));
      }
    });
  }
}

test('a step function on a grid: as piecewise with one slope', () => {
  const data = study({ entry: false, time: 'time' });
  const step = timeVarying(data, optionsOf('efron'), null, {
    columns: [0],
    transform: 'step',
    cuts: [4, 9],
    values: [0, 1, 3],
  });
  const piecewise = timeVarying(data, optionsOf('efron'), null, effects('piecewise', [0]));
  const [a, b] = [emptyEvaluation(3), emptyEvaluation(4)];
  step.evaluate(Float64Array.of(-0.4, 0.1, 0.2), 1, a);
  piecewise.evaluate(Float64Array.of(-0.4, 0.1, 0.2, 0.6), 1, b);
  close('value', a.value, b.value, 1e-13);
  close('slope', a.gradient[2]!, b.gradient[2]! + 3 * b.gradient[3]!, 1e-11, 1);
});

test('terms are named; what cannot be evaluated is refused', () => {
  const terms = ['treatment', 'age10'];
  assert.deepEqual(timeVaryingTerms(terms, effects('log', [0])), ['treatment:log(time)']);
  assert.deepEqual(timeVaryingTerms(terms, effects('piecewise', [0])), [
    'treatment:(4,9]',
    'treatment:(9,∞)',
  ]);
  const data = study({ entry: false, time: 'time' });
  const { response } = data;
  assert.ok(response.kind === 'time-to-event');
  const atZero = { ...data, response: { ...response, time: new Float64Array(n) } };
  const refused = (given: StudyData, changed: TimeVaryingEffects) =>
    assert.throws(() => timeVarying(given, optionsOf('efron'), null, changed), {
      code: 'numerics/invalid-input',
    });
  refused(atZero, effects('log', [0]));
  refused(data, { ...effects('piecewise', [0]), cuts: [9, 4] });
  refused(data, { ...effects('step', [0]), cuts: [4], values: [1] });
});

test('a term that the information says nothing about has no statistic', () => {
  const out = emptyEvaluation(2);
  out.hessian[0] = -1;
  const [only, global] = proportionalHazardsTest(out, 1, [{ term: 'x', columns: [0] }]);
  assert.deepEqual([only!.statistic, only!.p, global!.df], [null, null, 1]);
});
