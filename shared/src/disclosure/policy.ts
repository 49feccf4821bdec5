import Type, { type Static } from 'typebox';
import { documentReader } from '../plan/document.ts';

/**
 * The disclosure policy: the thresholds that an agent holds every release against, before it leaves. `rules.ts` applies
 * them. A document names only what it changes; every other threshold keeps the shipped value. `null` switches a rule off.
 */
export interface Policy {
  readonly policy: 1;
  readonly name: string;
  readonly participants: {
    /** Least number of participants in an analysis set. */
    readonly minimum: number | null;
    /** Least number in each arm. */
    readonly per_arm: number | null;
  };
  /** Most parameters of a model for each participant. */
  readonly parameters_per_participant: number | null;
  /** Least number of events (of the rarer outcome, where binary) for each parameter. */
  readonly events_per_parameter: number | null;
  /** Least count of a cell that is not empty. */
  readonly smallest_cell: number | null;
  /** The largest hat value must be below it. */
  readonly leverage: number | null;
  /** Whether a rank-deficient or nearly rank-deficient design is refused. */
  readonly rank: boolean;
  /** Levels of factors that the plan does not declare. */
  readonly levels: {
    /** Whether they may leave; only those with at least `smallest_cell` participants do. */
    readonly release: boolean;
    /** Most levels that may leave for one factor. */
    readonly maximum: number | null;
  };
}

/** The shipped policy, equal to `node-agent/policies/default.yaml`. */
export const DEFAULT_POLICY: Policy = {
  policy: 1,
  name: 'default',
  participants: { minimum: 20, per_arm: 5 },
  parameters_per_participant: 0.1,
  events_per_parameter: 5,
  smallest_cell: 5,
  leverage: 0.5,
  rank: true,
  levels: { release: true, maximum: 50 },
};

/** Every threshold off, equal to `node-agent/policies/open.yaml`: for method comparisons on public data only. */
export const OPEN_POLICY: Policy = {
  policy: 1,
  name: 'open',
  participants: { minimum: null, per_arm: null },
  parameters_per_participant: null,
  events_per_parameter: null,
  smallest_cell: null,
  leverage: null,
  rank: false,
  levels: { release: true, maximum: null },
};

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
    rank: Type.Optional(
      Type.Boolean({ description: 'true or false: refuse rank-deficient designs, default true' }),
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

const readPolicy = documentReader({
  name: 'policy',
  schema: PolicySchema,
  syntaxCode: 'policy/invalid',
  schemaCode: 'policy/invalid',
});

/**
 * Reads a policy file's text; what it does not name keeps the shipped value.
 * @throws ConcordatError `policy/invalid`, listing every fault
 */
export function parsePolicy(text: string, place: string): Policy {
  const written: Static<typeof PolicySchema> = readPolicy(text, place);
  return {
    ...DEFAULT_POLICY,
    ...written,
    participants: { ...DEFAULT_POLICY.participants, ...written.participants },
    levels: { ...DEFAULT_POLICY.levels, ...written.levels },
  };
}
