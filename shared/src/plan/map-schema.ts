import Type, { type Static } from 'typebox';
import { VARIABLE_PATTERN } from './names.ts';
import type { Code } from './types.ts';

const codeType = { type: ['number', 'string'], maxLength: 200 };

const Variable = Type.Object(
  {
    from: Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'the column’s header in the study’s file',
    }),
    values: Type.Optional(
      Type.Unsafe<Readonly<Record<string, Code>>>({
        type: 'object',
        additionalProperties: { ...codeType, description: 'the plan’s code' },
        minProperties: 1,
        maxProperties: 1000,
        description: 'a mapping from each code in the file to the plan’s code',
      }),
    ),
    multiply: Type.Optional(Type.Number({ description: 'a number by which values are multiplied' })),
    add: Type.Optional(Type.Number({ description: 'a number that is added, after multiplying' })),
    missing: Type.Optional(
      Type.Unsafe<readonly Code[]>({
        type: 'array',
        items: codeType,
        minItems: 1,
        maxItems: 100,
        description: 'a list of codes in the file that mean missing, e.g. [-9, "unknown"]',
      }),
    ),
  },
  { additionalProperties: false, description: '`from` and how its values change' },
);

export const MapSchema = Type.Object(
  {
    map: Type.Literal(1, { description: 'format version, 1' }),
    study: Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'the study’s id, in quotes where it looks like a number',
    }),
    variables: Type.Record(Type.String({ pattern: VARIABLE_PATTERN }), Variable, {
      additionalProperties: false,
      description: 'the plan’s name of a variable, and where it comes from',
    }),
  },
  { additionalProperties: false, description: 'Harmonisation map of one study, format 1' },
);

export type HarmonisationMap = Static<typeof MapSchema>;
