/** Parts of a plan in plain words. */
import { codeKey } from '@concordat/shared/plan/codes.ts';
import { formatExpression } from '@concordat/shared/plan/expression.ts';
import type { Analysis, Code, ExpandedPlan, Expression, Outcome } from '@concordat/shared/plan/types.ts';

export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** `a`, `a and b`, `a, b and c`. */
export function listed(parts: readonly string[], word = 'and'): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} ${word} ${parts[parts.length - 1]}`;
}

const quoted = (code: Code): string => (typeof code === 'number' ? codeKey(code) : `"${code}"`);

const COMPARISON = {
  '<': 'is below',
  '<=': 'is at most',
  '>': 'is above',
  '>=': 'is at least',
  '==': 'is',
  '!=': 'is not',
} as const;

/** `age is at least 18 and sex is known`. */
function expressionInWords(expression: Expression): string {
  switch (expression.op) {
    case 'and':
    case 'or':
      return expression.terms
        .map((term) =>
          term.op === 'and' || term.op === 'or' ? `(${expressionInWords(term)})` : expressionInWords(term),
        )
        .join(` ${expression.op} `);
    case 'missing':
      return `${expression.variable} is missing`;
    case 'in':
      return `${expression.variable} is one of ${listed(expression.values.map(quoted), 'or')}`;
    case 'not': {
      const { term } = expression;
      if (term.op === 'missing') return `${term.variable} is known`;
      if (term.op === 'in') return `${term.variable} is none of ${listed(term.values.map(quoted), 'or')}`;
      return `not (${expressionInWords(term)})`;
    }
    default:
      return `${expression.variable} ${COMPARISON[expression.op]} ${quoted(expression.value)}`;
  }
}

/** The population as a custodian reads it, and as the plan writes it. */
export function populationInWords(population: Expression | null): string | null {
  return population === null
    ? null
    : `participants of whom ${expressionInWords(population)} (in the plan: ${formatExpression(population)})`;
}

export function outcomeInWords(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'continuous':
      return `\`${outcome.variable}\`, a number`;
    case 'binary':
      return `whether \`${outcome.variable}\` is ${quoted(outcome.event)}`;
    case 'binary-grouped':
      return `\`${outcome.events}\` events of \`${outcome.trials}\``;
    case 'count':
      return `\`${outcome.variable}\`, a count${outcome.exposure === null ? '' : ` over \`${outcome.exposure}\``}`;
    case 'ordinal':
      return `\`${outcome.variable}\`, in ${outcome.levels.length} ordered levels`;
    case 'repeated':
      return `\`${outcome.variable}\` at ${outcome.visits.length} visits (\`${outcome.visit}\`)`;
    case 'time-to-event':
      return `time (\`${outcome.time}\`) until the event (\`${outcome.event}\`)${outcome.entry === null ? '' : `, from entry at \`${outcome.entry}\``}`;
  }
}

const MODEL: Readonly<Record<Analysis['family'], string>> = {
  gaussian: 'linear model (difference in means)',
  binomial: 'logistic model (odds ratio)',
  poisson: 'Poisson model (rate ratio)',
  'negative-binomial': 'negative-binomial model (rate ratio)',
  ordinal: 'proportional-odds model (common odds ratio)',
  cox: 'Cox model (hazard ratio)',
  weibull: 'Weibull model (hazard ratio)',
  'piecewise-exponential': 'piecewise-exponential model (hazard ratio)',
  'royston-parmar': 'Royston–Parmar model (hazard ratio)',
  rmst: 'restricted mean survival time',
};

function modelName({ outcome }: ExpandedPlan, { family, model }: Analysis): string {
  if (outcome.kind === 'repeated')
    return 'linear model of repeated measures (difference in means at each visit)';
  if (family === 'binomial' && model.link === 'log') return 'log-binomial model (risk ratio)';
  if (family === 'binomial' && model.link === 'identity') return 'binomial model (risk difference)';
  if (family === 'poisson' && model.link === 'identity') return 'Poisson model (rate difference)';
  if (family === 'rmst')
    return `${MODEL.rmst} up to ${model.tau ?? 'the time that the plan names'} (${model.contrast} between arms)`;
  return MODEL[family];
}

/** `two-stage Cox model (hazard ratio): effect of …, adjusted for …`, and where it is computed. */
export function modelInWords(plan: ExpandedPlan, analysis: Analysis): string {
  const { treatment } = plan;
  const adjusted = covariates(analysis);
  const parts = [
    treatment === null
      ? adjusted.length === 0
        ? 'no covariates'
        : `of ${listed(adjusted)}`
      : `effect of \`${treatment.variable}\` (${listed(treatment.active.map(quoted))} against ${quoted(treatment.control)}), ${adjusted.length === 0 ? 'unadjusted' : `adjusted for ${listed(adjusted)}`}`,
    ...(analysis.effectModifier === null
      ? []
      : [`and how it differs with \`${analysis.effectModifier.variable}\``]),
    ...(analysis.strata.length === 0
      ? []
      : [`baseline hazards by ${listed(analysis.strata.map((name) => `\`${name}\``))}`]),
    ...(analysis.offset === null ? [] : [`offset \`${analysis.offset}\``]),
    ...(analysis.model.penalty === null ? [] : ['Firth’s penalty']),
    ...(analysis.model.timeVarying === null ? [] : ['an effect that changes with time']),
    ...(analysis.model.frailty === null ? [] : [`${analysis.model.frailty} frailty of trials`]),
    ...(analysis.approach === 'one-stage' && analysis.model.treatmentEffect === 'random'
      ? ['a treatment effect that varies between trials']
      : []),
  ];
  const where =
    analysis.approach === 'two-stage'
      ? 'fitted here to this trial alone; the coordinator pools the trials’ estimates'
      : 'one fit over all trials, in rounds: the coordinator asks at parameter values, each site answers with its sums';
  return `${analysis.approach} ${modelName(plan, analysis)}: ${parts.join('; ')}. It is ${where}.`;
}

/** Variables of the columns that are neither treatment nor modifier alone, each with its form. */
function covariates({ columns }: Analysis): string[] {
  const terms = columns.flatMap(({ role, product }) =>
    role === 'adjust'
      ? product.flatMap((basis) => {
          switch (basis.kind) {
            case 'linear':
              return [`\`${basis.variable}\``];
            case 'level':
              return [`\`${basis.variable}\` (factor)`];
            case 'rcs':
              return [`\`${basis.variable}\` (spline)`];
            default:
              return [];
          }
        })
      : [],
  );
  return [...new Set(terms)];
}
