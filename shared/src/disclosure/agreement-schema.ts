import Type, { type Static } from 'typebox';
import { FAMILIES } from '../plan/schema.ts';
import { PolicySchema } from './policy-schema.ts';

const closed = { additionalProperties: false };
const key = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'a public Ed25519 key, 64 hexadecimal digits',
});

const parties = (description: string) =>
  Type.Optional(
    Type.Array(
      Type.Object(
        { name: Type.String({ minLength: 1, maxLength: 200, description: 'a person' }), key },
        { ...closed, description: '`name` and `key`' },
      ),
      { maxItems: 100, description },
    ),
  );

/** `all`, or a list; one type rather than a union, so that a fault within the list is told where it is. */
const listOrAll = <T extends string>(items: object, description: string) =>
  Type.Unsafe<'all' | readonly T[]>({
    type: ['string', 'array'],
    pattern: '^all$',
    items,
    maxItems: 1000,
    description: `${description}: a list, or \`all\``,
  });
const variables = (description: string) =>
  listOrAll({ type: 'string', minLength: 1, maxLength: 200, description: "a variable's name" }, description);

const { policy: _version, name: _name, ...thresholds } = PolicySchema.properties;

export const AgreementSchema = Type.Object(
  {
    agreement: Type.Literal(1, { description: 'format version, 1' }),
    name: Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'what the data-sharing agreement is called, for people',
    }),
    until: Type.String({
      pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$',
      description: 'last day (UTC) on which anything may leave, as "2027-12-31"',
    }),
    statisticians: parties('who may ask; where the list is left out, whoever the coordinator speaks for'),
    custodians: parties('who may approve and refuse here'),
    approval: Type.Enum(['each-plan', 'matching-template', 'each-release', 'automatic'], {
      description:
        '`each-plan`, `matching-template` (of `templates`), `each-release`; `automatic` in `concordat local` alone',
    }),
    templates: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        maxItems: 100,
        description: 'plan files; a plan that asks no more than one of them needs no approval of its own',
      }),
    ),
    variables: variables('variables that a plan may use beside the outcome'),
    outcomes: variables('variables that may be an outcome'),
    families: listOrAll<(typeof FAMILIES)[number]>({ type: 'string', enum: FAMILIES }, 'model families'),
    tell_counts: Type.Optional(
      Type.Boolean({
        description:
          'true or false: a refusal tells the count that fell short, and not only the threshold; default false',
      }),
    ),
    disclosure: Type.Optional(
      Type.Object(
        { name: Type.Optional(PolicySchema.properties.name), ...thresholds },
        { ...closed, description: 'thresholds that differ from the shipped disclosure policy' },
      ),
    ),
  },
  { ...closed, description: 'Agreement of a site, format 1' },
);

export type WrittenAgreement = Static<typeof AgreementSchema>;
