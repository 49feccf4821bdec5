/**
 * Runs test suites with node's test runner and its summary: `node scripts/test.ts [suite …]`.
 * Without a suite: the fast ones, and `reference` where its data lie beside the repository.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { resolve } from 'node:path';

/** Published data and R's results on them. */
const REFERENCE_DATA = '../shared/reference';

const SUITES: Readonly<Record<string, { include: string[]; exclude: string[] }>> = {
  fast: {
    include: ['{shared,web,audit,node-agent,coordinator,cli,proto,examples,test}/**/*.test.ts'],
    exclude: [
      '**/node_modules/**',
      'test/{fixtures,reference,attacks,mutations,containers,browser,interop}/**',
    ],
  },
  attacks: { include: ['test/attacks/**/*.test.ts'], exclude: [] },
  mutations: { include: ['test/mutations/**/*.test.ts'], exclude: [] },
  reference: { include: ['test/reference/**/*.test.ts'], exclude: [] },
  containers: { include: ['test/containers/**/*.test.ts'], exclude: [] },
  interop: { include: ['test/interop/**/*.test.ts'], exclude: [] },
  browser: { include: ['test/browser/**/*.test.ts'], exclude: [] },
};

const root = resolve(import.meta.dirname, '..');
const withReference = existsSync(resolve(root, REFERENCE_DATA));
const asked = process.argv.slice(2);
if (asked.includes('reference') && !withReference) throw new Error(`suite reference needs ${REFERENCE_DATA}`);
if (asked.length === 0) {
  asked.push('fast', 'attacks');
  if (withReference) asked.push('reference');
  else console.log(`Left out: test/reference, because ${REFERENCE_DATA} is not there.`);
}

const files = asked.flatMap((name) => {
  const suite = SUITES[name];
  if (suite === undefined) throw new Error(`no suite ${name}; there are ${Object.keys(SUITES).join(', ')}`);
  const found = globSync(suite.include, { cwd: root, exclude: suite.exclude });
  if (found.length === 0) throw new Error(`suite ${name} has no tests`);
  return found.toSorted();
});

const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...files], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
