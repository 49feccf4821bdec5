import { ConcordatError } from '../errors.ts';
import { analysisFactors, designColumns, type Levels } from './columns.ts';
import type { Finding, Path } from './findings.ts';
import { EVERY_FAMILY, FAMILY_RULES, ONE_STAGE, type ModelKey } from './families.ts';
import { outcomeVariables } from './outcome.ts';
import type { WrittenAnalysis, WrittenOutcome, WrittenPlan } from './schema.ts';
import { oneOf, suggestion } from './suggest.ts';
import { knotsFault, parseTerm } from './terms.ts';

/** The parts of the plan around an analysis; unknown where they are refused themselves. */
export interface Surroundings {
  readonly outcome: WrittenOutcome | null;
  readonly treatment: NonNullable<WrittenPlan['treatment']> | null | 'unknown';
  readonly levels: Levels | null;
}

/** What is wrong with an analysis that the schema accepts; paths start at the analysis. */
export function analysisFindings(analysis: WrittenAnalysis, around: Surroundings): Finding[] {
  const findings = [...familyFindings(analysis, around), ...modelFindings(analysis, around)];
  const covariates = covariateFindings(analysis, around);
  findings.push(...covariates, ...poolFindings(analysis));
  // Terms and columns can be named only where every part of them was read.
  if (
    covariates.length === 0 &&
    around.treatment !== 'unknown' &&
    around.levels !== null &&
    around.outcome !== null
  ) {
    findings.push(...columnFindings(analysis, around.treatment, around.outcome, around.levels));
  }
  return findings;
}

const inconsistent = (path: Path, message: string, remedy: string): Finding => ({
  path,
  message,
  remedy,
  code: 'plan/inconsistent',
});

function familyFindings(
  { model, effect_modifier: modifier }: WrittenAnalysis,
  { outcome }: Surroundings,
): Finding[] {
  const { family, link } = model;
  const { outcomes, links } = FAMILY_RULES[family];
  const findings: Finding[] = [];
  if (family === 'rmst' && modifier !== undefined) {
    findings.push(
      inconsistent(
        ['effect_modifier'],
        'a restricted mean survival time has no interactions',
        'remove it, or restrict `population` to each subgroup in turn',
      ),
    );
  }
  if (outcome !== null && !outcomes.includes(outcome.kind)) {
    const fitting = Object.entries(FAMILY_RULES).filter(([, rules]) => rules.outcomes.includes(outcome.kind));
    findings.push(
      inconsistent(
        ['model', 'family'],
        `\`${family}\` does not model a ${outcome.kind} outcome`,
        `for this outcome use ${oneOf(fitting.map(([name]) => name))}`,
      ),
    );
  }
  if (link !== undefined && links.length > 0 && !links.includes(link)) {
    findings.push(
      inconsistent(['model', 'link'], `\`${family}\` has no link \`${link}\``, `use ${oneOf(links)}`),
    );
  }
  return findings;
}

function modelFindings(
  { approach, model, inference = {} }: WrittenAnalysis,
  { treatment, outcome }: Surroundings,
): Finding[] {
  const findings: Finding[] = [];
  const allowed = [...EVERY_FAMILY, ...FAMILY_RULES[model.family].options];
  for (const key of Object.keys(model) as ModelKey[]) {
    if (!allowed.includes(key)) {
      const families = Object.entries(FAMILY_RULES).filter(([, rules]) => rules.options.includes(key));
      const remedy = `remove it: it belongs to ${oneOf(
        families.map(([name]) => name),
        'and',
      )}`;
      findings.push(inconsistent(['model', key], `\`${model.family}\` has no \`${key}\``, remedy));
    } else if (approach === 'two-stage' && ONE_STAGE.includes(key)) {
      findings.push(
        inconsistent(
          ['model', key],
          `\`${key}\` belongs to a one-stage analysis`,
          'remove it, or write `approach: one-stage`',
        ),
      );
    }
  }
  const bothRandom = model.intercept === 'random' && model.treatment_effect === 'random';
  if (approach === 'one-stage' && model.correlated !== undefined && !bothRandom) {
    const remedy = 'write `intercept: random` and `treatment_effect: random` beside it, or remove it';
    findings.push(inconsistent(['model', 'correlated'], '`correlated` without two random effects', remedy));
  }
  if (model.baseline !== 'shared' && model.frailty !== undefined) {
    const remedy = 'write `baseline: shared`, or remove `frailty`';
    findings.push(
      inconsistent(['model', 'frailty'], 'a frailty beside baselines stratified by study', remedy),
    );
  }
  findings.push(...familyOptionFindings(approach, model, outcome));
  if (approach === 'two-stage' && Object.keys(inference).length > 0) {
    const remedy = 'write `pool: {ci: …}`, or `approach: one-stage`';
    findings.push(inconsistent(['inference'], '`inference` belongs to a one-stage analysis', remedy));
  }
  const random = model.intercept === 'random' || model.treatment_effect === 'random';
  const repeated = outcome?.kind === 'repeated';
  if (
    inference.df !== undefined &&
    (model.family !== 'gaussian' || !(random || repeated) || model.estimation === 'ML')
  ) {
    const remedy =
      'remove it: it belongs to a gaussian model with random effects or repeated measures, by REML';
    findings.push(inconsistent(['inference', 'df'], 'degrees of freedom that this model has not', remedy));
  }
  if (inference.df === 'kenward-roger' && repeated) {
    findings.push(
      inconsistent(
        ['inference', 'df'],
        'Kenward–Roger degrees of freedom of repeated measures are not computed',
        'use `satterthwaite`',
      ),
    );
  }
  if (
    repeated &&
    model.estimation !== 'ML' &&
    (inference.likelihood_ratio === true || inference.ci === 'profile')
  ) {
    findings.push(
      inconsistent(
        ['inference', inference.ci === 'profile' ? 'ci' : 'likelihood_ratio'],
        'restricted likelihoods of different means do not compare',
        'write `estimation: ML`, or remove it',
      ),
    );
  }
  if (inference.proportional_hazards !== undefined && model.family !== 'cox') {
    findings.push(
      inconsistent(
        ['inference', 'proportional_hazards'],
        'a test of proportional hazards of a model without them',
        'remove it: it belongs to cox',
      ),
    );
  }
  if (
    inference.proportional_hazards !== undefined &&
    (random || model.time_varying !== undefined || model.baseline === 'shared')
  ) {
    findings.push(
      inconsistent(
        ['inference', 'proportional_hazards'],
        'the test is of a model with common effects that do not change with time, stratified by study',
        'test in an analysis of its own',
      ),
    );
  }
  if (model.treatment_effect !== undefined && treatment === null) {
    const remedy = 'name the plan’s `treatment`, or remove this';
    findings.push(inconsistent(['model', 'treatment_effect'], 'the plan names no treatment', remedy));
  }
  return findings;
}

/** What a family needs, and what its options exclude. */
function familyOptionFindings(
  approach: WrittenAnalysis['approach'],
  model: WrittenAnalysis['model'],
  outcome: WrittenOutcome | null,
): Finding[] {
  const findings: Finding[] = [];
  const report = (key: ModelKey, message: string, remedy: string): void => {
    findings.push(inconsistent(['model', key], message, remedy));
  };
  const needs = (family: WrittenAnalysis['model']['family'], key: ModelKey, remedy: string): void => {
    if (model.family === family && model[key] === undefined)
      report(key, `\`${family}\` without \`${key}\``, remedy);
  };
  needs('rmst', 'tau', 'write `tau`, a time to which every study was followed');
  needs('piecewise-exponential', 'cuts', 'write `cuts: [t1, t2]`, the times at which the hazard changes');
  needs('royston-parmar', 'knots', 'write `knots: [k1, …]` in time units, the outermost at the ends');
  for (const key of ['adjust', 'offset'] as const) {
    if (model.family === 'rmst' && model[key] !== undefined)
      report(key, 'a restricted mean survival time is not adjusted for covariates', 'remove it');
  }
  if (model.family === 'rmst' && approach === 'one-stage') {
    report(
      'family',
      'restricted mean survival times are pooled in two stages',
      'write `approach: two-stage`',
    );
  }
  for (const key of ['grid', 'cuts', 'knots'] as const) {
    const values = model[key];
    if (values?.some((value, i) => i > 0 && value <= values[i - 1]!) === true)
      report(key, `\`${key}\` do not increase`, 'write them in increasing order');
  }
  if (model.grid !== undefined && model.baseline !== 'shared')
    report(
      'grid',
      'a time grid beside baselines stratified by study',
      'write `baseline: shared`, or remove it',
    );
  if (model.penalty !== undefined && (model.intercept === 'random' || model.treatment_effect === 'random'))
    report('penalty', 'a penalty beside random effects', 'remove `penalty`, or the random effects');
  if (model.covariance !== undefined && outcome !== null && outcome.kind !== 'repeated')
    report('covariance', 'a covariance between visits of an outcome without visits', 'remove it');
  if (model.residual === 'stratified' && outcome?.kind === 'repeated')
    report(
      'residual',
      'residual variances beside a covariance between visits, which all studies share',
      'remove it',
    );
  if (model.penalty !== undefined && model.link !== undefined && model.link !== 'logit')
    report('penalty', `a penalty beside the link \`${model.link}\``, 'remove one of them');
  const ownBaseline =
    model.family === 'ordinal'
      ? model.thresholds === 'stratified'
      : outcome?.kind === 'time-to-event' && model.baseline !== 'shared';
  if (ownBaseline && model.intercept === 'random') {
    const key = model.family === 'ordinal' ? 'thresholds: common' : 'baseline: shared';
    report(
      'intercept',
      'random intercepts beside thresholds or baselines that each study has for itself',
      `write \`${key}\`, or remove \`intercept\``,
    );
  }
  const varying = model.time_varying;
  if (varying !== undefined && (varying.transform === 'piecewise') !== (varying.cuts !== undefined)) {
    report('time_varying', '`cuts` go with `transform: piecewise`', 'write both, or remove `cuts`');
  }
  if (varying !== undefined && model.treatment_effect === 'random')
    report(
      'time_varying',
      'a random treatment effect that changes with time',
      'use `treatment_effect: common`',
    );
  return findings;
}

/** Variables that covariates may not repeat, each with what it is. */
function takenVariables({ outcome, treatment }: Surroundings): Map<string, string> {
  const taken = new Map<string, string>();
  for (const variable of outcome === null ? [] : outcomeVariables(outcome))
    taken.set(variable, 'part of the outcome');
  if (treatment !== null && treatment !== 'unknown') taken.set(treatment.variable, 'the treatment');
  return taken;
}

function covariateFindings(analysis: WrittenAnalysis, around: Surroundings): Finding[] {
  const findings: Finding[] = [];
  const taken = takenVariables(around);
  const refuseTaken = (path: Path, variable: string, remedy: string): void => {
    const what = taken.get(variable);
    if (what !== undefined) findings.push(inconsistent(path, `\`${variable}\` is ${what}`, remedy));
  };
  const written = new Map<string, string>();
  (analysis.model.adjust ?? []).forEach((text, i) => {
    const path = ['model', 'adjust', i];
    try {
      const term = parseTerm(text, '');
      const key = JSON.stringify(term);
      for (const { variable } of term) {
        const product =
          taken.get(variable) === 'the treatment'
            ? '; `effect_modifier` makes its product with a covariate'
            : '';
        refuseTaken(path, variable, `remove it${product}`);
      }
      if (written.has(key))
        findings.push(inconsistent(path, `the term \`${text}\` is written twice`, 'keep one of them'));
      written.set(key, text);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      findings.push({ path, message: error.message, remedy: error.remedy ?? '', code: error.code });
    }
  });
  (analysis.model.strata ?? []).forEach((variable, i) => {
    refuseTaken(['model', 'strata', i], variable, 'remove it: its strata would hold no information');
  });
  if (
    analysis.model.offset !== undefined &&
    around.outcome?.kind === 'count' &&
    analysis.model.offset === around.outcome.exposure
  ) {
    const remedy = 'remove `offset`: the logarithm of the exposure is added already';
    findings.push(inconsistent(['model', 'offset'], 'the exposure is also the offset', remedy));
  } else if (analysis.model.offset !== undefined) {
    refuseTaken(['model', 'offset'], analysis.model.offset, 'remove it');
  }

  const modifier = analysis.effect_modifier;
  if (modifier !== undefined) {
    const path = ['effect_modifier'];
    refuseTaken([...path, 'variable'], modifier.variable, 'name a baseline covariate');
    if (around.treatment === null) {
      findings.push(
        inconsistent(path, 'an effect modifier without a treatment', 'name the plan’s `treatment`'),
      );
    }
    if (modifier.knots !== undefined) {
      const fault = modifier.form === 'rcs' ? knotsFault(modifier.knots) : '`knots` belong to `form: rcs`';
      if (fault !== null) {
        findings.push(
          inconsistent([...path, 'knots'], fault, 'write `form: rcs` and `knots: [k1, k2, k3]`, increasing'),
        );
      }
    }
  }
  return findings;
}

function poolFindings({ approach, pool = {} }: WrittenAnalysis): Finding[] {
  if (approach === 'two-stage') return [];
  return Object.keys(pool)
    .filter((key) => key !== 'level')
    .map((key) =>
      inconsistent(
        ['pool', key],
        `\`${key}\` belongs to a two-stage analysis`,
        'remove it, or write `approach: two-stage`',
      ),
    );
}

function columnFindings(
  analysis: WrittenAnalysis,
  treatment: NonNullable<WrittenPlan['treatment']> | null,
  outcome: WrittenOutcome,
  levels: Levels,
): Finding[] {
  const around = { outcome, ...(treatment === null ? {} : { treatment }) };
  const columns = designColumns(around, analysis, levels).map((column) => column.term);
  const findings: Finding[] = [];
  const twice = columns.find((term, i) => columns.indexOf(term) < i);
  if (twice !== undefined) {
    const remedy = 'use each variable in one form; a variable called `treatment` needs another name';
    findings.push(inconsistent(['model', 'adjust'], `two columns are called \`${twice}\``, remedy));
  }
  if (analysis.approach === 'one-stage') return findings;
  const terms = [analysis.pool?.term ?? []].flat();
  if (terms.length === 0 && treatment === null) {
    const remedy = `write \`pool: {term: …}\`${columns.length === 0 ? '' : `, of ${oneOf(columns)}`}`;
    findings.push(inconsistent([], 'a plan without a treatment names the term that stage two pools', remedy));
  }
  // Levels that the plan does not declare are agreed later, so their terms cannot be held against a list yet.
  const open = analysisFactors(analysis).filter((variable) => !Object.hasOwn(levels, variable));
  terms.forEach((term, i) => {
    if (columns.includes(term) || open.some((variable) => term.includes(`factor(${variable})`))) return;
    const path = Array.isArray(analysis.pool?.term) ? ['pool', 'term', i] : ['pool', 'term'];
    findings.push(inconsistent(path, `the analysis has no term \`${term}\``, suggestion(term, columns)));
  });
  return findings;
}
