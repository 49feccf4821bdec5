import schema from '../../schema/map.schema.json' with { type: 'json' };
import { codeKey } from './codes.ts';
import { documentReader } from './document.ts';
import type { Finding, Path } from './findings.ts';
import type { HarmonisationMap } from './map-schema.ts';

export type { HarmonisationMap };

/**
 * A harmonisation map: how one study's columns become the plan's variables. Variables that it does not name are taken
 * by their own name. For each target, in order: codes listed under `missing` become missing; `values` recodes (a code
 * that it does not list is an error); or the number is multiplied, then added to.
 */

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

const readMap = documentReader<HarmonisationMap>({
  name: 'harmonisation map',
  schema,
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
