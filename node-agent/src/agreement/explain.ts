/** Says in plain language what a plan asks, for the custodian who decides on it. */
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { faultsOfPlan } from '@concordat/shared/agreement/permits.ts';
import { usesByVariable, variableUses } from '@concordat/shared/agreement/uses.ts';
import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { planDifferences } from './differences.ts';
import { analysisLeaves } from './leaves.ts';
import { count, listed, modelInWords, outcomeInWords, populationInWords } from './words.ts';

/** One analysis of a plan, as a custodian is told of it. */
export interface AnalysisExplanation {
  readonly id: string;
  /** Approach and model in words. */
  readonly model: string;
  readonly terms: readonly string[];
  /** What would leave, in words: shapes, counts of numbers, rounds. */
  readonly leaves: readonly string[];
}

export interface PlanExplanation {
  readonly id: string;
  readonly title: string;
  readonly registration: string | null;
  /** The statistician by the agreement's name for the key, or what is known of who asks. */
  readonly asker: string;
  readonly sites: readonly string[];
  readonly minimumSites: number;
  readonly outcome: string;
  readonly population: string | null;
  /** Each variable, and what it is used for. */
  readonly variables: readonly { readonly variable: string; readonly uses: readonly string[] }[];
  /** What leaves before the analyses: levels of factors that the plan does not name. */
  readonly levels: readonly string[];
  readonly analyses: readonly AnalysisExplanation[];
  /** Why the agreement does not allow it; empty where it does. */
  readonly faults: readonly string[];
  /** Against the plan of the same id, or with some of the same questions, that was offered before; empty where there was none, or nothing changed. */
  readonly differences: readonly string[];
}

export interface PlanContext {
  /** Studies of the roster. */
  readonly sites: readonly string[];
  /** Least number of sites, of the roster. */
  readonly minimum: number;
  /** Public key (hex) under which the plan's signature verified; null where it has none. */
  readonly asker: string | null;
  readonly agreement: Agreement;
  /** Text of the plan of the same id that was offered before; null where there was none. */
  readonly earlier: string | null;
}

/** @throws ConcordatError `plan/*` where the text is no plan that this version understands */
export function explainPlan(
  text: string,
  { sites, minimum, asker, agreement, earlier }: PlanContext,
): PlanExplanation {
  const written = parsePlan(text, 'plan');
  const open = undeclaredFactors(written);
  const plan = expandPlan(
    written,
    Object.fromEntries(open.map((variable) => [variable, ['(reference)', '(to be agreed)']])),
  );
  return legible({
    id: plan.id,
    title: plan.title,
    registration: plan.registration,
    asker: askerInWords(agreement, asker),
    sites,
    minimumSites: minimum,
    outcome: outcomeInWords(plan.outcome),
    population: populationInWords(plan.population),
    variables: usesByVariable(variableUses(written)),
    levels: levelsLeave(open, agreement),
    analyses: plan.analyses.map((analysis) => ({
      id: analysis.id,
      model: modelInWords(plan, analysis),
      terms: termsOf(plan, analysis),
      leaves: analysisLeaves(plan, analysis, agreement.policy, open),
    })),
    faults: faultsOfPlan(written, agreement, asker).map(({ what }) => what),
    differences: earlier === null ? [] : differencesFrom(written, earlier),
  });
}

/**
 * With every character seen that would steer a terminal, break a line or turn the direction of writing: a plan's texts are
 * the asker's, and what a custodian decides on must not be able to hide or to counterfeit a line.
 */
function legible<T>(value: T): T {
  const seen = (part: unknown): unknown => {
    if (typeof part === 'string') return part.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD');
    if (Array.isArray(part)) return part.map(seen);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, seen(inner)]));
  };
  return seen(value) as T;
}

function askerInWords({ statisticians }: Agreement, asker: string | null): string {
  if (asker === null) return 'the coordinator; no statistician has signed the plan';
  const known = statisticians?.find(({ key }) => key === asker);
  return known === undefined
    ? `whoever holds the key ${asker}, which the agreement does not name`
    : known.name;
}

const termsOf = (plan: ExpandedPlan, analysis: Analysis): readonly string[] =>
  analysis.unsupported === null ? parameterTerms(plan, analysis) : [];

function levelsLeave(open: readonly string[], { policy }: Agreement): readonly string[] {
  const { levels, smallest_cell } = policy;
  return open.map((variable) =>
    levels.release
      ? `the codes found in \`${variable}\`${smallest_cell === null ? '' : `, of at least ${count(smallest_cell, 'participant')} each`}${levels.maximum === null ? '' : `, at most ${levels.maximum}`}; counts do not leave`
      : `a refusal alone for \`${variable}\`: the plan does not name its levels, and the agreement keeps them (\`levels: {release: false}\`)`,
  );
}

/** An earlier plan that this version cannot read is none to compare with. */
function differencesFrom(plan: WrittenPlan, earlier: string): readonly string[] {
  try {
    return planDifferences(plan, parsePlan(earlier, 'earlier plan'));
  } catch (error) {
    if (error instanceof ConcordatError) return [];
    throw error;
  }
}

/** For a terminal, below the plan's title. */
export const sitesLine = ({ sites, minimumSites }: PlanExplanation): string =>
  `  sites: ${count(sites.length, 'site')} (${listed(sites)}), of which at least ${minimumSites} must take part`;

/** For a terminal: one line each, indented by what it belongs to. */
export function planExplanationLines(explanation: PlanExplanation): string[] {
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
  return [
    `${explanation.title} (${explanation.id})`,
    ...(explanation.registration === null ? [] : [`  registered: ${explanation.registration}`]),
    `  asked by: ${explanation.asker}`,
    sitesLine(explanation),
    `  outcome: ${explanation.outcome}`,
    `  population: ${explanation.population ?? 'everyone in the data'}`,
    ...section('The agreement does not allow it:', explanation.faults),
    ...section('Since the plan of the same id before it:', explanation.differences),
    ...section(
      'Variables that it reads:',
      explanation.variables.map(({ variable, uses }) => `${variable}: ${uses.join('; ')}`),
    ),
    ...section('Before the analyses, there would leave:', explanation.levels),
    ...explanation.analyses.flatMap(({ id, model, terms, leaves }) => [
      '',
      `Analysis ${id}: ${model}`,
      ...(terms.length === 0 ? [] : [`  terms: ${terms.join(', ')}`]),
      '  there would leave:',
      ...leaves.map((line) => `    ${line}`),
    ]),
  ];
}
