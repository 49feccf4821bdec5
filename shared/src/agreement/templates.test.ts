import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePlan } from '../plan/parse.ts';
import { analysisFactors } from '../plan/columns.ts';
import type { WrittenPlan } from '../plan/schema.ts';

import { matchesTemplate, templateDifference } from './templates.ts';
import { fullPlans } from './testing.ts';

/** Keys whose value changes nothing that leaves. Of a one-stage analysis the level does: it decides what profile intervals ask. */
const FREE = [
  /^(id|title|registration|time_limit|approval_limit)$/,
  /^analyses\.\d+\.id$/,
  /^analyses\.\d+\.pool(\..*)?$/,
];

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Path = readonly string[];

/** Every path of a document, and what stands there. */
function paths(value: Json, at: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, part]) => paths(part, [...at, key]))];
}

function changed(value: Json, [step, ...rest]: Path, change: (part: Json) => Json | undefined): Json {
  const copy: Record<string, Json> = { ...(value as Record<string, Json>) };
  const part = rest.length === 0 ? change(copy[step!]!) : changed(copy[step!]!, rest, change);
  if (part === undefined) delete copy[step!];
  else copy[step!] = part;
  return Array.isArray(value) ? Object.values(copy) : copy;
}

/** Another value of the same kind, readable where it is an expression or a term. */
function another(part: Json, path: Path): Json {
  if (typeof part === 'number') return part + 1;
  if (typeof part === 'boolean') return !part;
  if (typeof part === 'object') return { other: 1 };
  if (path.at(-1) === 'population') return 'other > 2';
  return 'other';
}

const isFree = (path: Path, approach: string): boolean =>
  FREE.some((free) => free.test(path.join('.'))) && !(approach === 'one-stage' && path[2] === 'pool');

/** What is no plan at all matches none. */
function matches(plan: Json, template: WrittenPlan): boolean {
  try {
    return matchesTemplate(plan as unknown as WrittenPlan, template);
  } catch {
    return false;
  }
}

/** No value is a default, so that leaving one out is a change too. */
function templateOf(plan: WrittenPlan, approach: WrittenPlan['analyses'][number]['approach']): WrittenPlan {
  const { outcome } = plan;
  const [factor] = analysisFactors(plan.analyses[0]!);
  return {
    ...plan,
    minimum_studies: 5,
    levels: { [factor!]: [1, 2] },
    outcome: outcome.kind === 'binary' ? { ...outcome, event: 2 } : outcome,
    analyses: plan.analyses.map((one) => ({ ...one, approach })),
  };
}

for (const approach of ['two-stage', 'one-stage'] as const) {
  for (const { plan } of fullPlans()) {
    const template = templateOf(plan, approach);
    const document = template as unknown as Json;
    test(`no single change that could alter what leaves is a match: ${plan.outcome.kind}, ${approach}`, () => {
      assert.equal(templateDifference(template, template), null);
      for (const path of paths(document).slice(1)) {
        const name = path.join('.');
        const without = changed(document, path, () => undefined);
        // Without the one analysis nothing is asked.
        const nothing = name === 'analyses.0';
        assert.equal(matches(without, template), nothing || isFree(path, approach), `without ${name}`);
        const other = changed(document, path, (part) => another(part, path));
        // One study more.
        const more = name === 'minimum_studies';
        assert.equal(matches(other, template), more || isFree(path, approach), `${name} changed`);
      }
    });

    test(`what is free may change in any combination: ${plan.outcome.kind}, ${approach}`, () => {
      fc.assert(
        fc.property(
          fc.record({ id: fc.string(), title: fc.string(), registration: fc.string(), time_limit: fc.nat() }),
          fc.string(),
          fc.nat(50),
          (free, id, more) => {
            const asked: WrittenPlan = {
              ...template,
              ...free,
              minimum_studies: (template.minimum_studies ?? 1) + more,
              analyses: template.analyses.map((analysis) => ({ ...analysis, id })),
            };
            assert.equal(matchesTemplate(asked, template), true);
          },
        ),
      );
    });
  }
}

const PLAN = `plan: 1
id: template
minimum_studies: 3
population: age >= 18
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: binary, variable: died}
levels: {sex: [0, 1]}
analyses:
  - {id: crude, approach: two-stage, model: {family: binomial}}
  - {id: adjusted, approach: two-stage, model: {family: binomial, adjust: [age, factor(sex)]}}
`;
const read = (text: string): WrittenPlan => parsePlan(text, 'plan.yaml');
const template = read(PLAN);
const differs = (plan: string): string | null => templateDifference(read(plan), template);

test('a plan with fewer analyses matches, and levels of factors that it no longer uses need not be named', () => {
  assert.equal(differs(PLAN.replace(/^ {2}- \{id: adjusted.*\n/m, '').replace(/^levels.*\n/m, '')), null);
});

test('an analysis that the template has once is not allowed twice, nor one that it has not', () => {
  const twice = `${PLAN}  - {id: again, approach: two-stage, model: {family: binomial}}\n`;
  assert.match(differs(twice)!, /`again` is none of the template's/);
  assert.match(differs(PLAN.replace('[age,', '[age, bmi,'))!, /`adjusted`/);
});

test('the least number of studies may rise, and not fall', () => {
  assert.equal(differs(PLAN.replace('minimum_studies: 3', 'minimum_studies: 4')), null);
  assert.match(differs(PLAN.replace('minimum_studies: 3', 'minimum_studies: 2'))!, /`minimum_studies` is 2/);
  assert.match(differs(PLAN.replace('minimum_studies: 3\n', ''))!, /`minimum_studies` is 1/);
});

test('spelling that means the same matches', () => {
  const plan = PLAN.replace('age >= 18', '18 <= age')
    .replace('variable: died', 'variable: died, event: "1"')
    .replace('active: 1', 'active: [1.0]')
    .replace('factor(sex)]', 'factor( sex )]');
  assert.equal(differs(plan), null);
});

test('levels that are left open are asked of the site, which the template did not allow', () => {
  assert.match(differs(PLAN.replace(/^levels.*\n/m, ''))!, /levels of `sex`/);
});

test('a common analysis set is another one with fewer analyses', () => {
  const common = { ...template, participants: 'common' as const };
  assert.equal(matchesTemplate(common, common), true);
  assert.equal(matchesTemplate({ ...common, analyses: common.analyses.slice(1) }, common), false);
  assert.equal(matchesTemplate(common, template), false);
});
