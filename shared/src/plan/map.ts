import Type, { type Static } from 'typebox';
import { codeKey } from './codes.ts';
import { documentReader } from './document.ts';
import type { Finding, Path } from './findings.ts';
import { VARIABLE_PATTERN } from './names.ts';
import type { Code } from './types.ts';

/**
 * A harmonisation map: how one study's columns become the plan's variables. Variables that it does not name are taken
 * by their own name. For each target, in order: codes listed under `missing` become missing; `values` recodes (a code
 * that it does not list is an error); or the number is multiplied, then added to.
 */

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

function checkMap(map: HarmonisationMap, sound: (path: Path) => boolean): Finding[] {
  if (!sound(['variables'])) return [];
  const findings: Finding[] = [];
  for (const [target, { values, multiply, add, missing }] of Object.entries(map.variables)) {
    const path = ['variables', target];
    if (values !== undefined && (multiply !== undefined || add !== undefined)) {
      findings.push({
        path,
        message: '`values` beside `multiply` or `add`',
        remedy: 'recode, or rescale, not both',
      });
    }
    if (multiply === 0) {
      findings.push({
        path: [...path, 'multiply'],
        message: 'a factor of 0',
        remedy: 'write the factor between the units',
      });
    }
    const keys = Object.keys(values ?? {}).map(codeKey);
    if (new Set(keys).size < keys.length) {
      findings.push({
        path: [...path, 'values'],
        message: 'one code is written in two ways',
        remedy: 'list each code once: `1` and `"1.0"` are the same',
      });
    }
    for (const code of missing ?? []) {
      if (keys.includes(codeKey(code))) {
        findings.push({
          path: [...path, 'missing'],
          message: `\`${code}\` is also under \`values\``,
          remedy: 'list it under one of them',
        });
      }
    }
  }
  return findings;
}

const readMap = documentReader({
  name: 'harmonisation map',
  schema: MapSchema,
  syntaxCode: 'map/invalid',
  schemaCode: 'map/invalid',
  check: checkMap,
});

/**
 * Reads a harmonisation map's text.
 * @throws ConcordatError `map/invalid`, listing every fault
 */
export function parseMap(text: string, place: string): HarmonisationMap {
  return readMap(text, place);
}
