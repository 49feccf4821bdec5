import Type, { type Static } from 'typebox';
import { ID_PATTERN, VARIABLE_PATTERN } from './names.ts';
import type { Code } from './types.ts';

/** The written plan, format 1: what each key may hold. `check.ts` holds the rules between keys, `expand.ts` the defaults. */

const closed = { additionalProperties: false };

const variable = (description: string) =>
  Type.String({ pattern: VARIABLE_PATTERN, description: `${description}, a variable's name` });
const id = (description: string) =>
  Type.String({
    pattern: ID_PATTERN,
    description: `${description}: letters, digits and inner \`.\`, \`_\`, \`-\`, not digits alone, at most 64`,
  });
const code = (description: string) =>
  Type.Unsafe<Code>({ type: ['number', 'string'], maxLength: 200, description });
const choice = <const T extends string>(values: readonly [T, ...T[]], description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description });
const flag = (description: string) => Type.Boolean({ description: `true or false: ${description}` });
const list = <T extends Type.TSchema>(items: T, description: string, limits: Type.TArrayOptions = {}) =>
  Type.Array(items, { minItems: 1, maxItems: 200, ...limits, description });

export const FAMILIES = [
  'gaussian',
  'binomial',
  'poisson',
  'negative-binomial',
  'ordinal',
  'cox',
  'weibull',
  'piecewise-exponential',
  'royston-parmar',
  'rmst',
] as const;
export const LINKS = ['identity', 'log', 'logit', 'probit', 'cloglog', 'inverse', 'sqrt'] as const;
const TAU2 = ['REML', 'DL', 'ML', 'PM', 'EB', 'SJ', 'HE', 'HS', 'FE'] as const;
const CI = ['normal', 'HKSJ', 'HKSJ-adhoc'] as const;

const Treatment = Type.Object(
  {
    variable: variable('the allocated arm'),
    control: code('the control arm’s code'),
    active: Type.Unsafe<Code | readonly Code[]>({
      type: ['number', 'string', 'array'],
      items: { type: ['number', 'string'], maxLength: 200 },
      minItems: 1,
      maxItems: 20,
      maxLength: 200,
      description: 'the active arm’s code, or a list of several arms’ codes',
    }),
  },
  { ...closed, description: 'the treatment: `variable`, `control` and `active`' },
);

const Outcome = Type.Unsafe<WrittenOutcome>({
  type: 'object',
  discriminator: { propertyName: 'kind' },
  oneOf: [
    Type.Object({ kind: Type.Literal('continuous'), variable: variable('the outcome') }, closed),
    Type.Object(
      {
        kind: Type.Literal('binary'),
        variable: Type.Optional(variable('the outcome')),
        event: Type.Optional(code('the code of an event, default 1')),
        events: Type.Optional(variable('number of events of a grouped row')),
        trials: Type.Optional(variable('number of trials of a grouped row')),
      },
      { ...closed, dependentRequired: { event: ['variable'], events: ['trials'], trials: ['events'] } },
    ),
    Type.Object(
      {
        kind: Type.Literal('count'),
        variable: variable('the count'),
        exposure: Type.Optional(variable('time or size that the count refers to')),
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('ordinal'),
        variable: variable('the outcome'),
        levels: list(code('a level’s code'), 'codes of the levels, from lowest to highest', {
          minItems: 3,
          maxItems: 50,
        }),
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('repeated'),
        variable: variable('the outcome at a visit'),
        subject: variable('the participant'),
        visit: variable('the visit'),
        visits: list(code('a visit’s code'), 'codes of the visits, in order', { minItems: 2, maxItems: 50 }),
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('time-to-event'),
        time: variable('time of event or censoring'),
        event: variable('1 event, 0 censored'),
        entry: Type.Optional(variable('time of entry, where it is not 0')),
      },
      closed,
    ),
  ],
  description: 'the outcome: `kind` and its variables',
});

export type WrittenOutcome =
  | { readonly kind: 'continuous'; readonly variable: string }
  | {
      readonly kind: 'binary';
      readonly variable?: string;
      readonly event?: Code;
      readonly events?: string;
      readonly trials?: string;
    }
  | { readonly kind: 'count'; readonly variable: string; readonly exposure?: string }
  | { readonly kind: 'ordinal'; readonly variable: string; readonly levels: readonly Code[] }
  | {
      readonly kind: 'repeated';
      readonly variable: string;
      readonly subject: string;
      readonly visit: string;
      readonly visits: readonly Code[];
    }
  | {
      readonly kind: 'time-to-event';
      readonly time: string;
      readonly event: string;
      readonly entry?: string;
    };

const times = (description: string, least = 1) =>
  list(Type.Number({ exclusiveMinimum: 0, description: 'a time above 0' }), `${description}, increasing`, {
    minItems: least,
    maxItems: 1000,
  });
const oneStage = (description: string) => `${description} (one-stage only)`;

const Model = Type.Object(
  {
    family: choice(FAMILIES, 'the model’s family'),
    link: Type.Optional(choice(LINKS, 'the link, where it is not the canonical one')),
    ties: Type.Optional(choice(['efron', 'breslow'], 'handling of tied event times (cox)')),
    adjust: Type.Optional(
      list(
        Type.String({
          minLength: 1,
          maxLength: 500,
          description: 'a term, e.g. `x`, `factor(x)`, `"rcs(x, [k1, k2, k3])"`',
        }),
        'a list of terms',
      ),
    ),
    strata: Type.Optional(
      list(variable('a stratum'), 'a list of variables (cox)', { uniqueItems: true, maxItems: 10 }),
    ),
    offset: Type.Optional(variable('the offset, added to the linear predictor')),
    intercept: Type.Optional(choice(['stratified', 'random'], oneStage('study intercepts'))),
    treatment_effect: Type.Optional(
      choice(['common', 'random'], oneStage('the treatment effect between studies')),
    ),
    correlated: Type.Optional(flag(oneStage('random intercept and treatment effect are correlated'))),
    residual: Type.Optional(choice(['common', 'stratified'], oneStage('residual variance (gaussian)'))),
    estimation: Type.Optional(choice(['ML', 'REML'], oneStage('estimation (gaussian)'))),
    quadrature: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        description: oneStage('1 (Laplace), or the number of adaptive Gauss–Hermite points'),
      }),
    ),
    thresholds: Type.Optional(choice(['common', 'stratified'], oneStage('thresholds (ordinal)'))),
    baseline: Type.Optional(choice(['stratified', 'shared'], oneStage('baseline hazard (cox)'))),
    frailty: Type.Optional(choice(['gamma', 'gaussian'], oneStage('frailty of studies (cox)'))),
    grid: Type.Optional(times(oneStage('times that end the intervals of a shared baseline (cox)'))),
    penalty: Type.Optional(choice(['firth'], 'Firth’s penalty, for sparse events (binomial)')),
    covariance: Type.Optional(
      choice(
        ['unstructured', 'ar1', 'compound-symmetry'],
        oneStage('covariance between visits (gaussian, repeated outcome)'),
      ),
    ),
    cuts: Type.Optional(times('times at which the hazard changes (piecewise-exponential)')),
    knots: Type.Optional(times('knots in time units, the outermost at the ends (royston-parmar)', 2)),
    tau: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'restriction time of the mean survival time (rmst)' }),
    ),
    contrast: Type.Optional(
      choice(['difference', 'ratio'], 'contrast of restricted mean survival times (rmst)'),
    ),
    time_varying: Type.Optional(
      Type.Object(
        {
          transform: choice(['identity', 'log', 'piecewise'], 'how the effect changes with time'),
          cuts: Type.Optional(times('times at which the effect changes (piecewise)')),
        },
        { ...closed, description: oneStage('treatment effect that changes with time (cox): `transform`') },
      ),
    ),
  },
  { ...closed, description: 'the model: `family` and its options' },
);

const Modifier = Type.Object(
  {
    variable: variable('the effect modifier'),
    form: Type.Optional(choice(['linear', 'factor', 'rcs'], 'form of the interaction, default linear')),
    separate: Type.Optional(flag('within-trial information apart from across-trial, default true')),
    knots: Type.Optional(
      Type.Unsafe<number | readonly number[]>({
        type: ['integer', 'array'],
        items: { type: 'number' },
        description: 'the spline’s knots in the variable’s unit, increasing, or their number (form rcs)',
      }),
    ),
  },
  { ...closed, description: 'the effect modifier: `variable` and `form`' },
);

const Pool = Type.Object(
  {
    tau2: Type.Optional(choice(TAU2, 'estimator of the between-study variance, default REML')),
    ci: Type.Optional(choice(CI, 'confidence interval, default normal')),
    level: Type.Optional(
      Type.Number({
        minimum: 0.5,
        maximum: 0.9999,
        description: 'confidence level as a fraction, default 0.95',
      }),
    ),
    prediction: Type.Optional(flag('report prediction intervals, default true')),
    term: Type.Optional(
      Type.Unsafe<string | readonly string[]>({
        type: ['string', 'array'],
        items: { type: 'string', minLength: 1, maxLength: 500 },
        minItems: 1,
        maxItems: 50,
        uniqueItems: true,
        minLength: 1,
        maxLength: 500,
        description: 'the term that is pooled, or a list of terms that are pooled jointly',
      }),
    ),
  },
  { ...closed, description: 'stage two: `tau2`, `ci`, `level`, `prediction`, `term`' },
);

const Inference = Type.Object(
  {
    ci: Type.Optional(
      choice(
        ['wald', 't', 'profile'],
        'confidence intervals of coefficients, default wald; t: studies − 1 degrees of freedom',
      ),
    ),
    df: Type.Optional(
      choice(['kenward-roger', 'satterthwaite'], 'degrees of freedom (gaussian with random effects, REML)'),
    ),
    likelihood_ratio: Type.Optional(flag('likelihood-ratio tests of the treatment’s terms')),
    proportional_hazards: Type.Optional(
      choice(['identity', 'log'], 'test of proportional hazards, by this transform of time (cox)'),
    ),
  },
  {
    ...closed,
    description: 'inference of a one-stage analysis: `ci`, `df`, `likelihood_ratio`, `proportional_hazards`',
  },
);

const Analysis = Type.Object(
  {
    id: id('the analysis’s id'),
    approach: choice(['two-stage', 'one-stage'], 'the approach'),
    model: Model,
    effect_modifier: Type.Optional(Modifier),
    pool: Type.Optional(Pool),
    inference: Type.Optional(Inference),
  },
  { ...closed, description: 'an analysis: `id`, `approach`, `model`' },
);

export const PlanSchema = Type.Object(
  {
    plan: Type.Literal(1, { description: 'format version, 1' }),
    id: id('the plan’s id'),
    title: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'a title, default the id' }),
    ),
    registration: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'a registration, free text' }),
    ),
    studies: Type.Optional(
      Type.Unsafe<'all' | readonly string[]>({
        anyOf: [
          { const: 'all' },
          {
            type: 'array',
            items: { type: 'string', minLength: 1, maxLength: 200 },
            minItems: 1,
            maxItems: 1000,
            uniqueItems: true,
          },
        ],
        description:
          '`all` (the default) or a list of distinct study ids, in quotes where they look like numbers',
      }),
    ),
    population: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 10_000,
        description: 'an expression, e.g. `age >= 18 and not missing(sex)`',
      }),
    ),
    treatment: Type.Optional(Treatment),
    outcome: Outcome,
    levels: Type.Optional(
      Type.Record(
        Type.String({ pattern: VARIABLE_PATTERN }),
        list(code('a level’s code'), 'a list of at least two levels, the reference first', {
          minItems: 2,
          maxItems: 200,
        }),
        { ...closed, description: 'a variable’s name, and its levels' },
      ),
    ),
    participants: Type.Optional(
      choice(
        ['per-analysis', 'common'],
        'whether an analysis uses all who are complete for it (the default), or every analysis those complete for all of the plan’s',
      ),
    ),
    minimum_studies: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description: 'least number of studies that an analysis needs, default 1',
      }),
    ),
    time_limit: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 2_592_000,
        description: 'seconds that a round may take, default 3600',
      }),
    ),
    approval_limit: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 31_536_000,
        description: 'seconds that a site’s custodian may take to decide, default 1209600 (14 days)',
      }),
    ),
    analyses: list(Analysis, 'a list of analyses', { maxItems: 100 }),
  },
  { ...closed, description: 'Analysis plan, format 1' },
);

export type WrittenPlan = Static<typeof PlanSchema>;
export type WrittenAnalysis = WrittenPlan['analyses'][number];
