import Type from 'typebox';
import type { Result } from './result-types.ts';

/** The published result, format 1; `result-types.ts` says what each field means. Numbers are finite or null. */

const closed = { additionalProperties: false };
const number = Type.Number();
const nullable = (type: 'number' | 'integer' = 'number') =>
  Type.Unsafe<number | null>({ type: [type, 'null'] });
const probability = Type.Unsafe<number | null>({ type: ['number', 'null'], minimum: 0, maximum: 1 });
const nonNegative = Type.Unsafe<number | null>({ type: ['number', 'null'], minimum: 0 });
const nullOr = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const interval = Type.Unsafe<readonly [number, number] | null>({
  type: ['array', 'null'],
  items: { type: 'number' },
  minItems: 2,
  maxItems: 2,
});
const count = Type.Integer({ minimum: 0 });
const text = Type.String({ minLength: 1 });
const matrix = Type.Array(Type.Array(number));
const nullableMatrix = Type.Array(Type.Array(nullable()));
const counts = Type.Record(Type.String(), Type.Number({ minimum: 0 }));

const Reason = Type.Object({ code: text, message: text }, closed);
const Warning = Type.Object(
  { code: text, message: text, study: Type.Optional(text), term: Type.Optional(text) },
  closed,
);

const Study = Type.Object(
  {
    study: text,
    status: Type.Enum(['included', 'excluded', 'refused', 'unreachable']),
    reason: Type.Optional(Reason),
    participants: nullOr(counts),
    left_out_by_reason: Type.Optional(counts),
    events: Type.Optional(nullOr(counts)),
    estimates: Type.Optional(
      Type.Array(Type.Object({ term: text, estimate: number, se: Type.Number({ minimum: 0 }) }, closed)),
    ),
    vcov: Type.Optional(matrix),
    log_likelihood: Type.Optional(nullOr(Type.Object({ null: nullable(), fitted: nullable() }, closed))),
    modifier_means: Type.Optional(
      Type.Array(
        Type.Object({ term: text, mean: number, sd: Type.Optional(Type.Number({ minimum: 0 })) }, closed),
      ),
    ),
    weight: Type.Optional(nonNegative),
    warnings: Type.Optional(Type.Array(Warning)),
  },
  {
    ...closed,
    // who is left out, and why, is always said
    if: { type: 'object', properties: { status: { const: 'included' } } },
    else: { type: 'object', properties: { reason: {} }, required: ['reason'] },
  },
);

const Coefficient = {
  term: text,
  estimate: nullable(),
  se: nonNegative,
  ci: interval,
  statistic: nullable(),
  p: probability,
};
const PooledTerm = Type.Object({ ...Coefficient, df: nonNegative, prediction: interval }, closed);

const Heterogeneity = Type.Object(
  {
    tau2: nonNegative,
    tau2_se: nonNegative,
    tau2_ci: interval,
    q: nonNegative,
    q_df: nullable('integer'),
    q_p: probability,
    i2: Type.Unsafe<number | null>({ type: ['number', 'null'], minimum: 0, maximum: 100 }),
    h2: nonNegative,
  },
  closed,
);

const JointPool = Type.Object(
  {
    terms: Type.Array(text, { minItems: 2 }),
    sigma: matrix,
    correlations: nullableMatrix,
    q: nonNegative,
    q_df: nullable('integer'),
    q_p: probability,
    log_likelihood: nullable(),
  },
  closed,
);

const common = {
  status: Type.Enum(['done', 'failed', 'refused']),
  reason: Type.Optional(Reason),
  measure: text,
  studies: Type.Array(Study),
  warnings: Type.Array(Warning),
};
const reasonUnlessDone = {
  if: { type: 'object', properties: { status: { const: 'done' } } },
  else: { type: 'object', properties: { reason: {} }, required: ['reason'] },
};

const TwoStage = Type.Object(
  {
    approach: Type.Literal('two-stage'),
    ...common,
    pooled: Type.Array(PooledTerm),
    heterogeneity: nullOr(Heterogeneity),
    heterogeneity_term: nullOr(text),
    joint: nullOr(JointPool),
    separate: Type.Array(
      Type.Object({ term: text, pooled: PooledTerm, heterogeneity: Heterogeneity }, closed),
    ),
    contrasts: Type.Array(PooledTerm),
  },
  { ...closed, ...reasonUnlessDone },
);

const OneStage = Type.Object(
  {
    approach: Type.Literal('one-stage'),
    ...common,
    coefficients: Type.Array(Type.Object({ ...Coefficient, df: nonNegative }, closed)),
    vcov: matrix,
    random_effects: Type.Array(Type.Object({ term: text, variance: nonNegative }, closed)),
    correlations: nullableMatrix,
    residual_variance: Type.Array(Type.Object({ study: Type.Optional(text), variance: nonNegative }, closed)),
    visit_covariance: Type.Optional(matrix),
    log_likelihood: nullable(),
    tests: Type.Array(
      Type.Object(
        {
          study: Type.Optional(text),
          test: text,
          term: text,
          statistic: nullable(),
          df: count,
          p: probability,
        },
        closed,
      ),
    ),
    predicted: Type.Array(
      Type.Object({ study: text, term: text, estimate: Type.Number(), se: nonNegative }, closed),
    ),
    convergence: nullOr(
      Type.Object(
        {
          converged: Type.Boolean(),
          rounds: count,
          gradient_norm: nonNegative,
          bytes_up: count,
          bytes_down: count,
        },
        closed,
      ),
    ),
  },
  { ...closed, ...reasonUnlessDone },
);

const time = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d+)?(?:Z|[+-]\\d{2}:\\d{2})$',
});
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const ResultSchema = Type.Object(
  {
    result: Type.Literal(1),
    plan: Type.Object({ id: text, sha256 }, closed),
    run: Type.Object(
      {
        id: text,
        started: time,
        finished: time,
        software: Type.String({ pattern: '^concordat ' }),
        policy: nullOr(Type.Object({ name: text, sha256, open: Type.Boolean() }, closed)),
        sites: Type.Array(
          Type.Object(
            {
              study: text,
              status: Type.Enum(['answered', 'excluded', 'refused', 'unreachable']),
              reason: Type.Optional(Reason),
            },
            closed,
          ),
        ),
      },
      closed,
    ),
    analyses: Type.Unsafe<Result['analyses']>({
      type: 'object',
      additionalProperties: {
        type: 'object',
        discriminator: { propertyName: 'approach' },
        oneOf: [TwoStage, OneStage],
      },
    }),
  },
  { ...closed, description: 'Result of a run, format 1' },
);
