import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { assertDerivatives } from '../models/derivatives-testing.ts';
import type { Objective } from '../models/types.ts';
import { commonPositions, lambdaCount, study } from './likelihood-study.ts';
import { OUTSIDE, evaluationLength, unpack } from './maximise.ts';
import { federate, type Records } from './testing.ts';
import type { Ask } from './types.ts';

const { records } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/one-stage/cases.json', import.meta.url), 'utf8'),
) as { records: { trials: readonly Records[] } };

const BINARY = '{kind: binary, variable: r}';
const COUNT = '{kind: count, variable: count, exposure: exposure}';
const ORDINAL = '{kind: ordinal, variable: level, levels: [1, 2, 3]}';
const TIME = '{kind: time-to-event, time: time, event: event}';

const MODELS: readonly (readonly [string, string])[] = [
  ...[
    '',
    ', intercept: random',
    ', treatment_effect: random',
    ', intercept: random, treatment_effect: random',
    ', intercept: random, treatment_effect: random, correlated: false',
    ', intercept: random, treatment_effect: random, quadrature: 5',
    ', treatment_effect: random, quadrature: 7',
  ].map((more) => [BINARY, `family: binomial${more}`] as const),
  ...['', ', intercept: random'].flatMap((more) =>
    ['log', 'identity'].map((link) => [BINARY, `family: binomial, link: ${link}${more}`] as const),
  ),
  ...['', ', intercept: random, treatment_effect: random', ', link: identity'].map(
    (more) => [COUNT, `family: poisson${more}`] as const,
  ),
  ...['', ', treatment_effect: random', ', intercept: random, quadrature: 5'].map(
    (more) => [COUNT, `family: negative-binomial${more}`] as const,
  ),
  ...[
    '',
    ', thresholds: stratified',
    ', thresholds: stratified, treatment_effect: random',
    ', intercept: random, treatment_effect: random',
  ].map((more) => [ORDINAL, `family: ordinal${more}`] as const),
  ...['', ', ties: breslow', ', treatment_effect: random', ', treatment_effect: random, quadrature: 5'].map(
    (more) => [TIME, `family: cox${more}`] as const,
  ),
  ...[
    'family: weibull',
    'family: piecewise-exponential, cuts: [0.4, 1]',
    'family: royston-parmar, knots: [0.3, 0.8, 2]',
  ].flatMap((family) =>
    ['', ', treatment_effect: random', ', baseline: shared, intercept: random'].map(
      (more) => [TIME, `${family}${more}`] as const,
    ),
  ),
];

for (const [outcome, model] of MODELS) {
  test(`a site’s score and information are the derivatives of its log-likelihood: ${model}`, () => {
    const { spec, entry, studies } = federate(
      `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${outcome}\nanalyses:\n  - {id: t, approach: one-stage, model: {${model}, adjust: [x]}}\n`,
      records.trials,
    );
    const site = study(spec, studies[2]!, entry.scaling);
    const m = commonPositions(spec).length + lambdaCount(spec);
    const objective: Objective = {
      parameters: m,
      evaluate(theta, order, out) {
        const answer = unpack(
          site({ objective: 'log-likelihood', theta, order, length: evaluationLength(m), gather: 'sum' }),
          m,
        );
        out.value = answer.value;
        out.gradient.set(answer.gradient);
        out.hessian.set(answer.hessian);
      },
    };
    const identity = model.includes('identity');
    const theta = Float64Array.from({ length: m }, (_, k) =>
      k < m - lambdaCount(spec)
        ? entry.start[commonPositions(spec)[k]!]! + (identity ? 0.004 : 0.01) * ((k % 3) - 1)
        : identity
          ? 0.05
          : 0.3 - 0.1 * (m - k),
    );
    assertDerivatives(objective, theta);
  });
}

test('where a study’s own parameters have no maximum it answers that the log-likelihood does not exist, in finite numbers', () => {
  const { spec, entry, studies } = federate(
    `plan: 1\nid: t\ntreatment: {variable: treat, control: 0, active: 1}\noutcome: ${BINARY}\nanalyses:\n  - {id: t, approach: one-stage, model: {family: binomial, link: identity}}\n`,
    records.trials,
  );
  const answer = study(
    spec,
    studies[0]!,
    entry.scaling,
  )({
    objective: 'log-likelihood',
    theta: Float64Array.of(5),
    order: 2,
    length: 3,
    gather: 'sum',
  } satisfies Ask);
  assert.deepEqual([...answer], [OUTSIDE, 0, 0]);
});
