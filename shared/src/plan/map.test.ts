import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { parseMap } from './map.ts';

test('a map is read as written', () => {
  const text = `map: 1
study: De Fronzo (1995)
variables:
  age: {from: "Age at entry", missing: [-9, "unknown"]}
  sex: {from: Gender, values: {M: 0, F: 1, 9: 9}}
  hba1c: {from: HbA1c_mmol, multiply: 0.0915, add: 2.15}
`;
  assert.deepEqual(parseMap(text, 'm.yaml'), {
    map: 1,
    study: 'De Fronzo (1995)',
    variables: {
      age: { from: 'Age at entry', missing: [-9, 'unknown'] },
      sex: { from: 'Gender', values: { M: 0, F: 1, 9: 9 } },
      hba1c: { from: 'HbA1c_mmol', multiply: 0.0915, add: 2.15 },
    },
  });
});

test('every fault is reported, with its line', () => {
  const text = `map: 1
study: 7
variables:
  age: {form: x}
  a b: {from: x}
  sex: {from: g, values: {M: true}}
`;
  const rules = `map: 1
study: A
variables:
  age: {from: x, multiply: 0}
  sex: {from: g, values: {1: 0, "1.0": 1}, add: 1, missing: [1]}
`;
  const messages = (source: string): string[] => {
    try {
      parseMap(source, 'm.yaml');
    } catch (error) {
      assert.ok(error instanceof ConcordatError && error.code === 'map/invalid');
      return error.faults.map((fault) => `${fault.place}: ${fault.message}; ${fault.remedy}`);
    }
    return assert.fail('accepted');
  };
  assert.deepEqual(messages(text), [
    'm.yaml:2 study: `7` cannot stand here; put it in quotes; expected: the study’s id, in quotes where it looks like a number',
    'm.yaml:4 variables.age.form: unknown key `form`; did you mean `from`?',
    'm.yaml:5 variables.a b: `a b` is not a name that can stand here; expected: the plan’s name of a variable, and where it comes from',
    'm.yaml:6 variables.sex.values.M: `true` cannot stand here; write 0 or 1; expected: the plan’s code',
  ]);
  assert.deepEqual(messages(rules), [
    'm.yaml:4 variables.age.multiply: a factor of 0; write the factor between the units',
    'm.yaml:5 variables.sex: `values` beside `multiply` or `add`; recode, or rescale, not both',
    'm.yaml:5 variables.sex.values: one code is written in two ways; list each code once: `1` and `"1.0"` are the same',
    'm.yaml:5 variables.sex.missing: `1` is also under `values`; list it under one of them',
  ]);
});
