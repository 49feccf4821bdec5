/** Policies and maps with changed, cut and inserted text: a document, or one fault of its own code; never anything else. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePolicy } from '../disclosure/policy.ts';
import { ConcordatError } from '../errors.ts';
import { parseMap } from './map.ts';

const POLICY = readFileSync(new URL('../../../node-agent/policies/default.yaml', import.meta.url), 'utf8');
const MAP = `map: 1
study: A
variables:
  age: {from: "Age at entry", missing: [-9, "unknown"]}
  sex: {from: Gender, values: {M: 0, F: 1, 9: 9}}
  hba1c: {from: HbA1c_mmol, multiply: 0.0915, add: 2.15}
`;
const INSERTED = [
  '{',
  '}',
  '[',
  ']',
  ':',
  '\n',
  '  ',
  '- ',
  '&a ',
  '*a',
  '!!js ',
  '1e999',
  'null',
  '"',
  '%',
  '\u0000',
  '9'.repeat(30),
];

function mutations(text: string): fc.Arbitrary<string> {
  const cut = fc.record({
    at: fc.nat(text.length),
    length: fc.nat(12),
    insert: fc.oneof(fc.constantFrom(...INSERTED), fc.string({ maxLength: 6 })),
  });
  return fc
    .array(cut, { minLength: 1, maxLength: 4 })
    .map((cuts) =>
      cuts.reduce((now, { at, length, insert }) => now.slice(0, at) + insert + now.slice(at + length), text),
    );
}

for (const [name, text, parse, code] of [
  ['policy', POLICY, parsePolicy, 'policy/invalid'],
  ['map', MAP, parseMap, 'map/invalid'],
] as const) {
  test(`fuzz: a mutated ${name} is read or refused with ${code}`, () => {
    fc.assert(
      fc.property(mutations(text), (mutated) => {
        try {
          parse(mutated, name);
        } catch (error) {
          assert.ok(error instanceof ConcordatError, String(error));
          assert.equal(error.code, code);
          assert.ok((error.faults ?? []).length > 0);
        }
      }),
      { numRuns: 500 },
    );
  });
}
