import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseExpression } from '@concordat/shared/plan/expression.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { inPopulation } from './analysis-set.ts';
import { factorLevels, levelsTable } from './levels.ts';
import { loadVariables } from './load.ts';
import { codeAt, columnOf } from './table.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-map-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'A.csv');
writeFileSync(
  path,
  `ARM,Gewicht,gender,smoke,age,grade
placebo,70,1,.,50,2
drug,-9,2,0,61,1
drug,82.5,9,1,NA,x
placebo,60,1,1,17,2
drug,,2,.,33,
`,
);

const load = async (variables: string, names: readonly string[]) => {
  const table = await loadVariables(
    path,
    names,
    parseMap(`map: 1\nstudy: A\nvariables:\n${variables}`, 'A.yaml'),
  );
  return names.map((name) =>
    Array.from({ length: table.rows }, (_, row) => codeAt(columnOf(table, name), row)),
  );
};

test('renames, recodes, rescales and marks missing codes; other variables keep their name', async () => {
  const map = `
  treat: {from: ARM, values: {placebo: 0, drug: 1}}
  weight_lb: {from: Gewicht, missing: [-9], multiply: 2, add: 0.5}
  sex: {from: gender, values: {"1": m, "2": f}, missing: [9]}
  smoker: {from: smoke, missing: ["."]}`;
  assert.deepEqual(await load(map, ['treat', 'weight_lb', 'sex', 'smoker', 'age']), [
    [0, 1, 1, 0, 1],
    [140.5, null, 165.5, 120.5, null],
    ['m', 'f', null, 'm', 'f'],
    [null, 0, 1, 1, null],
    [50, 61, null, 17, 33],
  ]);
});

test('two codes recoded to one are one level', async () => {
  const [grades] = await load('  g: {from: grade, values: {"1": low, "2": low, x: high}}', ['g']);
  assert.deepEqual(grades, ['low', 'low', 'high', 'low', null]);
});

test('a code that the map does not name is an error with its row and count', async () => {
  const work = load('  sex: {from: gender, values: {"1": 0, "2": 1}}', ['sex']);
  await assert.rejects(work, {
    code: 'data/impossible-code',
    place: 'column "gender", row 3',
    message: /in 1 row$/,
  });
});

test('text cannot be rescaled', async () => {
  await assert.rejects(load('  g: {from: grade, multiply: 2}', ['g']), {
    code: 'data/not-numeric',
    place: 'column "grade", row 3',
  });
});

test('levels of factors with their participants in the population', async () => {
  const map = parseMap('map: 1\nstudy: A\nvariables:\n  treat: {from: ARM}', 'A.yaml');
  const variables = ['grade', 'gender', 'treat'];
  const plan = {
    population: parseExpression('age >= 18', 'population'),
    outcome: { kind: 'continuous', variable: 'y' },
  } as const;
  const table = await levelsTable(path, plan, variables, map);
  assert.deepEqual(factorLevels(plan, variables, table, inPopulation(plan, table)), [
    {
      variable: 'grade',
      levels: [
        { code: '1', participants: 1 },
        { code: '2', participants: 1 },
      ],
    },
    {
      variable: 'gender',
      levels: [
        { code: 1, participants: 1 },
        { code: 2, participants: 2 },
      ],
    },
    {
      variable: 'treat',
      levels: [
        { code: 'drug', participants: 2 },
        { code: 'placebo', participants: 1 },
      ],
    },
  ]);
  // What the file lacks is found when it is looked at: other analyses may need less.
  const without = await levelsTable(path, { ...plan, population: null }, ['Grade'], null);
  assert.throws(() => factorLevels(plan, ['Grade'], without, new Uint8Array(without.rows)), {
    code: 'data/missing-column',
    message: /has "grade"/,
  });
});
