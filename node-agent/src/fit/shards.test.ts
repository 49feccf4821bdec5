import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ConditionalObjective } from '@concordat/shared/models/conditional.ts';
import { emptyExpansion } from '@concordat/shared/models/expansion.ts';
import { families } from '@concordat/shared/models/registry.ts';
import type { Response, StudyData } from '@concordat/shared/models/types.ts';
import { emptyEvaluation } from '@concordat/shared/numerics/newton.ts';

import { objectiveOf } from './shards.ts';

const N = 100_001;
const column = (f: (i: number) => number): Float64Array => Float64Array.from({ length: N }, (_, i) => f(i));
const studyOf = (response: Response): StudyData => ({
  n: N,
  columns: [column(() => 1), column((i) => i % 2), column((i) => Math.sin(i))],
  terms: ['(intercept)', 'treatment', 'x'],
  response,
  offset: column((i) => Math.cos(3 * i) / 4),
});

const cases = [
  ['binomial', { kind: 'binary', events: column((i) => Number((i * 7919) % 10 < 3)), trials: null }],
  ['negative-binomial', { kind: 'count', y: column((i) => (i * 7919) % 5) }],
  ['ordinal', { kind: 'ordinal', level: Int32Array.from(column((i) => (i * 7919) % 3)), levels: 3 }],
] as const;

for (const [family, response] of cases) {
  test(`a ${family} log-likelihood in parts, each in its thread, is the whole one`, () => {
    const data = studyOf(response);
    const options = { family, ties: 'efron' } as const;
    const scaling = {
      centre: new Float64Array(3),
      scale: new Float64Array(3).fill(1),
      intercept: family === 'ordinal' ? -1 : 0,
    };
    const study =
      family === 'ordinal' ? { ...data, columns: data.columns.slice(1), terms: data.terms.slice(1) } : data;
    const whole = families[family].objective(study, options, scaling) as ConditionalObjective;
    const parts = objectiveOf(study, options, scaling) as ConditionalObjective;
    const p = whole.parameters;
    const theta = Float64Array.from({ length: p }, (_, j) => 0.1 * (j + 1));
    const direction = Float64Array.from({ length: p }, (_, j) => (j === 0 ? 1 : 0));
    const close = (a: ArrayLike<number>, b: ArrayLike<number>): void => {
      for (let k = 0; k < b.length; k++) assert.ok(Math.abs(a[k]! - b[k]!) <= 1e-9 * (1 + Math.abs(b[k]!)));
    };
    const [a, b] = [emptyExpansion(p, 1), emptyExpansion(p, 1)];
    parts.expand(theta, [direction], 2, a);
    whole.expand(theta, [direction], 2, b);
    for (const [one, other] of [
      [[a.value], [b.value]],
      [a.gradient, b.gradient],
      [a.hessian, b.hessian],
      [a.third[0]!, b.third[0]!],
      [a.fourth[0]!, b.fourth[0]!],
    ] as const)
      close(one, other);
    const [c, d] = [emptyEvaluation(1), emptyEvaluation(1)];
    parts.along(theta, [direction]).evaluate(Float64Array.of(0.2), 2, c);
    whole.along(theta, [direction]).evaluate(Float64Array.of(0.2), 2, d);
    close([c.value, c.gradient[0]!, c.hessian[0]!], [d.value, d.gradient[0]!, d.hessian[0]!]);
  });
}
