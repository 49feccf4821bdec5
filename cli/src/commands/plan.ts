import { readFileSync } from 'node:fs';

import { planDigest } from '@concordat/shared/plan/digest.ts';
import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';

import { readText } from '@concordat/coordinator/process.ts';

export function planCheck(file: string, options: { readonly json?: boolean }): 0 {
  const text = readText(file, 'plan/unreadable');
  const written = parsePlan(text, file);
  const digest = planDigest(Buffer.from(text));
  const undeclared = undeclaredFactors(written);
  const plan = expandPlan(
    written,
    Object.fromEntries(undeclared.map((variable) => [variable, ['(reference)', '(agreed later)']])),
  );
  if (options.json === true) {
    const analyses = plan.analyses.map(({ id, approach, family, columns, pool, unsupported }) => ({
      id,
      approach,
      family,
      terms: columns.map(({ term }) => term),
      pooled: pool.terms,
      unsupported,
    }));
    console.log(JSON.stringify({ valid: true, id: plan.id, sha256: digest, undeclared, analyses }));
    return 0;
  }
  console.log(`${file} is valid: ${plan.title}`);
  console.log(`  id ${plan.id}, SHA-256 ${digest}`);
  if (undeclared.length > 0) {
    console.log(`  levels not declared, so agreed with the sites first: ${undeclared.join(', ')}`);
  }
  for (const analysis of plan.analyses) {
    console.log(
      `  ${analysis.id}: ${analysis.approach} ${analysis.family}; parameters in each study: ${analysis.columns.length}`,
    );
    console.log(`    terms: ${analysis.columns.map(({ term }) => term).join(', ')}`);
    console.log(
      `    stage two pools ${analysis.pool.terms.join(', ')} (tau2 ${analysis.pool.tau2}, ci ${analysis.pool.ci})`,
    );
    if (analysis.unsupported !== null)
      console.log(`    not computed by this version: ${analysis.unsupported}`);
  }
  return 0;
}

export function planSchema(options: { readonly of: 'plan' | 'result' | 'policy' | 'map' }): 0 {
  process.stdout.write(
    readFileSync(new URL(`../../../shared/schema/${options.of}.schema.json`, import.meta.url), 'utf8'),
  );
  return 0;
}
