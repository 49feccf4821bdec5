/**
 * Applies the import rules of `layering-rules.ts` to the source, and proves that they work: in
 * `test/fixtures/layering` each rule is broken on purpose and must be reported.
 */
import { resolve } from 'node:path';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { forbidden, options } from './layering-rules.ts';

const ROOMS = [
  'shared',
  'web',
  'audit',
  'node-agent',
  'coordinator',
  'cli',
  'test',
  'bench',
  'examples',
  'scripts',
];

async function violations(baseDir: string, rooms: string[]): Promise<ICruiseResult['summary']> {
  const { output } = await cruise(rooms, { ...options, baseDir, validate: true, ruleSet: { forbidden } });
  if (typeof output === 'string') throw new Error('dependency-cruiser answered with text');
  return output.summary;
}

const root = resolve(import.meta.dirname, '..');
const source = await violations(root, ROOMS);
for (const { rule, from, to } of source.violations) console.error(`${rule.name}: ${from} → ${to}`);

const fixture = await violations(resolve(root, 'test/fixtures/layering'), [
  'shared',
  'web',
  'audit',
  'node-agent',
  'coordinator',
  'cli',
  'test',
]);
const reported = new Set(fixture.violations.map(({ rule }) => rule.name));
const silent = forbidden.map(({ name }) => name).filter((name) => !reported.has(name));
for (const name of silent) console.error(`${name}: broken in test/fixtures/layering, and not reported`);

console.log(`layering: ${source.totalCruised} modules, ${source.violations.length} violations`);
if (source.violations.length > 0 || silent.length > 0) process.exitCode = 1;
