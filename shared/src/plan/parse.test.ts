import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { planDigest } from './digest.ts';
import { expandPlan } from './expand.ts';
import { parsePlan } from './parse.ts';

const CONTRACT = `plan: 1                                   # format version
id: hypertension-cvd
title: Blood-pressure lowering and time to first cardiovascular event
registration: CRD42000000000              # optional, free text
studies: all                              # or [study ids]
population: age >= 18 and grade in ("1", "2")    # optional
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: cvd_days, event: cvd_event}
analyses:
  - id: cvd
    approach: two-stage
    model: {family: cox, ties: efron}
    pool: {tau2: REML, ci: HKSJ, level: 0.95, prediction: true}
  - id: cvd-one-stage
    approach: one-stage
    model: {family: cox, ties: efron, baseline: stratified, treatment_effect: random}
  - id: cvd-by-age
    approach: two-stage
    model: {family: cox, adjust: [sex]}
    effect_modifier: {variable: age, form: linear}
    pool: {tau2: REML, ci: HKSJ}
`;

const plan = (
  outcome: string,
  analysis: string,
  top = 'treatment: {variable: treat, control: 0, active: 1}',
): string => `plan: 1\nid: p\n${top}\noutcome: ${outcome}\nanalyses:\n  - {id: a, approach: ${analysis}}\n`;

function refusal(text: string): ConcordatError {
  try {
    parsePlan(text, 'plan.yaml');
  } catch (error) {
    assert.ok(error instanceof ConcordatError, String((error as Error).stack));
    return error;
  }
  return assert.fail(`accepted:\n${text}`);
}

test('the contract’s plan is accepted', () => {
  const written = parsePlan(CONTRACT, 'plan.yaml');
  assert.deepEqual(
    written.analyses.map(({ id }) => id),
    ['cvd', 'cvd-one-stage', 'cvd-by-age'],
  );
});

describe('every form of the contract is accepted', () => {
  const forms: readonly (readonly [string, string, string?])[] = [
    [
      '{kind: continuous, variable: y}',
      'two-stage, model: {family: gaussian, adjust: [y0, factor(site), center(age), "rcs(bmi, [18, 25, 30, 40])", "age:factor(site)"]}',
    ],
    ['{kind: continuous, variable: y}', 'two-stage, model: {family: gaussian, link: log}'],
    ['{kind: continuous, variable: y}', 'two-stage, model: {family: gaussian, adjust: ["rcs(age, 4)"]}'],
    [
      '{kind: continuous, variable: y}',
      'one-stage, model: {family: gaussian, intercept: random, treatment_effect: random, correlated: true, residual: stratified, estimation: REML}',
    ],
    ['{kind: binary, variable: y}', 'two-stage, model: {family: binomial, link: logit, offset: z}'],
    [
      '{kind: binary, variable: y, event: "yes"}',
      'two-stage, model: {family: binomial}, effect_modifier: {variable: sex, form: factor, separate: false}',
    ],
    [
      '{kind: binary, events: r, trials: n}',
      'two-stage, model: {family: binomial, adjust: [factor(period)]}, pool: {term: [factor(period)2, factor(period)3]}',
      '',
    ],
    [
      '{kind: binary, variable: y}',
      'one-stage, model: {family: binomial, intercept: stratified, treatment_effect: random, quadrature: 9}',
    ],
    [
      '{kind: count, variable: y, exposure: t}',
      'two-stage, model: {family: poisson}, effect_modifier: {variable: age, form: rcs, knots: [50, 65, 74, 85]}',
    ],
    ['{kind: count, variable: y}', 'two-stage, model: {family: negative-binomial}'],
    [
      '{kind: ordinal, variable: y, levels: [1, 2, 3]}',
      'one-stage, model: {family: ordinal, thresholds: common, intercept: random}',
    ],
    [
      '{kind: repeated, variable: y, subject: id, visit: v, visits: [0, 1, 2]}',
      'one-stage, model: {family: gaussian, estimation: REML}',
    ],
    [
      '{kind: time-to-event, time: t, event: d, entry: t0}',
      'two-stage, model: {family: cox, ties: breslow, strata: [sex, region]}',
    ],
    [
      '{kind: time-to-event, time: t, event: d}',
      'one-stage, model: {family: cox, baseline: shared, frailty: gamma}',
    ],
    [
      '{kind: time-to-event, time: t, event: d}',
      'two-stage, model: {family: cox, adjust: [age]}, pool: {term: age, tau2: FE, ci: HKSJ-adhoc}',
      '',
    ],
    [
      '{kind: binary, variable: y}',
      'two-stage, model: {family: binomial}, pool: {term: (intercept)}',
      'title: Prevalence',
    ],
    [
      '{kind: continuous, variable: y}',
      'two-stage, model: {family: gaussian, adjust: [factor(sex)]}, pool: {term: ["treatment[b]", "treatment[c]"]}',
      'treatment: {variable: arm, control: a, active: [b, c]}\nlevels: {sex: [0, 1]}\nminimum_studies: 3\ntime_limit: 60\nstudies: [A, "2"]'.replace(
        '3',
        '2',
      ),
    ],
  ];
  for (const [outcome, analysis, top] of forms) {
    test(`${outcome} ${analysis}`, () => {
      expandPlan(parsePlan(plan(outcome, analysis, top), 'plan.yaml'));
    });
  }
});

test('all faults of all kinds are reported at once, in the order of the lines, each with its remedy', () => {
  const error = refusal(
    CONTRACT.replace('family: cox, ties', 'famly: cox, ties')
      .replace('tau2: REML, ci: HKSJ, level: 0.95', 'tau2: RML, ci: hksj, level: 95')
      .replace('age >= 18', 'age = 18')
      .replace('control: 0', 'control: 1')
      .replace('cvd-by-age', 'CVD')
      .replace('[sex]', '[sex, treat, "rcs(age, [3, 2, 1])"]'),
  );
  assert.equal(error.code, 'plan/schema');
  assert.deepEqual(
    error.faults.map((fault) => [fault.place, fault.message.split('\n')[0], fault.remedy]),
    [
      ['plan.yaml:6 population', '`=` cannot stand here (column 5)', 'write `==`'],
      ['plan.yaml:7 treatment.active', 'an active arm has the control’s code', 'give each arm its own code'],
      ['plan.yaml:12 analyses[0].model.famly', 'unknown key `famly`', 'did you mean `family`?'],
      [
        'plan.yaml:13 analyses[0].pool.tau2',
        '`RML` is not one of `REML`, `DL`, `ML`, `PM`, `EB`, `SJ`, `HE`, `HS` and `FE`',
        'did you mean `REML`?',
      ],
      [
        'plan.yaml:13 analyses[0].pool.ci',
        '`hksj` is not one of `normal`, `HKSJ` and `HKSJ-adhoc`',
        'did you mean `HKSJ`?',
      ],
      [
        'plan.yaml:13 analyses[0].pool.level',
        '`95` must be <= 0.9999',
        'expected: confidence level as a fraction, default 0.95',
      ],
      [
        'plan.yaml:19 analyses[2].model.adjust[1]',
        '`treat` is the treatment',
        'remove it; `effect_modifier` makes its product with a covariate',
      ],
      [
        'plan.yaml:19 analyses[2].model.adjust[2]',
        'the knots do not increase',
        'write the knots as `rcs(x, [k1, k2, k3])`, in the variable’s own unit',
      ],
    ],
  );
  for (const fault of error.faults) assert.ok(error.message.includes(`remedy: ${fault.remedy}`));
});

test('any mutation of a plan is a plan or a plan/* error, and a plan expands', () => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ':',
    '- ',
    '\n',
    '  ',
    '&a',
    '*a',
    '!!x',
    '"',
    "'",
    '#',
    '|',
    '>',
    '__proto__: 1\n',
    'null',
    'true',
    '1e999',
    'two-stage',
    'rcs(x, 4)',
    '\u0000',
    '\uFEFF',
    '---\n',
    '<<: ',
    '? ',
    'é',
  ];
  const edit = fc.record({
    at: fc.nat(CONTRACT.length),
    remove: fc.nat(30),
    insert: fc.oneof(
      fc.constantFrom(...pieces),
      fc.string({ unit: 'binary', maxLength: 5 }),
      fc.nat(CONTRACT.length).map((i) => CONTRACT.slice(i, i + 40)),
    ),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const text = edits.reduce(
        (t, { at, remove, insert }) => t.slice(0, at) + insert + t.slice(at + remove),
        CONTRACT,
      );
      try {
        expandPlan(parsePlan(text, 'plan.yaml'));
      } catch (error) {
        assert.ok(
          error instanceof ConcordatError && error.code.startsWith('plan/'),
          String((error as Error).stack),
        );
      }
    }),
    { numRuns: 1500 },
  );
});

test('a plan of the largest size with as many keys as it holds is refused quickly enough to finish', () => {
  const keys = Array.from({ length: 24_000 }, (_, i) => `k${i}: 1`).join('\n');
  assert.equal(refusal(keys).code, 'plan/schema');
});

test('the digest is SHA-256 of the exact bytes', () => {
  const hex = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  assert.equal(planDigest(new TextEncoder().encode('abc')), hex);
});
