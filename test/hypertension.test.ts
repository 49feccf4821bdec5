/** The hypertension example under the default disclosure policy: what each trial may release, analysis by analysis. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildAnalysisSet } from '@concordat/node-agent/data/design.ts';
import { loadTable } from '@concordat/node-agent/data/load.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease } from '@concordat/shared/disclosure/rules.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { generate } from '../examples/hypertension/generate.ts';

const example = join(import.meta.dirname, '../examples/hypertension');
const directory = mkdtempSync(join(tmpdir(), 'hypertension-'));
after(() => rmSync(directory, { recursive: true }));
const files = generate();
for (const { file, text } of files) writeFileSync(join(directory, file), text);

for (const name of ['plan', 'plan-blood-pressure', 'plan-control', 'plan-admissions']) {
  test(`${name}.yaml: nine trials may release every analysis, the smallest none`, async () => {
    const path = join(example, `${name}.yaml`);
    const plan = expandPlan(parsePlan(readFileSync(path, 'utf8'), path), { sex: [0, 1] });
    const refused: string[] = [];
    for (const { file } of files) {
      const table = await loadTable(join(directory, file), plan, null);
      for (const analysis of plan.analyses) {
        const { facts } = buildAnalysisSet(plan, analysis, table);
        if (checkRelease(facts, DEFAULT_POLICY).length > 0) refused.push(`${file} ${analysis.id}`);
      }
    }
    assert.deepEqual(
      refused,
      plan.analyses.map(({ id }) => `WREN.csv ${id}`),
    );
  });
}
