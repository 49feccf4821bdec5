import Type from 'typebox';
import { DEFAULT_POLICY } from './policy.ts';

const closed = { additionalProperties: false };

/** A number above 0, or null; `limits` narrows it. */
const threshold = (
  type: 'integer' | 'number',
  description: string,
  limits: Readonly<Record<string, number>>,
) =>
  Type.Optional(
    Type.Unsafe<number | null>({
      type: [type, 'null'],
      ...limits,
      description: `${description}; \`null\` switches the rule off`,
    }),
  );

const count = (description: string) => threshold('integer', description, { minimum: 1 });
const rate = (description: string, maximum: number) =>
  threshold('number', description, { exclusiveMinimum: 0, maximum });

export const PolicySchema = Type.Object(
  {
    policy: Type.Literal(1, { description: 'format version, 1' }),
    name: Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'a name for people, in quotes where it looks like a number',
    }),
    grouped_rows: Type.Optional(
      Type.Boolean({
        description:
          'true or false: rows of a grouped outcome are aggregates, whose trials count as participants; default false',
      }),
    ),
    participants: Type.Optional(
      Type.Object(
        {
          minimum: count(`least number of participants, default ${DEFAULT_POLICY.participants.minimum}`),
          per_arm: count(
            `least number of participants per arm, default ${DEFAULT_POLICY.participants.per_arm}`,
          ),
        },
        { ...closed, description: 'sizes: `minimum` and `per_arm`' },
      ),
    ),
    parameters_per_participant: rate(
      `most parameters per participant, default ${DEFAULT_POLICY.parameters_per_participant}`,
      1,
    ),
    events_per_parameter: rate(
      `least events per parameter, default ${DEFAULT_POLICY.events_per_parameter}`,
      1000,
    ),
    smallest_cell: count(`least count of a cell that is not empty, default ${DEFAULT_POLICY.smallest_cell}`),
    leverage: rate(`bound on the largest hat value, default ${DEFAULT_POLICY.leverage}`, 1),
    dominance: rate(`bound on one participant’s share of a sum, default ${DEFAULT_POLICY.dominance}`, 1),
    rank: Type.Optional(
      Type.Boolean({ description: 'true or false: refuse rank-deficient designs, default true' }),
    ),
    evaluations: threshold(
      'integer',
      `most questions about parameters of one analysis, default ${DEFAULT_POLICY.evaluations}`,
      { minimum: 1 },
    ),
    total_evaluations: count(
      `most questions about parameters of the same records over all runs, default ${DEFAULT_POLICY.total_evaluations}`,
    ),
    differencing: count(
      `least number of participants by which two sets answered about differ, default ${DEFAULT_POLICY.differencing}`,
    ),
    per_trial_estimates: Type.Optional(
      Type.Boolean({
        description:
          'true or false: a trial’s own estimates may leave, and not only its part of sums, default true',
      }),
    ),
    shared_baseline: Type.Optional(
      Type.Boolean({
        description: 'true or false: sums over risk sets on a time grid may leave, default false',
      }),
    ),
    levels: Type.Optional(
      Type.Object(
        {
          release: Type.Optional(
            Type.Boolean({
              description: 'true or false: levels of undeclared factors may leave, default true',
            }),
          ),
          maximum: count(`most levels of one factor, default ${DEFAULT_POLICY.levels.maximum}`),
        },
        { ...closed, description: 'levels of undeclared factors: `release` and `maximum`' },
      ),
    ),
  },
  { ...closed, description: 'Disclosure policy of an agent, format 1' },
);
