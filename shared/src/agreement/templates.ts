/**
 * Whether a plan asks no more than a template that the custodian has agreed to. Default deny: what is not listed here as
 * free must be written as in the template, so that a key that a later version adds is compared before anyone thinks of it.
 */
import { codeKey } from '../plan/codes.ts';
import { adjustTerms, analysisFactors } from '../plan/columns.ts';
import { formatExpression, parseExpression } from '../plan/expression.ts';
import type { WrittenAnalysis, WrittenOutcome, WrittenPlan } from '../plan/schema.ts';

/**
 * Whether everything that the plan could make leave would leave under the template too. Ids, titles, the registration, time
 * limits and the pooling of two-stage analyses (done with what has left already) are free; analyses may be fewer, and
 * `minimum_studies` larger. All else must be the same.
 *
 * @param plan and template as `parsePlan` returned them
 */
export function matchesTemplate(plan: WrittenPlan, template: WrittenPlan): boolean {
  return templateDifference(plan, template) === null;
}

/** Where the plan goes beyond the template, in words for the custodian; null where it does not. */
export function templateDifference(plan: WrittenPlan, template: WrittenPlan): string | null {
  const [own, agreed] = [meaning(plan), meaning(template)];
  const keys = new Set([...Object.keys(own), ...Object.keys(agreed)]);
  for (const key of keys) {
    if (canonical(own[key]) !== canonical(agreed[key])) return `\`${key}\` is not the template's`;
  }
  const factors = new Set([...Object.keys(plan.levels ?? {}), ...plan.analyses.flatMap(analysisFactors)]);
  for (const factor of factors) {
    if (canonical(codes(plan.levels?.[factor])) !== canonical(codes(template.levels?.[factor])))
      return `the levels of \`${factor}\` are not the template's`;
  }
  const [least, agreedLeast] = [plan.minimum_studies ?? 1, template.minimum_studies ?? 1];
  if (least < agreedLeast) return `\`minimum_studies\` is ${least}, and ${agreedLeast} in the template`;
  // Each analysis of the template allows one of the plan.
  const left = template.analyses.map((analysis) => canonical(analysisMeaning(analysis)));
  for (const analysis of plan.analyses) {
    const at = left.indexOf(canonical(analysisMeaning(analysis)));
    if (at < 0) return `the analysis \`${analysis.id}\` is none of the template's`;
    left.splice(at, 1);
  }
  // With a common analysis set, leaving an analysis out changes who is in the others.
  if (left.length > 0 && own['participants'] === 'common')
    return '`participants: common` with fewer analyses than the template is another analysis set';
  return null;
}

/** Keys that change nothing that leaves. */
const FREE: ReadonlySet<string> = new Set(['id', 'title', 'registration', 'time_limit', 'approval_limit']);
/** Keys that are compared in a way of their own. */
const APART: ReadonlySet<string> = new Set(['minimum_studies', 'levels', 'analyses']);

/** What of a plan must be the template's, one entry a key. */
function meaning(plan: WrittenPlan): Readonly<Record<string, unknown>> {
  const { population, treatment, studies, outcome } = plan;
  const others = Object.entries(plan).filter(([key]) => !FREE.has(key) && !APART.has(key));
  return {
    ...Object.fromEntries(others),
    studies:
      studies === undefined || studies === 'all'
        ? 'all'
        : [...new Set(studies)].toSorted((a, b) => (a < b ? -1 : 1)),
    outcome: codes(outcomeMeaning(outcome)),
    population: population === undefined ? null : formatExpression(parseExpression(population, 'population')),
    treatment:
      treatment === undefined
        ? null
        : {
            ...treatment,
            control: codeKey(treatment.control),
            active: [treatment.active].flat().map(codeKey),
          },
  };
}

const outcomeMeaning = (outcome: WrittenOutcome): unknown =>
  outcome.kind === 'binary' && outcome.variable !== undefined ? { event: 1, ...outcome } : outcome;

/** Pooling in stage two is done with what has left; in one stage the level decides what is asked for profile intervals. */
function analysisMeaning(analysis: WrittenAnalysis): unknown {
  const { id: _id, pool, ...rest } = analysis;
  return {
    ...rest,
    model: { ...rest.model, adjust: adjustTerms(analysis) },
    ...(rest.approach === 'two-stage' ? {} : { pool: pool ?? {} }),
  };
}

/** Codes that are the same code (`1` and `"1"`) as the same text. */
function codes(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'string') return codeKey(value);
  if (Array.isArray(value)) return value.map(codes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, codes(part)]));
}

/** JSON with keys in order: equal for equal values. Strings and numbers stay apart. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
        : part,
    ) ?? 'undefined'
  );
}
