/**
 * **Errors and operational logs.** Names and values are planted in records, column names and levels, and the records broken in every way
 * that an error could quote. `off` counts the plantings in the words of the database that reads the file, which a site that passed
 * exceptions on would send; `on` in every byte that left, and in every line of the operational log.
 *
 * *Names of columns*: of a column outside the plan, the agreement and every permission, is it told whether the records have it?
 */
import { DuckDBInstance } from '@duckdb/node-api';
import { makeLogger } from '@concordat/node-agent/logger.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Attack, Recovered } from './attack.ts';
import { ARM, planOf, two } from './plans.ts';
import { newFolder, Run, Site } from './site.ts';

const PLANTED = ['Vandervoort', 'row-773311', 'blue-whale-level', '48.61592'] as const;

const PLAN = planOf({
  treatment: ARM,
  outcome: '{kind: binary, variable: died}',
  levels: '{ward: [north, south]}',
  analyses: {
    a: two('family: binomial, adjust: [age]'),
    b: two('family: binomial, adjust: [age, factor(ward)]'),
  },
});

const HEADER = 'arm,age,ward,died';
const rows = Array.from({ length: 60 }, (_, i) => [
  i % 2,
  40 + ((7 * i) % 31),
  i % 3 ? 'north' : 'south',
  i % 5 < 2 ? 1 : 0,
]);
const file = (change: (row: (string | number)[], i: number) => void, header = HEADER): string => {
  const cells = rows.map((row, i) => {
    const own = [...row];
    change(own, i);
    return own.join(',');
  });
  return `${[header, ...cells].join('\n')}\n`;
};
const nothing = (): void => undefined;

/** Records that are broken, each with what is planted in it. */
const BROKEN: readonly string[] = [
  file((row, i) => {
    if (i === 7) row[1] = PLANTED[0];
  }),
  file((row, i) => {
    if (i === 7) row[2] = PLANTED[2];
  }),
  file((row, i) => {
    if (i === 7) row[3] = PLANTED[3];
  }),
  file((row, i) => {
    if (i === 7) row[0] = PLANTED[1];
  }),
  file(nothing, `arm,${PLANTED[0]},ward,died`),
  file(nothing, `arm,${PLANTED[1]},${PLANTED[1]},died`),
  `${file(nothing)}1,50,"${PLANTED[0]}\n`,
  `${file(nothing)}${PLANTED[3]},${PLANTED[1]}\n`,
];

/** What left, and what was printed. */
async function words(): Promise<{ readonly left: string; readonly printed: string }> {
  let [left, printed] = ['', ''];
  let problems = 0;
  for (const records of BROKEN) {
    const lines = join(newFolder(), 'agent.log');
    const site = new Site(records, { logger: makeLogger(lines) });
    const run = await Run.open(site, PLAN);
    const answers = (await run?.stageOne(['a', 'b'])) ?? [];
    problems += answers.filter((payload) => payload?.$case === 'dataProblem').length;
    for (const { body } of site.sent) left += Buffer.from(body).toString('latin1');
    await site.stop();
    printed += readFileSync(lines, 'latin1');
  }
  if (problems === 0) throw new Error('nothing was provoked');
  return { left, printed };
}

async function databaseWords(): Promise<string> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  let said = '';
  for (const records of BROKEN) {
    const path = join(newFolder(), 'records.csv');
    writeFileSync(path, records);
    for (const column of ['arm', 'age', 'died', 'ward'])
      await connection
        .run(`SELECT sum(CAST(${column} AS DOUBLE)) FROM read_csv('${path}')`)
        .catch((error: unknown) => (said += String(error)));
  }
  connection.closeSync();
  return said;
}

/** Columns that the records have and the plan does not name. */
const OUTSIDE = ['hiv', 'income'];

async function columnNames(asked: 'plan' | 'anything'): Promise<Recovered> {
  const outside = Object.fromEntries(OUTSIDE.map((name) => [name, rows.map((_, i) => i % 2)]));
  const y = rows.map((_, i) => i % 5);
  const site = new Site({ ...outside, ward: rows.map((_, i) => i % 3), y });
  const found: string[] = [];
  for (const name of [...OUTSIDE, 'religion', 'smoker']) {
    const factor = asked === 'plan' ? name : 'ward';
    const plan = planOf({
      outcome: '{kind: continuous, variable: y}',
      analyses: {
        a: two(`family: gaussian, adjust: [factor(${factor})]`, `, pool: {term: factor(${factor})1}`),
      },
    });
    const told = await (await Run.open(site, plan))?.levels([name]);
    if (told?.$case !== 'dataProblem') found.push(name);
  }
  await site.stop();
  // Where every name is answered alike, nothing is told.
  if (found.length !== OUTSIDE.length) return { recovered: 0, of: OUTSIDE.length };
  return { recovered: OUTSIDE.filter((name) => found.includes(name)).length, of: OUTSIDE.length };
}

const count = (text: string): Recovered => ({
  recovered: PLANTED.filter((word) => text.includes(word)).length,
  of: PLANTED.length,
});

export const attacks: readonly Attack[] = [
  {
    name: 'words of errors, in what leaves',
    rule: 'closed codes',
    off: async () => count(await databaseWords()),
    on: async () => count((await words()).left),
  },
  {
    name: 'values in the operational log',
    rule: 'errors name columns and rows, not values',
    off: async () => count(await databaseWords()),
    on: async () => count((await words()).printed),
  },
  {
    name: 'names of columns outside the plan, by the levels question',
    rule: 'levels of what the plan leaves open, alone',
    off: () => columnNames('plan'),
    on: () => columnNames('anything'),
  },
];
