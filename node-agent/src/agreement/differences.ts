/** What a plan asks that an earlier one did not, and the other way round, in words. */
import { usesByVariable, variableUses } from '@concordat/shared/agreement/uses.ts';
import { parseExpression } from '@concordat/shared/plan/expression.ts';
import type { WrittenAnalysis, WrittenPlan } from '@concordat/shared/plan/schema.ts';

import { populationInWords } from './words.ts';

/** Keys that are told in words of their own, below. */
const APART = new Set(['id', 'population', 'analyses']);

/** Empty where both say the same. */
export function planDifferences(plan: WrittenPlan, earlier: WrittenPlan): string[] {
  const [now, before] = [usesByVariable(variableUses(plan)), usesByVariable(variableUses(earlier))];
  const added = now.filter(({ variable }) => !before.some((other) => other.variable === variable));
  const removed = before.filter(({ variable }) => !now.some((other) => other.variable === variable));
  return [
    ...added.map(({ variable, uses }) => `new variable \`${variable}\` (${uses.join('; ')})`),
    ...removed.map(({ variable }) => `\`${variable}\` is no longer used`),
    ...populationDifference(plan, earlier),
    ...changedKeys(plan, earlier, APART),
    ...analysisDifferences(plan.analyses, earlier.analyses),
  ];
}

function populationDifference(
  { population: now }: WrittenPlan,
  { population: before }: WrittenPlan,
): string[] {
  if (now === before) return [];
  const told = (text: string | undefined): string =>
    populationInWords(text === undefined ? null : parseExpression(text, 'population')) ?? 'everyone';
  return told(now) === told(before) ? [] : [`the population was ${told(before)}; it is now ${told(now)}`];
}

function analysisDifferences(now: readonly WrittenAnalysis[], before: readonly WrittenAnalysis[]): string[] {
  const byId = (list: readonly WrittenAnalysis[]) => new Map(list.map((analysis) => [analysis.id, analysis]));
  const [current, former] = [byId(now), byId(before)];
  return [
    ...now.flatMap((analysis) => {
      const other = former.get(analysis.id);
      if (other === undefined)
        return [`new analysis \`${analysis.id}\` (${analysis.approach}, ${analysis.model.family})`];
      return changedKeys(analysis, other, new Set(['id'])).map(
        (change) => `analysis \`${analysis.id}\`: ${change}`,
      );
    }),
    ...before
      .filter(({ id }) => !current.has(id))
      .map(({ id }) => `the analysis \`${id}\` is no longer asked`),
  ];
}

type Mapping = Readonly<Record<string, unknown>>;

/** `model.adjust was …; it is now …`, for the deepest keys that differ. */
function changedKeys(now: object, before: object, apart: ReadonlySet<string>, path = ''): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((key) => !apart.has(key));
  return keys.flatMap((key) => {
    const [value, other] = [(now as Mapping)[key], (before as Mapping)[key]];
    if (isMapping(value) && isMapping(other)) return changedKeys(value, other, new Set(), `${path}${key}.`);
    if (shown(value) === shown(other)) return [];
    if (other === undefined) return [`\`${path}${key}\` is now ${shown(value)}; it was not named`];
    if (value === undefined) return [`\`${path}${key}\` is no longer named; it was ${shown(other)}`];
    return [`\`${path}${key}\` was ${shown(other)}; it is now ${shown(value)}`];
  });
}

const isMapping = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
