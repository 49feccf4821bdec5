import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Diagnosis,
  Problem,
  Rule,
  type SiteMessage,
  type StageOneEstimate,
} from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '../errors.ts';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import { checkPayload } from './lengths.ts';
import { refusal } from './refusals.ts';

const plan = expandPlan(
  parsePlan(
    `
plan: 1
id: lengths
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: binary, variable: y}
analyses:
  - {id: by-age, approach: two-stage, model: {family: binomial}, effect_modifier: {variable: age, form: linear}}
`,
    'plan',
  ),
);
const analysis = plan.analyses[0]!;
type Payload = NonNullable<SiteMessage['payload']>;

const counts = {
  participants: [50, 51],
  events: [10, 11],
  notInPopulation: 0,
  otherTreatment: 0,
  missingTreatment: 0,
  missingOutcome: 0,
  missingCovariate: 0,
};
/** (intercept), treatment, age, treatment:age.within: p = 4; age is not estimable here: q = 3. */
const estimate: StageOneEstimate = {
  counts,
  estimable: [true, true, false, true],
  estimates: [0.1, 0.2, 0.3],
  vcov: [1, 0.1, 1, 0.1, 0.2, 1],
  logLikelihoodNull: -50,
  logLikelihood: -49,
  residualVariance: 0,
  modifierMeans: [61],
  rounds: 4,
  badlyScaled: [3],
};

const check = (payload: Payload, asked: readonly string[] = []): void =>
  checkPayload(payload, plan, analysis, asked);
const estimateWith = (over: Partial<StageOneEstimate>): Payload => ({
  $case: 'stageOneEstimate',
  value: { ...estimate, ...over },
});

function refused(payload: Payload, code: string, place: string, asked: readonly string[] = []): void {
  assert.throws(
    () => check(payload, asked),
    (error: unknown) => error instanceof ConcordatError && error.code === code && error.place === place,
    `${code} at ${place}`,
  );
}

test('an estimate of the plan’s lengths is accepted', () => {
  assert.deepEqual(
    analysis.columns.map(({ term }) => term),
    ['(intercept)', 'treatment', 'age', 'treatment:age.within'],
  );
  check({ $case: 'stageOneEstimate', value: estimate });
});

const wrongLengths: readonly (readonly [string, Partial<StageOneEstimate>])[] = [
  ['estimable', { estimable: [true, true, true] }],
  ['estimable', { estimable: [true, true, false, true, false] }],
  ['estimates', { estimates: [0.1, 0.2] }],
  ['estimates', { estimates: [0.1, 0.2, 0.3, 0.4] }],
  ['vcov', { vcov: [1, 0.1, 1, 0.1, 0.2] }],
  ['vcov', { vcov: [1, 0.1, 1, 0.1, 0.2, 1, 1] }],
  ['modifier_means', { modifierMeans: [] }],
  ['modifier_means', { modifierMeans: [61, 62] }],
  ['badly_scaled', { badlyScaled: [4] }],
  ['badly_scaled', { badlyScaled: [0, 0, 0, 0, 0] }],
  ['counts', { counts: undefined }],
  ['participants', { counts: { ...counts, participants: [101] } }],
  ['participants', { counts: { ...counts, participants: [50, 50, 1] } }],
  ['events', { counts: { ...counts, events: [10] } }],
];
for (const [place, over] of wrongLengths) {
  test(`an estimate with another length of ${place} is refused: ${JSON.stringify(over)}`, () =>
    refused(estimateWith(over), 'wire/length', place));
}

test('a number that is not finite is refused, wherever it is', () => {
  for (const bad of [Number.NaN, Infinity, -Infinity]) {
    refused(estimateWith({ estimates: [0.1, bad, 0.3] }), 'wire/not-finite', 'estimates');
    refused(estimateWith({ vcov: [1, bad, 1, 0.1, 0.2, 1] }), 'wire/not-finite', 'vcov');
    refused(estimateWith({ modifierMeans: [bad] }), 'wire/not-finite', 'modifier_means');
    refused(estimateWith({ logLikelihood: bad }), 'wire/not-finite', 'log_likelihood');
    refused(estimateWith({ logLikelihoodNull: bad }), 'wire/not-finite', 'log_likelihood');
    refused(estimateWith({ residualVariance: bad }), 'wire/not-finite', 'log_likelihood');
    refused({ $case: 'refusal', value: refusal(Rule.RULE_RANK, bad) }, 'wire/not-finite', 'threshold');
  }
});

test('a covariance matrix without standard errors, or without an inverse where it is pooled, is refused', () => {
  refused(estimateWith({ vcov: [1, 0.1, -1, 0.1, 0.2, 1] }), 'wire/not-finite', 'vcov');
  refused(estimateWith({ vcov: [0, 0, 1, 0, 0.2, 1] }), 'wire/not-finite', 'vcov');
  // Treatment and its interaction, the pooled terms, with a correlation of 2.
  refused(estimateWith({ vcov: [1, 0.1, 1, 0.1, 2, 1] }), 'wire/not-finite', 'vcov');
  // An intercept that is a combination of the others is not pooled.
  check(estimateWith({ vcov: [1, 1, 1, 0.1, 0.1, 1] }));
});

test('a failure names terms of the analysis and a known diagnosis', () => {
  const failure = (diagnosis: Diagnosis, terms: number[]): Payload => ({
    $case: 'stageOneFailure',
    value: { diagnosis, terms, counts },
  });
  check(failure(Diagnosis.DIAGNOSIS_SEPARATION, [1, 3]));
  refused(failure(Diagnosis.DIAGNOSIS_SEPARATION, [4]), 'wire/length', 'terms');
  refused(failure(Diagnosis.DIAGNOSIS_SEPARATION, [0, 1, 2, 3, 3]), 'wire/length', 'terms');
  refused(failure(Diagnosis.DIAGNOSIS_UNSPECIFIED, []), 'wire/unknown-field', 'diagnosis');
  refused(failure(Diagnosis.UNRECOGNIZED, []), 'wire/unknown-field', 'diagnosis');
  const short = { diagnosis: Diagnosis.DIAGNOSIS_NO_EVENTS, terms: [], counts: { ...counts, events: [1] } };
  refused({ $case: 'stageOneFailure', value: short }, 'wire/length', 'events');
});

test('a refusal and a data problem carry a known code', () => {
  check({ $case: 'refusal', value: refusal(Rule.RULE_LEVERAGE, 0.5) });
  check({ $case: 'dataProblem', value: { problem: Problem.PROBLEM_INTERNAL } });
  for (const rule of [Rule.RULE_UNSPECIFIED, Rule.UNRECOGNIZED]) {
    refused({ $case: 'refusal', value: refusal(rule, 1) }, 'wire/unknown-field', 'rule');
  }
  for (const problem of [Problem.PROBLEM_UNSPECIFIED, Problem.UNRECOGNIZED]) {
    refused({ $case: 'dataProblem', value: { problem } }, 'wire/unknown-field', 'problem');
  }
});

test('factor levels answer the variables asked, in order, with codes that are no free text', () => {
  const levels = (
    variable: string,
    code: { $case: 'number'; value: number } | { $case: 'text'; value: string } | undefined,
  ): Payload => ({
    $case: 'factorLevels',
    value: { variables: [{ variable, levels: [{ code }] }] },
  });
  check(levels('sex', { $case: 'text', value: 'x'.repeat(64) }), ['sex']);
  refused(levels('sex', { $case: 'text', value: 'x'.repeat(65) }), 'wire/length', 'level', ['sex']);
  refused(levels('sex', { $case: 'number', value: Number.NaN }), 'wire/not-finite', 'level', ['sex']);
  refused(levels('sex', undefined), 'wire/length', 'code', ['sex']);
  refused(levels('site', { $case: 'number', value: 1 }), 'wire/length', 'variables', ['sex']);
  refused(levels('sex', { $case: 'number', value: 1 }), 'wire/length', 'variables', ['sex', 'site']);
  refused(levels('sex', { $case: 'number', value: 1 }), 'wire/length', 'variables', []);
});

test('an acceptance carries a digest; an estimate without an analysis is refused', () => {
  const accepted = (length: number): Payload => ({
    $case: 'planAccepted',
    value: { policyDigest: new Uint8Array(length), openPolicy: false },
  });
  check(accepted(32));
  refused(accepted(31), 'wire/length', 'policy_digest');
  assert.throws(() => checkPayload({ $case: 'stageOneEstimate', value: estimate }, plan, null, []));
  check({ $case: 'runLeft', value: {} });
});
