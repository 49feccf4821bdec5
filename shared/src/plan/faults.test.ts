import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConcordatError, type ErrorCode, type Fault } from '../errors.ts';
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

/** The only fault of a text, with the error's code. */
function onlyFault(text: string, code: ErrorCode): Fault {
  const error = refusal(text);
  assert.equal(error.faults.length, 1, error.message);
  assert.equal(error.code, code);
  return error.faults[0]!;
}

describe('syntax', () => {
  const cases: readonly (readonly [string, RegExp, RegExp])[] = [
    ['', /empty/, /write a plan/],
    ['plan: 1\nplan: 1\n', /`plan` is written twice/, /keep one/],
    ['a: &x 1\n', /anchor/, /remove/],
    ['a: *x\n', /alias/, /write the value out/],
    ['a: !!int 1\n', /tag \(`!!int`\)/, /remove/],
    ['%YAML 1.1\n---\na: yes\n', /not YAML 1.2/, /%YAML/],
    ['a: 1\n---\nb: 2\n', /second document/, /---/],
    ['a: .nan\n', /not a number/, /quote/],
    ['a: 12345678901234567890\n', /held exactly/, /quote/],
    ['adjust: [rcs(age, [1, 2, 3])]\n', /Unexpected/, /in quotes/],
    ['a:\n\t- b\n', /Tabs/, /spaces/],
    ['? [x]\n: 1\n', /keys must be strings/, /YAML/],
    ['['.repeat(1000), /nested too deeply/, /levels/],
    [`a: ${'x'.repeat(300_000)}`, /larger than 256 KiB/, /not data/],
  ];
  for (const [text, message, remedy] of cases) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      const error = refusal(text);
      assert.equal(error.code, 'plan/syntax');
      assert.match(error.faults[0]!.message, message);
      assert.match(error.faults[0]!.remedy, remedy);
    });
  }
});

describe('rules between keys', () => {
  const surv = '{kind: time-to-event, time: t, event: d}';
  const cont = '{kind: continuous, variable: y}';
  const cases: readonly (readonly [string, string, RegExp, RegExp])[] = [
    [
      'a family that does not model the outcome',
      plan('{kind: binary, variable: y}', 'two-stage, model: {family: cox}'),
      /`cox` does not model a binary outcome/,
      /use `binomial`/,
    ],
    [
      'a one-stage option under two-stage',
      plan(cont, 'two-stage, model: {family: gaussian, intercept: random}'),
      /`intercept` belongs to a one-stage analysis/,
      /approach: one-stage/,
    ],
    [
      'a two-stage option under one-stage',
      plan(cont, 'one-stage, model: {family: gaussian}, pool: {tau2: DL}'),
      /`tau2` belongs to a two-stage analysis/,
      /approach: two-stage/,
    ],
    [
      'an option of another family',
      plan(surv, 'two-stage, model: {family: cox, link: log}'),
      /`cox` has no `link`/,
      /belongs to `gaussian`/,
    ],
    [
      'ties without cox',
      plan(cont, 'two-stage, model: {family: gaussian, ties: efron}'),
      /`gaussian` has no `ties`/,
      /belongs to `cox`/,
    ],
    [
      'a link the family does not have',
      plan(cont, 'two-stage, model: {family: gaussian, link: logit}'),
      /no link `logit`/,
      /`identity`/,
    ],
    [
      'correlated without two random effects',
      plan(cont, 'one-stage, model: {family: gaussian, correlated: true}'),
      /without two random effects/,
      /intercept: random/,
    ],
    [
      'frailty beside stratified baselines',
      plan(surv, 'one-stage, model: {family: cox, baseline: stratified, frailty: gamma}'),
      /frailty beside/,
      /baseline: shared/,
    ],
    [
      'frailty beside the default, stratified baselines',
      plan(surv, 'one-stage, model: {family: cox, frailty: gamma}'),
      /frailty beside/,
      /baseline: shared/,
    ],
    [
      'random intercepts beside a baseline of each study',
      plan(surv, 'one-stage, model: {family: weibull, intercept: random}'),
      /random intercepts beside/,
      /`baseline: shared`/,
    ],
    [
      'random intercepts beside thresholds of each study',
      plan(
        '{kind: ordinal, variable: y, levels: [1, 2, 3]}',
        'one-stage, model: {family: ordinal, thresholds: stratified, intercept: random}',
      ),
      /random intercepts beside/,
      /`thresholds: common`/,
    ],
    [
      'a penalty beside another link',
      plan('{kind: binary, variable: y}', 'one-stage, model: {family: binomial, penalty: firth, link: log}'),
      /penalty beside the link `log`/,
      /remove one/,
    ],
    [
      'a likelihood-ratio test of means by REML',
      plan(
        '{kind: repeated, variable: y, subject: id, visit: v, visits: [0, 1]}',
        'one-stage, model: {family: gaussian}, inference: {likelihood_ratio: true}',
      ),
      /do not compare/,
      /estimation: ML/,
    ],
    [
      'residual variances of repeated measures by study',
      plan(
        '{kind: repeated, variable: y, subject: id, visit: v, visits: [0, 1]}',
        'one-stage, model: {family: gaussian, residual: stratified}',
      ),
      /which all studies share/,
      /remove/,
    ],
    [
      'an unknown pooled term',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: [age]}, pool: {term: agee}'),
      /no term `agee`/,
      /did you mean `age`/,
    ],
    [
      'a level that the plan does not declare',
      plan(
        cont,
        'two-stage, model: {family: gaussian, adjust: [factor(g)]}, pool: {term: factor(g)c}',
        'treatment: {variable: treat, control: 0, active: 1}\nlevels: {g: [a, b]}',
      ),
      /no term `factor\(g\)c`/,
      /factor\(g\)b/,
    ],
    [
      'neither treatment nor term',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: [age]}', ''),
      /names the term/,
      /`\(intercept\)` or `age`/,
    ],
    [
      'a modifier without a treatment',
      plan(
        cont,
        'two-stage, model: {family: gaussian}, effect_modifier: {variable: age}, pool: {term: age}',
        '',
      ),
      /modifier without a treatment/,
      /`treatment`/,
    ],
    [
      'a term twice',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: [age, " age"]}'),
      /written twice/,
      /keep one/,
    ],
    [
      'two splines of one variable',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: ["rcs(x, [1, 2, 3])", "rcs(x, [1, 2, 4])"]}'),
      /two columns are called `rcs\(x\)1`/,
      /one form/,
    ],
    [
      'a covariate called treatment',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: [treatment]}'),
      /two columns are called `treatment`/,
      /another name/,
    ],
    [
      'the outcome among the covariates',
      plan(cont, 'two-stage, model: {family: gaussian, adjust: [y]}'),
      /`y` is part of the outcome/,
      /remove/,
    ],
    [
      'the outcome as modifier',
      plan(cont, 'two-stage, model: {family: gaussian}, effect_modifier: {variable: y}'),
      /part of the outcome/,
      /baseline/,
    ],
    [
      'strata of the treatment',
      plan(surv, 'two-stage, model: {family: cox, strata: [treat]}'),
      /`treat` is the treatment/,
      /no information/,
    ],
    [
      'the exposure as offset',
      plan('{kind: count, variable: y, exposure: t}', 'two-stage, model: {family: poisson, offset: t}'),
      /exposure is also the offset/,
      /added already/,
    ],
    [
      'an arm twice',
      plan(
        cont,
        'two-stage, model: {family: gaussian}',
        'treatment: {variable: arm, control: 0, active: [1, "1.0"]}',
      ),
      /named twice/,
      /once/,
    ],
    [
      'control among the active arms',
      plan(
        cont,
        'two-stage, model: {family: gaussian}',
        'treatment: {variable: arm, control: 0, active: "0"}',
      ),
      /control’s code/,
      /own code/,
    ],
    [
      'the treatment as outcome',
      plan(cont, 'two-stage, model: {family: gaussian}', 'treatment: {variable: y, control: 0, active: 1}'),
      /also the outcome/,
      /allocated arm/,
    ],
    [
      'time and event in one variable',
      plan('{kind: time-to-event, time: t, event: t}', 'two-stage, model: {family: cox}'),
      /reads `t` twice/,
      /each part/,
    ],
    [
      'a binary outcome without a variable',
      plan('{kind: binary}', 'two-stage, model: {family: binomial}'),
      /without its variable/,
      /`events` and `trials`/,
    ],
    [
      'a binary outcome in two forms',
      plan('{kind: binary, variable: y, events: r, trials: n}', 'two-stage, model: {family: binomial}'),
      /two forms/,
      /grouped rows/,
    ],
    [
      'knots without a spline',
      plan(cont, 'two-stage, model: {family: gaussian}, effect_modifier: {variable: age, knots: [1, 2, 3]}'),
      /belong to `form: rcs`/,
      /form: rcs/,
    ],
    [
      'too few knots',
      plan(
        cont,
        'two-stage, model: {family: gaussian}, effect_modifier: {variable: age, form: rcs, knots: [1, 2]}',
      ),
      /3 to 10 knots/,
      /increasing/,
    ],
    [
      'levels of what is no factor',
      plan(
        cont,
        'two-stage, model: {family: gaussian, adjust: [sex]}',
        'treatment: {variable: treat, control: 0, active: 1}\nlevels: {sex: [0, 1]}',
      ),
      /no analysis uses `factor\(sex\)`/,
      /form: factor/,
    ],
    [
      'a level twice',
      plan(
        cont,
        'two-stage, model: {family: gaussian, adjust: [factor(sex)]}',
        'treatment: {variable: treat, control: 0, active: 1}\nlevels: {sex: [0, 1, 1]}',
      ),
      /`1` is named twice/,
      /once/,
    ],
    [
      'too few studies named',
      plan(
        cont,
        'two-stage, model: {family: gaussian}',
        'treatment: {variable: treat, control: 0, active: 1}\nstudies: [A]\nminimum_studies: 2',
      ),
      /only 1 studies/,
      /lower/,
    ],
  ];
  for (const [name, text, message, remedy] of cases) {
    test(name, () => {
      const fault = onlyFault(text, 'plan/inconsistent');
      assert.match(fault.message, message);
      assert.match(fault.remedy, remedy);
    });
  }

  test('ids are different in more than case', () => {
    const text = CONTRACT.replace('id: cvd-by-age', 'id: CVD');
    assert.match(onlyFault(text, 'plan/inconsistent').message, /`CVD` is used twice/);
  });
});

describe('terms', () => {
  const cases: readonly (readonly [string, RegExp, RegExp])[] = [
    ['"rcs(x, [1, 3, 2])"', /do not increase/, /rcs\(x, \[k1/],
    ['"rcs(x, [1, 2])"', /3 to 10 knots/, /rcs/],
    ['"rcs(x, 2)"', /3 to 10 knots/, /rcs/],
    ['"rcs(x)"', /not numbers/, /rcs/],
    ['"rcs(x, 1, 2, 3)"', /brackets/, /rcs/],
    ['"factor(x, 2)"', /takes one variable/, /`factor\(x\)`/],
    ['"log(x)"', /`log\(x\)` is not a variable/, /terms are/],
    ['"x * y"', /not a variable/, /products `a:b`/],
    ['"my column"', /not a variable/, /harmonisation map/],
    ['"a:"', /`` is not a variable/, /terms are/],
    ['__proto__', /not a variable/, /terms are/],
  ];
  for (const [term, message, remedy] of cases) {
    test(term, () => {
      const fault = onlyFault(
        plan('{kind: continuous, variable: y}', `two-stage, model: {family: gaussian, adjust: [${term}]}`),
        'plan/term',
      );
      assert.match(fault.message, message);
      assert.match(fault.remedy, remedy);
    });
  }

  test('an unquoted spline in a flow list is recognised', () => {
    const error = refusal(CONTRACT.replace('[sex]', '[rcs(age, 4)]'));
    assert.match(error.faults[0]!.remedy, /in quotes/);
  });
});

describe('schema', () => {
  const cases: readonly (readonly [string, RegExp, RegExp])[] = [
    [CONTRACT.replace('plan: 1', 'plan: 2'), /`2` cannot stand here/, /write `1`/],
    [CONTRACT.replace('id: hypertension-cvd', 'id: 12'), /`12` cannot stand here/, /in quotes/],
    [CONTRACT.replace('id: hypertension-cvd', 'id: ../x'), /`..\/x` cannot/, /letters, digits/],
    [CONTRACT.replace('id: hypertension-cvd', 'id: constructor'), /cannot stand/, /letters/],
    [CONTRACT.replace('id: cvd\n', 'id: NUL\n'), /`NUL` cannot/, /letters/],
    [CONTRACT.replace('id: cvd\n', 'id: "17"\n'), /`17` cannot/, /not digits alone/],
    [CONTRACT.replace('studies: all', 'studies: some'), /`some` cannot/, /`all`/],
    [CONTRACT.replace('studies: all', 'studies: [1]'), /a list cannot/, /in quotes/],
    [CONTRACT.replace('active: 1', 'active: true'), /`true` cannot/, /write 0 or 1/],
    [
      CONTRACT.replace('variable: treat', 'variable: my treat'),
      /`my treat` cannot/,
      /variable's name|variable’s name/,
    ],
    [CONTRACT.replace('kind: time-to-event', 'kind: survival'), /`survival` is not a kind/, /time-to-event/],
    [CONTRACT.replace('kind: time-to-event, ', ''), /`kind` is missing/, /`continuous`/],
    [CONTRACT.replace('time: cvd_days, ', ''), /`time` is missing/, /time of event or censoring/],
    [CONTRACT.replace(/^outcome.*\n/m, ''), /`outcome` is missing/, /add `outcome:`/],
    [CONTRACT.replace('model: {family: cox, ties: efron}', 'model:'), /empty value/, /nothing is written/],
    [
      CONTRACT.replace('family: cox, ties', 'family: coxph, ties'),
      /`coxph` is not one of/,
      /did you mean `cox`/,
    ],
    [CONTRACT.replace('prediction: true', 'prediction: yes'), /`yes` cannot/, /true or false/],
    [CONTRACT.replace('treatment: ', 'treatmnt: '), /unknown key `treatmnt`/, /`treatment`/],
    [
      CONTRACT.replace(/^analyses:[^]*/m, 'analyses: []\n'),
      /a list must NOT have fewer than 1 items/,
      /list of analyses/,
    ],
    ['- 1\n', /a list cannot/, /Analysis plan/],
    ['hello\n', /`hello` cannot/, /Analysis plan/],
  ];
  for (const [text, message, remedy] of cases) {
    test(String(message), () => {
      const fault = onlyFault(text, 'plan/schema');
      assert.match(fault.message, message);
      assert.match(fault.remedy, remedy);
    });
  }
});
