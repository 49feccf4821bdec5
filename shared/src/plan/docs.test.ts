import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { expandPlan } from './expand.ts';
import { parseExpression } from './expression.ts';
import { parseMap } from './map.ts';
import { parsePlan } from './parse.ts';
import { PlanSchema } from './schema.ts';

const page = readFileSync(new URL('../../../docs/plan.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((match) => ({
  language: match[1]!,
  text: match[2]!,
}));

test('the examples of docs/plan.md are what it says they are', () => {
  const [plan, population, map] = blocks
    .filter(({ language }) => language === 'yaml')
    .map(({ text }) => text);
  expandPlan(parsePlan(plan!, 'docs/plan.md'));
  parsePlan(plan!.replace(/^population:.*\n/m, population!), 'docs/plan.md');
  parseMap(map!, 'docs/plan.md');
  const expressions = blocks
    .find(({ language }) => language === '')!
    .text.trim()
    .split('\n');
  for (const expression of expressions) parseExpression(expression, 'docs/plan.md');
});

test('docs/plan.md names every key of the schema, and every value of its closed sets', () => {
  const missing = (names: readonly string[]): string[] =>
    names.filter((name) => !page.includes(`\`${name}\``) && !page.includes(`\`${name}:`));
  const named: string[] = [];
  JSON.stringify(PlanSchema, (key, value: unknown) => {
    if (key === 'properties') named.push(...Object.keys(value as object));
    if (key === 'enum') named.push(...(value as string[]));
    return value;
  });
  assert.deepEqual(missing([...new Set(named)]), []);
});
