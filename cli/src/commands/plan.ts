import { readFileSync } from 'node:fs';

import { planDigest } from '@concordat/shared/plan/digest.ts';
import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { oneStageSpec, parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import type { OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

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
    const terms = analysis.unsupported === null ? parameterTerms(plan, analysis) : [];
    console.log(
      `  ${analysis.id}: ${analysis.approach} ${analysis.family}; parameters in each study: ${terms.length}`,
    );
    if (analysis.unsupported !== null) {
      console.log(`    not computed by this version: ${analysis.unsupported}`);
      continue;
    }
    console.log(`    terms: ${terms.join(', ')}`);
    for (const line of analysis.approach === 'two-stage'
      ? stageTwoLines(analysis)
      : oneStageLines(plan, analysis))
      console.log(`    ${line}`);
  }
  return 0;
}

function stageTwoLines({ pool }: Analysis): readonly string[] {
  return [`stage two pools ${pool.terms.join(', ')} (tau2 ${pool.tau2}, ci ${pool.ci})`];
}

const SENT: Readonly<Record<Exclude<OneStageSpec['kind'], 'likelihood'>, string>> = {
  gaussian: 'a site sends its crossproducts once',
  mmrm: 'a site sends crossproducts weighted by the covariance between visits, and their derivatives, a round',
  firth: 'a site sends its penalised score and information a round',
  frailty: 'a site sends sums over risk sets at the grid’s times a round',
};

/** What varies between studies, and what a site sends each time it is asked. */
function oneStageLines(plan: ExpandedPlan, analysis: Analysis): readonly string[] {
  const spec = oneStageSpec(plan, analysis);
  const own = spec.stratified.map((j) => spec.terms[j]);
  const random = spec.random.map(({ term }) => term);
  const lambdas = random.length === 2 && spec.correlated ? 3 : random.length;
  const m = spec.terms.length - own.length + lambdas;
  return [
    ...(own.length === 0 ? [] : [`each study its own: ${own.join(', ')}`]),
    ...(random.length === 0
      ? []
      : [`random between studies: ${random.join(' and ')}${lambdas === 3 ? ', correlated' : ''}`]),
    spec.kind === 'likelihood'
      ? `a site sends ${1 + m + (m * (m + 1)) / 2} numbers a round, for the ${m === 1 ? 'parameter' : `${m} parameters`} that studies share`
      : SENT[spec.kind],
  ];
}

export function planSchema(options: { readonly of: 'plan' | 'result' | 'policy' | 'agreement' | 'map' }): 0 {
  process.stdout.write(
    readFileSync(new URL(`../../../shared/schema/${options.of}.schema.json`, import.meta.url), 'utf8'),
  );
  return 0;
}
